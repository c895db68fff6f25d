"""A user's own files: images and named arrays."""
