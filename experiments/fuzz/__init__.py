"""Damaged and hostile input at every gate (`python -m experiments.fuzz`)."""
