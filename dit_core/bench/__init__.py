"""The speed of this machine: the loop by phases, beside a peer; and the calibration."""
