"""The training loop: resumable to the bit, stopped by validation objects, judged on test objects that chose nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bindscope.concepts import ABSENT
from bindscope.controlled import store
from bindscope.controlled.config import CONFIG_FILE, TECHNICAL, TrainConfig, read_config
from bindscope.controlled.evaluate import Suite, judge_all, summary, value_items
from bindscope.controlled.log import append_log, read_log, reporting, trim_log, writer_class
from bindscope.controlled.model import DualEncoder, build_model
from bindscope.controlled.optimisation import contrastive, make_optimizers, set_rates, shown, values_shown
from bindscope.controlled.sampling import Batch, Objects, Sampler, split_run
from bindscope.errors import InputError
from bindscope.files import claim_directory, read_tensors, write_tensors
from bindscope.recognition import SceneRecognition

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run. found: recognition of the chosen weights on train, validation, test and closed scenes."""

    config: TrainConfig
    directory: Path
    model: DualEncoder
    objects: Objects
    found: dict[str, SceneRecognition]
    log: list[dict[str, Any]]
    best_step: int


def train(
    config: TrainConfig, directory: Path, progress: Progress | None = None, stop_after: int | None = None
) -> Trained | None:
    """Train (or go on training) in a directory; a finished run is read back.

    stop_after: leave off after this step as a kill would (for tests and time slices); then None is returned.
    Raises StoreError where the directory holds a run of other settings, MissingExtraError where tracking is not installed.
    """
    if config.report_to == "tensorboard":
        writer_class()  # before anything is written
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    prepare_directory(config, directory)
    loop = Loop(config, directory)
    if not loop.finished():
        loop.restore()
        with reporting(config, directory) as report:
            for line in loop.run(stop_after):
                report(line)
                if progress is not None:
                    progress(line)
        if loop.step < config.steps and not loop.exhausted():
            return None
        loop.finish()
    return loop.result()


def prepare_directory(config: TrainConfig, directory: Path) -> None:
    """Make the directory, or check that it belongs to the same settings (device and threads may differ)."""
    if claim_directory(directory, CONFIG_FILE, "training", lambda: same_settings(read_config(directory), config)):
        store.write_config(directory, config)


def same_settings(one: TrainConfig, other: TrainConfig) -> bool:
    """Whether two settings give the same model."""
    ignored = set(TECHNICAL)
    return one.model_dump(exclude=ignored) == other.model_dump(exclude=ignored)


