"""Figures of targeted removal.

Headline (empty extra): components fitted on all rows, the paper's procedure and the theorem's; read-outs trained on 40 % of
the bags and judged on the rest. Variants: `{"fit": "separate"}`, fitted on half of the other bags and judged on the other
half, and `{"fit": "gap"}`, separate minus all on those same rows; `{"slots": "shared"}`, one vector for all slots;
`{"readout": "mlp"}`; `{"strength": s}` and `{"rank": r}`, the dose.

`{"reference": "independent objects"}`: what the table itself allows. Once the concepts are out, some tables cannot show their
objects to any linear read-out: what three objects have beyond their concepts may add up to nothing (three of one row of a
3 x 3 grid), or to what other scenes add up to. And a small table trains read-outs on few scenes. So the same removal is done
in a world that is all binding: every object has a direction of its own, and there is no noise. It is read by trained
read-outs, as the model is; with `"readout": "own direction"` each object is scored along its own direction, so nothing has to
be learnt.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.removal.components import (
    PARTS,
    Components,
    Part,
    corrected_interaction,
    fit_components,
    permuted,
    retrieved,
    without_rounding,
)
from bindscope.analyses.removal.leace import Eraser, Level, fit_leace, label_rank, random_eraser
from bindscope.analyses.removal.readouts import Reading, read, read_by_network
from bindscope.design import object_design
from bindscope.embeddings import Embeddings
from bindscope.errors import DegenerateWarning, TableError
from bindscope.probes import OBJECTS, TRAIN_SHARE, ProbeSet
from bindscope.recognition import ceiling, concept_chance, object_chance, recognise
from bindscope.scenes import BoolArray, FloatArray
from bindscope.splits import split_scenes
from bindscope.uncertainty import Outcome, permutation_p

CONTROLS = 20
CONTROLS_LARGE = 5  # where a table has more rows than LARGE
RANDOM_DRAWS = 5  # of random subspaces
STRENGTHS = (0.5, 0.9)
DOSES = (0.25, 0.5, 0.75)  # of the erased rank
LARGE = 40_000
READABLE = 0.01  # nats a scene: a gain below it is none
RETRIEVED = 2_000
ERASED: tuple[Level, ...] = ("concepts", "interaction", "objects")
REFERENCE = {"reference": "independent objects"}
REFERENCE_CELLS = 4_000_000  # scenes times objects up to which the reference is made
Extra = Mapping[str, Any]


def measure(context: Context) -> list[Outcome]:
    """All figures of the removals, and their reference."""
    return Removal(context).outcomes() + reference(context)


class Removal:
    """The figures of one table of scenes, all of one number of objects. controls: permuted removals of each kind."""

    def __init__(self, context: Context, controls: int | None = None) -> None:
        self.context, self.vectors, self.table = context, context.vectors, context.table
        self.controls = controls or (CONTROLS if len(self.table) <= LARGE else CONTROLS_LARGE)
        self.train = split_scenes(self.table, TRAIN_SHARE, "bag", context.seed)
        self.test = ~self.train

    def outcomes(self) -> list[Outcome]:
        """Table 3 by subtraction, its variants and controls, LEACE at its levels, doses and the network."""
        out = self.table3()
        for part in PARTS:
            self.context.say(f"removal: {part} by a separate fit")
            out += self.separate(part)
        out += self.shared_slots()
        self.context.say("removal: LEACE")
        for level in ERASED:
            out += self.erased(level)
        return out + self.doses() + self.networks()

    def table3(self) -> list[Outcome]:
        """The paper's Table 3: nothing, concepts, objects (and the interaction) taken out, and the permuted controls."""
        out = self.figures(self.baseline, "subtract", "none")
        for part in PARTS:
            self.context.say(f"removal: {part}")
            out += self.figures(self.readings[part], "subtract", part)
            out += self.kept(self.readings[part], "subtract", part)
            out += self.damage(self.residual(part), "subtract", part)
        share = corrected_interaction(self.vectors, self.table, self.components)
        correction = {"correction": "degrees of freedom"}
        out.append(self.number("share", share, "subtract", "interaction", correction, split="in_sample"))
        for part in PARTS[:2]:
            self.context.say(f"removal: {self.controls} permuted {part}")
            out += self.permutations(part)
        return out

    @cached_property
    def components(self) -> Components:
        """Fitted on all rows, per slot."""
        return fit_components(self.vectors, self.table)

    def residual(self, part: Part | None, strength: float = 1.0) -> FloatArray:
        """Centred vectors without a component, `[n, d]`."""
        return self.components.residual(self.vectors, self.table, part, strength)

    @cached_property
    def centred(self) -> FloatArray:
        """Centred vectors with nothing taken out."""
        return self.residual(None)

    @cached_property
    def baseline(self) -> Reading:
        """What is read before anything is taken out."""
        return self.read(self.centred)

    @cached_property
    def readings(self) -> dict[Part, Reading]:
        """What is read after each removal."""
        return {part: self.read(self.residual(part)) for part in PARTS}

    def read(self, residual: FloatArray, test: BoolArray | None = None, like: ProbeSet | None = None) -> Reading:
        """Linear read-outs trained on a residual."""
        judged = self.test if test is None else test
        return read(residual, self.table, self.train, judged, self.context.seed, like)

    @cached_property
    def apart(self) -> BoolArray | None:
        """Half of the rows that train no read-out, for a fit that sees neither training nor judged rows; None where one bag
        is all there is."""
        try:
            half = split_scenes(self.table.take(self.test), 0.5, "bag", self.context.seed + 1)
        except TableError:
            return None
        rows = np.zeros(len(self.table), dtype=bool)
        rows[np.flatnonzero(self.test)[half]] = True
        return rows

    def separate(self, part: Part) -> list[Outcome]:
        """The component fitted on rows that neither read-out nor test sees, and the gap to the fit on all rows."""
        if self.apart is None:
            return []
        residual = fit_components(self.vectors, self.table, self.apart).residual(self.vectors, self.table, part)
        return self.against_all(residual, self.apart, self.readings[part], "subtract", part)

    def against_all(
        self, residual: FloatArray, fitted: BoolArray, of_all: Reading, estimator: str, target: str
    ) -> list[Outcome]:
        """Figures of a separate fit, and their gap to the fit on all rows, both on the rows that it has not seen."""
        judged = self.test & ~fitted
        inside = judged[self.test]
        same = Reading(judged, of_all.right[inside], of_all.tied[inside], of_all.gain[inside])
        out = self.figures(self.read(residual, judged), estimator, target, {"fit": "separate"})
        pairs = zip(out, self.figures(same, estimator, target), strict=True)
        gaps = [
            _of_rows(one, _top(one) - _top(other), chance=None, ceiling=None, extra={**one.extra, "fit": "gap"})
            for one, other in pairs
            if _together(one)
        ]
        return out + gaps

    def shared_slots(self) -> list[Outcome]:
        """Components of one vector for all slots."""
        shared = fit_components(self.vectors, self.table, by_slot=False)
        out: list[Outcome] = []
        for part in PARTS[:2]:
            self.context.say(f"removal: {part}, one vector for all slots")
            residual = shared.residual(self.vectors, self.table, part)
            out += self.figures(self.read(residual), "subtract", part, {"slots": "shared"})
            out.append(self.share(_squares(residual), "subtract", part, {"slots": "shared"}))
        return out

    def permutations(self, part: Part) -> list[Outcome]:
        """Controls: the component of the wrong value (or object), averaged over draws, and a p-value of the true one."""
        readings, squares = [], []
        for residual in self.permuted_residuals(part):
            readings.append(self.read(residual, like=self.baseline.probes))
            squares.append(_squares(residual))
        if not readings:
            return []
        target = f"permuted_{part}"
        figures = [self.figures(reading, "subtract", target) for reading in readings]
        out = _averaged(figures)
        for same in zip(*figures, strict=True):
            if _together(same[0]):
                spread = float(np.std([float(one.value or 0.0) for one in same], ddof=1)) if len(same) > 1 else None
                extra = {"draws": len(same), "spread": "draws", **same[0].extra}
                out.append(self.number(same[0].metric, spread, "subtract", target, extra))
        out.append(self.share(np.mean(squares, axis=0), "subtract", target))
        return [*out, *self.p_values(part, readings)]

    def permuted_residuals(self, part: Part) -> Iterator[FloatArray]:
        """What each permuted removal leaves, one by one."""
        rng = self.context.stream("permuted names", PARTS.index(part))
        for _ in range(self.controls):
            wrong = permuted(self.table, part, rng)
            if wrong is None:
                return
            component = self.components.component(wrong, part)
            yield without_rounding(self.centred - component, self.centred)

    def p_values(self, part: Part, controls: Sequence[Reading]) -> list[Outcome]:
        """p = (1 + permuted removals that let no more be read) / (1 + draws), by cross-entropy gain.

        None where nothing could be read in the first place: a component that is fitted on the scores' own rows hides even names
        that mean nothing better than permuted ones do.
        """
        out = []
        for name, columns in self.concepts_and_objects:
            if float(self.baseline.gain[:, columns].mean()) <= READABLE:
                out.append(self.number("p_value", None, "subtract", part, name))
                continue
            true = float(self.readings[part].gain[:, columns].mean())
            null = np.array([float(reading.gain[:, columns].mean()) for reading in controls])
            words = {
                "split": "held_out",
                "n_scenes": len(self.table),
                "extra": {**name, "draws": len(null)} if name else {},
            }
            out.append(permutation_p(-true, -null, estimator="subtract", target=part, **words))
        return out

    def erased(self, level: Level) -> list[Outcome]:
        """LEACE on all rows and on separate rows, its rank, and random subspaces of the same rank."""
        needed = label_rank(self.table, level)
        out = [self.number("erased_rank", float(needed), "leace", level)]
        if needed > self.vectors.shape[1]:
            warnings.warn(
                f"LEACE of {level} is left out: it takes {needed} dimensions and the vectors have {self.vectors.shape[1]}",
                DegenerateWarning,
                stacklevel=2,
            )
            return [*out, self.number("cross_entropy_gain", None, "leace", level)]
        if needed == 0:
            return out
        eraser = fit_leace(self.vectors, self.table, level)
        residual = without_rounding(eraser(self.vectors), self.centred)
        reading = self.read(residual)
        out += self.figures(reading, "leace", level) + self.damage(residual, "leace", level)
        if level == "objects":
            return out
        return [*out, *self.erased_apart(level, reading), *self.random_controls(eraser, level)]

    def erased_apart(self, level: Level, of_all: Reading) -> list[Outcome]:
        """LEACE fitted on rows that neither read-out nor test sees."""
        rows = self.apart
        if rows is None or label_rank(self.table.take(rows), level) < 1:
            return []
        eraser = fit_leace(self.vectors[rows], self.table.take(rows), level)
        residual = without_rounding(eraser(self.vectors), self.centred)
        return self.against_all(residual, rows, of_all, "leace", level)

    def random_controls(self, eraser: Eraser, level: Level) -> list[Outcome]:
        """Erase as many random directions: the matched control of LEACE, for which permuted names change nothing."""
        rng = self.context.stream("random directions")
        residuals = [random_eraser(self.vectors, eraser.rank, rng)(self.vectors) for _ in range(RANDOM_DRAWS)]
        return self.averaged(residuals, "leace", level, {"control": "random subspace", "rank": eraser.rank})

    def averaged(self, residuals: Sequence[FloatArray], estimator: str, target: str, extra: Extra) -> list[Outcome]:
        """Figures of several removals, averaged row by row."""
        rounded = [without_rounding(residual, self.centred) for residual in residuals]
        readings = [self.read(residual, like=self.baseline.probes) for residual in rounded]
        figures = [self.figures(reading, estimator, target, extra) for reading in readings]
        squares = np.mean([_squares(residual) for residual in rounded], axis=0)
        return [*filter(_together, _averaged(figures)), self.share(squares, estimator, target, extra)]

    def doses(self) -> list[Outcome]:
        """How much is taken out against what can still be read: by strength, and by rank beside random directions."""
        out: list[Outcome] = []
        for part in PARTS[:2]:
            for strength in STRENGTHS:
                self.context.say(f"removal: {part} at strength {strength}")
                out += self.averaged([self.residual(part, strength)], "subtract", part, {"strength": strength})
        if not 1 < label_rank(self.table, "concepts") <= self.vectors.shape[1]:
            return out
        whole = fit_leace(self.vectors, self.table, "concepts")
        rng = self.context.stream("random directions of a dose")
        for rank in sorted({max(1, round(dose * whole.rank)) for dose in DOSES} - {whole.rank}):
            self.context.say(f"removal: {rank} of {whole.rank} directions")
            out += self.averaged([whole.first(rank)(self.vectors)], "leace", "concepts", {"rank": rank})
            control = random_eraser(self.vectors, rank, rng)(self.vectors)
            out += self.averaged([control], "leace", "concepts", {"rank": rank, "control": "random subspace"})
        return out

    def networks(self) -> list[Outcome]:
        """What a small network finds that the linear read-outs miss."""
        out: list[Outcome] = []
        for part in (None, *PARTS):
            target = part or "none"
            self.context.say(f"removal: {target}, read by a network")
            reading = read_by_network(self.residual(part), self.table, self.train, self.test, self.context.seed)
            out += self.figures(reading, "subtract", target, {"readout": "mlp"})
        return out

    @cached_property
    def chance(self) -> FloatArray:
        """Chance of each concept, and last of the objects, for each scene, `[n, C + 1]`."""
        return np.column_stack([concept_chance(self.table), object_chance(self.table)])

    @property
    def concepts_and_objects(self) -> list[tuple[dict[str, str], slice]]:
        """Columns of a reading: all concepts, and the objects, each with what sets its figures apart."""
        concepts = self.table.space.n_concepts
        return [({}, slice(0, concepts)), ({"concept": OBJECTS}, slice(concepts, concepts + 1))]

    def figures(self, reading: Reading, estimator: str, target: str, extra: Extra | None = None) -> list[Outcome]:
        """Recognition and gain, for the concepts together, one by one, and for objects."""
        (_, together), (named, objects) = self.concepts_and_objects
        keywords: dict[str, Any] = {"estimator": estimator, "target": target, "split": "held_out"}
        more = dict(extra or {})
        each = [({"concept": name}, slice(k, k + 1)) for k, name in enumerate(self.table.space.names)]
        out = []
        for name, columns in [({}, together), *each]:
            out.append(self.recognised("concept_recognition", reading, columns, extra={**more, **name}, **keywords))
            out.append(self.gained(reading, columns, extra={**more, **name}, **keywords))
        best = ceiling(self.table, reading.rows)
        out.append(self.recognised("object_recognition", reading, objects, ceiling=best, extra=more, **keywords))
        return [*out, self.gained(reading, objects, extra={**more, **named}, **keywords)]

    def recognised(self, metric: str, reading: Reading, columns: slice, **keywords: Any) -> Outcome:
        """Share that is recognised, over some columns of a reading."""
        right, level = reading.right[:, columns].mean(axis=1), self.chance[reading.rows][:, columns]
        chance = float(level.mean()) if len(level) else None
        ties = int(reading.tied[:, columns].any(axis=1).sum())
        return Outcome.mean(metric, self.placed(reading, right), reading.rows, chance=chance, ties=ties, **keywords)

    def gained(self, reading: Reading, columns: slice, **keywords: Any) -> Outcome:
        """Gain over a constant predictor in nats, over some columns of a reading."""
        gain = reading.gain[:, columns].mean(axis=1)
        return Outcome.mean("cross_entropy_gain", self.placed(reading, gain), reading.rows, **keywords)

    def placed(self, reading: Reading, values: FloatArray) -> FloatArray:
        """Values of the rows of a reading in the table's rows, 0 elsewhere, `[n]`."""
        out = np.zeros(len(self.table))
        out[reading.rows] = values
        return out

    def kept(self, reading: Reading, estimator: str, target: str) -> list[Outcome]:
        """Gain after a removal as a share of the gain before, for concepts and for objects; none where none was before."""
        out, count = [], int(reading.rows.sum())
        for extra, columns in self.concepts_and_objects:
            after, before = (
                self.placed(reading, found.gain[:, columns].mean(axis=1)) for found in (reading, self.baseline)
            )
            keywords: dict[str, Any] = {"estimator": estimator, "target": target, "split": "held_out", "extra": extra}
            if float(before.sum()) > READABLE * count:
                out.append(Outcome.ratio("gain_kept", after, before, n_scenes=count, **keywords))
            else:
                out.append(Outcome.number("gain_kept", None, n_scenes=count, **keywords))
        return out

    def damage(self, residual: FloatArray, estimator: str, target: str) -> list[Outcome]:
        """Share of the variance that is taken out, and whether the residual still finds its own scene."""
        n, ids = len(self.table), self.table.scene_ids
        rows = np.arange(n)
        if n > RETRIEVED:
            rows = np.sort(self.context.stream("retrieval of residuals").choice(n, RETRIEVED, replace=False))
        found = retrieved(residual, self.vectors, self.table, rows)
        hits, asked = np.zeros(n), np.zeros(n, dtype=bool)
        hits[rows], asked[rows] = found.right, True
        keywords: dict[str, Any] = {"estimator": estimator, "target": target, "split": "all"}
        levels: dict[str, Any] = {"chance": float(np.bincount(ids)[ids].mean() / n), "ties": int(found.tied.sum())}
        share = self.share(_squares(residual), estimator, target)
        return [share, Outcome.mean("retrieval_top1", hits, asked, **levels, **keywords)]

    def share(self, squares: FloatArray, estimator: str, target: str, extra: Extra | None = None) -> Outcome:
        """Share of the variance that is gone: 1 - sum(left) / sum(before); below 0 where a removal adds variance."""
        keywords: dict[str, Any] = {
            "estimator": estimator,
            "target": target,
            "split": "in_sample",
            "extra": extra or {},
        }
        return Outcome.r2("share", squares, _squares(self.centred), n_scenes=len(squares), **keywords)

    def number(
        self, metric: str, value: float | None, estimator: str, target: str, extra: Extra | None = None, **more: Any
    ) -> Outcome:
        """A number that has no interval."""
        keywords: dict[str, Any] = {"split": "held_out", "n_scenes": len(self.table), **more}
        return Outcome.number(metric, value, estimator=estimator, target=target, extra=extra or {}, **keywords)


