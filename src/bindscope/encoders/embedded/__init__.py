"""Two small image-text dual encoders that ship with the package: `embedded:bag` and `embedded:bound`."""

from __future__ import annotations

from bindscope.encoders.embedded.encoder import NAMES, load

__all__ = ["NAMES", "load"]
