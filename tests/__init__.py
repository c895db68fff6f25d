"""The tests; shared helpers are in helpers/, a real Slurm on one machine in cluster/."""
