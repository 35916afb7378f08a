"""Learners of a binding function: fit on scenes and their vectors, predict the vectors of scenes of other objects."""
