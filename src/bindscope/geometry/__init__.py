"""Geometry of scene embeddings: additive levels, retrieval by reconstructions, variance shares (Sec. 4 of arXiv 2605.31503)."""

from bindscope.geometry.levels import (
    ESTIMATORS,
    LEVELS,
    AdditiveModel,
    Reconstruction,
    fit_additive,
    fit_single,
    level2_objects,
    reconstruct,
    reconstruct_held_out,
    reconstruct_single,
)
from bindscope.geometry.retrieval import Gallery, retrieve
from bindscope.geometry.variance import VarianceShares, interaction_null, variance_shares

__all__ = [
    "ESTIMATORS",
    "LEVELS",
    "AdditiveModel",
    "Gallery",
    "Reconstruction",
    "VarianceShares",
    "fit_additive",
    "fit_single",
    "interaction_null",
    "level2_objects",
    "reconstruct",
    "reconstruct_held_out",
    "reconstruct_single",
    "retrieve",
    "variance_shares",
]
