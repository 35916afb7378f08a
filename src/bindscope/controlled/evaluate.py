"""Recognition of a model's scenes by its own queries, on training, validation and test objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.controlled.config import TrainConfig
from bindscope.controlled.model import DualEncoder
from bindscope.controlled.sampling import Objects, closed_table, scenes_of_pool
from bindscope.recognition import SceneRecognition, ceiling, concept_chance, object_chance, recognise_by_cosine
from bindscope.scenes import SceneTable
from bindscope.swaps import paper_metric

Vectors = NDArray[np.float32]
Asked = tuple[Vectors, list[Vectors]]  # queries of all objects, and of all values of each concept
_ROWS = 2048


@dataclass(frozen=True, eq=False)
class Suite:
    """Scene tables that a run is judged on; a side that has no scene is None."""

    tables: dict[str, SceneTable | None]

    @classmethod
    def of(cls, config: TrainConfig, objects: Objects) -> Suite:
        """train, validation, test (all scenes of test objects) and closed (of them, those that are closed)."""
        most, m, seed = config.test_scenes, config.objects, config.seed
        tables: dict[str, SceneTable | None] = {}
        for name, pool in (("train", objects.train), ("validation", objects.validation), ("test", objects.test)):
            tables[name] = scenes_of_pool(objects, pool, m, most, seed) if len(pool) >= m else None
        tables["closed"] = closed_table(objects, objects.test, m, most, seed) if len(objects.test) >= m else None
        return cls(tables)


def summary(found: SceneRecognition) -> dict[str, float | int]:
    """Figures with chance and ceiling, for a log."""
    paper = {} if found.paper is None else {"paper_metric": float(found.paper[0].mean())}
    return {
        **paper,
        "concept_recognition": float(np.mean([one.right.mean() for one in found.concepts])),
        "object_recognition": float(found.objects.right.mean()),
        "concept_chance": float(concept_chance(found.table).mean()),
        "chance": float(object_chance(found.table).mean()),
        "ceiling": ceiling(found.table),
        "n_scenes": len(found.table),
    }


def judge(model: DualEncoder, config: TrainConfig, table: SceneTable, asked: Asked | None = None) -> SceneRecognition:
    """Encode a table's scenes and the queries of all candidates and values (if not given), and judge by the definition."""
    vectors = encode_values(model.scene, table.values)
    queries, values = asked or (object_queries(model, config, table), value_queries(model, config))
    concepts = tuple(
        recognise_by_cosine(vectors, values[k][table.known_values(k)], table.members(k)[0])
        for k in range(config.concepts)
    )
    objects = recognise_by_cosine(vectors, queries, table.object_codes)
    return SceneRecognition(table, concepts, objects, paper_metric(vectors, queries, table, config.seed))


def judge_all(model: DualEncoder, config: TrainConfig, suite: Suite) -> dict[str, SceneRecognition]:
    """Recognition on every table of a suite that has scenes. All tables have all objects as candidates: they are asked once."""
    tables = {name: table for name, table in suite.tables.items() if table is not None}
    model.eval()
    with torch.inference_mode():
        asked = [
            (object_queries(model, config, table), value_queries(model, config)) for table in [*tables.values()][:1]
        ]
        found = {name: judge(model, config, table, asked[0]) for name, table in tables.items()}
    model.train()
    return found


def object_queries(model: DualEncoder, config: TrainConfig, table: SceneTable) -> Vectors:
    """q(o) of all candidates `[O, output]`."""
    return encode_values(model.query, table.candidate_values[:, None, :])


def value_queries(model: DualEncoder, config: TrainConfig) -> list[Vectors]:
    """q(value) of all values of each concept, `[V, output]`."""
    return [encode_values(model.query, value_items(config.concepts, k, config.values)) for k in range(config.concepts)]


def value_items(n_concepts: int, concept: int, size: int) -> IntArray:
    """A value alone, `[V, 1, C]`: the other concepts are -1."""
    items = np.full((size, 1, n_concepts), -1, dtype=np.int64)
    items[:, 0, concept] = np.arange(size)
    return items


def encode_values(tower: torch.nn.Module, values: IntArray) -> Vectors:
    """Vectors `[n, output]` of value indices `[n, m, C]`, a block of rows at a time."""
    weight = next(tower.parameters(), None) if isinstance(tower, torch.nn.Module) else None
    device = torch.device("cpu") if weight is None else weight.device
    with torch.inference_mode():
        parts = [
            tower(torch.from_numpy(np.ascontiguousarray(values[start : start + _ROWS])).to(device))
            .float()
            .cpu()
            .numpy()
            for start in range(0, len(values), _ROWS)
        ]
    return np.concatenate(parts)
