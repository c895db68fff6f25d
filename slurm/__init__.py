"""Submission to a Slurm cluster: the only importer of submitit."""
