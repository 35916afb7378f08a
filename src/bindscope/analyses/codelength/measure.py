"""Code lengths as records: bits by family, what each saves over the table of objects, and after how many objects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from bindscope.analyses.codelength.codelength import FAMILIES, ORDERS, Choices, CodeLengths, codelength, small_enough
from bindscope.analyses.codelength.coding import ADDITIVE, EXACT, LOOKUP, PURE
from bindscope.analyses.codelength.saving import ArrivalBootstrap, Saving, length, saving
from bindscope.analyses.context import Context
from bindscope.embeddings import Embeddings
from bindscope.encoders.base import Vectors
from bindscope.errors import DegenerateWarning, TableError
from bindscope.results import Record
from bindscope.scenes import SceneTable
from bindscope.uncertainty import Interval

CURVE_POINTS = 16
SENSITIVITY_ORDERS = 3
VARIANTS: tuple[tuple[dict[str, Any], Choices], ...] = (
    ({"components": 0.95}, Choices(components=0.95)),
    ({"components": 0.999}, Choices(components=0.999)),
    ({"floor": 1e-3}, Choices(floor=1e-3)),
    ({"floor": 1e-5}, Choices(floor=1e-5)),
    ({"precision": "component"}, Choices(precision="component")),
    ({"first_block": 0.4}, Choices(first_block=0.4)),
    ({"whitening": "all scenes"}, Choices(whiten_on="all scenes")),
)
Progress = Callable[[str], None]


def codelength_records(
    embeddings: Embeddings,
    seed: int,
    families: Sequence[str] | None = None,
    say: Progress | None = None,
    orders: int = ORDERS,
) -> list[Record]:
    """All records of the analysis `codelength`, on the scenes of the number of objects that most rows have.

    families: None takes all, `mlp` only where torch is installed. Of data with more than 1,000 objects x slots, or 20,000
    scenes, a random part stands for all (n_objects and n_scenes say so). Where too little is there to code, one record
    without a value, and a DegenerateWarning.
    """
    names = available_families() if families is None else families
    table = embeddings.table
    rows = table.rows_with(table.headline_count)
    vectors, scenes = small_enough(embeddings.vectors[rows], table.take(rows), seed)
    try:
        found = codelength(vectors, scenes, seed, names, orders, progress=say)
    except TableError as error:
        warnings.warn(f"no code length: {error}", DegenerateWarning, stacklevel=2)
        return [Record("codelength", "bits_per_scene", None, LOOKUP, n_scenes=len(scenes), seed=seed)]
    exact = tuple(name for name in dict.fromkeys((LOOKUP, *names)) if name in EXACT)
    again = _sensitivity(vectors, scenes, seed, exact, min(orders, SENSITIVITY_ORDERS), say)
    return [*_Maker(found, seed).records(), *again]


def _sensitivity(
    vectors: Vectors, table: SceneTable, seed: int, families: tuple[str, ...], orders: int, say: Progress | None
) -> list[Record]:
    """The exact families under other choices, in fewer orders; a choice that leaves nothing to code has no row."""
    records: list[Record] = []
    for extra, choices in VARIANTS:
        try:
            found = codelength(vectors, table, seed, families, orders, choices=choices, progress=say)
        except TableError:
            continue
        records += _Maker(found, seed).variants({**extra, "orders": orders})
    return records


def available_families() -> tuple[str, ...]:
    """FAMILIES without those whose library is not installed."""
    torch = find_spec("torch") is not None
    return tuple(name for name in FAMILIES if torch or not name.startswith("mlp"))


class _Maker:
    """Makes the records of one result."""

    def __init__(self, found: CodeLengths, seed: int) -> None:
        self.found, self.seed = found, seed
        self.bootstrap = ArrivalBootstrap(found, seed)

    @property
    def codes(self) -> list[str]:
        """The table first, then the families that were asked for."""
        return list(dict.fromkeys((LOOKUP, *self.found.families)))

    def records(self) -> list[Record]:
        """Headlines, savings and curves of every family, rules without exceptions, and how the coding went."""
        out: list[Record] = []
        for code in self.codes:
            out += self.lengths(code, {})
            if code + PURE in self.found.bits:
                out += self.lengths(code + PURE, {"exceptions": "none"})
        for code in self.codes:
            for base in (LOOKUP, ADDITIVE):
                if code not in (base, LOOKUP) and base in self.codes:
                    out += self.savings(code, base)
        return out + self.facts()

    def variants(self, extra: dict[str, Any]) -> list[Record]:
        """Lengths and savings under another choice."""
        out: list[Record] = []
        for code in self.codes:
            out += self.lengths(code, extra)
            if code != LOOKUP:
                out.append(self.saved(saving(self.found, code, LOOKUP, self.bootstrap), code, LOOKUP, extra))
        return out

    def lengths(self, code: str, extra: dict[str, Any]) -> list[Record]:
        """Bits a scene, and a scene and dimension."""
        pairs = (("bits_per_scene", False), ("bits_per_dimension", True))
        return [
            self.record(metric, *length(self.found, code, self.bootstrap, per), code.removesuffix(PURE), extra=extra)
            for metric, per in pairs
        ]

    def savings(self, code: str, base: str) -> list[Record]:
        """Bits saved over another code, by what is resampled, the number of objects after which it pays, the curve."""
        one = saving(self.found, code, base, self.bootstrap)
        out = [self.saved(one, code, base, {})]
        for which, interval in zip(("objects", "orders"), one.spread, strict=True):
            out.append(self.record("bits_saved", one.value, interval, code, base, extra={"resampled": which}))
        after = self.record("objects_to_pay", one.pays_after, one.pays_interval, code, base)
        return [*out, after, *self.curve(one, code, base)]

    def saved(self, one: Saving, code: str, base: str, extra: dict[str, Any]) -> Record:
        """Bits saved a scene."""
        return self.record("bits_saved", one.value, one.interval, code, base, extra=extra)

    def curve(self, one: Saving, code: str, base: str) -> list[Record]:
        """Bits saved so far, at some numbers of objects."""
        points = np.unique(np.linspace(0, len(one.seen) - 1, CURVE_POINTS).round().astype(int))
        return [
            self.record(
                "bits_saved",
                one.curve[i],
                Interval(*one.band[i]),
                code,
                base,
                extra={"cumulative": True, "objects_seen": int(one.seen[i])},
            )
            for i in points
        ]

    def facts(self) -> list[Record]:
        """Coded components (mean over orders), objects of the first block, orders of each code, fits that failed."""
        found, none = self.found, Interval(float("nan"), float("nan"))
        out = [
            self.record("coded_dimensions", float(found.dimensions.mean()), none, None),
            self.record("first_block_objects", float(found.first.mean()), none, None),
        ]
        out += [self.record("orders", len(found.bits[code]), none, code) for code in self.codes]
        for rule, (fits, good) in found.fits.items():
            out.append(self.record("fits_training", good / fits, none, rule))
        return out

    def record(
        self,
        metric: str,
        value: float | None,
        interval: Interval,
        code: str | None,
        target: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Record:
        """One record; n_scenes is the mean number of coded scenes of an order."""
        return Record(
            "codelength",
            metric,
            value,
            code,
            target,
            ci_low=interval.low,
            ci_high=interval.high,
            n_scenes=round(float(self.found.scenes.sum(axis=1).mean())),
            n_objects=self.found.n_objects,
            seed=self.seed,
            extra=extra or {},
        )


def measure(context: Context) -> list[Record]:
    """All figures of the code lengths."""
    return codelength_records(context.main, context.seed, say=context.say)
