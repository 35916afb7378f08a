"""Simulations that measure what intervals cover and what tests hold: programs that print tables."""
