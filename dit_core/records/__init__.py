"""What is kept on disk: paths, atomic files, leases; records of runs and their parts."""
