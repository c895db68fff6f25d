"""Tables as text, files and mirrors."""
