"""How runs and evaluations stand, from records first and the scheduler second."""
