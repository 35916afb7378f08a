"""Code lengths on planted worlds, with their controls, and against what can be computed by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bindscope.analyses.codelength.codelength import Choices, CodeLengths, codelength, small_enough
from bindscope.analyses.codelength.coding import PURE, refit_edges
from bindscope.analyses.codelength.saving import ArrivalBootstrap, Saving, length, saving
from bindscope.errors import InputError, TableError, UnknownNameError, VectorsError
from bindscope.learners import registry
from bindscope.learners.base import Approximator, Solution
from bindscope.scenes import SceneTable
from planted import World, incomplete, plant, random_scenes, scenes

EXACT = ("lookup", "additive", "switch")
PAIRS = scenes(5, 6)


def coded(world: World, families: tuple[str, ...] = EXACT, orders: int = 4, **more: object) -> CodeLengths:
    return codelength(world.vectors, world.table, 0, families, orders, **more)  # type: ignore[arg-type]


def saved(found: CodeLengths, code: str, base: str = "lookup") -> Saving:
    return saving(found, code, base, ArrivalBootstrap(found, draws=300))


class Oracle(Approximator):
    """Knows the truth, or something else, whatever it is shown."""

    name = "oracle"

    def __init__(self, world: World, factor: float = 1.0, seed: int | None = None) -> None:
        self.objects, self.factor = world.objects, factor
        if seed is not None:
            self.objects = np.random.default_rng(seed).normal(size=world.objects.shape) * world.objects.std()

    def solve(self, table: SceneTable, vectors: np.ndarray, seed: int) -> Solution:
        """Regress the vectors (here in other coordinates) on the known sums."""
        weights, *_ = np.linalg.lstsq(self._sums(table), vectors, rcond=1e-10)
        return Solution(lambda other: self._sums(other) @ weights * self.factor)

    def _sums(self, table: SceneTable) -> np.ndarray:
        total = sum(self.objects[i][table.object_codes[:, i]] for i in range(table.n_slots))
        return np.concatenate([total, np.ones((len(table), 1))], axis=1)


@pytest.fixture
def register() -> Iterator[object]:
    def add(word: str, learner: Approximator) -> str:
        registry.register(word, lambda rest, tune: learner)
        names.append(word)
        return word

    names: list[str] = []
    yield add
    for word in names:
        del registry.LEARNERS.added[word]


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("slots", ["shared", "own"])
def test_no_code_beats_the_table_in_an_object_world(slots: str, noise: float) -> None:
    found = coded(plant("object", PAIRS, 40, noise, slots))  # type: ignore[arg-type]
    for code in ("additive", "switch"):
        one = saved(found, code)
        assert one.interval.low <= 0, code
        assert one.pays_after is None
    assert abs(saved(found, "additive").value) < 0.05
    assert saved(found, "additive" + PURE).interval.high < -1.0


@pytest.mark.parametrize(("slots", "noise"), [("shared", 0.0), ("own", 0.0), ("own", 0.4)])
def test_the_additive_rule_pays_in_a_bag_world_and_not_when_concepts_are_permuted(slots: str, noise: float) -> None:
    world = plant("bag", PAIRS, 24, noise, slots)  # type: ignore[arg-type]
    one = saved(coded(world), "additive")
    assert one.pays
    assert one.pays_after is not None
    assert one.pays_after <= 12
    relabelled = PAIRS.space.object_values(np.random.default_rng(0).permutation(30)[PAIRS.object_ids])
    control = codelength(world.vectors, SceneTable.build(PAIRS.space, relabelled), 0, EXACT, 4)
    assert not saved(control, "additive").pays
    assert saved(control, "additive").value < one.value / 4


def test_mixed_worlds_save_a_part_of_what_bags_do_and_need_their_exceptions() -> None:
    found = coded(plant("mixed", PAIRS, 24))
    assert saved(found, "additive").pays
    assert saved(found, "additive" + PURE).interval.high < 0
    assert saved(found, "switch", "additive").value < 0.05


def test_noise_has_no_code() -> None:
    """Nothing beats the constant; a table or rule that is not there costs the finding out, and little more."""
    found = codelength(np.random.default_rng(0).normal(size=(len(PAIRS), 8)), PAIRS, 0, EXACT, 3)
    for code in EXACT:
        value, interval = length(found, code, ArrivalBootstrap(found, draws=200))
        assert 0.0 < value < 0.2
        assert interval.high > 0


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_bits_of_a_noisy_bag_are_those_of_its_r2(noise: float) -> None:
    """Known noise costs 1/2 log2(variance / noise variance) bits a component less than the constant predictor."""
    table = scenes(4, 4, replicates=6)
    world = plant("bag", table, 3, noise, "own", seed=2)
    found = codelength(world.vectors, table, 0, ("additive",), 4, choices=Choices(components=1.0, floor=1e-6))
    value, _ = length(found, "additive", ArrivalBootstrap(found, draws=100))
    coded_rows = found.scenes.sum(axis=1).mean()
    total, left = world.vectors.var(axis=0), (world.vectors - world.clean).var(axis=0)
    wanted = 0.5 * np.log2(left / total).sum()
    parameters = 3 * 20 * 6 / coded_rows  # about six bits for what each value's vector costs to learn
    assert wanted < value < wanted + parameters + 0.2


def test_lengths_by_hand_where_each_object_is_told_once_and_then_known() -> None:
    """One object a scene, four replicates without noise: three of four cost nothing but the precision.

    The constant pays 1/2 log2(2 pi e v), a known object 1/2 log2(2 pi floor): the difference is 1/2 log2(e v / floor).
    """
    table = scenes(10, 12, m=1, replicates=4)
    vectors = np.repeat(np.random.default_rng(1).normal(size=(120, 5)), 4, axis=0)
    found = codelength(vectors, table, 0, ("lookup",), 3, choices=Choices(1.0, 1e-4))
    value, _ = length(found, "lookup", ArrivalBootstrap(found, draws=100))
    known = -0.5 * np.log2(np.e / 1e-4) * 5 * 0.75
    assert value == pytest.approx(known, rel=0.05)


def test_the_right_rule_pays_and_a_wrong_one_costs_little(register) -> None:  # type: ignore[no-untyped-def]
    world = plant("object", PAIRS, 12, seed=1)
    right = register("right", Oracle(world))
    wrong, wild = register("wrong", Oracle(world, seed=5)), register("wild", Oracle(world, factor=-1e4))
    found = coded(world, ("lookup", "additive", right, wrong, wild, "switch"), 3, rule_orders=2)
    assert len(found.bits["right"]) == len(found.bits["switch"]) == 2
    assert len(found.bits["lookup"]) == 3
    assert saved(found, "right").pays
    assert saved(found, "right", "additive").pays
    for code in ("wrong", "wild"):
        assert not saved(found, code).pays
        assert saved(found, code, "additive").value > -0.6
        assert saved(found, code + PURE).interval.high < 0
    assert abs(saved(found, "switch", "right").value) < 0.1
    assert found.fits["right"] == (found.fits["right"][0], found.fits["right"][0])
    assert found.fits["wild"][1] == 0


def test_a_rule_sees_no_scene_that_is_coded_later(register) -> None:  # type: ignore[no-untyped-def]
    seen: list[tuple[int, set[int]]] = []

    class Watch(Oracle):
        def solve(self, table: SceneTable, vectors: np.ndarray, seed: int) -> Solution:
            seen.append((len(table), set(table.object_ids.ravel().tolist())))
            return super().solve(table, vectors, seed)

    world = plant("bag", PAIRS, 12)
    found = coded(world, (register("watch", Watch(world)),), 1, rule_orders=1)
    for rows, objects in seen:
        assert objects == set(found.objects[0, : len(objects)].tolist())
        assert rows == len(objects) * (len(objects) - 1)
    assert seen[0][0] == found.first[0] * (found.first[0] - 1)


def test_vectors_of_later_scenes_do_not_change_earlier_lengths() -> None:
    """Prequential: change what arrives with the last object, and only its own bits move."""
    world = plant("mixed", PAIRS, 10, 0.1)
    before = coded(world, orders=1)
    last = before.objects[0, -1]
    changed = world.vectors.copy()
    changed[(PAIRS.object_codes == last).any(axis=1)] += 3.0
    after = codelength(changed, PAIRS, 0, EXACT, 1)
    for code in (*EXACT, "additive" + PURE):
        np.testing.assert_allclose(after.bits[code][:, :-1], before.bits[code][:, :-1], rtol=1e-9)
        assert after.bits[code][0, -1] != pytest.approx(before.bits[code][0, -1])


TABLES = {
    "one slot": scenes(5, 5, m=1, replicates=2),
    "three slots": scenes(2, 3, m=3),
    "one concept": scenes(9),
    "three concepts": scenes(2, 3, 2),
    "incomplete": incomplete(scenes(5, 5), 0.7),
    "unbalanced": random_scenes(4, 4, n=200, m=2, absent=0.0),
    "gaps": random_scenes(4, 4, n=200, m=3, absent=0.3),
    "same": scenes(3, 3, same=True),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_any_table_and_the_additive_rule_is_never_much_longer(table: SceneTable) -> None:
    found = coded(plant("bag", table, 12, 0.1, "own"), orders=2)
    assert all(np.isfinite(bits).all() for bits in found.bits.values())
    assert saved(found, "additive").value > -0.3
    if table.space.n_concepts > 1:
        assert saved(found, "additive").value > 0


def test_one_concept_is_a_table() -> None:
    """With one concept an object is its value: the rule and the table say the same."""
    found = coded(plant("object", scenes(12), 6))
    assert abs(saved(found, "additive").value) < 0.2


def test_scale_and_rotation_of_the_vectors_do_not_matter() -> None:
    world = plant("mixed", PAIRS, 6, 0.2)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    found, again = coded(world, orders=1), codelength(world.vectors @ turn * 1e-3 + 7.0, PAIRS, 0, EXACT, 1)
    for code in EXACT:
        np.testing.assert_allclose(again.longer(code), found.longer(code), rtol=1e-5, atol=1e-5)


def test_same_seed_same_bytes() -> None:
    world = plant("mixed", PAIRS, 6, 0.2)
    first, second = coded(world, orders=2), coded(world, orders=2)
    assert all(first.bits[code].tobytes() == second.bits[code].tobytes() for code in first.bits)
    assert codelength(world.vectors, PAIRS, 1, EXACT, 2).bits["lookup"].tobytes() != first.bits["lookup"].tobytes()


def test_choices_change_lengths_but_not_what_pays() -> None:
    world = plant("bag", PAIRS, 12)
    plain = coded(world, orders=2)
    for choice in (
        Choices(components=0.9),
        Choices(floor=1e-2),
        Choices(precision="component"),
        Choices(first_block=0.4),
        Choices(whiten_on="all scenes"),
    ):
        found = coded(world, orders=2, choices=choice)
        assert saved(found, "additive").pays
        assert not np.allclose(found.bits["lookup"][:, -1], plain.bits["lookup"][:, -1])


def test_large_data_is_cut_to_the_scenes_of_some_objects() -> None:
    world = plant("bag", PAIRS, 3)
    vectors, table = small_enough(world.vectors, PAIRS, 0, most_columns=20, most_rows=50)
    assert len(np.unique(table.object_codes)) <= 10
    assert len(table) == len(vectors) == 50
    assert small_enough(world.vectors, PAIRS)[1] is PAIRS


@pytest.mark.parametrize(
    ("families", "orders", "error", "words"),
    [
        ((), 1, InputError, "no family was asked for"),
        (("constant",), 1, InputError, "relative to"),
        (("lookup",), 0, InputError, "orders must be at least 1, got 0"),
        (("aditive",), 1, UnknownNameError, "additive"),
    ],
)
def test_bad_requests_are_refused(families: tuple[str, ...], orders: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        codelength(np.zeros((len(PAIRS), 3)), PAIRS, 0, families, orders)


def test_bad_vectors_are_refused() -> None:
    with pytest.raises(VectorsError, match="870 rows and the vectors have 5"):
        codelength(np.zeros((5, 3)), PAIRS)
    with pytest.raises(VectorsError, match="must be finite"):
        codelength(np.full((len(PAIRS), 3), np.nan), PAIRS)
    with pytest.raises(TableError, match="do not vary"):
        codelength(np.ones((len(PAIRS), 3)), PAIRS, families=EXACT)
    with pytest.raises(InputError, match="whiten_on must be"):
        Choices(whiten_on="some")


def test_refits_start_with_the_first_block() -> None:
    assert refit_edges(np.array([3, 4]), 5) == [0]
    assert refit_edges(np.arange(20, 101), 3)[0] == 0


@pytest.mark.slow
def test_the_product_form_pays_in_a_product_world_and_the_additive_rule_does_not() -> None:
    table = scenes(9, 9)
    found = coded(plant("product", table, 16, rank=2), ("lookup", "additive", "per-object", "switch"), 2, rule_orders=2)
    assert saved(found, "per-object").pays
    assert saved(found, "per-object", "additive").pays
    assert saved(found, "switch").pays
    assert not saved(found, "additive").pays


@pytest.mark.slow
def test_fitted_forms_do_not_beat_the_table_in_an_object_world() -> None:
    found = coded(
        plant("object", PAIRS, 16), ("lookup", "additive", "per-object", "global", "switch"), 2, rule_orders=2
    )
    for code in ("per-object", "global", "switch"):
        assert saved(found, code).interval.low <= 0, code
