"""The fine-tuning loop: resumable to the bit, watched on validation objects, averaged with the base at the end.

It is a loop of our own and not sentence-transformers' trainer: captions are drawn anew for each step, hard negatives and
object queries have several right answers, and a killed run must end in the same bytes with no pickled state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bindscope.controlled.log import append_log, read_log, trim_log
from bindscope.files import claim_directory, read_tensors, whole_file, write_tensors
from bindscope.finetune.captions import Batch, Sampler
from bindscope.finetune.config import CONFIG_FILE, FinetuneConfig, read_config
from bindscope.finetune.keep import keep_texts
from bindscope.finetune.losses import caption_loss, keep_loss, query_loss, similarity_loss
from bindscope.finetune.questions import Watch
from bindscope.finetune.towers import Tower, choose_weights, load_tower, merge_lora
from bindscope.finetune.vocabulary import Parts, divide, load_words
from bindscope.streams import stream

KEPT_CAPTIONS = 1000  # whose similarities to each other and to kept texts stay near the base's
STATE_FILE, RAW_FILE, BEST_FILE = "state.safetensors", "raw.safetensors", "best.safetensors"
Progress = Callable[[dict[str, Any]], None]
Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Tuned:
    """A finished run: base and tuned weights by name (token embeddings and what else did not move are in the module)."""

    config: FinetuneConfig
    directory: Path
    tower: Tower
    parts: Parts
    base: Weights
    raw: Weights
    log: list[dict[str, Any]]

    def use(self, share: float) -> Tower:
        """The tower with share x tuned + (1 - share) x base weights; 0 is the base, 1 what training ended with."""
        mixed = {name: average(self.base[name], self.raw[name], share) for name in self.base}
        self.tower.module.load_state_dict(mixed)
        return self.tower


def average(base: Tensor, raw: Tensor, share: float) -> Tensor:
    """share x raw + (1 - share) x base, and exactly either at the ends."""
    if share in (0.0, 1.0) or not base.is_floating_point():
        return raw if share else base
    return (1.0 - share) * base + share * raw


def finetune(
    config: FinetuneConfig,
    directory: Path,
    kept: Sequence[str] | None = None,
    progress: Progress | None = None,
    stop_after: int | None = None,
) -> Tuned | None:
    """Fine-tune (or go on) in a directory; a finished run is read back.

    kept: texts to hold on to (None: the built-in ones). progress: gets the CPU seconds of a step, then a line at each
    evaluation. stop_after: leave off after this step as a kill would; then None.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    loop = Loop(config, directory, kept)
    prepare_directory(config, directory)
    if not loop.finished():
        loop.restore()
        if progress is not None:
            progress({"step": loop.step, "step_seconds": loop.time_a_step()})
        for line in loop.run(stop_after):
            if progress is not None:
                progress(line)
        if loop.step < config.steps and not loop.exhausted():
            return None
        loop.finish()
    return loop.result()


def prepare_directory(config: FinetuneConfig, directory: Path) -> None:
    """Make the directory, or check that it belongs to the same settings; raises StoreError."""
    if claim_directory(
        directory, CONFIG_FILE, "fine-tuning", lambda: read_config(directory).settings() == config.settings()
    ):
        with whole_file(directory / CONFIG_FILE) as partial:
            partial.write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")


