"""`bindscope complexity RUN`: coverage curves of a run's embeddings, cell by cell, resumable.

A cell is one learner at one coverage on one split of the objects, and one file; a killed grid goes on with the cells
that are missing. What all cells share (the probes) is made once.
"""

from __future__ import annotations

import importlib.util
import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import bindscope
from bindscope.analyses.codelength.measure import available_families
from bindscope.analyses.codelength.measure import measure as code_lengths
from bindscope.analyses.complexity.judging import TRAIN_ROWS, CrossProbes, Judged, cell_rows, cross_probes, judge
from bindscope.analyses.complexity.measure import curves
from bindscope.analyses.context import Context, Say
from bindscope.embeddings import load_embeddings
from bindscope.errors import DegenerateWarning, InputError, StoreError, TableError
from bindscope.learners.base import Fitted
from bindscope.learners.registry import load_approximator
from bindscope.learners.words import PREFIX, Words
from bindscope.parallel import cores, duration, run_jobs
from bindscope.results import Record, Results
from bindscope.run_directory import amend_config, locked, read_config, replace_records
from bindscope.runs.cells import Cell, Store
from bindscope.scenes import SceneTable
from bindscope.splits import TEST, TRAIN, ObjectMethod, ObjectSplit, split_objects
from bindscope.streams import MAX_SEED

INPUTS, SPLITS = ("indices", "words"), ("connected", "random")
COVERAGES = tuple(step / 10 for step in range(1, 10))
LEARNERS = ("additive", "per-object", "global", "mlp:64", "mlp:256", "mlp:1024", "mlp:4096", "xgboost", "forest")
PAPER = (
    "additive",
    "per-object",
    "per-object?additive=no",
    "global",
    "global?additive=no",
    "mlp:128",
    "mlp:512",
    "mlp:2048",
    "products:512",
    "xgboost",
    "forest",
)  # the forms of Fig. 9, products alone, perceptrons of the widths of the paper's script, trees
FROM_WORDS = ("ridge", "mlp:64", "mlp:256", "mlp:1024", "xgboost", "forest")
NEEDS = {"mlp": "torch", "products": "torch", "xgboost": "xgboost"}
RANKED, RANKS, RANK_COVERAGE = ("per-object", "global"), (0, 1, 2, 4, 8, 16), 0.7
WORTH_PROCESSES = 20.0  # seconds of a grid from which on it pays to start processes
CODING, SCENE_CODING = 40.0, 0.007  # seconds of the code lengths, and those of each scene
SECONDS = {
    "additive": 0.1,
    "ridge": 0.1,
    "neighbours": 0.2,
    "per-object": 1.0,
    "global": 4.0,
    "forest": 2.0,
}  # of a cell


def default_learners(among: Sequence[str] = LEARNERS) -> tuple[str, ...]:
    """LEARNERS (or others) without those whose library is not installed."""
    return tuple(
        name
        for name in among
        if (library := NEEDS.get(name.split(":")[0])) is None or importlib.util.find_spec(library) is not None
    )


@dataclass(frozen=True)
class Settings:
    """The grid. splits: repeated splits of the objects at each coverage; tune: more settings chosen on validation objects;
    codelength: code lengths too, of the default families or of the learners that are named; inputs: what learners start
    from, indices or the model's own vectors of single values; split: how objects are held out (`random` is the paper's)."""

    coverages: tuple[float, ...] = COVERAGES
    learners: tuple[str, ...] = ()
    splits: int = 3
    tune: bool = False
    seed: int = 0
    codelength: bool = True
    inputs: str = "indices"
    split: ObjectMethod = "connected"

    def __post_init__(self) -> None:
        if self.inputs not in INPUTS:
            raise InputError(f"--inputs must be one of {', '.join(INPUTS)}, got {self.inputs!r}")
        if self.split not in SPLITS:
            raise InputError(f"--split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        object.__setattr__(self, "learners", self._learners())
        object.__setattr__(self, "coverages", tuple(sorted(set(self.coverages))))
        for coverage in self.coverages:
            if not 0.0 < coverage < 1.0:
                raise InputError(f"coverage must lie between 0 and 1, got {coverage}; give some like 0.5,0.8")
        if not self.coverages:
            raise InputError("no coverage was asked for; give some like 0.5,0.8")
        if self.splits < 1:
            raise InputError(f"--splits must be at least 1, got {self.splits}")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"the seed must be 0 or larger and below 2^63, got {self.seed}")
        for name in self.learners:
            load_approximator(name, self.tune)  # a wrong name is refused before any work

    def _learners(self) -> tuple[str, ...]:
        named = tuple(dict.fromkeys(self.learners))
        if self.inputs == "indices":
            return named or default_learners()
        return tuple(n if n.startswith(PREFIX) else PREFIX + n for n in named or default_learners(FROM_WORDS))

    def objects(self, table: SceneTable, coverage: float, split: int) -> ObjectSplit:
        """Training and held-out objects of a split."""
        return split_objects(table, coverage, self.seed + split, self.split)

    @property
    def record(self) -> dict[str, Any]:
        """As config.json keeps it."""
        return {
            name: list(one) if isinstance(one, tuple) else one
            for name, one in vars(self).items()
            if name != "codelength"
        }


