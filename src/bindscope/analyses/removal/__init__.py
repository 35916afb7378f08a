"""Targeted removal: what can still be read when a component is taken out."""
