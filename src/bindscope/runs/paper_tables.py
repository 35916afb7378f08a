"""The paper's Tables 1 to 3 with the figures of a run beside the paper's.

The paper's figures stand in paper_tables.json, with their source. Its estimators and its protocol are taken for the
comparison (averages, in sample; one value of the first concept edited, to one other value, in scenes whose objects differ
in all else); what this package adds stands in rows of its own. Several runs give several rows a figure.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from bindscope.errors import StoreError, UnknownNameError
from bindscope.results import Record, Results, read_results
from bindscope.run_directory import read_config

NAMES = {
    "none": "original",
    "concepts": "− concept component",
    "objects": "− object component",
    "permuted_concepts": "permuted concepts (control)",
    "permuted_objects": "permuted objects (control)",
}
ANALYSIS = {1: "geometry", 2: "editing", 3: "removal"}
PAPER = {"protocol": "paper"}
PROBED = {
    "probing of all concepts": "joint_probing",
    "probing of objects": "object_recognition",
    "retrieval": "retrieval_top1",
}
SHARED = {"different": "value of the other object different", "same": "value of the other object shared"}
HEAD = ("figure", "ours", "95 % interval", "paper", "note")


@dataclass(frozen=True)
class Line:
    """One figure: ours with its interval, and the paper's (None where it has none), with what limits the comparison.

    run: whose it is, where there are several."""

    figure: str
    ours: float | None
    low: float | None
    high: float | None
    paper: float | None
    note: str = ""
    run: str = ""

    def cells(self) -> tuple[str, ...]:
        """Text of each column."""
        interval = "" if self.low is None or self.high is None else f"{self.low:.3f} … {self.high:.3f}"
        figure = f"{self.figure}: {self.run}" if self.run else self.figure
        return (figure, _number(self.ours), interval, _number(self.paper, 2), self.note)


@dataclass(frozen=True)
class Table:
    """One of the paper's tables. ours: model and data of the run, and whether it lacks the analysis; against: the row of
    the paper that is shown beside it, or why there is none."""

    number: int
    title: str
    ours: str
    against: str
    lines: tuple[Line, ...]


def tables(run: str | Path) -> list[Table]:
    """Tables 1, 2 and 3 of a run directory.

    Raises StoreError where it is none, is not of one model on one data set, or is a training run.
    """
    directory = Path(run)
    config, results = read_config(directory), read_results(directory)
    if not {"model", "data"} <= config.keys():
        raise StoreError(
            f"{directory} is no run of one model on one data set; give a run directory of `bindscope diagnose`"
        )
    if len(results.select(analysis="training")):
        raise StoreError(
            f"{directory} is a training run, without the figures of the tables; make them: bindscope diagnose {config['model']} "
            f"--data '{config['data']}' --analyses {','.join(ANALYSIS.values())}"
        )
    made = []
    for number, build in ((1, _table1), (2, _table2), (3, _table3)):
        content = paper()[f"table{number}"]
        row, against = _against(content["rows"], config, number)
        lines = build(results, row)
        missing = not len(results.select(analysis=ANALYSIS[number]))
        lacks = f"; not in this run, add --analyses {ANALYSIS[number]}" if missing else ""
        ours = f"{config['model']} on {config['data']}{lacks}"
        made.append(Table(number, content["title"], ours, against, tuple(lines)))
    return made


def side_by_side(runs: Sequence[str | Path]) -> list[Table]:
    """The tables of several runs: a row for each run under every figure; of one run, its tables."""
    every = [tables(run) for run in runs]
    if len(every) == 1:
        return every[0]
    names = [Path(run).name for run in runs]
    out = []
    for own in zip(*every, strict=True):
        lines = [
            replace(line, run=name)
            for group in zip(*(table.lines for table in own), strict=True)
            for name, line in zip(names, group, strict=True)
        ]
        ours, against = (
            "; ".join(f"{name}: {getattr(table, part)}" for name, table in zip(names, own, strict=True))
            for part in ("ours", "against")
        )
        out.append(Table(own[0].number, own[0].title, ours, against, tuple(lines)))
    return out


@cache
def paper() -> Mapping[str, Any]:
    """The paper's figures, with their source."""
    text = resources.files("bindscope.runs").joinpath("paper_tables.json").read_text(encoding="utf-8")
    content: Mapping[str, Any] = json.loads(text)
    return content


