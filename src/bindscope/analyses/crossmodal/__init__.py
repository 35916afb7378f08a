"""Two sides of a model: scenes against captions."""