class Loop:
    """State of one run in progress."""

    def __init__(self, config: TrainConfig, directory: Path) -> None:
        self.config, self.directory = config, directory
        self.objects = split_run(config)
        self.sampler = Sampler(config, self.objects)
        self.suite = Suite.of(config, self.objects)
        self.device = find_device(config)
        self.model = build_model(config).to(self.device)
        self.optimizers = make_optimizers(self.model, config)
        self.step, self.best_step, self.best, self.seconds = 0, 0, -1.0, 0.0
        self.values = torch.from_numpy(self.objects.space.object_values(range(config.n_objects))).to(self.device)
        self.items = concept_items(config).to(self.device)
        self.scene = torch.compile(self.model.scene) if config.compile else self.model.scene
        self.query = torch.compile(self.model.query) if config.compile else self.model.query

    def finished(self) -> bool:
        """Whether the chosen weights are there."""
        return (self.directory / store.MODEL_FILE).exists()

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        record = store.load_state(self.directory, self.model, self.optimizers)
        if record is not None:
            self.step, self.best_step, self.best = record["step"], record["best_step"], record["best"]
            self.seconds = record["seconds"]
        trim_log(self.directory, self.step)

    def run(self, stop_after: int | None = None) -> Iterator[dict[str, Any]]:
        """Steps until the end, giving a line of metrics at each evaluation."""
        last = self.config.steps if stop_after is None else min(stop_after, self.config.steps)
        running, began = 0.0, time.perf_counter()
        count = 0
        while self.step < last and not self.exhausted():
            running += self.one_step(self.sampler.batch(self.step))
            self.step, count = self.step + 1, count + 1
            at_end = self.step == self.config.steps
            if self.step % self.config.evaluate_every == 0 or at_end:
                self.seconds += time.perf_counter() - began
                yield self.evaluate(running / count)
                running, count, began = 0.0, 0, time.perf_counter()
            if self.step % self.config.checkpoint_every == 0 and self.step % self.config.evaluate_every == 0:
                self.save()

    def one_step(self, batch: Batch) -> float:
        """One update; the loss in nats."""
        set_rates(self.optimizers, self.config, self.step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.detach())

    def loss(self, batch: Batch) -> Tensor:
        """Object loss, plus the mean loss over concepts where concept queries are trained."""
        scenes, asked = (torch.from_numpy(part).to(self.device) for part in (batch.scenes, batch.asked))
        values = torch.where((scenes == ABSENT)[..., None], ABSENT, self.values[scenes.clamp(min=0)])
        with autocast(self.config, self.device):
            vectors = self.scene(values)
            queries = self.query(torch.cat([self.values[asked][:, None, :], self.items]))
            scores = self.model.scale * vectors @ queries[: len(asked)].T
            total = contrastive(scores, shown(scenes, asked))
            if self.config.concept_queries:
                total = total + self.concept_loss(vectors, values, queries[len(asked) :])
        return total

    def concept_loss(self, vectors: Tensor, values: Tensor, queries: Tensor) -> Tensor:
        """Mean over concepts of the loss against all values of the concept, queries `[C V, output]`."""
        config = self.config
        own = queries.view(config.concepts, config.values, -1)
        losses = [
            contrastive(self.model.scale * vectors @ own[k].T, values_shown(values, k, config.values))
            for k in range(config.concepts)
        ]
        return torch.stack(losses).mean()

    def evaluate(self, loss: float) -> dict[str, Any]:
        """Metrics on training and held-out objects; keeps the weights that read validation objects best."""
        found = judge_all(self.model, self.config, self.suite)
        line: dict[str, Any] = {"step": self.step, "loss": loss, "seconds": round(self.seconds, 3)}
        line |= {name: summary(one) for name, one in found.items()}
        if self.judged(line) > self.best:
            self.best, self.best_step = self.judged(line), self.step
            write_tensors(self.directory / BEST_FILE, dict(self.model.state_dict()), {"step": self.step})
        append_log(self.directory, line)
        return line

    def judged(self, line: dict[str, Any]) -> float:
        """What decides when to stop: objects of validation scenes, or the step where there are too few objects."""
        validation = line.get("validation")
        return float(validation["object_recognition"]) if validation is not None else float(self.step)

    def exhausted(self) -> bool:
        """Whether validation objects have not improved for `patience` evaluations."""
        patience = self.config.patience
        return patience is not None and self.step - self.best_step >= patience * self.config.evaluate_every

    def save(self) -> None:
        """A checkpoint."""
        record = {"step": self.step, "best_step": self.best_step, "best": self.best, "seconds": self.seconds}
        store.save_state(self.directory, self.model, self.optimizers, record)

    def finish(self) -> None:
        """The best weights become the model; the checkpoint goes."""
        tensors, record = read_tensors(self.directory / BEST_FILE, "pt", unsigned=True)
        self.model.load_state_dict(tensors)
        store.save_model(self.directory, self.model, {"best_step": record["step"], "steps": self.step})
        for name in (BEST_FILE, store.STATE_FILE):
            (self.directory / name).unlink(missing_ok=True)

    def result(self) -> Trained:
        """The finished run with its figures on every table."""
        record = store.load_model(self.directory, self.model)
        found = judge_all(self.model, self.config, self.suite)
        log = read_log(self.directory)
        return Trained(self.config, self.directory, self.model, self.objects, found, log, record["best_step"])


BEST_FILE = "best.safetensors"


def concept_items(config: TrainConfig) -> Tensor:
    """All values alone as queries `[C V, 1, C]`; none where concept queries are not trained."""
    count = config.concepts if config.concept_queries else 0
    parts = [value_items(config.concepts, k, config.values) for k in range(count)]
    return torch.from_numpy(np.concatenate([np.zeros((0, 1, config.concepts), dtype=np.int64), *parts]))


def load_trained(directory: Path) -> tuple[TrainConfig, DualEncoder]:
    """Settings and chosen weights of a finished run."""
    config = read_config(directory)
    model = DualEncoder(config)
    store.load_model(directory, model)
    return config, model.eval()


def find_device(config: TrainConfig) -> torch.device:
    """Where a run computes; `auto` is a GPU where there is one. Raises InputError where `cuda` has none."""
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise InputError("device cuda was asked for, and torch finds no GPU here; take device=auto or cpu")
    return torch.device("cuda" if config.device != "cpu" and there else "cpu")


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[Any]:
    """bf16 where it is asked for, or where `auto` finds a processor that multiplies in it."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    if config.precision == "bf16" or (config.precision == "auto" and fast):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
