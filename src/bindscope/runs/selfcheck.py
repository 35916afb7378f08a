"""`bindscope selfcheck`: every metric on planted worlds, measured beside expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import comb

from bindscope.analyses.registry import two_sided
from bindscope.datasets import load_dataset
from bindscope.datasets.wording import caption_set
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.probes import fit_probes
from bindscope.results import Record, Results
from bindscope.runs.diagnose import analyse
from bindscope.runs.settings import Settings
from bindscope.runs.verdict import verdict
from bindscope.splits import split_scenes
from bindscope.streams import stream

DATA = "text:7x6?singles=true"
NOISY_DATA = "text:5x5?replicates=3"


@dataclass(frozen=True)
class Check:
    """One figure of one world: what theory says, what was measured."""

    world: str
    figure: str
    expected: str
    measured: str
    passed: bool


def selfcheck(seed: int = 0) -> Iterator[Check]:
    """Run all checks, one after the other. About half a minute on one core.

    Never raises: a figure that is off is a check that did not pass.

    >>> next(iter(selfcheck())).passed
    True
    """
    for world, data, expectations in _WORLDS:
        embeddings = _embedded(world, data, seed)
        results = Results(analyse(embeddings, Settings(world, data, seed=seed)))
        for expectation in expectations:
            yield expectation(world, results)
        yield _control(world, embeddings, seed)
    for world, data, expectations in _TWO_SIDED:
        dataset = load_dataset(data)
        embeddings = embed(load_encoder(world), dataset, captions=caption_set(dataset, seed=seed))
        results = Results(analyse(embeddings, Settings(world, data, two_sided(), seed)))
        for expectation in expectations:
            yield expectation(world, results)


def _embedded(world: str, data: str, seed: int) -> Embeddings:
    return embed(load_encoder(world), load_dataset(data))


Expectation = Callable[[str, Results], Check]


def _near(figure: str, wanted: float, tolerance: float, **columns: object) -> Expectation:
    def check(world: str, results: Results) -> Check:
        value = _found(results, columns).value
        right = value is not None and abs(value - wanted) <= tolerance
        return Check(world, figure, f"{wanted:.4g} ± {tolerance:.1g}", _shown(value), right)

    return check


def _between(figure: str, low: float, high: float, **columns: object) -> Expectation:
    def check(world: str, results: Results) -> Check:
        value = _found(results, columns).value
        bounds = f"{low:.4g} … {high:.4g}"
        return Check(world, figure, bounds, _shown(value), value is not None and low <= value <= high)

    return check


def _verdict(label: str) -> Expectation:
    def check(world: str, results: Results) -> Check:
        said = verdict(results).label
        return Check(world, "verdict", label, said, said == label)

    return check


def _found(results: Results, columns: dict[str, object]) -> Record:
    return results.one(**columns)


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _control(world: str, embeddings: Embeddings, seed: int) -> Check:
    """Vectors shuffled against their scenes: nothing may be read."""
    table = embeddings.table.take(embeddings.table.rows_with(2))
    vectors = embeddings.vectors[embeddings.table.rows_with(2)]
    shuffled = vectors[stream(seed, "shuffled vectors").permutation(len(vectors))]
    train = split_scenes(table, 0.4, "bag", seed)
    probes = fit_probes(shuffled, table, train, seed)
    right = probes.object_outcome(shuffled[~train], table.take(~train)).right.mean()
    return Check(world, "probe objects, vectors shuffled", "< 0.03", f"{right:.4f}", bool(right < 0.03))


def _zero_shot(metric: str, target: str) -> dict[str, object]:
    return {"analysis": "recognition", "metric": metric, "estimator": "zero_shot", "target": target}


def _probe(metric: str, target: str) -> dict[str, object]:
    return {"analysis": "recognition", "metric": metric, "estimator": "probe", "target": target}


def _r2(estimator: str, target: str, split: str = "in_sample") -> dict[str, object]:
    return {"analysis": "geometry", "metric": "r2", "estimator": estimator, "target": target, "split": split}


def _share(target: str) -> dict[str, object]:
    return {"analysis": "variance", "metric": "share", "target": target}


def _audit(metric: str, target: str) -> dict[str, object]:
    return {"analysis": "audit", "metric": metric, "target": target}


def _pair_ceiling(a: int, b: int) -> float:
    """Ordered pairs of different objects of a x b: the pairs that share no value count half."""
    objects = a * b
    unshared = (a - 1) * (b - 1)
    return 1.0 - 0.5 * unshared / (objects - 1)


_AUDIT = [
    _near("ceiling of a bag, all scenes", _pair_ceiling(7, 6), 1e-9, **_audit("ceiling", "all")),
    _near("ceiling of a bag, unshared scenes", 0.5, 1e-9, **_audit("ceiling", "unshared")),
    _near("chance of objects", 1 / comb(42, 2), 1e-9, **_audit("chance", "objects")),
]

_WORLDS: list[tuple[str, str, list[Expectation]]] = [
    (
        "planted:bag?dim=256",
        DATA,
        [
            *_AUDIT,
            _near("zero-shot concepts", 1.0, 0.01, **_zero_shot("concept_recognition", "mean")),
            _between("zero-shot objects, unshared", 0.0, 0.5, **_zero_shot("object_recognition", "unshared")),
            _near("probe concepts", 1.0, 0.01, **_probe("concept_recognition", "mean")),
            _between("probe objects, unshared", 0.0, 0.5, **_probe("object_recognition", "unshared")),
            _near("R² level II ols", 1.0, 1e-6, **_r2("ols", "level2")),
            _near("R² level II ols, held out", 1.0, 1e-6, **_r2("ols", "level2", "held_out")),
            _near("R² level I single", 1.0, 1e-6, **_r2("single", "level1", "held_out")),
            _near("share of concepts", 1.0, 1e-6, **_share("concepts")),
            _near("share of the interaction", 0.0, 1e-6, **_share("interaction")),
            _verdict("bag of concepts"),
        ],
    ),
    (
        "planted:object?dim=256",
        DATA,
        [
            _near("zero-shot objects, unshared", 1.0, 0.01, **_zero_shot("object_recognition", "unshared")),
            _between("probe objects, unshared", 0.95, 1.0, **_probe("object_recognition", "unshared")),
            _near("R² level I ols", 1.0, 1e-6, **_r2("ols", "level1")),
            _near("R² level I ols, held out", 1.0, 1e-6, **_r2("ols", "level1", "held_out")),
            _between("R² level II of held-out objects", -1.0, 0.0, **_r2("ols", "level2_objects", "held_out")),
            _near("share of the interaction", 30 / 41, 0.05, **_share("interaction")),
            _near("p of no interaction", 1 / 200, 1e-9, analysis="variance", metric="p_value"),
            _verdict("binds"),
        ],
    ),
    (
        "planted:mixed?dim=256",
        DATA,
        [
            _near("zero-shot concepts", 1.0, 0.02, **_zero_shot("concept_recognition", "mean")),
            _between("zero-shot objects, unshared", 0.9, 1.0, **_zero_shot("object_recognition", "unshared")),
            _near("R² level I ols", 1.0, 1e-6, **_r2("ols", "level1")),
            _between("share of the interaction", 0.15, 0.5, **_share("interaction")),
        ],
    ),
    (
        "planted:product?dim=256",
        DATA,
        [
            _near("R² level I ols", 1.0, 1e-6, **_r2("ols", "level1")),
            _between("probe objects, unshared", 0.95, 1.0, **_probe("object_recognition", "unshared")),
            _between("share of the interaction", 0.3, 1.0, **_share("interaction")),
        ],
    ),
    (
        "planted:bag?dim=256&slots=own",
        DATA,
        [
            _near("R² level II ols+pos", 1.0, 1e-6, **_r2("ols+pos", "level2")),
            _between("R² level II ols", 0.2, 0.9, **_r2("ols", "level2")),
            _between("share of slots", 0.1, 0.8, **_share("slot")),
        ],
    ),
    (
        "planted:object?dim=256&noise=0.5",
        NOISY_DATA,
        [
            _near("noise share", 0.2, 0.01, **_share("noise")),
            _near("noise ceiling", 0.8, 0.01, analysis="variance", metric="noise_ceiling"),
            _near("R² level I ols", 0.8, 0.02, **_r2("ols", "level1")),
            _near("share of pairs across slots", 0.0, 0.01, **_share("cross_object")),
        ],
    ),
]

_SWAPS = {"analysis": "crossmodal", "metric": "swap_accuracy"}
_BINDING = {"analysis": "alignment", "target": "interaction", "estimator": "ridge"}
_TWO_SIDED: list[tuple[str, str, list[Expectation]]] = [
    (
        "planted:mixed?dim=256",
        "text:6x5",
        [
            _near("swaps, the same function on both sides", 1.0, 1e-9, **_SWAPS),
            _near("binding part predicted on held-out objects", 1.0, 1e-6, metric="r2", split="test", **_BINDING),
        ],
    ),
    (
        "planted:mixed?dim=256&sides=own",
        "text:6x5",
        [
            _between("swaps, own objects on each side", 0.3, 0.7, **_SWAPS),
            _between("p of the binding part", 0.005, 1.0, metric="p_value", **_BINDING),
        ],
    ),
    ("planted:bag?dim=256", "text:6x5", [_near("swaps of a bag, ties half", 0.5, 1e-9, **_SWAPS)]),
]
