"""Interventions: take a component out of the vectors, or replace an object in them (Sec. 4 of arXiv 2605.31503)."""

from bindscope.interventions.cases import Cases, Untested, drawn, object_cases, target_members, value_cases
from bindscope.interventions.editing import ESTIMATORS, ObjectVectors, Weights, object_vectors, single_vectors
from bindscope.interventions.leace import Eraser, fit_leace, label_rank, random_eraser
from bindscope.interventions.ranking import Gallery, Ranks, nearest, rank_edits
from bindscope.interventions.readouts import Reading, read, read_by_network
from bindscope.interventions.removal import (
    PARTS,
    Components,
    corrected_interaction,
    fit_components,
    permuted,
    retrieved,
)

__all__ = [
    "ESTIMATORS",
    "PARTS",
    "Cases",
    "Components",
    "Eraser",
    "Gallery",
    "ObjectVectors",
    "Ranks",
    "Reading",
    "Untested",
    "Weights",
    "corrected_interaction",
    "drawn",
    "fit_components",
    "fit_leace",
    "label_rank",
    "nearest",
    "object_cases",
    "object_vectors",
    "permuted",
    "random_eraser",
    "rank_edits",
    "read",
    "read_by_network",
    "retrieved",
    "single_vectors",
    "target_members",
    "value_cases",
]
