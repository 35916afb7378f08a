"""The job `finetune`: a model that its library loads, a card, and a run directory with figures before and after."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bindscope
from bindscope.analyses.finetune.measure import before_after, choose_average
from bindscope.errors import MissingExtraError, StoreError
from bindscope.finetune.card import model_card
from bindscope.finetune.config import FinetuneConfig, make_config
from bindscope.finetune.keep import read_texts
from bindscope.finetune.vocabulary import divide, load_words
from bindscope.results import Results
from bindscope.run_directory import SCHEMA_VERSION, config_hash, locked, now, versions, write_text
from bindscope.runs.tuned_pairs import pair_records, read_pairs

RUN = "run"  # the run directory within the model's directory
Say = Callable[[str], None]
Line = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Finetuned:
    """What the job made. share: of the tuned weights in the model that `directory` holds."""

    directory: Path
    results: Results
    share: float

    @property
    def run(self) -> Path:
        """The run directory, for `bindscope report` and Python."""
        return self.directory / RUN


def finetune_model(
    model: str,
    out: str | Path,
    data: str = "built-in",
    keep: str | Path | None = None,
    pairs: str | None = None,
    progress: Line | None = None,
    say: Say = lambda text: None,
    **settings: Any,
) -> Finetuned:
    """Fine-tune a model until it binds, judge it before and after on what it never saw, and save it.

    model: `st:`, `hf:`, `openclip:` or `embedded:` name. out: directory that its library then loads, with README.md (the
    model card), results, and run/ (the run directory, for `bindscope report`). data: `built-in` words, or a text data set.
    keep: a file of texts to hold on to, one a line (None: built-in ones). pairs: natural pairs to judge with, `pairs:FILE`.
    settings: those of `FinetuneConfig`. A run that was killed goes on where it stopped and ends in the same weights.
    """
    kept = read_texts(Path(keep)) if keep is not None else None
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest() if kept is not None else None
    natural = read_pairs(pairs) if pairs is not None else None
    config = make_config(model=model, data=data, keep_digest=digest, **settings)
    directory = Path(out)
    _refuse_foreign(directory)
    train = _trainer()
    with locked(directory):
        return _finetuned(config, directory, keep, natural, say, train(config, directory / RUN, kept, progress))


def _finetuned(
    config: FinetuneConfig, directory: Path, keep: str | Path | None, natural: Any, say: Say, tuned: Any
) -> Finetuned:
    model, data = config.model, config.data
    say("choosing the share of the tuned weights")
    share = choose_average(tuned, config.seed)
    records = before_after(tuned, share, config.seed, config.asked, say)
    fields = {"model": model, "modality": "text", "dataset": data, "coverage": tuned.parts.coverage}
    name = config_hash(config.settings())
    if natural is not None:
        say("asking on natural pairs")
        records += pair_records(natural, tuned, share, config.seed)
    results = Results(records).stamped(**fields, config_hash=name, version=bindscope.__version__)
    say("saving the model")
    _save(tuned, share, directory, results, _config(tuned, share, directory, name, keep))
    return Finetuned(directory, results, share)


def announcement(config: FinetuneConfig) -> list[str]:
    """What a run will show the model, and hold out, in words; nothing is loaded but the words."""
    parts = divide(load_words(config.data), config.coverage, config.held_out_values, config.seed)
    sizes = " x ".join(
        str(concept.size - len(held)) for concept, held in zip(parts.words.space.concepts, parts.held_out, strict=True)
    )
    held = parts.words_held_out()
    said = ", ".join(held[:8]) + (", ..." if len(held) > 8 else "")
    lines = [
        f"{sizes} words, {parts.table.n_objects:,} objects: {int(parts.train.sum()):,} train, "
        f"{int(parts.validation.sum()):,} choose, {int(parts.test.sum()):,} are held out",
        f"{len(held)} words that training never shows: {said}" if held else "no word is held out",
        f"{config.steps:,} steps of {config.batch} captions with paraphrases, negatives and queries",
    ]
    return lines if parts.identified else [*lines, "too few training objects to connect all words"]


def _trainer() -> Callable[..., Any]:
    try:
        from bindscope.finetune.train import finetune
    except ImportError as error:
        raise MissingExtraError("bindscope finetune", "torch", "text") from error
    return finetune


def _refuse_foreign(directory: Path) -> None:
    """Raise StoreError for a directory that holds something else."""
    if directory.exists() and (not directory.is_dir() or (any(directory.iterdir()) and not (directory / RUN).is_dir())):
        raise StoreError(f"{directory} exists and is no fine-tuned model; give another --out or empty it")


def _save(tuned: Any, share: float, directory: Path, results: Results, config: dict[str, Any]) -> None:
    """The run directory first, then the model, moved file by file into place."""
    run = directory / RUN
    results.write(run)
    write_text(run / "config.json", json.dumps(config, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    aside = directory / f".model-{os.getpid()}"
    try:
        tuned.use(share).save(aside)
        results.write(aside)
        write_text(aside / "README.md", model_card(tuned, share, results))
        _move_into(aside, directory)
    except OSError as error:
        raise StoreError(f"cannot write the model to {directory}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move_into(aside: Path, directory: Path) -> None:
    for entry in sorted(aside.iterdir()):
        place = directory / entry.name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(entry, place)


def _config(tuned: Any, share: float, directory: Path, digest: str, keep: str | Path | None) -> dict[str, Any]:
    config: FinetuneConfig = tuned.config
    changed = {k: v for k, v in config.model_dump(exclude_defaults=True).items() if k not in ("model", "keep_digest")}
    flags = [word for key, value in changed.items() for word in _flag(key, value)]
    flags += ["--keep", str(keep)] if keep is not None else []
    space = [{"name": concept.name, "values": list(concept.values)} for concept in tuned.parts.words.space.concepts]
    return {
        "schema_version": SCHEMA_VERSION,
        "bindscope": bindscope.__version__,
        "hash": digest,
        "command": shlex.join(["bindscope", "finetune", config.model, *flags, "--out", str(directory)]),
        "model": config.model,
        "data": config.data,
        "modality": "text",
        "space": space,
        "options": {**config.model_dump(), "share": share, "held_out_words": list(tuned.parts.words_held_out())},
        "examples": examples(tuned),
        "versions": versions(),
        "created": now(),
    }


def _flag(key: str, value: Any) -> Sequence[str]:
    own = ("data", "coverage", "held_out_values", "steps", "seed", "train", "average", "patience")
    return (f"--{key.replace('_', '-')}", str(value)) if key in own else ("--set", f"{key}={json.dumps(value)}")


def examples(tuned: Any, count: int = 6) -> list[str]:
    """A few captions of the first step, as training shows them."""
    from bindscope.finetune.captions import Sampler

    config = tuned.config
    batch = Sampler(tuned.parts, config.recipe, config.batch, config.seed).batch(0)
    return [example.anchor for example in batch.examples[:count]]
