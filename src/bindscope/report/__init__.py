"""The report of a run: one self-contained HTML page and its figures, made from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bindscope.errors import StoreError

if TYPE_CHECKING:
    from bindscope.runs.compare import Comparison
    from bindscope.show.run import Run

__all__ = ["write_comparison", "write_page", "write_report"]


def write_report(run_dir: Path | str) -> Path:
    """Write `report.html` and `figures/*.json` into a run directory and return the page's path.

    Reads `config.json` and `results.parquet` only. Raises StoreError where these are missing or damaged, or where the
    directory cannot be written.

    >>> import tempfile
    >>> from bindscope import diagnose
    >>> with tempfile.TemporaryDirectory() as place:
    ...     run = diagnose("planted:bag?dim=16", "text:3x3", f"{place}/run", analyses=["recognition"])
    ...     write_report(run.directory).name
    'report.html'
    """
    from bindscope.report.page import render
    from bindscope.run_directory import refuse_unwritable, sweep, write_text
    from bindscope.runs.verdict import verdict
    from bindscope.show.run import read_run

    directory = Path(run_dir)
    run = read_run(directory)
    refuse_unwritable(directory)
    sweep(directory)
    page, figures = render(run, verdict(run.results))
    folder = directory / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write figures to {folder}: {error.strerror or error}") from error
    for figure in figures:
        write_text(folder / f"{figure.name}.json", figure.to_json())
    write_text(directory / "report.html", page)
    return directory / "report.html"


def write_page(run: Run, page: Path) -> Path:
    """Write the page of a run that has no directory of its own, and return its path. Raises StoreError."""
    from bindscope.report.page import render
    from bindscope.run_directory import write_text
    from bindscope.runs.verdict import verdict

    text, _ = render(run, verdict(run.results))
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {page.parent}: {error.strerror or error}; give another place") from error
    write_text(page, text)
    return page


def write_comparison(
    run_dirs: Sequence[Path | str], out: Path | str, comparison: Comparison | None = None, seed: int = 0
) -> Path:
    """Write one page that compares two or more runs on the scenes that all of them show, and return its path.

    out: the HTML file. comparison: what `compare` gave for these runs; made here with
    the seed where it is not given. Raises InputError where the runs cannot be compared, StoreError where a file cannot be read or
    written.

    >>> import tempfile
    >>> from bindscope import diagnose
    >>> with tempfile.TemporaryDirectory() as place:
    ...     kinds = ("planted:object?dim=16", "planted:bag?dim=16")
    ...     runs = [diagnose(kind, "text:3x3", f"{place}/{kind[8:11]}", analyses=["recognition"]).directory for kind in kinds]
    ...     write_comparison(runs, f"{place}/comparison.html").name
    'comparison.html'
    """
    from bindscope.report.comparison import render_comparison
    from bindscope.run_directory import write_text
    from bindscope.runs.compare import compare
    from bindscope.runs.verdict import verdict
    from bindscope.show.run import read_run

    runs = [read_run(Path(directory)) for directory in run_dirs if not str(directory).startswith("outcomes:")]
    found = compare(run_dirs, seed) if comparison is None else comparison
    verdicts = [verdict(run.results) for run in runs]
    if any(record.analysis == "pairs" for record in found.results):  # on the common items, published outcomes too
        verdicts = [verdict(found.results.headline(model=name)) for name in found.names]
    page = render_comparison(runs, verdicts, found)
    write_text(Path(out), page)
    return Path(out)
