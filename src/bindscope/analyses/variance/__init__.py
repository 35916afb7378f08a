"""Variance shares: concepts, slots, the interaction within objects, pairs across objects."""
