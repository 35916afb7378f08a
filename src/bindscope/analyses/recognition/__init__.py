"""Recognition: which concepts and which objects a vector tells."""
