"""What goes into a fit and what comes out: means of seeds, refusals, estimates."""
