"""How far two equal things lie apart by chance, and what may be concluded beyond it."""
