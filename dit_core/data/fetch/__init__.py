"""Real images by name: from a file of the user's, the original archive, or a package client."""
