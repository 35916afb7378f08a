"""Alignment: do both sides use the same binding function."""
