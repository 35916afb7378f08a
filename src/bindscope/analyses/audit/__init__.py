"""Audit: what a scene table can and cannot show about binding, before any model is run."""