class Loop:
    """State of one run in progress."""

    def __init__(self, config: FinetuneConfig, directory: Path, kept: Sequence[str] | None = None) -> None:
        self.config, self.directory = config, directory
        self.parts = divide(load_words(config.data), config.coverage, config.held_out_values, config.seed)
        self.tower = load_tower(config.model)
        self.base = snapshot(self.tower)
        self.kept = tuple(kept) if kept is not None else keep_texts(config.keep_texts)
        self.held = torch.zeros(0)
        self.watch = Watch.of(self.parts, self.tower.vectors, config.seed)
        self.named = choose_weights(self.tower, config.train)
        self.optimizer = torch.optim.AdamW(
            [w for _, w in self.named], config.learning_rate, weight_decay=config.weight_decay
        )
        self.sampler = Sampler(self.parts, config.recipe, config.batch, config.seed)
        self.captions = self.sampler.captions(KEPT_CAPTIONS)
        self.step, self.best_step, self.better_step, self.best, self.seconds = 0, 0, 0, -1.0, 0.0

    def finished(self) -> bool:
        """Whether the tuned weights are there."""
        return (self.directory / RAW_FILE).exists()

    def restore(self) -> None:
        """Vectors of the kept texts by the base; then go on from the last checkpoint, if there is one."""
        every = (*self.kept, *self.captions)
        with self.autocast(), torch.no_grad():
            self.held = torch.cat([self.tower.embed(every[i : i + 512]) for i in range(0, len(every), 512)])
        file = self.directory / STATE_FILE
        if file.exists():
            tensors, record = read_tensors(file, "pt")
            self._load(tensors)
            self.step, self.best, self.seconds = record["step"], record["best"], record["seconds"]
            self.best_step, self.better_step = record["best_step"], record["better_step"]
        trim_log(self.directory, self.step if file.exists() else -1)  # without a checkpoint it begins anew

    def _load(self, tensors: Weights) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        with torch.no_grad():
            for number, (name, weight) in enumerate(self.named):
                weight.copy_(tensors[f"model.{name}"])
                prefix = f"optimizer.{number}."
                state[number] = {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def save(self) -> None:
        """A checkpoint."""
        tensors = {f"model.{name}": weight.detach().clone() for name, weight in self.named}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value).clone() for key, value in state.items()}
        record = {"step": self.step, "best": self.best, "seconds": self.seconds}
        record |= {"best_step": self.best_step, "better_step": self.better_step}
        write_tensors(self.directory / STATE_FILE, tensors, record)

    def run(self, stop_after: int | None = None) -> Iterator[dict[str, Any]]:
        """Steps until the end, giving a line of metrics at each evaluation, the first before any step."""
        last = self.config.steps if stop_after is None else min(stop_after, self.config.steps)
        if self.step == 0:
            yield self.evaluate({})
        losses: list[dict[str, float]] = []
        began = time.process_time()
        while self.step < last and not self.exhausted():
            losses.append(self.one_step())
            self.step += 1
            if self.step % self.config.evaluate_every == 0 or self.step == self.config.steps:
                self.seconds += time.process_time() - began
                yield self.evaluate({key: float(np.mean([loss[key] for loss in losses])) for key in losses[0]})
                losses, began = [], time.process_time()
            if self.step % self.config.checkpoint_every == 0:
                self.save()

    def time_a_step(self) -> float:
        """CPU seconds of a step, from one whose gradients are thrown away."""
        began = time.process_time()
        torch.stack(list(self.losses(self.sampler.batch(self.step)).values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.zero_grad(set_to_none=True)
        return time.process_time() - began

    def one_step(self) -> dict[str, float]:
        """One update; the parts of the loss."""
        rate = self.config.learning_rate * schedule(self.step, self.config.steps, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.losses(self.sampler.batch(self.step))
        weights = self.weights()
        total = torch.stack([weights[key] * part for key, part in parts.items()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([weight for _, weight in self.named], 1.0)
        self.optimizer.step()
        return {"loss": float(total.detach()), **{key: float(part.detach()) for key, part in parts.items()}}

    def weights(self) -> dict[str, float]:
        """Weight of each part of the loss."""
        config = self.config
        return {
            "captions": 1.0,
            "queries": config.query_weight,
            "keep": config.keep_weight,
            "similarity": config.similarity_weight,
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Parts of the loss on one batch; all texts go through the tower together."""
        examples, ids = batch.examples, list(batch.queries)
        negatives = [text for example in examples for text in example.negatives]
        captions = [*(example.anchor for example in examples), *(example.positive for example in examples)]
        texts, held = self.held_batch()
        counts = [len(captions), len(negatives), len(texts)]
        with self.autocast():
            vectors = self.tower.embed([*captions, *negatives, *texts])
            queries = self.tower.embed([batch.queries[i] for i in ids], query=True) if ids else vectors[:0]
        said, wrong, now = torch.split(vectors, counts)
        first, second = said.chunk(2)
        found = {"captions": caption_loss(first, second, wrong, self.config.scale)}
        shown = shown_objects(batch, ids)
        asked = shown.any(dim=1)
        if bool(asked.any()):
            found["queries"] = query_loss(said[asked.repeat(2)], queries, shown[asked].repeat(2, 1), self.config.scale)
        found["keep"] = keep_loss(now[: self.config.keep_batch], held[: self.config.keep_batch])
        found["similarity"] = similarity_loss(now, held)
        return found

    def held_batch(self) -> tuple[list[str], Tensor]:
        """Texts to hold on to and their vectors by the base: kept ones, then captions, of which only similarities are held."""
        rng = stream(self.config.seed, "finetune batch", self.step, 1)
        some = rng.integers(len(self.kept), size=self.config.keep_batch)
        more = len(self.kept) + rng.integers(len(self.captions), size=self.config.keep_captions)
        rows = np.concatenate([some, more])
        every = (*self.kept, *self.captions)
        return [every[i] for i in rows], self.held[torch.from_numpy(rows)]

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 where it is asked for, or where the processor multiplies in it."""
        fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        if self.config.precision == "bf16" or (self.config.precision == "auto" and fast):
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return nullcontext()

    def evaluate(self, losses: dict[str, float]) -> dict[str, Any]:
        """Binding of validation objects and harm; keeps the weights that bind validation objects best."""
        line: dict[str, Any] = {"step": self.step, **losses, "seconds": round(self.seconds, 3)}
        line |= self.watch.figures(self.tower.vectors)
        if line["binding"] > self.best:
            self.better_step = self.step
        if line["binding"] >= self.best and self.step:  # of equal ones the latest, which was trained longest
            self.best, self.best_step = line["binding"], self.step
            write_tensors(self.directory / BEST_FILE, dict(self.named_tensors()), {"step": self.step})
        append_log(self.directory, line)
        return line

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The trained weights by name."""
        for name, weight in self.named:
            yield name, weight.detach().clone()

    def exhausted(self) -> bool:
        """Whether validation objects have not bound better for `patience` evaluations."""
        patience = self.config.patience
        return patience is not None and self.step - self.better_step >= patience * self.config.evaluate_every

    def finish(self) -> None:
        """The best weights, low-rank updates merged, become the tuned ones; the checkpoint goes."""
        tensors, record = read_tensors(self.directory / BEST_FILE, "pt")
        with torch.no_grad():
            for name, weight in self.named:
                weight.copy_(tensors[name])
        merge_lora(self.tower)
        moved = {
            name: tensor for name, tensor in snapshot(self.tower).items() if not torch.equal(tensor, self.base[name])
        }
        write_tensors(self.directory / RAW_FILE, moved, {"best_step": record["step"], "steps": self.step})
        for name in (BEST_FILE, STATE_FILE):
            (self.directory / name).unlink(missing_ok=True)

    def result(self) -> Tuned:
        """The finished run."""
        merge_lora(self.tower)
        raw, _ = read_tensors(self.directory / RAW_FILE, "pt")
        log = read_log(self.directory)
        return Tuned(self.config, self.directory, self.tower, self.parts, self.base, {**self.base, **raw}, log)


def snapshot(tower: Tower) -> Weights:
    """A copy of all weights."""
    return {name: tensor.detach().clone() for name, tensor in tower.module.state_dict().items()}


def shown_objects(batch: Batch, ids: Sequence[int]) -> Tensor:
    """Which of the objects `ids` each example shows, `[n, q]`."""
    column = {number: i for i, number in enumerate(ids)}
    shown = torch.zeros(len(batch.examples), len(ids), dtype=torch.bool)
    for row, example in enumerate(batch.examples):
        for number in example.shown:
            shown[row, column[number]] = True
    return shown


def schedule(step: int, steps: int, warmup: float) -> float:
    """Share of the learning rate: a linear rise over the first `warmup` of the steps, then half a cosine to zero.

    >>> [round(schedule(step, 100, 0.1), 3) for step in (0, 9, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    rise = max(round(warmup * steps), 1)
    if step < rise:
        return (step + 1) / rise
    return float(0.5 * (1 + np.cos(np.pi * (step - rise) / max(steps - rise, 1))))
