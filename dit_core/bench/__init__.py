"""How fast this machine is: the loop by phases, against a peer, against a matrix product; and the
calibration.
"""
