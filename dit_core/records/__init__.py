"""What is kept on disk: paths, atomic files, run, attempt, metric and evaluation records,
leases.
"""
