"""The command `complexity`: coverage curves of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import print_table, progress_lines
from bindscope.errors import InputError
from bindscope.show.tables import figures_table, new_table, number_text

if TYPE_CHECKING:
    from bindscope.results import Results


def complexity(
    run: Annotated[Path, typer.Argument(help="Run directory of `diagnose`.")],
    coverage: Annotated[
        str | None, typer.Option("--coverage", help="Shares of the objects that train, e.g. 0.5,0.8 (0.1 to 0.9).")
    ] = None,
    learners: Annotated[
        str | None, typer.Option("--learners", help="e.g. additive,mlp:256; see `bindscope list` (all common ones).")
    ] = None,
    splits: Annotated[int, typer.Option("--splits", help="Repeated splits and seeds.")] = 3,
    tune: Annotated[bool, typer.Option("--tune", help="Choose more settings on validation objects (slower).")] = False,
    codelength: Annotated[
        bool, typer.Option("--codelength/--no-codelength", help="Code lengths too: which rule saves bits.")
    ] = True,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes at once; default: the cores.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Can a learner predict the vectors of scenes of unseen objects? A killed grid goes on where it stopped."""
    from bindscope.analyses.complexity.findings import complexity_sentences
    from bindscope.report import write_report
    from bindscope.runs.grid import COVERAGES, Settings, run_complexity

    coverages = COVERAGES if coverage is None else tuple(_number(word) for word in _words(coverage))
    settings = Settings(coverages, () if learners is None else tuple(_named(learners)), splits, tune, seed, codelength)
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}")
    with progress_lines(not as_json) as say:
        results = run_complexity(run, settings, say, workers)
        say("writing the report")
        page = write_report(run)
    if as_json:
        typer.echo(results.to_json(), nl=False)
        return
    _print_curves(results.select(analysis="complexity"))
    for sentence in complexity_sentences(results.select(analysis="complexity")):
        typer.echo(sentence)
    print_code_lengths(results)
    typer.echo(str(page))


def print_code_lengths(results: Results) -> None:
    """Bits by family, and what they say; nothing where there are none."""
    from bindscope.analyses.codelength.section import sentences

    found = results.select(analysis="codelength")
    bits = found.headline(metric=("bits_per_scene", "bits_saved", "objects_to_pay"))
    if len(bits):
        print_table(figures_table("Code length", bits))
        for sentence in sentences(found):
            typer.echo(sentence)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _named(text: str) -> list[str]:
    names = _words(text)
    if not names:
        raise InputError("--learners names none; give some like additive,mlp:256")
    return names


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"--coverage must be numbers between 0 and 1 with commas, got {word!r}") from None


def _print_curves(results: Results) -> None:
    columns = sorted({r.coverage for r in results if r.coverage is not None and r.estimator not in (None, "real")})
    heads = [f"{c:g}" for c in columns]
    learners = list(dict.fromkeys(r.estimator for r in results if r.metric == "r2" and r.estimator))
    for title, metric, target, names in (
        ("\nR² on scenes of held-out objects, by coverage", "r2", None, learners),
        (
            "Objects recognised in closed scenes of held-out objects",
            "object_recognition",
            "closed",
            [*learners, "real"],
        ),
    ):
        table = new_table(title, "learner", *heads)
        for name in names:
            found = [
                results.first(metric=metric, target=target, estimator=name, split="test", coverage=c) for c in columns
            ]
            table.add_row(name, *(number_text(record.value) if record is not None else "" for record in found))
        print_table(table)
    thresholds = results.headline(metric="coverage_threshold").select(lambda record: record.value is not None)
    if len(thresholds):
        print_table(figures_table("Coverage thresholds", thresholds))
