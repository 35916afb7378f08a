"""Scenes as images: drawn flat, rendered in three dimensions, or read from a folder."""
