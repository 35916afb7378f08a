"""Training: how recognition grew, and the figures of the weights that were kept."""
