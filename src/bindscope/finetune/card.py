"""The model card of a fine-tuned model: what it was tuned on, what it can do now, what that cost, whose weights they were."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import bindscope
from bindscope.results import Record, Results

if TYPE_CHECKING:
    from bindscope.finetune.train import Tuned

QUESTIONS = {
    "naming_train": "objects, training objects",
    "naming_closed": "objects, held-out objects (closed scenes)",
    "swaps_closed": "swaps, held-out objects",
    "swaps_closed_own": "swaps in the same wording, held-out objects",
    "swaps_unseen_words": "swaps, words never seen",
    "swaps_unseen_words_own": "swaps in the same wording, words never seen",
    "swaps_closed_own_unseen_wording": "swaps in a wording never seen",
    "exchanges_trained": "roles exchanged, trained relations",
    "exchanges_untrained": "roles exchanged, relations never seen",
    "three_objects": "swaps among three objects (two were trained)",
    "pair_all_right_all": "natural pairs, all right",
    "pair_all_right_same_bag": "natural pairs of the same words, all right",
    "pair_preference_all": "natural pairs, preference",
    "retrieval_top1_all": "natural captions found by their other wording",
}
STATES = ("base", "averaged", "raw")


def model_card(tuned: Tuned, share: float, results: Results) -> str:
    """README.md of the model's directory."""
    config, parts = tuned.config, tuned.parts
    base = config.model.partition(":")[2]
    held = parts.words_held_out()
    lines = [
        "---",
        f"base_model: {base}",
        *([f"license: {licence}"] if (licence := licence_of(tuned)) else []),
        "tags: [binding, bindscope]",
        "---",
        "",
        f"# {Path(base).name}, tuned to bind",
        "",
        f"`{config.model}`, fine-tuned with bindscope {bindscope.__version__} so that its vectors say which attribute belongs "
        f"to which thing. These weights are {share:g} x tuned + {1 - share:g} x base.",
        "",
        "## Data",
        f"- words: {config.data}; {int(parts.train.sum()):,} of {parts.table.n_objects:,} objects were shown (coverage "
        f"{parts.coverage:.2f}); {int(parts.validation.sum()):,} chose the weights.",
        f"- never shown: {len(held)} words" + (f" ({', '.join(held)})" if held else "") + ", and all other objects.",
        f"- {config.steps:,} steps of {config.batch} synthetic captions; other sentences were held near the base's vectors.",
        "",
        "## Figures (95 % intervals for other words; bold: the interval of the change from the base leaves out zero)",
        *_table(results),
        "",
        "## Harm",
        _harm(results),
        "",
        "## Licence",
        (
            f"The base says: {licence}."
            if licence
            else "That of the base model, which was not found beside its weights; see there."
        ),
        "",
    ]
    return "\n".join(lines)


def licence_of(tuned: Tuned) -> str | None:
    """The licence that the card of the base names, where the base lies in a directory with one."""
    module = tuned.tower.module
    places = [getattr(getattr(part, "config", None), "_name_or_path", None) for part in module.modules()]
    for place in dict.fromkeys(str(place) for place in places if place):
        card = Path(place) / "README.md"
        found = (
            re.search(r"^license:\s*(\S+)", card.read_text(encoding="utf-8"), re.MULTILINE) if card.is_file() else None
        )
        if found:
            return found[1]
    return None


def _table(results: Results) -> list[str]:
    rows = ["| question | chance | base | these weights | tuned alone |", "|---|---|---|---|---|"]
    for name, words in QUESTIONS.items():
        records = [r for r in results if r.extra.get("question") == name and r.metric != "binding_preference"]
        cells = [_cell(records, state) for state in STATES]
        if all(cells):
            chance = next(r.chance for r in records if r.chance is not None)
            rows.append(f"| {words} | {chance:{'.3f' if chance >= 0.001 else '.1g'}} | {' | '.join(cells)} |")
    return rows


def _cell(records: Sequence[Record], state: str) -> str:
    some = [r for r in records if r.extra.get("weights") == state]
    figure = next((r for r in some if not r.extra.get("change")), None)
    change = next((r for r in some if r.extra.get("change")), None)
    if figure is None or figure.value is None:
        return ""
    text = f"{figure.value:.3f}"
    if figure.ci_low is not None and figure.ci_high is not None:
        text += f" [{figure.ci_low:.3f}, {figure.ci_high:.3f}]"
    return f"**{text}**" if change is not None and is_change(change) else text


def is_change(record: Record) -> bool:
    """Whether the interval of a change leaves out zero."""
    return record.ci_low is not None and record.ci_high is not None and (record.ci_low > 0 or record.ci_high < 0)


def _harm(results: Results) -> str:
    kept = {
        r.extra["weights"]: r
        for r in results
        if r.metric == "similarity_kept" and "weights" in r.extra and "pairs" not in r.extra
    }
    said = [
        f"{kept[state].value:.3f} ({words})" for state, words in (("averaged", "these weights"), ("raw", "tuned alone"))
    ]
    return (
        "Rank correlation with the base of the similarities of sentences that are neither captions of two objects nor were held "
        f"on to in training (1: nothing changed): {', '.join(said)}."
    )