def run_complexity(
    run: str | Path, settings: Settings, progress: Say | None = None, workers: int | None = 1
) -> Results:
    """Run the grid on a run directory, put its records among the run's results and give them back.

    workers: processes that fit cells side by side, one thread each; None for as many as pay, at most the cores. They import
    `__main__` anew, so a script needs its `if __name__ == "__main__"`; learners made by `register` need workers=1.
    Raises StoreError where the run has no embeddings, TableError where nothing can be held out.
    """
    directory = Path(run)
    config = read_config(directory)
    for name in ("hash", "model", "data"):
        if not isinstance(config.get(name), str):
            raise StoreError(f"{directory / 'config.json'}: {name!r} is missing or no text; make the run again")
    with locked(directory):
        return _run_grid(directory, config, settings, progress or (lambda text: None), workers)


def _run_grid(directory: Path, config: Mapping[str, Any], settings: Settings, say: Say, workers: int | None) -> Results:
    context = Context(load_embeddings(directory), settings.seed, say)
    cells = grid(settings, context.table)
    store = _store(directory, config, settings)
    words = _words(settings, context)
    todo = [cell for cell in cells if not store.has(cell)]
    say(_announcement(settings, cells, todo, context))
    probes = store.probes()
    if probes is None:
        say("probes on real embeddings, in two halves of the bags")
        probes = cross_probes(context.vectors, context.table, settings.seed)
        store.keep_probes(probes)
    _fill(_Work(directory, settings, context, store, probes, words), todo, workers)
    say("intervals")
    records = context.records(
        "complexity", curves([store.judged(cell) for cell in cells], context, probes, settings.split)
    )
    if settings.codelength:
        records += _code_lengths(store, context, settings)
    results = Results(records).stamped(
        model=config["model"],
        modality=context.main.modality,
        dataset=config["data"],
        config_hash=config["hash"],
        version=bindscope.__version__,
    )
    replace_records(directory, ("complexity", "codelength") if settings.codelength else ("complexity",), results)
    amend_config(directory, "complexity", settings.record)
    store.remove()
    return results


def _store(directory: Path, config: Mapping[str, Any], settings: Settings) -> Store:
    inputs = {"run": config["hash"], "seed": settings.seed, "tune": settings.tune, "split": settings.split}
    return Store.open(directory, inputs)


def _words(settings: Settings, context: Context) -> Words | None:
    """The model's own vectors of single values, where a learner starts from them."""
    asked = [name for name in settings.learners if name.startswith(PREFIX)]
    queries = context.main.queries
    if asked and queries is None:
        raise InputError(
            f"{asked[0]} starts from the model's own vectors of single values, and this run has none: its model has no queries"
        )
    return Words.of(context.table, queries.values) if asked and queries is not None else None


def code_families(settings: Settings) -> tuple[str, ...]:
    """Families of the code length: the default ones where the learners are the default ones, else these."""
    learners = tuple(name for name in settings.learners if not name.startswith(PREFIX))
    named = () if learners == default_learners() else learners
    return tuple(dict.fromkeys(("lookup", "additive", *named, "switch"))) if named else available_families()


def _code_lengths(store: Store, context: Context, settings: Settings) -> list[Record]:
    families = code_families(settings)
    done = store.finished(families)
    if done is None:
        done = context.records("codelength", code_lengths(context, families))
        store.finish(families, done)
    return done


def grid(settings: Settings, table: SceneTable) -> list[Cell]:
    """All cells, split by split so that a first curve is there early, and the rank curves of the forms.

    Cells without a training or a held-out scene are left out with a warning. Raises TableError where none is left.
    """
    places = [(split, c) for split in range(settings.splits) for c in settings.coverages]
    good = [(split, c) for split, c in places if _testable(settings.objects(table, c, split), table)]
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
    known = [c for c in first if settings.objects(table, c, good[0][0]).identified] or first
    place = min(known, key=lambda coverage: abs(coverage - RANK_COVERAGE))
    forms = [learner for learner in settings.learners if learner in RANKED]
    return every + [Cell(form, place, good[0][0], rank) for form in forms for rank in RANKS]


def _testable(split: ObjectSplit, table: SceneTable) -> bool:
    sides = split.sides(table)
    return bool((sides == TRAIN).any() and (sides == TEST).any())


