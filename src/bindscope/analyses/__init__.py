"""Analyses: one folder a question."""
