"""What runs inside a Slurm task."""
