"""The networks: the DiT of the paper and what it is built from."""