def render(made: Sequence[Table], form: str) -> str:
    """The tables as `text`, `csv`, `markdown` or `latex`."""
    if form not in FORMATS:
        raise UnknownNameError("format", form, FORMATS)
    return FORMATS[form](made)


def _against(
    rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any], number: int
) -> tuple[Mapping[str, Any], str]:
    """The paper's row that shows the same kind of data, CLIP's where it has one."""
    wanted = _paper_data(str(config["data"]), str(config.get("modality", "")), number)
    found = [row for row in rows if row["data"] == wanted]
    if not found:
        return {}, f"no row on {wanted or 'such data'}" if wanted != "Text" else "no row on captions"
    row = next((r for r in found if _same_model(str(r["model"]), str(config["model"]))), found[0])
    name = f"{row['model']} on {row['data']}"
    if _same_model(str(row["model"]), str(config["model"])):
        return row, name
    return row, f"{name}, a model that this run does not have ({config['model']}): compare the pattern, not the figures"


def _paper_data(data: str, modality: str, number: int) -> str:
    kind = data.partition(":")[0]
    if number == 3:
        return "Images" if modality == "image" else "Text" if modality == "text" else ""
    known = {"clevr": "CLEVR", "clevr2d": "CLEVR-2D", "text": "Text"}
    if "spare" in data.lower():
        return "PUG:SPARE"
    return known.get(kind, "Text" if modality == "text" else "")


def _same_model(paper_name: str, model: str) -> bool:
    lowered = model.lower()
    if paper_name.startswith("DINO"):
        return "dinov2" in lowered
    if paper_name == "random initialisation":
        return lowered.startswith("openclip:") and lowered.endswith(",")
    return "clip" in lowered and "vit-b" in lowered and not lowered.endswith(",") and "siglip" not in lowered


def _line(name: str, record: Record | None, paper_figure: float | None, note: str = "") -> Line:
    if record is None:
        return Line(name, None, None, None, paper_figure, note)
    return Line(name, record.value, record.ci_low, record.ci_high, paper_figure, note)


def _table1(results: Results, row: Mapping[str, Any]) -> list[Line]:
    def found(metric: str, estimator: str, split: str = "in_sample") -> Record | None:
        return results.first(analysis="geometry", metric=metric, estimator=estimator, target="level1", split=split)

    return [
        _line("R², avg", found("r2", "avg"), row.get("r2_avg")),
        _line("R², avg+pos", found("r2", "avg+pos"), row.get("r2_avg+pos")),
        _line("R², ols+pos", found("r2", "ols+pos"), None, "exact least squares, not in the paper"),
        _line("R², ols+pos, held out", found("r2", "ols+pos", "held_out"), None, "not in the paper"),
        _line("retrieval, avg+pos", found("retrieval_top1", "avg+pos"), row.get("retrieval")),
        _line("probing of all concepts, avg+pos", found("joint_probing", "avg+pos"), row.get("probing")),
        _line("probing of objects, avg+pos", found("object_recognition", "avg+pos"), None, "not in the paper"),
    ]


