"""Commands for data, references and weights."""
