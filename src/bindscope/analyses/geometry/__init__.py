"""Geometry: additive levels of scene vectors, and retrieval by their reconstructions."""
