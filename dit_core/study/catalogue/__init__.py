"""The catalogue: what a design, a metric, a protocol or a data set is, each fact in one row."""