@dataclass(frozen=True, eq=False)
class _Work:
    """What all cells of a grid share."""

    directory: Path
    settings: Settings
    context: Context
    store: Store
    probes: CrossProbes
    words: Words | None

    def keep(self, cell: Cell) -> None:
        """Fit a cell and keep it."""
        self.store.keep(cell, *fit_cell(cell, self.context, self.probes, self.settings, self.words))

    def guess(self, cell: Cell) -> float:
        """Seconds that it may take."""
        return cost(cell, self.context.table, self.context.vectors.shape[1])


def fit_cell(
    cell: Cell, context: Context, probes: CrossProbes, settings: Settings, words: Words | None = None
) -> tuple[Fitted, dict[str, Judged]]:
    """Fit one cell and judge its predictions on training, held-out and mixed scenes."""
    vectors, table = context.vectors, context.table
    split = settings.objects(table, cell.coverage, cell.split)
    train, rows = cell_rows(table, split, settings.seed, cell.split)
    learner = load_approximator(cell.asked, settings.tune, words)
    fitted = learner.fit(table.take(train), vectors[train], settings.seed + 1000 * cell.split)
    judged = {name: judge(fitted.predict(table.take(one)), vectors, table, one, probes) for name, one in rows.items()}
    return fitted, judged


def _fill(work: _Work, todo: Sequence[Cell], workers: int | None) -> None:
    """Let all cells be fitted, telling which one is finished and what is left."""
    guess = [work.guess(cell) for cell in todo]
    begin, spent = time.perf_counter(), 0.0
    for count, number in enumerate(_finishes(work, todo, guess, workers), 1):
        spent += guess[number]
        left = (time.perf_counter() - begin) / spent * (sum(guess) - spent)
        cell = todo[number]
        words = f"{cell.asked} at coverage {cell.coverage:g}, split {cell.split + 1} of {work.settings.splits}"
        work.context.say(f"cell {count} of {len(todo)}: {words}; about {duration(max(left, 0.0))} left")


def _finishes(work: _Work, todo: Sequence[Cell], guess: Sequence[float], workers: int | None) -> Iterator[int]:
    """Fit and keep the cells, and give the number of each when it is finished; here, or in processes of one thread."""
    width = min(workers or (cores() if sum(guess) > WORTH_PROCESSES else 1), max(len(todo), 1))
    if width == 1:
        for number, cell in enumerate(todo):
            work.keep(cell)
            yield number
        return
    shared = json.dumps(vars(work.settings), sort_keys=True)
    order = sorted(range(len(todo)), key=lambda i: (todo[i].split, -guess[i]))
    jobs = [(str(work.directory), shared, json.dumps(vars(todo[i]))) for i in order]
    for number, _ in run_jobs(cell_job, jobs, workers=width):
        yield order[number]


def cell_job(directory: str, settings: str, cell: str) -> None:
    """Fit one cell in a worker and keep it in the run directory."""
    _shared(directory, settings).keep(Cell(**json.loads(cell)))


@lru_cache(1)
def _shared(directory: str, settings: str) -> _Work:
    """What all cells of a grid share, read once in each worker."""
    run, asked = Path(directory), Settings(**json.loads(settings))
    store = _store(run, read_config(run), asked)
    probes = store.probes()
    if probes is None:
        raise StoreError(f"{directory}: the probes of the grid are gone; run `bindscope complexity {directory}` again")
    context = Context(load_embeddings(run), asked.seed)
    return _Work(run, asked, context, store, probes, _words(asked, context))


def cost(cell: Cell, table: SceneTable, dimensions: int) -> float:
    """Seconds that a cell may take on two cores: a guess, which the running grid corrects."""
    rows = min(len(table) * cell.coverage**table.headline_count, TRAIN_ROWS)
    word, _, rest = cell.learner.removeprefix(PREFIX).partition(":")
    size, *_ = rest.partition("?")
    width, _, depth = size.partition("x")
    if word in ("mlp", "products") and width.isdecimal():
        work = int(width) * (dimensions + 50 + int(width) * (int(depth or 1) - 1))
        return 0.3 + max(40 * rows, 400 * min(rows, 256)) * work * 6 / 1e11
    return SECONDS.get(word, 4.0)


def _announcement(settings: Settings, cells: Sequence[Cell], todo: Sequence[Cell], context: Context) -> str:
    table = context.table
    seconds = sum(cost(cell, table, context.vectors.shape[1]) for cell in todo)
    done = f", {len(cells) - len(todo)} of them done before" if len(todo) < len(cells) else ""
    return (
        f"{len(cells)} cells{done} ({len(settings.learners)} learners, {len(settings.coverages)} coverages, "
        f"{settings.splits} splits, {len(table):,} scenes); about {duration(seconds)} on two cores"
        + (", several times that with --tune" if settings.tune else "")
        + (f"; then code lengths, about {duration(CODING + SCENE_CODING * len(table))}" if settings.codelength else "")
    )
