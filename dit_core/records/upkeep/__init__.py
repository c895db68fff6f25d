"""Checking, freeing and archiving a results folder."""
