"""A made-up run directory with every kind of record: the story of the paper, without any model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bindscope.results import Record, Results

ADJECTIVES = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "brown", "gray", "black")
NOUNS = ("circle", "square", "triangle", "star", "heart", "spiral", "sphere", "cylinder", "cone", "pyramid")
CONCEPTS, OBJECTS = "concept_recognition", "object_recognition"
LEVELS = {"n_scenes": 9900, "n_objects": 100, "seed": 0}


def record(analysis: str, metric: str, value: float | None, half: float | None = None, **columns: Any) -> Record:
    """A record with an interval of half a width around its value."""
    if half is not None and value is not None:
        columns = {"ci_low": value - half, "ci_high": value + half, **columns}
    return Record(analysis, metric, value, **{**LEVELS, **columns})


def config(**changes: Any) -> dict[str, Any]:
    """A config.json as `diagnose` writes it."""
    made: dict[str, Any] = {
        "schema_version": 1,
        "bindscope": "0.1.0",
        "hash": "0123456789ab",
        "command": "bindscope diagnose st:some/encoder --data text:10x10",
        "model": "st:some/encoder",
        "data": "text:10x10",
        "modality": "text",
        "seed": 0,
        "options": {"sample": None, "prompt": "a photo of {}", "batch_size": 64},
        "versions": {"python": "3.11.9", "numpy": "2.1.0"},
        "fidelity": {
            "architecture": "BertModel",
            "pooling": "mean",
            "eval": True,
            "padding": {"side": "right", "to": 128},
        },
        "space": [{"name": "adjective", "values": list(ADJECTIVES)}, {"name": "noun", "values": list(NOUNS)}],
        "examples": ["a red circle and a blue square", "a blue square and a red circle"],
        "created": "2026-05-01T12:00:00+00:00",
    }
    return {**made, **changes}


def recognition_records(names: Iterable[str] = ("adjective", "noun")) -> list[Record]:
    """The paradox: the model's own queries find concepts only, a probe finds the objects."""
    out = [
        *_recognised("zero_shot", "all", 0.981, 0.189, 0.012, 0.562, names),
        *_recognised("probe", "held_out", 0.9997, 0.948, 0.941, 0.996, names),
    ]
    for metric, target, moved in ((CONCEPTS, "mean", 0.97), (OBJECTS, "all", 0.231)):
        words = {"estimator": "zero_shot", "split": "all", "target": target}
        out.append(record("recognition", metric, moved, 0.013, extra={"vectors": "centred"}, **words))
        out.append(record("recognition", metric, moved / 2, 0.017, extra={"objects": 3}, **words))
        words = {"estimator": "probe", "split": "held_out", "target": target}
        out.append(record("recognition", metric, 0.00451, extra={"spread": "splits", "splits": 3}, **words))
    words = {"estimator": "probe", "split": "held_out", "target": "all"}
    return [*out, record("recognition", OBJECTS, 0.957, 0.014, extra={"split_by": "row"}, **words)]


def _recognised(
    estimator: str, split: str, concepts: float, objects: float, unshared: float, preferred: float, names: Iterable[str]
) -> list[Record]:
    def figure(metric: str, target: str, value: float, half: float, **columns: Any) -> Record:
        return record("recognition", metric, value, half, estimator=estimator, split=split, target=target, **columns)

    return [
        figure(CONCEPTS, "mean", concepts, 0.0002, chance=0.03, n_ties=0),
        figure(CONCEPTS, "joint", concepts - 0.02, 0.01, chance=0.001, n_ties=2),
        *(figure(CONCEPTS, n, concepts - 0.01 * k, 0.0002, chance=0.031, n_ties=k) for k, n in enumerate(names)),
        figure(CONCEPTS, "mean", concepts, 0.0002, chance=0.0222, extra={"scenes": "unshared"}),
        figure(OBJECTS, "all", objects, 0.021, chance=0.000202, ceiling=0.591, n_ties=7),
        figure(OBJECTS, "unshared", unshared, 0.0107, chance=0.000202, ceiling=0.5, n_ties=3, n_scenes=8100),
        figure("binding_preference", "ambiguous", preferred, 0.019, chance=0.5, ceiling=0.5, n_ties=0, n_scenes=8100),
        figure("binding_within_bag", "ambiguous", unshared, 0.011, chance=1 / 6, n_ties=1, n_scenes=8100),
        figure(CONCEPTS, "mean", concepts, 0.0002, chance=0.0222, extra={"scenes": "ambiguous"}, n_scenes=8100),
        figure(OBJECTS, "ambiguous", unshared, 0.0107, chance=0.000202, ceiling=0.5, n_ties=3, n_scenes=8100),
    ]


