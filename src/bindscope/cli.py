"""The command line: parse, one call, print."""

from __future__ import annotations

import errno
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bindscope import __version__
from bindscope.errors import BindscopeError, BindscopeWarning

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.experiments.compare import Comparison
    from bindscope.experiments.diagnose import Run
    from bindscope.results import Record, Results

GATE_FAILED, BAD_INPUT, STOPPED = 1, 2, 130
DEMO_MODEL = "st:sentence-transformers/all-MiniLM-L6-v2"
DEMO_DATA = "text:10x10?singles=true"

app = typer.Typer(
    name="bindscope",
    help="Tells whether, and how, an embedding model binds concepts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path | None, typer.Option("--out", help="Run directory; default runs/<hash>.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of splits, samples and intervals.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, mps, …; default: what the encoder chooses.")]
Batch = Annotated[int | None, typer.Option("--batch-size", help="Items an encoder gets at once.")]
Prompt = Annotated[str | None, typer.Option("--prompt", help="Text that the encoder puts before every input.")]
Sample = Annotated[int | None, typer.Option("--sample", help="Analyse this many scenes, drawn by seed.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Where embeddings are cached; default: the user's cache.")]
Data = Annotated[str, typer.Option("--data", help="text:10x10, text:FILE.yaml, labels:FILE, …; see `bindscope list`.")]
Model = Annotated[
    str, typer.Argument(help="st:NAME, file:PATH, module:PKG.MOD:FACTORY, planted:KIND; see `bindscope list`.")
]


@app.callback(invoke_without_command=True)
def _start(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"bindscope {__version__}")
        raise typer.Exit


@app.command()
def diagnose(
    model: Model,
    data: Data,
    analyses: Annotated[
        str | None, typer.Option("--analyses", help="audit,recognition,geometry,variance (all).")
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    batch_size: Batch = None,
    sample: Sample = None,
    prompt: Prompt = None,
    fail_if: Annotated[
        str | None, typer.Option("--fail-if", help='Gate: exit 1 if it holds, e.g. "object_recognition<0.8".')
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Diagnose MODEL on DATA: verdict, tables, one HTML page, one exit code."""
    from bindscope.experiments import gate

    if fail_if is not None:
        gate.parse_conditions(fail_if)  # before hours of work
    names = [word.strip() for word in analyses.split(",") if word.strip()] if analyses is not None else None
    run, page = _diagnosed(
        model, data, names, out, seed, device, batch_size, sample, prompt, resume, cache, not as_json
    )
    outcomes = gate.judge(run.results, fail_if) if fail_if is not None else []
    if as_json:
        _print_json(_run_json(run, page, [o.sentence() for o in outcomes], any(o.failed for o in outcomes)))
    else:
        _print_run(run)
        for outcome in outcomes:
            typer.echo(outcome.sentence())
        typer.echo(str(page))
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(GATE_FAILED)


@app.command()
def demo(out: Annotated[Path, typer.Option("--out", help="Run directory.")] = Path("runs/demo")) -> None:
    """Diagnose a real pretrained sentence encoder on real captions, offline. The last line is the report's path."""
    run, page = _diagnosed(DEMO_MODEL, DEMO_DATA, None, out, 0, None, None, None, None, False, None, True)
    _print_run(run)
    typer.echo(str(page))


@app.command()
def embed(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Directory for embeddings.safetensors and scenes.parquet.")],
    device: Device = None,
    batch_size: Batch = None,
    prompt: Prompt = None,
    cache: Cache = None,
) -> None:
    """Only embed the scenes (and the model's queries) and write them down."""
    from bindscope.datasets import load_dataset
    from bindscope.embeddings import default_cache, save_embeddings
    from bindscope.embeddings import embed as embed_scenes
    from bindscope.encoders import load_encoder

    dataset = load_dataset(data)
    encoder = load_encoder(model, device=device, batch_size=batch_size, prompt=prompt)
    found = embed_scenes(encoder, dataset, cache=cache or default_cache(), batch_size=batch_size, progress=True)
    save_embeddings(found, out)
    typer.echo(f"{len(found.vectors):,} vectors of {found.vectors.shape[1]} dimensions")
    typer.echo(str(out))


@app.command()
def audit(
    labels: Annotated[Path, typer.Argument(help="CSV or parquet with columns object{i}_{concept}.")],
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What a label table can and cannot show about binding, without any model."""
    from bindscope.datasets.labels import read_labels
    from bindscope.experiments.audits import audit_records
    from bindscope.results import Results

    results = Results(audit_records(read_labels(labels), seed)).stamped(dataset=f"labels:{labels}", version=__version__)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        _print_audit(results, str(labels))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Write report.html of a run again, from its records."""
    from bindscope.report import write_report

    typer.echo(str(write_report(run)))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run directories.")],
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Differences between runs with intervals, paired on the same scenes."""
    from bindscope.experiments.compare import compare as compare_runs

    found = compare_runs(runs, seed)
    if as_json:
        typer.echo(found.results.to_json(), nl=False)
    else:
        _print_comparison(found)


@app.command(name="list")
def list_names(as_json: Json = False) -> None:
    """Names of models, data, analyses."""
    from bindscope.datasets import dataset_names
    from bindscope.encoders import encoder_names
    from bindscope.experiments.diagnose import ANALYSES

    groups = {"models": encoder_names(), "data": dataset_names(), "analyses": dict.fromkeys(ANALYSES, "")}
    if as_json:
        _print_json(groups)
        return
    for title, names in groups.items():
        table = _table(title, "name", "what it is")
        for name, text in names.items():
            table.add_row(name, text)
        _print(table)


@app.command()
def selfcheck(seed: Seed = 0, as_json: Json = False) -> None:
    """Run all metrics on planted worlds and print measured beside expected; exit 1 if any is off."""
    from bindscope.experiments.selfcheck import selfcheck as checks

    found = []
    table = _table("planted worlds", "world", "figure", "expected", "measured", "")
    with _progress(not as_json) as say:
        for check in checks(seed):
            say(f"{check.world}: {check.figure}")
            found.append(check)
            table.add_row(check.world, check.figure, check.expected, check.measured, "ok" if check.passed else "OFF")
    if as_json:
        _print_json([vars(check) for check in found])
    else:
        _print(table)
    passed = sum(check.passed for check in found)
    typer.echo(f"{passed} of {len(found)} figures as expected", err=as_json)
    if passed < len(found):
        raise typer.Exit(GATE_FAILED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: one clear line and exit code 2 on bad input, never a traceback."""
    warnings.filterwarnings("default", category=BindscopeWarning)
    shown = warnings.showwarning
    warnings.showwarning = _one_line(shown)
    try:
        app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except BindscopeError as error:
        _fail(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        _fail("stopped; what was embedded is cached, --resume goes on with what was analysed", STOPPED)
    except MemoryError:
        _fail("out of memory; analyse fewer scenes with --sample", BAD_INPUT)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        _fail(
            f"cannot write {error.filename or 'a file'}: {error.strerror}; free space or give another --out", BAD_INPUT
        )
    finally:
        warnings.showwarning = shown


def _fail(message: str, code: int) -> None:
    typer.echo("error: " + " ".join(message.split()), err=True)
    raise SystemExit(code)


def _one_line(otherwise: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, BindscopeWarning):
            typer.echo(f"note: {message}", err=True)
        else:
            otherwise(message, category, *where, **more)

    return show


def _diagnosed(
    model: str,
    data: str,
    analyses: Sequence[str] | None,
    out: Path | None,
    seed: int,
    device: str | None,
    batch_size: int | None,
    sample: int | None,
    prompt: str | None,
    resume: bool,
    cache: Path | None,
    talk: bool,
) -> tuple[Run, Path]:
    from bindscope.experiments.diagnose import ANALYSES
    from bindscope.experiments.diagnose import diagnose as run_diagnosis
    from bindscope.report import write_report

    with _progress(talk) as say:
        run = run_diagnosis(
            model,
            data,
            out,
            analyses=ANALYSES if analyses is None else analyses,
            seed=seed,
            sample=sample,
            prompt=prompt,
            device=device,
            batch_size=batch_size,
            cache=cache,
            resume=resume,
            progress=say if talk else None,
        )
        say("writing the report")
        return run, write_report(run.directory)


@contextmanager
def _progress(talk: bool) -> Iterator[Callable[[str], None]]:
    """Says on standard error what is being done; each line with the time it took once the next begins."""
    if not talk:
        yield lambda text: None
        return
    from time import perf_counter

    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    start, last = perf_counter(), [""]

    def say(text: str) -> None:
        if text != last[0]:
            console.print(f"[dim]{perf_counter() - start:7.1f} s[/dim]  {text}", soft_wrap=True)
            last[0] = text

    yield say


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _run_json(run: Run, page: Path, gates: list[str], failed: bool) -> dict[str, Any]:
    from bindscope.experiments.verdict import verdict

    said = verdict(run.results)
    return {
        "run": str(run.directory),
        "report": str(page),
        "verdict": {
            "label": said.label,
            "sentences": said.sentences,
            "estimator": said.estimator,
            "caveats": said.caveats,
        },
        "gate": {"failed": failed, "conditions": gates},
        "config": dict(run.config),
        "results": json.loads(run.results.to_json()),
    }


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(table, width=max(console.width, 110) if not console.is_terminal else None)


def _print_run(run: Run) -> None:
    from bindscope.experiments.verdict import verdict

    said = verdict(run.results)
    typer.echo(f"\n{said.label.upper()}: {run.config['model']} on {run.config['data']}\n")
    for line in (*said.sentences, *said.caveats):
        typer.echo(line)
    recognition = run.results.headline(analysis="recognition")
    if len(recognition):
        _print(_figures("\nRecognition", recognition))
    geometry = run.results.headline(analysis="geometry", metric=("r2", "retrieval_top1"), estimator=("ols", "ols+pos"))
    if len(geometry):
        _print(_figures("Geometry", geometry))
    shares = run.results.headline(analysis="variance")
    if len(shares):
        _print(_figures("Variance", shares))


def _figures(title: str, results: Results) -> Table:
    table = _table(title, "figure", "by", "of", "split", "value", "95 % interval", "chance", "ceiling", "scenes")
    for record in results:
        table.add_row(
            record.metric,
            record.estimator or "",
            record.target or "",
            record.split or "",
            _number(record.value),
            _interval(record),
            _number(record.chance),
            _number(record.ceiling),
            f"{record.n_scenes:,}" if record.n_scenes is not None else "",
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) >= 2:
        return f"{int(value):,}"
    return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def _interval(record: Record) -> str:
    if record.ci_low is None or record.ci_high is None:
        return ""
    return f"{record.ci_low:.3f} … {record.ci_high:.3f}"


def _print_audit(results: Results, name: str) -> None:
    table = _table(f"\nAudit of {name}", "figure", "of", "value", "")
    for record in results:
        if record.coverage is None:
            notes = ", ".join(f"{key} {value}" for key, value in record.extra.items() if value is not None)
            table.add_row(record.metric, record.target or "", _number(record.value), notes)
    _print(table)
    words = ("identified", "unseen_share", "test_scenes", "closed_scenes")
    by_coverage = _table("Object splits by coverage", "split", "coverage", *words)
    for method in ("connected", "random"):
        for coverage in sorted({r.coverage for r in results if r.coverage is not None}):
            rows = [results.first(metric=word, estimator=method, coverage=coverage) for word in words]
            cells = [_number(row.value) if row is not None else "" for row in rows]
            by_coverage.add_row(method, f"{coverage:.1f}", *cells)
    _print(by_coverage)
    ceiling = results.first(metric="ceiling", target="unshared")
    if ceiling is None or ceiling.value is None or ceiling.value >= 1.0:
        typer.echo("These scenes cannot tell binding from a bag: no bag of values belongs to two different scenes.")


def _print_comparison(found: Comparison) -> None:
    typer.echo(f"\n{found.n_scenes:,} scenes that all runs show")
    own = _table("Figures", "run", "figure", "by", "of", "value", "95 % interval")
    differences = _table("Differences, paired", "run", "minus", "figure", "by", "of", "difference", "95 % interval", "")
    for record in found.results:
        words = (record.metric, record.estimator or "", record.target or "", _number(record.value), _interval(record))
        if record.extra:
            tie = "tie" if record.extra["tie"] else ""
            differences.add_row(record.model or "", record.extra["minus"], *words, tie)
        else:
            own.add_row(record.model or "", *words)
    _print(own)
    _print(differences)
