"""Controlled dual encoders: scene and query Transformers trained from scratch on symbolic scenes (Sec. 5 of arXiv 2605.31503)."""

from __future__ import annotations

from bindscope.controlled.config import PRESETS, TrainConfig, preset

__all__ = ["PRESETS", "TrainConfig", "preset"]
