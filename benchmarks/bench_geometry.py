"""The whole geometry of MiniLM on text:10x10: Level I, Level II, retrieval, probing, variance shares, all intervals."""

from __future__ import annotations

from bindscope.embeddings import Embeddings
from bindscope.experiments.recognise import probed
from bindscope.experiments.shape import geometry_records, variance_records
from bindscope.results import Record
from harness import Cell, arguments, caption_scenes, minilm_vectors, timed, write_result

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
    pairs, alone = whole.rows_with(2), whole.rows_with(1)
    main_set = Embeddings(vectors[pairs], whole.take(pairs))
    (probes, test), probe_seconds = timed(lambda: probed(main_set.vectors, main_set.table, 0))
    singles = (vectors[alone], whole.take(alone))
    levels, level_seconds = timed(lambda: geometry_records(main_set, singles, probes, test, 0))
    shares, share_seconds = timed(lambda: variance_records(main_set, 0))
    total = level_seconds + share_seconds
    notes = [
        f"levels: {len(levels)} figures in {level_seconds:.2f} s; variance: {len(shares)} in {share_seconds:.2f} s",
        f"the whole geometry: {total:.2f} s (to reach: {TARGET:.0f} s; {'reached' if total < TARGET else 'NOT REACHED'})",
        f"beside it: the probes that read reconstructions, {probe_seconds:.2f} s",
    ]
    write_result("geometry", "Geometry, MiniLM on text:10x10 (9,900 scenes x 384)", headline(levels), notes)


if __name__ == "__main__":
    main()
