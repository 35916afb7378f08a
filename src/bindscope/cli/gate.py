"""The command `gate`: models on a vocabulary or on pairs, ranked, with one exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bindscope.cli.options import Batch, Cache, Device, Json, Prompt, Seed
from bindscope.cli.printing import print_json, print_table, progress_lines
from bindscope.errors import InputError
from bindscope.run_directory import locked, refuse_unwritable
from bindscope.show.tables import figures_table, interval_text, new_table, number_text

if TYPE_CHECKING:
    from bindscope.results import Record
    from bindscope.runs.gate import GateOutcome
    from bindscope.runs.pair_ranking import Order, PairGate
    from bindscope.runs.settings import Settings
    from bindscope.runs.vocabulary import Ranking

GATE_FAILED = 1


def gate(
    models: Annotated[list[str], typer.Argument(help="One or more models, e.g. st:ORG/NAME; see `bindscope list`.")],
    vocabulary: Annotated[Path | None, typer.Option("--vocabulary", help="Recipe file as for text:FILE.yaml.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Pairs instead of a vocabulary, e.g. pairs:swap.json.")
    ] = None,
    fail_if: Annotated[
        str | None,
        typer.Option(
            "--fail-if", help='Exit 1 if it holds, e.g. "swap_confusion@1>0.2"; default: binding is not sure.'
        ),
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", min=2, help="Scenes to draw by seed.")] = 400,
    out: Annotated[Path | None, typer.Option("--out", help="Directory for results and card.md.")] = None,
    seed: Seed = 0,
    device: Device = None,
    batch_size: Batch = None,
    prompt: Prompt = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Does a model confuse "red shirt, blue jeans" with "blue shirt, red jeans"? Your words, one exit code."""
    from bindscope.runs import gate as gates
    from bindscope.runs.settings import Settings
    from bindscope.runs.vocabulary import default_condition, gate_vocabulary

    if fail_if is not None:
        gates.parse_conditions(fail_if, gates.known_metrics())
    if out is not None:
        refuse_unwritable(out)
    if (vocabulary is None) == (data is None):
        raise InputError("gate needs a vocabulary or pairs: give one of --vocabulary FILE.yaml and --data pairs:FILE")
    if data is not None:
        settings = Settings.of(models[0], data, seed=seed, prompt=prompt, device=device, batch_size=batch_size)
        _gate_pairs(models, settings, fail_if, out, cache, as_json)
        return
    assert vocabulary is not None
    with progress_lines(not as_json) as say:
        ranking = gate_vocabulary(
            models,
            vocabulary,
            scenes=scenes,
            seed=seed,
            device=device,
            batch_size=batch_size,
            prompt=prompt,
            cache=cache,
            progress=None if as_json else say,
        )
    outcomes = {
        one.model: gates.judge(one.results, fail_if or default_condition(one.results)) for one in ranking.models
    }
    if out is not None:
        with locked(out):
            ranking.write(out)
    _warn(ranking, outcomes)
    if as_json:
        print_json(_json(ranking, outcomes))
    else:
        _print(ranking, outcomes)
    if any(outcome.failed for found in outcomes.values() for outcome in found):
        raise typer.Exit(GATE_FAILED)


def _warn(ranking: Ranking, outcomes: dict[str, list[GateOutcome]]) -> None:
    """Models that pass although their binding cannot be told from that of a bag."""
    from bindscope.runs.vocabulary import warning

    for one in ranking.models:
        said = warning(one.results)
        if said and not any(outcome.failed for outcome in outcomes[one.model]):
            typer.echo(f"note: {one.model} passes, yet {said}", err=True)


