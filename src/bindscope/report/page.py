"""The page: everything that the template needs, and the one self-contained HTML text that it gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from bindscope.analyses.geometry.section import picture
from bindscope.analyses.recognition.section import question, story
from bindscope.report.sections import build_sections
from bindscope.results import Record
from bindscope.show.blocks import (
    Block,
    Cell,
    Gallery,
    Section,
    Table,
    heading,
    interval_cell,
    reference_cell,
    value_cell,
)
from bindscope.show.figures import DARK, Figure
from bindscope.show.run import Run
from bindscope.show.words import NBSP, metric_name, plain

if TYPE_CHECKING:
    from jinja2 import Environment

    from bindscope.runs.verdict import Verdict

LABELS = {
    "binds": "Binds",
    "binds, too coarse": "Binds, too coarse",
    "binds partly": "Binds partly",
    "bag of concepts": "Bag of concepts",
    "recognises neither": "Recognises neither",
    "undecided": "Undecided",
    "readable": "Readable by a trained read-out",
    "not readable": "Not readable",
}
SHORT = {
    "variance": "Variance",
    "removal": "Removal",
    "editing": "Editing",
    "complexity": "Complexity",
    "crossmodal": "Cross-modal",
    "alignment": "Alignment",
    "audit": "Audit",
    "fidelity": "Encoder",
}  # names of sections in the bar at the top
BIBTEX = """@inproceedings{uselis2026binding,
  title         = {How can embedding models bind concepts?},
  author        = {Uselis, Arnas and Koishigarina, Darina and Oh, Seong Joon},
  booktitle     = {International Conference on Machine Learning (ICML)},
  year          = {2026},
  eprint        = {2605.31503},
  archivePrefix = {arXiv}
}

@software{bindscope,
  title   = {bindscope: does an embedding model bind concepts?},
  author  = {{bindscope authors}},
  version = {%s},
  year    = {2026}
}"""


def render(run: Run, verdict: Verdict) -> tuple[str, list[Figure]]:
    """The page of a run and the figures that stand on it."""
    sections, first, figures = named(build_sections(run), opening_figure(run))
    page = fill(
        "report.html.j2",
        run=run,
        verdict=verdict,
        label=LABELS.get(verdict.label, verdict.label.capitalize()),
        facts=facts(run),
        examples=example_scenes(run),
        caveats=caveats(run, verdict),
        story=first,
        evidence=evidence_table(verdict.evidence),
        sections=sections,
        short=SHORT,
        bibtex=BIBTEX % (run.config["bindscope"] or "0"),
        figures=figures,
        explorer=run.explorer if run.results.first(analysis="editing") is not None else None,
    )
    return page, figures


def fill(template: str, figures: Sequence[Figure], *, explorer: Mapping[str, Any] | None = None, **values: Any) -> str:
    """A template with the style, the scripts, the figures and the explorer's data put in."""
    from plotly.offline import get_plotlyjs

    drawn = {figure.name: {"data": figure.data, "layout": figure.layout} for figure in figures}
    text: str = (
        environment()
        .get_template(template)
        .render(
            **values,
            style=package_text("style.css"),
            script=package_text("report.js"),
            plotly=get_plotlyjs() if figures else "",
            figures_json=script_json(drawn),
            explorer_json=script_json(explorer) if explorer else "",
            dark_json=script_json(DARK),
            palette=[(f"--hue-{i}", light, dark) for i, (light, dark) in enumerate(DARK.items())],
        )
    )
    return text


def opening_figure(run: Run) -> Figure | None:
    """The picture of the first screen: recognition, or R^2 where recognition was not measured."""
    first = story(run)
    if first is not None:
        return first
    fits = run.results.headline(analysis="geometry", metric="r2")
    return replace(picture("r2", fits), name="story") if len(fits) else None


def example_scenes(run: Run) -> str:
    """Two scenes in quotes, for those who see such data for the first time."""
    return " and ".join(f"“{example}”" for example in run.config["examples"][:2])


