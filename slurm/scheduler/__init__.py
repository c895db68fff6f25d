"""What is said to Slurm and what it answers: commands, queue, profiles, batch scripts."""
