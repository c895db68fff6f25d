"""The catalogue: what a design, metric, protocol, data set or figure is, each fact in one row."""
