"""Complexity: what a small learner predicts of scenes of unseen objects, over coverage, one panel a learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bindscope.analyses.complexity.findings import complexity_sentences, judgeable, readable
from bindscope.results import Record, Results
from bindscope.show.blocks import (
    COLUMNS,
    Block,
    Cell,
    Gallery,
    Note,
    Section,
    Table,
    every_row,
    heading,
    interval_cell,
    numeric,
    record_table,
    value_cell,
)
from bindscope.show.curves import Along, Curve, curves
from bindscope.show.figures import BLUE, GREEN, INK, ORANGE, PINK, Figure, Series, series_of, with_note
from bindscope.show.run import Run
from bindscope.show.tables import filled_table, number_text
from bindscope.show.words import number, plain

if TYPE_CHECKING:
    from rich.table import Table as TerminalTable

LEAD = (
    "A learner gets the concepts of scenes as numbers and predicts their vectors. It is trained on scenes of some objects "
    "(coverage: their share) and asked for scenes of objects that it has never seen. Three figures: R² of the whole vectors, "
    "which is mostly about concepts; binding R², of what objects have beyond their concepts (0: as good as concepts alone); "
    "and whether objects are recognised in the predictions. If a small learner succeeds, the binding function is simple; "
    "if learners fit their training scenes and predict nothing of the binding part, it is memorised. Objects are judged "
    "on closed scenes: no value twice, and every value-swapped object held out too, so that having seen the other object "
    "cannot stand in for binding. The probes that read predictions are trained on real embeddings, in two halves of the "
    "bags; every scene is read by the half that it does not belong to."
)
REAL = "real"
CLOSED = Series("objects, closed scenes", ORANGE, "diamond")
POOLED = Series("objects, all held-out scenes", PINK, "triangle-up", hollow=True)
CONCEPTS = Series("concepts", BLUE, "circle")
YARDSTICK = Series("objects in the real held-out vectors", GREEN, "square", hollow=True)
GREY_NOTE = "Grey crosses: the additive fit is not identified there, or too few objects or closed scenes are held out."
LOWEST = -0.55  # of the R^2 axis; learners can be much worse
RANK = Along("Rank of the product term", lambda record: record.extra.get("rank"))
LEFT_OUT = ("metric", "ties", "seed", "objects", "split", "target", "coverage", "chance", "ceiling")


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="complexity")
    learners = _learners(every)
    if not learners:
        return Section("complexity", "Complexity of the binding function", LEAD, (every_row(every.records),))
    blocks: list[Block] = [Note(sentence) for sentence in complexity_sentences(every)]
    panels = [_panel(every, learner) for learner in learners]
    blocks += [*_overview(every, learners), Gallery(tuple(filter(_shows, panels)))]
    blocks += _ranks(every)
    blocks += [_design_table(every), _fit_table(every, learners), *_thresholds(every)]
    return Section("complexity", "Complexity of the binding function", LEAD, (*blocks, every_row(every.records)))


def terminal_table(results: Results) -> TerminalTable | None:
    """R² and objects in closed scenes of held-out objects by coverage, and the coverage threshold, of each learner."""
    every = results.select(analysis="complexity")
    learners = _learners(every)
    if not learners:
        return None
    rows = [(name, "R²", _curve(every, "r2", None, name)) for name in learners]
    rows += [(name, "binding R²", _curve(every, "binding_r2", None, name)) for name in learners]
    rows += [(name, "objects", _curve(every, "object_recognition", "closed", name)) for name in [*learners, REAL]]
    places = sorted({r.coverage for _, _, records in rows for r in records if r.coverage is not None})
    columns = {"learner": [name for name, _, _ in rows], "figure": [figure for _, figure, _ in rows]}
    for place in places:
        found = [[r for r in records if r.coverage == place] for _, _, records in rows]
        columns[f"{place:g}"] = [number_text(some[0].value) if some else "" for some in found]
    thresholds = [every.first(metric="coverage_threshold", estimator=name) for name, _, _ in rows]
    columns["threshold"] = [
        number_text(one.value) if one is not None and figure == "objects" else ""
        for one, (_, figure, _) in zip(thresholds, rows, strict=True)
    ]
    return filled_table("\nScenes of held-out objects, by coverage (objects: recognised in closed scenes)", columns)


def _learners(every: Results) -> list[str]:
    found = every.headline(metric="r2", split="test")
    return [name for name in dict.fromkeys(r.estimator for r in found) if name is not None]


def _overview(every: Results, learners: Sequence[str]) -> list[Block]:
    """R^2 and closed recognition of all learners together."""
    looks = series_of(learners)
    r2: list[Curve] = [(looks[n], _curve(every, "r2", None, n)) for n in learners]
    ceiling = every.headline(metric="noise_ceiling").records
    if ceiling:
        r2.append((Series("noise ceiling", INK, "square", hollow=True), ceiling))
    values = [r.value for _, records in r2 for r in records if r.value is not None]
    limits = (max(LOWEST, min([0.0, *values]) - 0.05), 1.04)
    binding: list[Curve] = [(looks[n], _curve(every, "binding_r2", None, n)) for n in learners]
    closed: list[Curve] = [(looks[n], _curve(every, "object_recognition", "closed", n)) for n in learners]
    closed.append((YARDSTICK, _curve(every, "object_recognition", "closed", REAL)))

    def grey(record: Record) -> bool:
        return not readable(every, record.coverage)

    figures = (
        curves(
            "complexity_r2",
            "R² on scenes of held-out objects",
            r2,
            "R²",
            lambda r: not judgeable(every, r.coverage),
            limits=limits,
        ),
        curves(
            "complexity_binding",
            "Binding R²: of what held-out objects have beyond their concepts",
            binding,
            "R² of the interaction",
            lambda r: not judgeable(every, r.coverage),
            limits=(LOWEST, 1.04),
        ),
        curves(
            "complexity_objects",
            "Objects recognised in closed scenes",
            closed,
            "share of scenes",
            grey,
            limits=(-0.03, 1.04),
        ),
    )
    low = min(values, default=0.0) < LOWEST
    note = GREY_NOTE + (" Fits that diverge lie below the plot." if low else "")
    return [Gallery(tuple(with_note(figure, note) for figure in figures if _shows(figure)))]


def _shows(figure: Figure) -> bool:
    """Whether a figure has a point to show."""
    return any(len(trace["x"]) for trace in figure.data)


def _panel(every: Results, learner: str) -> Figure:
    """Recognition by one learner's predictions, with the real vectors beside it."""
    families: list[Curve] = [
        (CLOSED, _curve(every, "object_recognition", "closed", learner)),
        (POOLED, _curve(every, "object_recognition", "all", learner)),
        (CONCEPTS, _curve(every, "concept_recognition", "mean", learner)),
        (YARDSTICK, _curve(every, "object_recognition", "closed", REAL)),
    ]
    bad = [
        number(r.coverage)
        for r in every.headline(metric="fits_training", estimator=learner)
        if r.value is not None and r.value < 1.0
    ]
    name = f"complexity_{learner}"
    figure = curves(
        name, learner, families, "share of scenes", lambda r: not readable(every, r.coverage), limits=(-0.03, 1.04)
    )
    return with_note(figure, f"Did not fit its own training scenes at coverage {', '.join(bad)}.") if bad else figure


