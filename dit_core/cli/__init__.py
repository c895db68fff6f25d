"""The command `ditlab`: the only place that may import every package, lazily."""
