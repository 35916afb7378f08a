"""What only data of images has: samples of the pictures, figures by visible share, figures beside the noise ceiling."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from bindscope.results import Record
from bindscope.show.blocks import COLUMNS, Block, Gallery, Note, Picture, Section, record_table
from bindscope.show.curves import Along, curves
from bindscope.show.figures import BLUE, GREEN, INK, ORANGE, Figure, Series, series_of
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import metric_name, plain

SAMPLES = "Pictures that the model saw, evenly spaced through the data."
OCCLUSION = (
    "The same figures by how much of the most hidden object of a scene can be seen. Where concepts stay readable and "
    "objects do not, covering breaks the binding before it breaks recognition."
)
NOISE = (
    "Several pictures of the same scene differ, and no function of the scene can explain that. The noise ceiling is the "
    "share of the variance that a perfect one could explain; R² stands beside it, and recognition of the mean over the "
    "pictures of a scene beside recognition of single ones."
)
MEAN = "replicate mean"
TABLE = tuple(column for column in COLUMNS if column[0] not in ("coverage", "seed", "ties"))


def samples(run: Run) -> Section | None:
    """The contact sheet; None where the run has none."""
    if not run.samples:
        return None
    about = run.config["samples"]
    captions = [str(caption) for caption in about.get("captions", ())]
    source = "data:image/jpeg;base64," + base64.b64encode(run.samples).decode("ascii")
    alt = f"{len(captions)} pictures in rows of {about.get('columns')}: " + "; ".join(captions)
    first = captions[: int(about.get("columns") or len(captions))]
    blocks: list[Block] = [Picture(source, alt, f"First row, from the left: {'; '.join(first)}.")]
    slots = run.config.get("slots") or []
    if slots:
        blocks.append(Note(f"Slots, in this order: {', '.join(map(str, slots))}."))
    return Section("samples", "Pictures", SAMPLES, tuple(blocks))


def occlusion(run: Run) -> Section | None:
    """Figures by visible share; None where no record has one."""
    found = [r for r in run.results if "visible" in r.extra]
    if not found:
        return None
    figures = [figure for metric in dict.fromkeys(r.metric for r in found) for figure in _by_share(metric, found)]
    table = record_table("Figures by visible share", found, TABLE, folded=len(found) > 16)
    return Section("occlusion", "Occlusion", OCCLUSION, (Gallery(tuple(figures)), table))


def noise(run: Run) -> Section | None:
    """R^2 and recognition beside the noise ceiling; None without replicates."""
    ceiling = run.results.first(analysis="geometry", metric="noise_ceiling")
    if ceiling is None:
        return None
    fits = run.results.headline(analysis="geometry", metric="r2", estimator="ols+pos", split="held_out")
    rows: list[Row] = [("noise ceiling", [(Series("", INK, "square"), ceiling)])]
    rows += [
        (f"R², {plain(r.target)}", [(Series("", BLUE, "circle"), r)]) for r in fits if r.target != "level2_objects"
    ]
    figures = [forest("noise_r2", "R² of held-out scenes beside the noise ceiling", rows, Style())]
    figures += _denoised(run)
    parts = [r for r in run.results if r.extra.get("of") == "noise_ceiling"]
    table = record_table("R² as a part of the noise ceiling", parts, TABLE)
    return Section("noise", "Noise ceiling", NOISE, (Gallery(tuple(figures)), *((table,) if parts else ())))


def _by_share(metric: str, found: Sequence[Record]) -> list[Figure]:
    records = [r for r in found if r.metric == metric]
    looks = series_of(_family(r) for r in records)
    families = [(look, [r for r in records if _family(r) == name]) for name, look in looks.items()]
    title = f"{metric_name(metric)} by visible share"
    x_title = "Visible share of the most hidden object"
    return [curves(f"occlusion_{metric}", title, families, metric_name(metric), along=Along(x_title, _visible))]


def _visible(record: Record) -> float | None:
    share = record.extra.get("visible")
    return float(share) if isinstance(share, (int, float)) else None


def _family(record: Record) -> str:
    target = plain(record.target) if record.target not in ("mean", "all") else ""
    split = plain(record.split) if record.metric == "r2" else ""
    return ", ".join(word for word in (plain(record.estimator), target, split) if word)


def _denoised(run: Run) -> list[Figure]:
    denoised = [r for r in run.results if r.extra.get("vectors") == MEAN]
    rows: list[Row] = []
    for record in denoised:
        words = {name: getattr(record, name) for name in ("analysis", "metric", "estimator", "target", "split")}
        single = run.results.first(**words)
        entries = [(Series("mean over the pictures of a scene", GREEN, "diamond"), record)]
        if single is not None:
            entries.insert(0, (Series("single pictures", ORANGE, "circle"), single))
        rows.append((f"{metric_name(record.metric)}: {_family(record)}", entries))
    style = Style("share of scenes recognised", (-0.02, 1.03), step=12)
    return [forest("noise_recognition", "Recognition without the noise", rows, style)] if rows else []
