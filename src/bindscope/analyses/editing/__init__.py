"""Object editing: does a vector in which one object was replaced behave as the other scene."""
