"""Files that are whole or absent, folders published whole, leases."""
