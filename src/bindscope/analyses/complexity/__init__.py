"""Complexity: can a learner predict the vectors of scenes of unseen objects."""
