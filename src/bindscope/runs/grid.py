"""`bindscope complexity RUN`: coverage curves of a run's embeddings, cell by cell, resumable.

A cell is one learner at one coverage on one split of the objects, and one file; a killed grid goes on with the cells
that are missing. What all cells share (the probes) is made once.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.learners.base import Fitted
from bindscope.learners.registry import load_approximator
from bindscope.analyses.complexity.judging import CrossProbes, Judged, cross_probes, judge
from bindscope.embeddings import Embeddings, load_embeddings
from bindscope.files import read_tensors, write_tensors
from bindscope.errors import DegenerateWarning, InputError, StoreError, TableError
from bindscope.analyses.codelength.measure import available_families, codelength_records
from bindscope.analyses.complexity.measure import CellOutcome, complexity_records
from bindscope.analyses.context import of_count
from bindscope.parallel import cores, run_jobs
from bindscope.run_directory import amend_config, config_hash, read_config, replace_records, write_text
from bindscope.probes import Probe, ProbeSet
from bindscope.results import Record, Results
from bindscope.scenes import BoolArray, SceneTable
from bindscope.splits import MIXED, TEST, TRAIN, split_objects

COVERAGES = tuple(step / 10 for step in range(1, 10))
LEARNERS = (
    "additive",
    "per-object",
    "global",
    "mlp:64",
    "mlp:256",
    "mlp:1024",
    "mlp:4096",
    "xgboost",
    "forest",
)
NEEDS = {"mlp": "torch", "xgboost": "xgboost"}
RANKED, RANKS, RANK_COVERAGE = ("per-object", "global"), (0, 1, 2, 4, 8, 16), 0.7
TRAIN_ROWS, TEST_ROWS, OTHER_ROWS = 20_000, 20_000, 4_000  # most scenes that train, and that are scored
SIDES = {"train": TRAIN, "test": TEST, "mixed": MIXED}
WORTH_PROCESSES = 20.0  # seconds of a grid from which on it pays to start processes
CODING, SCENE_CODING = 40.0, 0.007  # seconds of the code lengths, and those of each scene
Progress = Callable[[str], None]


def default_learners() -> tuple[str, ...]:
    """LEARNERS without those whose library is not installed."""
    return tuple(
        name
        for name in LEARNERS
        if (library := NEEDS.get(name.split(":")[0])) is None or importlib.util.find_spec(library) is not None
    )


@dataclass(frozen=True)
class Settings:
    """The grid. splits: repeated splits of the objects at each coverage; tune: more settings chosen on validation objects;
    codelength: code lengths too, of the default families or of the learners that are named."""

    coverages: tuple[float, ...] = COVERAGES
    learners: tuple[str, ...] = ()
    splits: int = 3
    tune: bool = False
    seed: int = 0
    codelength: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "learners", tuple(dict.fromkeys(self.learners)) or default_learners())
        object.__setattr__(self, "coverages", tuple(sorted(set(self.coverages))))
        for coverage in self.coverages:
            if not 0.0 < coverage < 1.0:
                raise InputError(f"coverage must lie between 0 and 1, got {coverage}; give some like 0.5,0.8")
        if not self.coverages:
            raise InputError("no coverage was asked for; give some like 0.5,0.8")
        if self.splits < 1:
            raise InputError(f"--splits must be at least 1, got {self.splits}")
        if self.seed < 0:
            raise InputError(f"the seed must be 0 or larger, got {self.seed}")
        for name in self.learners:
            load_approximator(name, self.tune)  # a wrong name is refused before any work


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


def run_complexity(
    run: str | Path, settings: Settings, progress: Progress | None = None, workers: int | None = 1
) -> Results:
    """Run the grid on a run directory, put its records among the run's results and give them back.

    workers: processes that fit cells side by side, one thread each; None for as many as pay, at most the cores. They import
    `__main__` anew, so a script needs its `if __name__ == "__main__"`; learners made by `register` need workers=1.
    Raises StoreError where the run has no embeddings, TableError where nothing can be held out.
    """
    directory, say = Path(run), progress or (lambda text: None)
    config = read_config(directory)
    main = _main(load_embeddings(directory))
    cells = grid(settings, main.table)
    store = _Store.open(directory, {"run": config["hash"], "seed": settings.seed, "tune": settings.tune})
    todo = [cell for cell in cells if not store.has(cell)]
    say(_announcement(settings, cells, todo, main.table, main.vectors.shape[1]))
    probes = store.probes()
    if probes is None:
        say("probes on real embeddings, in two halves of the bags")
        probes = cross_probes(main.vectors, main.table, settings.seed)
        store.keep_probes(probes)
    _fill(store, todo, main, settings, say, _finishes(directory, store, todo, main, probes, settings, workers))
    say("intervals")
    outcomes = [store.outcome(cell) for cell in cells]
    records = complexity_records(outcomes, main.vectors, main.table, probes, settings.seed)
    if settings.codelength:
        records = [*records, *_code_lengths(store, main, settings, say)]
    results = Results(records).stamped(
        model=config["model"],
        modality=main.modality,
        dataset=config["data"],
        config_hash=config["hash"],
        version=bindscope.__version__,
    )
    replace_records(directory, ("complexity", "codelength") if settings.codelength else ("complexity",), results)
    amend_config(directory, "complexity", _settings_record(settings))
    store.remove()
    return results


def code_families(settings: Settings) -> tuple[str, ...]:
    """Families of the code length: the default ones where the learners are the default ones, else these."""
    named = () if settings.learners == default_learners() else settings.learners
    return tuple(dict.fromkeys(("lookup", "additive", *named, "switch"))) if named else available_families()


def _code_lengths(store: _Store, main: Embeddings, settings: Settings, say: Progress) -> list[Record]:
    families = code_families(settings)
    done = store.finished(families)
    if done is None:
        done = codelength_records(main, settings.seed, families, say)
        store.finish(families, done)
    return done


def grid(settings: Settings, table: SceneTable) -> list[Cell]:
    """All cells, split by split so that a first curve is there early, and the rank curves of the forms.

    Cells without a training or a held-out scene are left out with a warning. Raises TableError where none is left.
    """
    places = [(split, c) for split in range(settings.splits) for c in settings.coverages]
    good = [(split, c) for split, c in places if _testable(table, c, settings.seed + split)]
    if not good:
        raise TableError(
            f"no coverage of {', '.join(f'{c:g}' for c in settings.coverages)} leaves scenes of training objects alone and "
            f"scenes of held-out objects alone among {table.n_objects} objects; give more objects or another coverage"
        )
    lost = sorted({c for split, c in places if (split, c) not in good})
    if lost:
        text = f"no training or no held-out scenes at coverage {', '.join(f'{c:g}' for c in lost)}; left out there"
        warnings.warn(text, DegenerateWarning, stacklevel=2)
    every = [Cell(learner, c, split) for split, c in good for learner in settings.learners]
    first = [c for split, c in good if split == good[0][0]]
    known = [c for c in first if split_objects(table, c, settings.seed + good[0][0]).identified] or first
    place = min(known, key=lambda coverage: abs(coverage - RANK_COVERAGE))
    forms = [learner for learner in settings.learners if learner in RANKED]
    return every + [Cell(form, place, good[0][0], rank) for form in forms for rank in RANKS]


def _testable(table: SceneTable, coverage: float, seed: int) -> bool:
    sides = split_objects(table, coverage, seed).sides(table)
    return bool((sides == TRAIN).any() and (sides == TEST).any())


def fit_cell(
    cell: Cell, vectors: Any, table: SceneTable, probes: CrossProbes, settings: Settings
) -> tuple[Fitted, dict[str, Judged]]:
    """Fit one cell and judge its predictions on training, held-out and mixed scenes."""
    split = split_objects(table, cell.coverage, settings.seed + cell.split)
    sides = split.sides(table)
    rng = np.random.default_rng([settings.seed, 73, cell.split])
    train = _some(sides == TRAIN, TRAIN_ROWS, rng)
    seed = settings.seed + 1000 * cell.split
    fitted = load_approximator(cell.asked, settings.tune).fit(table.take(train), vectors[train], seed)
    rows = {
        name: _some(sides == side, TEST_ROWS if name == "test" else OTHER_ROWS, rng) for name, side in SIDES.items()
    }
    judged = {
        name: judge(fitted.predict(table.take(some)), vectors, table, some, probes) for name, some in rows.items()
    }
    return fitted, judged


def _some(mask: BoolArray, most: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    rows = np.flatnonzero(mask)
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _main(embeddings: Embeddings) -> Embeddings:
    """The scenes of the most frequent number of objects."""
    return of_count(embeddings, embeddings.table.headline_count)


def _fill(
    store: _Store, todo: Sequence[Cell], main: Embeddings, settings: Settings, say: Progress, finishes: Iterator[int]
) -> None:
    """Let all cells be fitted, telling which one is finished and what is left."""
    guess = [cost(cell, main.table, main.vectors.shape[1]) for cell in todo]
    begin, spent = time.perf_counter(), 0.0
    for count, number in enumerate(finishes, 1):
        spent += guess[number]
        left = (time.perf_counter() - begin) / spent * (sum(guess) - spent)
        cell = todo[number]
        words = f"{cell.asked} at coverage {cell.coverage:g}, split {cell.split + 1} of {settings.splits}"
        say(f"cell {count} of {len(todo)}: {words}; about {_duration(max(left, 0.0))} left")


def _finishes(
    directory: Path,
    store: _Store,
    todo: Sequence[Cell],
    main: Embeddings,
    probes: CrossProbes,
    settings: Settings,
    workers: int | None,
) -> Iterator[int]:
    """Fit and keep the cells, and give the number of each when it is finished; here, or in processes of one thread."""
    guess = [cost(cell, main.table, main.vectors.shape[1]) for cell in todo]
    width = min(workers or (cores() if sum(guess) > WORTH_PROCESSES else 1), max(len(todo), 1))
    if width == 1:
        for number, cell in enumerate(todo):
            store.keep(cell, *fit_cell(cell, main.vectors, main.table, probes, settings))
            yield number
        return
    shared = json.dumps(vars(settings), sort_keys=True)
    order = sorted(range(len(todo)), key=lambda i: (todo[i].split, -guess[i]))
    jobs = [(str(directory), shared, json.dumps(vars(todo[i]))) for i in order]
    for number, _ in run_jobs(cell_job, jobs, workers=width):
        yield order[number]


def cell_job(directory: str, settings: str, cell: str) -> None:
    """Fit one cell in a worker and keep it in the run directory."""
    asked, main, store, probes = _shared(directory, settings)
    one = Cell(**json.loads(cell))
    store.keep(one, *fit_cell(one, main.vectors, main.table, probes, asked))


@lru_cache(1)
def _shared(directory: str, settings: str) -> tuple[Settings, Embeddings, _Store, CrossProbes]:
    """What all cells of a grid share, read once in each worker."""
    asked = Settings(**json.loads(settings))
    config = read_config(Path(directory))
    store = _Store.open(Path(directory), {"run": config["hash"], "seed": asked.seed, "tune": asked.tune})
    probes = store.probes()
    if probes is None:
        raise StoreError(f"{directory}: the probes of the grid are gone; run `bindscope complexity {directory}` again")
    return asked, _main(load_embeddings(Path(directory))), store, probes


def cost(cell: Cell, table: SceneTable, dimensions: int) -> float:
    """Seconds that a cell may take on two cores: a guess, which the running grid corrects."""
    rows = min(len(table) * cell.coverage**table.headline_count, TRAIN_ROWS)
    word, _, rest = cell.learner.partition(":")
    size, *_ = rest.partition("?")
    width, _, depth = size.partition("x")
    if word == "mlp" and width.isdecimal():
        work = int(width) * (dimensions + 50 + int(width) * (int(depth or 1) - 1))
        return 0.3 + max(40 * rows, 400 * min(rows, 256)) * work * 6 / 1e11
    return {"additive": 0.1, "ridge": 0.1, "neighbours": 0.2, "per-object": 1.0, "global": 4.0, "forest": 2.0}.get(
        word, 4.0
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _announcement(
    settings: Settings, cells: Sequence[Cell], todo: Sequence[Cell], table: SceneTable, dimensions: int
) -> str:
    seconds = sum(cost(cell, table, dimensions) for cell in todo)
    done = f", {len(cells) - len(todo)} of them done before" if len(todo) < len(cells) else ""
    return (
        f"{len(cells)} cells{done} ({len(settings.learners)} learners, {len(settings.coverages)} coverages, "
        f"{settings.splits} splits, {len(table):,} scenes); about {_duration(seconds)} on two cores"
        + (", several times that with --tune" if settings.tune else "")
        + (f"; then code lengths, about {_duration(CODING + SCENE_CODING * len(table))}" if settings.codelength else "")
    )


def _settings_record(settings: Settings) -> dict[str, Any]:
    return {
        "coverages": list(settings.coverages),
        "learners": list(settings.learners),
        "splits": settings.splits,
        "tune": settings.tune,
        "seed": settings.seed,
    }


@dataclass(frozen=True)
class _Store:
    """Finished cells, one file each, in `complexity.partial` of the run directory."""

    directory: Path
    inputs: dict[str, Any]

    @classmethod
    def open(cls, run: Path, inputs: dict[str, Any]) -> _Store:
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

    def keep(self, cell: Cell, fitted: Fitted, judged: dict[str, Judged]) -> None:
        """Write a finished cell."""
        arrays = {
            f"{side}.{name}": _storable(value) for side, one in judged.items() for name, value in vars(one).items()
        }
        meta = {"train_r2": fitted.train_r2, "converged": fitted.converged, "notes": _plain(fitted.notes)}
        write_tensors(self.path(cell), arrays, meta)

    def outcome(self, cell: Cell) -> CellOutcome:
        """Read a finished cell."""
        arrays, meta = read_tensors(self.path(cell))
        judged = {side: Judged(**dict(_fields(arrays, side))) for side in SIDES}
        return CellOutcome(
            cell.learner,
            cell.coverage,
            cell.split,
            cell.rank,
            judged,
            meta["train_r2"],
            meta["converged"],
            meta["notes"],
        )

    def finished(self, families: Sequence[str]) -> list[Record] | None:
        """Code lengths of an earlier call that was killed after them, else None."""
        try:
            rows = json.loads(self._lengths(families).read_text(encoding="utf-8"))
            return [Record(**row) for row in rows]
        except (OSError, ValueError, TypeError):
            return None  # not there, or cut short: they are made again

    def finish(self, families: Sequence[str], records: Sequence[Record]) -> None:
        """Keep finished code lengths."""
        write_text(self._lengths(families), Results(records).to_json())

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


def _fields(arrays: Any, side: str) -> Iterator[tuple[str, Any]]:
    for name in ("rows", "error", "total", "concepts", "objects"):
        value = arrays[f"{side}.{name}"]
        yield name, value.astype(bool) if value.dtype == np.uint8 else value


def _plain(notes: Any) -> dict[str, Any]:
    """Notes as JSON knows them."""
    plain = {str(name): value.item() if isinstance(value, np.generic) else value for name, value in notes.items()}
    return {name: value for name, value in plain.items() if value is None or isinstance(value, (str, int, float, dict))}