def _gate_pairs(
    models: list[str], settings: Settings, fail_if: str | None, out: Path | None, cache: Path | None, as_json: bool
) -> None:
    """The same on pairs: a ranking with ties, the worst items in words, one exit code."""
    from bindscope.datasets import data_kind
    from bindscope.embeddings import default_cache
    from bindscope.results import Results
    from bindscope.runs import gate as gates
    from bindscope.runs.pair_ranking import gate_pairs

    if data_kind(settings.data) != "pairs":
        raise InputError(
            f"gate --data takes pairs:FILE or outcomes:FILE, got {settings.data!r}; for words of your own give --vocabulary"
        )
    with progress_lines(not as_json) as say:
        found, order = gate_pairs(models, settings, cache or default_cache(), None if as_json else say)
    judged = {one.model: gates.judge(one.results, fail_if) if fail_if is not None else [] for one in found}
    if out is not None:
        with locked(out):
            out.mkdir(parents=True, exist_ok=True)
            Results([record for one in found for record in one.results]).write(out)
    failed = any(outcome.failed for outcomes in judged.values() for outcome in outcomes)
    places = order.places if order is not None else tuple(range(1, len(found) + 1))
    if as_json:
        print_json(
            {
                "ranking": [
                    {"place": place, "model": one.model, "worst": one.worst}
                    for place, one in zip(places, found, strict=True)
                ],
                "gate": {
                    "failed": failed,
                    "conditions": {name: [o.sentence() for o in outcomes] for name, outcomes in judged.items()},
                },
                "results": [row for one in found for row in json.loads(one.results.to_json())],
            }
        )
    else:
        _print_pairs(found, order, judged)
    if failed:
        raise typer.Exit(GATE_FAILED)


def _print_pairs(found: list[PairGate], order: Order | None, judged: dict[str, list[GateOutcome]]) -> None:
    from bindscope.analyses.registry import analyses

    if order is not None and len(order.models) > 1:
        own = [replace(order.own(one), model=one.model) for one in order.models]
        _print_ranking(order.name, order.places, own, order.differences)
    for gate_of in found:
        typer.echo(f"\n{gate_of.model}")
        shown = analyses()["pairs"].table_of(gate_of.results)
        if shown is not None:
            print_table(shown)
        _print_lines("Worst items, exchanged words in brackets", "item", gate_of.worst)
        for outcome in judged[gate_of.model]:
            typer.echo(f"{gate_of.model}: {outcome.sentence()}")


def _json(ranking: Ranking, outcomes: dict[str, list[GateOutcome]]) -> dict[str, Any]:
    return {
        "ranking": [
            {"place": place, "model": one.model, "worst": one.worst, "card": one.card}
            for place, one in zip(ranking.places, ranking.models, strict=True)
        ],
        "gate": {
            "failed": any(o.failed for found in outcomes.values() for o in found),
            "conditions": {model: [o.sentence() for o in found] for model, found in outcomes.items()},
        },
        "results": json.loads(ranking.results.to_json()),
    }


def _print(ranking: Ranking, outcomes: dict[str, list[GateOutcome]]) -> None:
    if len(ranking.models) > 1:
        own = [one.results.one(metric="swap_accuracy") for one in ranking.models]
        _print_ranking("swap accuracy", ranking.places, own, ranking.differences.records)
    for one in ranking.models:
        shown = one.results.headline().select(lambda record: record.metric != "swap_confusion")
        print_table(figures_table(f"\n{one.model}", shown))
        _print_lines("Worst pairs", "exchanged", one.worst)
        typer.echo(one.card + "\n")
        for outcome in outcomes[one.model]:
            typer.echo(f"{one.model}: {outcome.sentence()}")


def _print_ranking(name: str, places: Sequence[int], own: Sequence[Record], following: Sequence[Record | None]) -> None:
    """Models with their figure and its difference to the next, the last of which has none."""
    columns = ("place", "model", name, "95 % interval", "minus the next", "95 % interval", "")
    table = new_table(f"\nRanking by {name}", *columns)
    for place, one, record in zip(places, own, (*following, None), strict=True):
        cells = ["", "", ""]
        if record is not None:
            cells = [number_text(record.value), interval_text(record), "tie" if record.extra["tie"] else ""]
        table.add_row(str(place), one.model or "", number_text(one.value), interval_text(one), *cells)
    print_table(table)


def _print_lines(title: str, head: str, lines: Sequence[str]) -> None:
    """A table of lines; nothing where there are none."""
    if lines:
        table = new_table(title, head)
        for line in lines:
            table.add_row(line)
        print_table(table)
