"""bindscope tells whether, and how, an embedding model binds concepts."""

__version__ = "0.1.0"
__all__ = ["__version__"]