def geometry_records() -> list[Record]:
    """Levels I and II by every estimator."""
    out: list[Record] = []
    for estimator, fit in {"avg": 0.931, "avg+pos": 0.937, "single": 0.62, "ols": 0.944, "ols+pos": 0.950}.items():
        for level, loss in (("level1", 0.0), ("level2", 0.0101)):
            for split, drop in (("in_sample", 0.0), ("held_out", 0.0031)):
                out += _rebuilt(fit - loss - drop, loss, drop, estimator=estimator, target=level, split=split)
        words = {"estimator": estimator, "target": "level2_objects", "split": "in_sample"}
        out.append(record("geometry", "r2", 0.983, 0.006, **words))
    words = {"target": "level1", "split": "in_sample"}
    out.append(record("geometry", "r2", 0.901, 0.007, estimator="single", extra={"scale": 0.64}, **words))
    out.append(record("geometry", "r2", 0.9503, 0.004, estimator="ols+pos", extra={"vectors": "unit"}, **words))
    return [*out, record("geometry", "r2", -0.24, 0.05, estimator="ols+pos", extra={"vectors": "raw"}, **words)]


def _rebuilt(fit: float, loss: float, drop: float, **words: Any) -> list[Record]:
    objects = 0.71 - 40 * loss - drop
    return [
        record("geometry", "r2", fit, 0.0041, **words),
        record("geometry", "retrieval_top1", fit - 0.1, 0.02, chance=0.0002, **words),
        record("geometry", "joint_probing", 0.99 - drop, 0.0007, chance=0.001, **words),
        record("geometry", CONCEPTS, 0.9995, 0.0004, chance=0.03, **words),
        record("geometry", OBJECTS, objects, 0.033, chance=0.0002, ceiling=0.59, **words),
    ]


def variance_records() -> list[Record]:
    """Nested shares, corrected and not, and added up."""
    shares = {"concepts": 0.9337, "slot": 0.0052, "interaction": 0.0108, "cross_object": 0.0466, "residual": 0.0037}
    out: list[Record] = []
    total = 0.0
    for name, share in shares.items():
        words = {"estimator": "ols", "target": name, "split": "in_sample"}
        total += share
        out += [
            record("variance", "share", share, 0.09 * share + 0.0003, **words),
            record("variance", "share", share + 0.0002, 0.09 * share, extra={"correction": "none"}, **words),
            record("variance", "share", total, 0.003, extra={"correction": "none", "cumulative": True}, **words),
        ]
    p = record("variance", "p_value", 0.005, estimator="freedman_lane", target="interaction", split="in_sample")
    return [*out, p]


def audit_records() -> list[Record]:
    """What the table alone says."""
    out = [
        record("audit", "n_scenes", 9900.0),
        record("audit", "n_objects", 100.0),
        record("audit", "cells_present", 100.0, target="objects"),
        record("audit", "cells_missing", 0.0, target="objects"),
        record("audit", "cells_present", 9900.0, target="scenes"),
        record("audit", "cells_missing", 100.0, target="scenes"),
        record("audit", "design_rank", 100.0, target="objects", extra={"columns": 101}),
        record("audit", "design_rank", 19.0, target="concepts", extra={"columns": 21}),
        record("audit", "chance", 0.0311, target="mean"),
        record("audit", "chance", 0.000202, target="objects"),
        record("audit", "ceiling", 0.591, target="all"),
        record("audit", "ceiling", 0.5, target="unshared"),
        record(
            "audit", "ceiling", 0.591, target="all", extra={"additive_ties_wrong": 0.182, "additive_ties_random": 0.318}
        ),
        record("audit", "ambiguous_scenes", 8100.0),
        record("audit", "scenes_needed", 153_659.0, extra={"width": 0.01}),
        record("audit", "scenes_needed", 38_415.0, extra={"width": 0.02}),
    ]
    for step in range(1, 10):
        coverage = step / 10
        for estimator, unseen in (("connected", 0.0), ("random", max(0.0, 0.61 - 0.2 * step))):
            words = {"coverage": coverage, "estimator": estimator}
            out += [
                record("audit", "unseen_share", unseen, **words),
                record("audit", "identified", float((estimator == "connected" and step > 1) or step > 3), **words),
                record("audit", "closed_scenes", round(8100 * (1 - coverage) ** 4), **words),
            ]
    return out


