"""Objectives (DDPM, rectified flow), samplers and guidance."""
