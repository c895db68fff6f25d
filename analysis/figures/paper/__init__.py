"""One file per figure of the paper, named as in the catalogue: `draw(source, mix)` returns it."""
