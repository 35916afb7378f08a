"""Code lengths as figures: bits by family, what each saves over the table of objects, and after how many objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from bindscope.analyses.codelength.codelength import FAMILIES, ORDERS, Choices, CodeLengths, codelength, small_enough
from bindscope.analyses.codelength.coding import ADDITIVE, EXACT, LOOKUP, PURE
from bindscope.analyses.codelength.saving import ArrivalBootstrap, Saving, length, saving
from bindscope.analyses.context import Context
from bindscope.errors import DegenerateWarning, TableError
from bindscope.uncertainty import Interval, Outcome

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


def measure(context: Context, families: Sequence[str] | None = None, orders: int = ORDERS) -> list[Outcome]:
    """All figures of the code lengths of the analysed scenes.

    families: None takes all, `mlp` only where torch is installed. Of data with more than 1,000 objects x slots, or 20,000
    scenes, a random part stands for all (n_objects and n_scenes say so). Where too little is there to code, one figure
    without a value, and a DegenerateWarning.
    """
    names = available_families() if families is None else families
    vectors, table = small_enough(context.vectors, context.table, context.seed)

    def coded(names: Sequence[str], orders: int, choices: Choices | None = None) -> _Lengths:
        made = codelength(vectors, table, context.seed, names, orders, choices=choices, progress=context.say)
        return _Lengths(made, context.seed)

    try:
        found = coded(names, orders)
    except TableError as error:
        warnings.warn(f"no code length: {error}", DegenerateWarning, stacklevel=2)
        words: dict[str, Any] = {"estimator": LOOKUP, "n_scenes": len(table), "counts_objects": False}
        return [Outcome.number("bits_per_scene", None, **words)]
    exact, few = [name for name in dict.fromkeys((LOOKUP, *names)) if name in EXACT], min(orders, SENSITIVITY_ORDERS)
    out = found.outcomes()
    for extra, choices in VARIANTS:
        try:
            out += coded(exact, few, choices).variants({**extra, "orders": few})
        except TableError:
            continue  # a choice that leaves nothing to code has no row
    return out


def available_families() -> tuple[str, ...]:
    """FAMILIES without those whose library is not installed."""
    torch = find_spec("torch") is not None
    return tuple(name for name in FAMILIES if torch or not name.startswith("mlp"))


class _Lengths:
    """The figures of one result."""

    def __init__(self, found: CodeLengths, seed: int) -> None:
        self.found, self.bootstrap = found, ArrivalBootstrap(found, seed)

    @property
    def codes(self) -> list[str]:
        """The table first, then the families that were asked for."""
        return list(dict.fromkeys((LOOKUP, *self.found.families)))

    def outcomes(self) -> list[Outcome]:
        """Headlines, savings and curves of every family, rules without exceptions, and how the coding went."""
        out: list[Outcome] = []
        for code in self.codes:
            out += self.lengths(code)
            if code + PURE in self.found.bits:
                out += self.lengths(code + PURE, {"exceptions": "none"})
        for code in self.codes:
            for base in (LOOKUP, ADDITIVE):
                if code not in (base, LOOKUP) and base in self.codes:
                    out += self.savings(code, base)
        return out + self.facts()

    def variants(self, extra: dict[str, Any]) -> list[Outcome]:
        """Lengths and savings under another choice."""
        out: list[Outcome] = []
        for code in self.codes:
            out += self.lengths(code, extra)
            if code != LOOKUP:
                one = saving(self.found, code, LOOKUP, self.bootstrap)
                out.append(self.number("bits_saved", one.value, one.interval, code, LOOKUP, extra))
        return out

    def lengths(self, code: str, extra: dict[str, Any] | None = None) -> list[Outcome]:
        """Bits a scene, and a scene and dimension."""
        return [
            self.number(metric, *length(self.found, code, self.bootstrap, per), code.removesuffix(PURE), extra=extra)
            for metric, per in (("bits_per_scene", False), ("bits_per_dimension", True))
        ]

    def savings(self, code: str, base: str) -> list[Outcome]:
        """Bits saved over another code, by what is resampled, the number of objects after which it pays, the curve."""
        one = saving(self.found, code, base, self.bootstrap)
        return [
            self.number("bits_saved", one.value, one.interval, code, base),
            *(
                self.number("bits_saved", one.value, interval, code, base, {"resampled": which})
                for which, interval in zip(("objects", "orders"), one.spread, strict=True)
            ),
            self.number("objects_to_pay", one.pays_after, one.pays_interval, code, base),
            *self.curve(one, code, base),
        ]

    def curve(self, one: Saving, code: str, base: str) -> list[Outcome]:
        """Bits saved so far, at some numbers of objects."""
        points = np.unique(np.linspace(0, len(one.seen) - 1, CURVE_POINTS).round().astype(int))
        more = [{"cumulative": True, "objects_seen": int(one.seen[i])} for i in points]
        return [
            self.number("bits_saved", one.curve[i], Interval(*one.band[i]), code, base, extra)
            for i, extra in zip(points, more, strict=True)
        ]

    def facts(self) -> list[Outcome]:
        """Coded components (mean over orders), objects of the first block, orders of each code, fits that failed."""
        found = self.found
        return [
            self.number("coded_dimensions", float(found.dimensions.mean())),
            self.number("first_block_objects", float(found.first.mean())),
            *(self.number("orders", len(found.bits[code]), None, code) for code in self.codes),
            *(self.number("fits_training", good / fits, None, rule) for rule, (fits, good) in found.fits.items()),
        ]

    def number(
        self,
        metric: str,
        value: float | None,
        ends: Interval | None = None,
        code: str | None = None,
        target: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Outcome:
        """One figure; n_scenes is the mean number of coded scenes of an order."""
        scenes = round(float(self.found.scenes.sum(axis=1).mean()))
        words: dict[str, Any] = {"estimator": code, "target": target, "extra": extra or {}}
        return Outcome.number(metric, value, ends, n_scenes=scenes, n_objects=self.found.n_objects, **words)
