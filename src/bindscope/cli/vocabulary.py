"""Commands on two-sided models: gate a vocabulary, repair a run with a head, train the small dual encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bindscope.cli.options import Batch, Cache, Device, Json, Prompt, Seed
from bindscope.cli.printing import print_json, print_table, progress_lines
from bindscope.errors import InputError
from bindscope.show.tables import figures_table, interval_text, new_table, number_text

if TYPE_CHECKING:
    from bindscope.runs.gate import GateOutcome
    from bindscope.runs.pair_ranking import Order, PairGate
    from bindscope.runs.vocabulary import Ranking

GATE_FAILED = 1


def gate(
    models: Annotated[list[str], typer.Argument(help="One or more models, e.g. st:ORG/NAME; see `bindscope list`.")],
    vocabulary: Annotated[Path | None, typer.Option("--vocabulary", help="Recipe file as for text:FILE.yaml.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Pairs instead of a vocabulary, e.g. pairs:swap.json.")
    ] = None,
    fail_if: Annotated[
        str | None, typer.Option("--fail-if", help='Exit 1 if it holds, e.g. "swap_confusion@1>0.2,recall@5<0.9".')
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
    from bindscope.runs.vocabulary import gate_vocabulary, with_models
    from bindscope.show.words import METRICS

    if fail_if is not None:
        gates.parse_conditions(fail_if, METRICS)
    if (vocabulary is None) == (data is None):
        raise InputError("gate needs a vocabulary or pairs: give one of --vocabulary FILE.yaml and --data pairs:FILE")
    if data is not None:
        _gate_pairs(models, data, fail_if, out, seed, device, batch_size, prompt, cache, as_json)
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
    outcomes = {one.model: gates.judge(one.results, fail_if) if fail_if is not None else [] for one in ranking.models}
    if out is not None:
        _write(ranking, out)
    if as_json:
        print_json(_json(ranking, outcomes, with_models(ranking).to_json()))
    else:
        _print(ranking, outcomes)
    if any(outcome.failed for found in outcomes.values() for outcome in found):
        raise typer.Exit(GATE_FAILED)


def _gate_pairs(
    models: list[str],
    data: str,
    fail_if: str | None,
    out: Path | None,
    seed: int,
    device: str | None,
    batch_size: int | None,
    prompt: str | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """The same on pairs: a ranking with ties, the worst items in words, one exit code."""
    from bindscope.datasets import data_kind
    from bindscope.embeddings import default_cache
    from bindscope.results import Results
    from bindscope.runs import gate as gates
    from bindscope.runs.pair_ranking import gate_pairs
    from bindscope.runs.pairs import Asked

    if data_kind(data) != "pairs":
        raise InputError(
            f"gate --data takes pairs:FILE or outcomes:FILE, got {data!r}; for words of your own give --vocabulary"
        )
    asked = Asked(models[0], data, seed, None, prompt, device, batch_size)
    with progress_lines(not as_json) as say:
        found, order = gate_pairs(models, asked, cache or default_cache(), None if as_json else say)
    judged = {one.model: gates.judge(one.results, fail_if) if fail_if is not None else [] for one in found}
    if out is not None:
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
        columns = ("place", "model", "value", "95 % interval", "minus the next", "95 % interval", "")
        table = new_table(f"\nRanking by {order.name}", *columns)
        for i, (place, one) in enumerate(zip(order.places, order.models, strict=True)):
            record = order.differences[i] if i < len(order.differences) else None
            last = (
                (number_text(record.value), interval_text(record), "tie" * record.extra["tie"]) if record else ("",) * 3
            )
            own = order.own(one)
            table.add_row(str(place), one.model, number_text(own.value), interval_text(own), *last)
        print_table(table)
    for gate_of in found:
        typer.echo(f"\n{gate_of.model}")
        shown = analyses()["pairs"].table_of(gate_of.results)
        if shown is not None:
            print_table(shown)
        if gate_of.worst:
            table = new_table("Worst items, exchanged words in brackets", "item")
            for line in gate_of.worst:
                table.add_row(line)
            print_table(table)
        for outcome in judged[gate_of.model]:
            typer.echo(f"{gate_of.model}: {outcome.sentence()}")


def _write(ranking: Ranking, out: Path) -> None:
    from bindscope.run_directory import write_text
    from bindscope.runs.vocabulary import with_models

    out.mkdir(parents=True, exist_ok=True)
    with_models(ranking).write(out)
    write_text(out / "card.md", "\n\n".join(one.card for one in ranking.models) + "\n")


def _json(ranking: Ranking, outcomes: dict[str, list[GateOutcome]], results: str) -> dict[str, Any]:
    return {
        "ranking": [
            {"place": place, "model": one.model, "worst": one.worst, "card": one.card}
            for place, one in zip(ranking.places, ranking.models, strict=True)
        ],
        "gate": {
            "failed": any(o.failed for found in outcomes.values() for o in found),
            "conditions": {model: [o.sentence() for o in found] for model, found in outcomes.items()},
        },
        "results": json.loads(results),
    }


def _print(ranking: Ranking, outcomes: dict[str, list[GateOutcome]]) -> None:
    if len(ranking.models) > 1:
        _print_ranking(ranking)
    for one in ranking.models:
        shown = one.results.headline().select(lambda record: record.metric != "swap_confusion")
        print_table(figures_table(f"\n{one.model}", shown))
        table = new_table("Worst pairs", "exchanged")
        for line in one.worst:
            table.add_row(line)
        if one.worst:
            print_table(table)
        typer.echo(one.card + "\n")
        for outcome in outcomes[one.model]:
            typer.echo(f"{one.model}: {outcome.sentence()}")


def _print_ranking(ranking: Ranking) -> None:
    table = new_table(
        "\nRanking by swap accuracy",
        "place",
        "model",
        "swap accuracy",
        "95 % interval",
        "minus the next",
        "95 % interval",
        "",
    )
    following = [*ranking.differences.records, None]
    for place, one, record in zip(ranking.places, ranking.models, following, strict=True):
        own = one.results.one(metric="swap_accuracy")
        cells = ["", "", ""]
        if record is not None:
            cells = [number_text(record.value), interval_text(record), "tie" if record.extra["tie"] else ""]
        table.add_row(str(place), one.model, number_text(own.value), interval_text(own), *cells)
    print_table(table)


def repair(
    run: Annotated[Path, typer.Argument(help="Run directory of a model with two sides.")],
    out: Annotated[Path, typer.Option("--out", help="Directory for the heads and results.")],
    heads: Annotated[
        str, typer.Option("--heads", help="Some of linear, low_rank, multiplicative, by commas.")
    ] = "linear,low_rank,multiplicative",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit heads on the captions' side of a run, judge them on held-out objects, and write them down."""
    from bindscope.analyses.context import of_count
    from bindscope.analyses.crossmodal.heads import FULL, save_head, save_sentence_module
    from bindscope.analyses.crossmodal.repair import repair as fit_heads
    from bindscope.embeddings import load_embeddings
    from bindscope.results import Results

    embeddings = load_embeddings(run)
    kinds = [word.strip() for word in heads.split(",") if word.strip()]
    with progress_lines(not as_json) as say:
        say(f"fitting {', '.join(kinds)}")
        found = fit_heads(of_count(embeddings, embeddings.table.headline_count), seed, kinds, FULL)
    out.mkdir(parents=True, exist_ok=True)
    for kind, head in found.heads.items():
        if kind != "none":
            save_head(head, out / f"{kind}.safetensors")
            save_sentence_module(head, out / f"sentence-transformers-{kind}")
    results = Results(found.records).stamped(
        model=embeddings.model, modality=embeddings.modality, dataset=embeddings.dataset
    )
    results.write(out)
    if as_json:
        typer.echo(results.to_json(), nl=False)
        return
    print_table(figures_table(f"\nHeads for {embeddings.model}; closed swaps of held-out objects decide", results))
    typer.echo(str(out))


def train_clip(
    name: Annotated[str, typer.Argument(help="Recipe: bag or bound.")],
    out: Annotated[Path, typer.Option("--out", help="Directory for weights and recipe; use it as embedded:DIR.")],
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps; default: the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed; default: the recipe's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Train one of the small dual encoders on the project's own scenes, on one core. The last line is the directory."""
    from bindscope.encoders.embedded.recipe import recipe_of
    from bindscope.errors import MissingExtraError

    changes = {key: value for key, value in (("steps", steps), ("seed", seed)) if value is not None}
    recipe = recipe_of(name, **changes)
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("train-clip", "torch", "vision") from None
    from bindscope.encoders.embedded.training import train

    with progress_lines(True) as say:
        low, high = recipe.steps / 300, recipe.steps / 120
        say(f"{name}: {recipe.steps:,} steps of {recipe.batch}, about {low:.0f} to {high:.0f} min on one core")
        train(
            recipe, out, resume, lambda step, loss: say(f"step {step:,}, loss {loss:.3f}") if step % 50 == 0 else None
        )
    typer.echo(str(out))
