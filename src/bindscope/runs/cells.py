"""Cells of a complexity grid and what is kept of them while it runs: one file a cell, and one of the probes of all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.analyses.complexity.judging import CrossProbes, Judged
from bindscope.analyses.complexity.measure import JudgedCell
from bindscope.errors import InputError, StoreError
from bindscope.files import read_tensors, write_tensors
from bindscope.learners.base import Fitted
from bindscope.probes import Probe, ProbeSet
from bindscope.results import Record
from bindscope.run_directory import config_hash, read_signed, write_signed

SIDES = ("train", "test", "mixed")


@dataclass(frozen=True)
class Cell:
    """One fit. rank: for the curve over ranks of a form, else None."""

    learner: str
    coverage: float
    split: int
    rank: int | None = None

    @property
    def asked(self) -> str:
        """The name of the approximator that is fitted."""
        return self.learner if self.rank is None else f"{self.learner}?rank={self.rank}"


@dataclass(frozen=True)
class Store:
    """Finished cells, one file each, in `complexity.partial` of the run directory."""

    directory: Path
    inputs: dict[str, Any]

    @classmethod
    def open(cls, run: Path, inputs: dict[str, Any]) -> Store:
        """The store of a run directory, made where it is not there."""
        folder = run / "complexity.partial"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error
        return cls(folder, {**inputs, "version": bindscope.__version__})

    def path(self, cell: Cell) -> Path:
        """The file of a cell; its name pins learner, coverage, split, run, seed and version."""
        return self.directory / f"{config_hash({**self.inputs, **vars(cell)})}.safetensors"

    def has(self, cell: Cell) -> bool:
        """Whether the cell is finished; a file that cannot be read is not."""
        try:
            read_tensors(self.path(cell))
        except StoreError:
            return False
        return True

    def keep(self, cell: Cell, fitted: Fitted, judged: Mapping[str, Judged]) -> None:
        """Write a finished cell."""
        arrays = {
            f"{side}.{name}": _storable(value) for side, one in judged.items() for name, value in vars(one).items()
        }
        notes = {
            str(name): value.item() if isinstance(value, np.generic) else value for name, value in fitted.notes.items()
        }
        plain = {name: one for name, one in notes.items() if one is None or isinstance(one, (str, int, float, dict))}
        write_tensors(
            self.path(cell), arrays, {"train_r2": fitted.train_r2, "converged": fitted.converged, "notes": plain}
        )

    def judged(self, cell: Cell) -> JudgedCell:
        """Read a finished cell."""
        arrays, meta = read_tensors(self.path(cell))
        judged = {}
        for side in SIDES:
            found = {one.name: arrays[f"{side}.{one.name}"] for one in fields(Judged)}
            judged[side] = Judged(**{n: a.astype(bool) if a.dtype == np.uint8 else a for n, a in found.items()})
        return JudgedCell(**vars(cell), judged=judged, **meta)

    def finished(self, families: Sequence[str]) -> list[Record] | None:
        """Code lengths of an earlier call that was killed after them, else None."""
        try:
            return read_signed(self._lengths(families))
        except (OSError, ValueError, TypeError, AttributeError, KeyError, InputError):
            return None  # not there, or cut short: they are made again

    def finish(self, families: Sequence[str], records: Sequence[Record]) -> None:
        """Keep finished code lengths."""
        write_signed(self._lengths(families), records)

    def _lengths(self, families: Sequence[str]) -> Path:
        return self.directory / f"{config_hash({**self.inputs, 'codelength': list(families)})}.json"

    @property
    def probes_path(self) -> Path:
        """The file of the probes."""
        return self.directory / f"probes-{config_hash(self.inputs)}.safetensors"

    def keep_probes(self, probes: CrossProbes) -> None:
        """Write the probes that all cells share."""
        arrays: dict[str, Any] = {"fold": probes.fold}
        penalties: dict[str, list[Any]] = {}
        for half, one in enumerate(probes.sets):
            arrays[f"{half}.train"] = _storable(one.train)
            for number, probe in enumerate((*one.concepts, one.objects)):
                arrays |= {f"{half}.{number}.weights": probe.weights, f"{half}.{number}.bias": probe.bias}
                penalties[f"{half}.{number}"] = [probe.penalty, probe.converged]
        write_tensors(self.probes_path, arrays, {"penalties": penalties, "halves": len(probes.sets)})

    def probes(self) -> CrossProbes | None:
        """The probes that an earlier, killed grid made, or None."""
        try:
            arrays, meta = read_tensors(self.probes_path)
        except StoreError:
            return None
        sets = []
        for half in range(meta["halves"]):
            names = sorted(
                (n for n in meta["penalties"] if n.startswith(f"{half}.")), key=lambda n: int(n.split(".")[1])
            )
            fits = [Probe(arrays[f"{n}.weights"], arrays[f"{n}.bias"], *meta["penalties"][n]) for n in names]
            sets.append(ProbeSet(tuple(fits[:-1]), fits[-1], arrays[f"{half}.train"].astype(bool)))
        return CrossProbes(tuple(sets), arrays["fold"])

    def remove(self) -> None:
        """Take the files away once their figures are among the results."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _storable(value: Any) -> Any:
    array = np.ascontiguousarray(value)
    return array.astype(np.uint8) if array.dtype == np.bool_ else array