def facts(run: Run) -> list[str]:
    """What was looked at, in a few words each."""
    parts = [str(run.config["modality"]).capitalize()] if run.config["modality"] else []
    paired = run.config.get("kind") == "pairs"
    parts += [f"{run.n_scenes:,} {'items' if paired else 'scenes'}"] if run.n_scenes is not None else []
    shown = "different pictures or captions" if paired else "objects"
    parts += [f"{run.n_objects:,} {shown}"] if run.n_objects is not None else []
    if run.concepts:
        sizes = " × ".join(str(len(values)) for _, values in run.concepts)
        parts.append(f"{sizes} ({' × '.join(name for name, _ in run.concepts)})")
    return parts


def caveats(run: Run, verdict: Verdict) -> list[str]:
    """What limits the verdict, and notes on the data; few objects are always named."""
    few = f"Only {run.n_objects} objects: the intervals on this page are wide, and less is decided than more objects would."
    return [*(verdict.caveats or ([few] if run.few_objects else [])), *map(str, run.config["notes"])]


def evidence_table(records: Sequence[Record]) -> Table | None:
    """The figures that the verdict rests on."""
    if not records:
        return None
    head = ("recognised", "figure", "95 % interval", "chance", "ceiling")
    rows = tuple(
        (
            heading(_evidence(r)),
            value_cell(r),
            interval_cell(r),
            reference_cell(r, "chance"),
            reference_cell(r, "ceiling"),
        )
        for r in records
    )
    used = [i for i, _ in enumerate(head) if i < 2 or any(row[i].text for row in rows)]
    kept: tuple[tuple[Cell, ...], ...] = tuple(tuple(row[i] for i in used) for row in rows)
    return Table("The evidence", tuple(head[i] for i in used), kept)


def _evidence(record: Record) -> str:
    what = question(record) if record.analysis == "recognition" else metric_name(record.metric)
    if record.analysis == "pairs":
        what += f", {'all items' if record.target == 'all' else plain(record.target)}"
    if record.extra.get("scenes"):
        what += f", {plain(str(record.extra['scenes']))} scenes"
    return f"{what}, {plain(record.estimator)}".rstrip(", ").replace(" scenes,", ",")


def named(sections: Sequence[Section], first: Figure | None) -> tuple[list[Section], Figure | None, list[Figure]]:
    """Sections whose figures all have a file name of their own, and the list of the figures."""
    taken: dict[str, Figure] = {}

    def keep(figure: Figure) -> Figure:
        stem = re.sub(r"[^a-z0-9_-]+", "-", figure.name.lower()).strip("-") or "figure"
        name, again = stem, 1
        while name in taken:
            again += 1
            name = f"{stem}-{again}"
        taken[name] = replace(figure, name=name)
        return taken[name]

    opening = None if first is None else keep(first)
    kept = [replace(section, blocks=tuple(_kept(section.blocks, keep))) for section in sections]
    return kept, opening, list(taken.values())


def _kept(blocks: Sequence[Block], keep: Any) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Gallery):
            yield Gallery(tuple(keep(figure) for figure in block.figures))
        elif isinstance(block, Figure):
            yield keep(block)
        else:
            yield block


def script_json(value: Any) -> str:
    """JSON that cannot end a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def css_color(color: str) -> str:
    """The style variable of a colour, so that it follows the theme."""
    places: Mapping[str, int] = {light: i for i, light in enumerate(DARK)}
    return f"var(--hue-{places[color]})" if color in places else color


@cache
def environment() -> Environment:
    """The templates, with escaping always on."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("bindscope.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["css_color"] = css_color
    made.filters["unbroken"] = lambda text: str(text).replace(" %", NBSP + "%")
    return made


def package_text(name: str) -> str:
    """A text file that ships beside this module."""
    return resources.files("bindscope.report").joinpath(name).read_text(encoding="utf-8")
