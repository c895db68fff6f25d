"""The training loop and what it is made of: state, checkpoints, schedule, draws, curve."""
