"""Where made things are kept between runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_cache() -> Path:
    """`$BINDSCOPE_CACHE`, else `bindscope` in the user's cache directory."""
    chosen = os.environ.get("BINDSCOPE_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache() / "bindscope"


def user_cache() -> Path:
    """The directory that the system keeps for caches of this user."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