def reference(context: Context) -> list[Outcome]:
    """The removal of concepts in the world of independent objects; none for more than 4 million counts.

    Two read-outs of O dimensions, O objects: O(n O^2) a product.
    """
    table = context.table
    if len(table) * table.n_objects > REFERENCE_CELLS:
        return []
    context.say("removal: the same from independent objects")
    counts = object_design(table, by_slot=False).toarray()
    world = Removal(Context(Embeddings(counts, table), context.seed))
    residual = world.residual("concepts")
    out: list[Outcome] = []
    for target, reading in (("none", world.baseline), ("concepts", world.read(residual))):
        out += filter(_together, world.figures(reading, "subtract", target, REFERENCE))
    # counts are of order 1: what is below is rounding, and not an order
    found = recognise(np.round(residual, 9), table.object_codes)
    extra = {**REFERENCE, "readout": "own direction"}
    keywords: dict[str, Any] = {"estimator": "subtract", "target": "concepts", "split": "all", "extra": extra}
    levels: dict[str, Any] = {"chance": float(object_chance(table).mean()), "ties": int(found.tied.sum())}
    return [*out, Outcome.mean("object_recognition", found.right, **levels, **keywords)]


def _together(one: Outcome) -> bool:
    """Whether a figure is of all concepts or of objects, and not of one concept."""
    return one.extra.get("concept") in (None, OBJECTS)


def _top(one: Outcome) -> FloatArray:
    assert one.top is not None
    return one.top


def _of_rows(one: Outcome, values: FloatArray, **changes: Any) -> Outcome:
    """The same figure with other values `[n]` of its rows."""
    mean = Outcome.mean(one.metric, values, one.below)
    return replace(one, value=mean.value, top=mean.top, ties=None, **changes)


def _averaged(several: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """Figures of several removals, averaged row by row."""
    return [_of_rows(one[0], np.mean([_top(each) for each in one], axis=0)) for one in zip(*several, strict=True)]


def _squares(residual: FloatArray) -> FloatArray:
    """Squared length of each row, `[n]`."""
    return np.asarray(np.einsum("nd,nd->n", residual, residual))