def later_records() -> list[Record]:
    """Analyses that have no section of their own yet."""
    out = [
        record("codelength", "bits_per_scene", 12345.6, 78.0, estimator="additive"),
        record("crossmodal", "swap_accuracy", 0.512, 0.04, chance=0.5),
        record("alignment", "r2", 0.333, 0.05, target="interaction"),
        record("training", "r2", 0.777, None, target="train"),
    ]
    for learner in ("additive", "mlp:256", "xgboost"):
        for step in range(1, 10, 2):
            value = 0.1 + 0.07 * step if learner == "xgboost" else 0.93
            words = {"estimator": learner, "coverage": step / 10, "split": "test"}
            out.append(record("complexity", "r2", value, 0.02, **words))
            out.append(record("complexity", "binding_r2", value - 0.4, 0.05, chance=0.1, **words))
            for target in ("closed", "all") if learner != "additive" else ():
                levels = {"target": target, "chance": 0.002, "ceiling": 0.5}
                out.append(record("complexity", "object_recognition", 0.2 * value, 0.05, **levels, **words))
    return out


def removal_records() -> list[Record]:
    """Table 3, its two fits, LEACE with its control, a dose and a network."""
    out: list[Record] = []
    read = {
        "none": (1.0, 0.97, 2.1, 3.9),
        "concepts": (0.06, 0.92, 0.001, 3.4),
        "objects": (0.05, 0.003, -0.001, 0.0),
        "interaction": (1.0, 0.3, 2.1, 3.0),
        "permuted_concepts": (0.99, 0.97, 2.0, 3.9),
        "permuted_objects": (0.97, 0.96, 2.0, 3.8),
    }
    for target, (concepts, objects, gain, more) in read.items():
        for estimator, extra in (("subtract", {}), ("subtract", {"readout": "mlp"}), ("leace", {})):
            words = {"estimator": estimator, "target": target, "split": "held_out"}
            out += [
                record("removal", CONCEPTS, concepts, 0.02, chance=0.03, n_ties=0, extra=extra, **words),
                record("removal", OBJECTS, objects, 0.02, chance=0.0002, ceiling=0.59, extra=extra, **words),
                record("removal", "cross_entropy_gain", gain, 0.01, extra=extra, **words),
                record("removal", "cross_entropy_gain", more, 0.01, extra={"concept": "objects", **extra}, **words),
            ]
    words = {"estimator": "subtract", "target": "concepts", "split": "held_out"}
    out.append(record("removal", "cross_entropy_gain", 0.04, 0.02, extra={"fit": "separate"}, **words))
    out.append(record("removal", "p_value", 0.0476, **words))
    words = {"estimator": "leace", "target": "concepts"}
    out.append(record("removal", "erased_rank", 18.0, **words))
    for extra, share, concepts in (
        ({}, 0.9, 0.06),
        ({"rank": 9}, 0.5, 0.4),
        ({"rank": 9, "control": "random subspace"}, 0.02, 0.99),
        ({"rank": 18, "control": "random subspace"}, 0.05, 0.98),
    ):
        out.append(record("removal", "share", share, 0.01, split="in_sample", extra=extra, **words))
        if extra:
            out.append(record("removal", CONCEPTS, concepts, 0.02, split="held_out", extra=extra, **words))
    words = {"estimator": "subtract", "target": "interaction", "split": "in_sample"}
    out.append(record("removal", "share", 0.0108, 0.001, **words))
    return [*out, record("removal", "share", 0.0106, extra={"correction": "degrees of freedom"}, **words)]


def editing_records() -> list[Record]:
    """All estimators, left out and not, with parts, a dial and the edits that could not be tried."""
    out: list[Record] = []
    for place, estimator in enumerate(("avg", "avg+pos", "single", "ols", "ols+pos")):
        for target in ("value", "object"):
            for split in ("in_sample", "held_out") if estimator != "single" else ("held_out",):
                words = {"estimator": estimator, "target": target, "split": split}
                figure = 0.8 + 0.02 * place
                out += [
                    record("editing", "retrieval_top1", figure, 0.01, chance=0.0001, n_ties=1, **words),
                    record("editing", "joint_probing", 0.999, 0.001, chance=0.001, **words),
                    record("editing", OBJECTS, figure + 0.05, 0.01, chance=0.0002, ceiling=0.59, **words),
                    record("editing", "n_cases", 12.0, extra={"outcome": "not testable"}, **words),
                ]
                for extra in ({"other": "same"}, {"other": "different"}, {"strength": 0.5}, {"strength": 1.5}):
                    out.append(record("editing", "retrieval_top1", figure / 2, 0.02, extra=extra, **words))
                loose = figure + 0.18
                out.append(record("editing", "retrieval_top1", loose, 0.01, extra={"order": "any"}, **words))
    for target in ("value", "object"):
        words = {"target": target, "split": "all"}
        out.append(record("editing", "n_cases", 352_800.0, **words))
        out.append(record("editing", "n_cases", 3600.0, extra={"outcome": "no such scene"}, **words))
    return out


