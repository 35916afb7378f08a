"""The whole geometry of MiniLM on text:10x10: Level I, Level II, retrieval, probing, variance shares, all intervals."""

from __future__ import annotations

from bindscope.analyses.context import Context
from bindscope.analyses.geometry.levels import LEVELS
from bindscope.analyses.geometry.measure import measure as geometry
from bindscope.analyses.variance.measure import measure as variance
from bindscope.embeddings import Embeddings
from bindscope.parallel import one_thread
from bindscope.results import Record
from harness import Cell, Seconds, arguments, by_lstsq, caption_scenes, clocked, minilm_vectors, r2, write_result

TARGET = 5.0  # seconds


def headline(records: list[Record]) -> list[dict[str, Cell]]:
    """R^2 of each level and estimator, in sample and held out."""
    return [
        {
            "level": r.target,
            "estimator": r.estimator,
            "split": r.split,
            "R^2": r.value,
            "low": r.ci_low,
            "high": r.ci_high,
        }
        for r in records
        if r.metric == "r2" and not r.extra
    ]


def main() -> None:
    """Time both analyses, the probes that they read with apart."""
    arguments(__doc__)
    whole, captions = caption_scenes("text:10x10?singles=true")
    vectors = minilm_vectors(captions)
    context = Context(Embeddings(vectors, whole))
    main_set = context.main
    _, probe_time = clocked(lambda: context.probes)
    with one_thread():  # as the experiments do; blocks of rows run side by side
        levels, level_time = clocked(lambda: context.records("geometry", geometry(context)))
        shares, share_time = clocked(lambda: context.records("variance", variance(context)))
    total = Seconds(level_time.wall + share_time.wall, level_time.cpu + share_time.cpu)
    rows, agrees = headline(levels), True
    for row in rows:
        if row["estimator"] in ("ols", "ols+pos") and row["split"] == "in_sample" and row["level"] in LEVELS:
            dense = by_lstsq(main_set.vectors, main_set.table, str(row["estimator"]), row["level"])
            expected = r2(main_set.vectors, dense)
            row["numpy.linalg.lstsq"] = expected
            agrees &= abs(float(row["R^2"] or 0) - expected) < 5e-4
    notes = [
        f"levels: {len(levels)} figures in {level_time.wall:.2f} s; variance: {len(shares)} in {share_time.wall:.2f} s",
        f"the whole geometry: {total.wall:.2f} s, {total.cpu:.2f} CPU s",
        f"under {TARGET:.0f} s: {'reached' if total.wall < TARGET else 'NOT REACHED'}",
        f"R^2 as numpy.linalg.lstsq to three digits: {'reached' if agrees else 'NOT REACHED'}",
        f"beside it: the probes that read reconstructions, {probe_time.wall:.2f} s",
    ]
    write_result("geometry", "Geometry, MiniLM on text:10x10 (9,900 scenes x 384)", rows, notes)


if __name__ == "__main__":
    main()