def _curve(every: Results, metric: str, target: str | None, learner: str) -> Sequence[Record]:
    return every.headline(metric=metric, target=target, estimator=learner, split="test").records


def _ranks(every: Results) -> list[Block]:
    """Held-out R^2, and objects recognised, against the rank of a form."""
    found = every.select(lambda record: set(record.extra) == {"rank"}, split="test")
    if not len(found):
        return []
    forms = series_of(dict.fromkeys(r.estimator or "" for r in found))
    place = number(found.records[0].coverage)
    figures = []
    for metric, target, title, limits in (
        ("r2", None, f"R² on held-out objects by rank, coverage {place}", (LOWEST, 1.04)),
        ("object_recognition", "closed", f"Objects in closed scenes by rank, coverage {place}", (-0.03, 1.04)),
    ):
        families = [
            (look, found.select(metric=metric, target=target, estimator=form).records) for form, look in forms.items()
        ]
        figures.append(curves(f"complexity_rank_{metric}", title, families, "", None, limits=limits, along=RANK))
    norms = every.select(lambda record: set(record.extra) == {"rank"}, metric="factor_norm")
    text = "; ".join(f"{r.estimator}, rank {r.extra['rank']}: {number(r.value)}" for r in norms)
    return [
        Gallery(tuple(figures)),
        Note(f"Norm of the factors (it grows without bound where a rank is too high): {text}."),
    ]


def _design_table(every: Results) -> Table:
    """What is held out at each coverage."""
    metrics = ("held_out_objects", "test_scenes", "closed_scenes", "unseen_share", "identified")
    heads = ("coverage", "held-out objects", "their scenes", "closed scenes", "unseen values", "identified", "counts")
    rows = []
    for coverage in sorted({r.coverage for r in every.headline(metric="identified") if r.coverage is not None}):
        cells = [every.first(metric=metric, coverage=coverage) for metric in metrics]
        values = tuple(value_cell(cell) if cell is not None else Cell("") for cell in cells)
        rows.append((heading(number(coverage)), *values, Cell("yes" if readable(every, coverage) else "no")))
    return Table("What is held out, mean over splits", heads, tuple(rows))


def _fit_table(every: Results, learners: Sequence[str]) -> Table:
    """Training fit beside the held-out one."""
    heads = (
        "learner",
        "coverage",
        "R², training",
        "R², held out",
        "95 % interval",
        "fits",
        "converged",
        "rank",
        "ridge",
        "norm",
    )
    rows = []
    for learner in learners:
        for test in _curve(every, "r2", None, learner):
            words = {"estimator": learner, "coverage": test.coverage}
            train = every.first(metric="r2", split="train", **words)
            fits, arrived = (every.first(metric=metric, **words) for metric in ("fits_training", "converged"))
            chosen = [_chosen(every, metric, words) for metric in ("rank", "ridge", "factor_norm")]
            shown = tuple(value_cell(r) if r is not None else Cell("") for r in (fits, arrived))
            rows.append(
                (
                    heading(plain(learner)),
                    numeric(number(test.coverage), test.coverage),
                    value_cell(train) if train is not None else Cell(""),
                    value_cell(test),
                    interval_cell(test),
                    *shown,
                    *chosen,
                )
            )
    return Table("Training fit beside the held-out one, by learner and coverage", heads, tuple(rows), folded=True)


def _chosen(every: Results, metric: str, words: Mapping[str, Any]) -> Cell:
    found = every.select(lambda record: "by_split" in record.extra, metric=metric, **words)
    return value_cell(found.records[0]) if len(found) else Cell("")


def _thresholds(every: Results) -> list[Block]:
    """Coverage thresholds, and why there is none."""
    found = every.headline(metric="coverage_threshold").records
    if not found:
        return []
    reasons = {r.estimator: str(r.extra.get("why") or "") for r in every.select(metric="threshold_slope")}
    columns = tuple(column for column in COLUMNS if column[0] not in LEFT_OUT)
    columns = (columns[0], *columns[1:3], ("why there is none", lambda r: Cell(reasons.get(r.estimator, ""))))
    return [record_table("Coverage threshold of objects in closed scenes", found, columns)]