def _table2(results: Results, row: Mapping[str, Any]) -> list[Line]:
    """By the paper's own protocol first, then over all edits of one value."""
    lines: list[Line] = []
    for word, metric in PROBED.items():
        for estimator in ("avg", "avg+pos", "single"):
            split = "held_out" if estimator == "single" else "in_sample"
            key = f"{word.partition(' ')[0].rstrip(',')}_{estimator}"
            given = None if metric == "object_recognition" else row.get(key)
            found = {
                kind: _edits(results, metric, estimator, split, extra)
                for kind, extra in (("", PAPER), *((word, {**PAPER, "other": word}) for word in SHARED))
            }
            ours = _edits(results, metric, estimator, split, {})
            note = "needs one-object scenes (?singles=true)" if estimator == "single" and ours is None else ""
            lines.append(_line(f"{word}, {estimator}, the paper’s edits", found[""], given, note))
            if metric == "retrieval_top1":
                for kind, what in SHARED.items():
                    lines.append(_line(f"{word}, {estimator}, the paper’s edits, {what}", found[kind], None))
            lines.append(_line(f"{word}, {estimator}, all edits of a value", ours, None, note or "not in the paper"))
        for estimator in ("avg", "avg+pos", "ols+pos"):
            name = f"{word}, {estimator}, all edits, both scenes left out"
            lines.append(_line(name, _edits(results, metric, estimator, "held_out", {}), None, "not in the paper"))
    return lines


def _edits(results: Results, metric: str, estimator: str, split: str, extra: Mapping[str, Any]) -> Record | None:
    words = {"analysis": "editing", "metric": metric, "estimator": estimator, "target": "value", "split": split}
    return next(iter(results.select(lambda record: dict(record.extra) == dict(extra), **words)), None)


def _table3(results: Results, row: Mapping[str, Any]) -> list[Line]:
    lines = []
    for target, name in NAMES.items():
        figures = row.get(target, (None, None))
        for place, (what, metric) in enumerate(
            (("concepts", "concept_recognition"), ("objects", "object_recognition"))
        ):
            words = {"analysis": "removal", "metric": metric, "estimator": "subtract", "target": target}
            lines.append(_line(f"{name}: {what}", results.first(**words), figures[place]))
    for target in ("concepts", "objects"):
        words = {"analysis": "removal", "metric": "cross_entropy_gain", "estimator": "subtract", "target": target}
        note = "0 is success; not in the paper"
        lines.append(_line(f"{NAMES[target]}: gain for concepts, nats", results.first(**words), None, note))
    return lines


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _text(made: Sequence[Table]) -> str:
    blocks = []
    for table in made:
        rows = [HEAD, *(line.cells() for line in table.lines)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        rule = "  ".join("-" * w for w in widths)
        head = [table.title, f"ours: {table.ours}", f"paper: {table.against}", ""]
        blocks.append("\n".join([*head, lines[0], rule, *lines[1:]]))
    return "\n\n".join([*blocks, f"The paper's figures: {paper()['source']}."]) + "\n"


def _csv(made: Sequence[Table]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("table", "figure", "ours", "ci_low", "ci_high", "paper", "note", "run", "paper_row", "source"))
    for table in made:
        for line in table.lines:
            values = (line.ours, line.low, line.high, line.paper)
            numbers = ["" if v is None else repr(v) for v in values]
            where = (table.ours, table.against, paper()["source"])
            writer.writerow((table.number, line.figure, *numbers, line.note, *where))
    return out.getvalue()


def _markdown(made: Sequence[Table]) -> str:
    blocks = []
    for table in made:
        rows = [HEAD, ("---", "---:", "---", "---:", "---"), *(line.cells() for line in table.lines)]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        head = f"### {table.title}\n\nOurs: {table.ours}. Paper: {table.against}.\n"
        blocks.append(head + "\n" + "\n".join(lines))
    return "\n\n".join([*blocks, f"The paper's figures: {paper()['source']}."]) + "\n"


def _latex(made: Sequence[Table]) -> str:
    blocks = []
    for table in made:
        caption = f"{table.title}. Ours: {table.ours}. Paper: {table.against}. Source: {paper()['source']}."
        rows = [" & ".join(_escaped(cell) for cell in line.cells()) + r" \\" for line in table.lines]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(caption)}}}",
            r"\begin{tabular}{lrlrl}",
            r"\hline",
            " & ".join(_escaped(cell) for cell in HEAD) + r" \\",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
    "²": "$^2$",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": _text,
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
}