def explorer_content() -> dict[str, Any]:
    """Two scenes with edits, one of whose captions tries to be markup."""
    shown = {str(i): {"words": f"scene {i}", "text": f"caption {i}"} for i in range(6)}
    shown["3"]["text"] = "</script><b>caption 3</b>"
    near = [[3, 0.98], [1, 0.91]]
    edits = [[0, 2, 3, near], [0, 3, 4, [[4, 0.97], [5, 0.9]]], [1, 2, 5, [[5, 0.99]]]]
    return {
        "estimator": "ols+pos",
        "objects": {str(i): f"object {i}" for i in range(4)},
        "shown": shown,
        "scenes": [
            {"row": 0, "objects": [0, 1], "before": [[0, 1.0], [1, 0.9]], "edits": edits},
            {"row": 1, "objects": [1, 0], "before": [[1, 1.0]], "edits": edits[:1]},
        ],
    }


def pair_records() -> list[Record]:
    """Pairs: headlines, the baseline, two kinds of edit, a note."""
    found = []
    for metric, value, chance in (("pair_preference", 0.7, 0.5), ("pair_all_right", 0.3, 1 / 3)):
        for target in ("all", "same_bag"):
            words = {"target": target, "chance": chance, "split": "all", "n_ties": 0}
            found.append(record("pairs", metric, value, 0.05, estimator="zero_shot", **words))
            found.append(record("pairs", metric, 0.5, 0.05, estimator="bag_of_words", **words))
            found.append(record("pairs", metric, value, estimator="zero_shot", extra={"ties": "right"}, **words))
        for edit in ("swapped attribute", "replaced object"):
            extra = {"edit": edit}
            found.append(
                record("pairs", metric, value, 0.1, estimator="zero_shot", target="all", chance=chance, extra=extra)
            )
    found.append(record("pairs", "n_items", 120.0, target="all"))
    note = {"note": "that stand more than once", "rows": ["3"], "left_out": False}
    return [*found, record("pairs", "n_odd_items", 1.0, target="duplicate", extra=note)]


def readout_records() -> list[Record]:
    """A ladder of read-outs with its control, by slot and across slots."""
    found = []
    for rung, value in (("linear", 0.49), ("bilinear", 0.97), ("network", 0.98)):
        words = {"estimator": rung, "target": "ambiguous", "split": "held_out", "chance": 0.5}
        found.append(record("readouts", "binding_preference", value, 0.04, **words))
        found.append(record("readouts", "binding_within_bag", value / 2, 0.05, **words))
    control = {"control": "shuffled scenes"}
    words = {"estimator": "network", "target": "ambiguous", "split": "held_out", "chance": 0.5}
    found.append(record("readouts", "binding_preference", 0.51, 0.04, extra=control, **words))
    words = {"estimator": "by_slot", "target": "closed", "split": "test", "chance": 0.5}
    found.append(record("readouts", "binding_preference", 0.99, 0.02, **words))
    words = {"estimator": "linear", "target": "held_out", "split": "held_out", "chance": 0.01}
    return [*found, record("readouts", "across_slots", 0.02, 0.01, **words)]


def finetune_records() -> list[Record]:
    """A model before and after it was tuned."""
    words = {"estimator": "base", "split": "test", "chance": 0.5}
    return [
        record("finetune", "swap_accuracy", 0.44, 0.05, target="closed", **words),
        record("finetune", "similarity_kept", 0.93, 0.01, target="keep", estimator="averaged"),
    ]


def every_record() -> list[Record]:
    """All of them."""
    return [
        *recognition_records(),
        *geometry_records(),
        *variance_records(),
        *removal_records(),
        *editing_records(),
        *later_records(),
        *pair_records(),
        *readout_records(),
        *finetune_records(),
        *audit_records(),
    ]


def write_run(directory: Path, records: Iterable[Record] | None = None, **changes: Any) -> Path:
    """A run directory with config.json and results.parquet."""
    directory.mkdir(parents=True, exist_ok=True)
    made: Mapping[str, Any] = config(**changes)
    (directory / "config.json").write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    Results(every_record() if records is None else records).write(directory)
    if records is None:
        (directory / "explorer.json").write_text(json.dumps(explorer_content()), encoding="utf-8")
    return directory
