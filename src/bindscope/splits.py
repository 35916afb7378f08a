"""Which scenes or objects train, and which test.

Scene splits keep all rows of one bag together, so that a scene's mirror image or other wording never sits on the other
side. Object splits hold objects out at a coverage; by default the training objects are connected, so that an additive
fit is identified and every value occurs in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bindscope.concepts import IntArray
from bindscope.errors import InputError, TableError
from bindscope.scenes import BoolArray, SceneTable
from bindscope.streams import stream

SceneUnit = Literal["bag", "row"]
ObjectMethod = Literal["connected", "random"]
TRAIN, TEST, MIXED = 0, 1, 2


def split_scenes(table: SceneTable, share: float = 0.4, by: SceneUnit = "bag", seed: int = 0) -> BoolArray:
    """Mask `[n]` of the training rows: a random `share` (0..1) of the bags (`by="bag"`) or of the rows (the paper's).

    Raises TableError where there is only one bag or row, so that nothing could be held out.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"the training share must lie between 0 and 1, got {share}")
    units = _units(table, by)
    n_units = int(units.max(initial=-1)) + 1
    if n_units < 2:
        raise TableError(f"{len(table)} rows are {n_units} {by}; nothing can be held out, add scenes of other values")
    chosen = stream(seed, "scene split").permutation(n_units)
    count = min(max(round(share * n_units), 1), n_units - 1)
    return np.isin(units, chosen[:count])


def scene_folds(table: SceneTable, folds: int = 5, by: SceneUnit = "bag", seed: int = 0) -> IntArray:
    """Fold number 0..folds-1 of each row `[n]`; whole bags (or rows) stay in one fold."""
    units = _units(table, by)
    n_units = int(units.max(initial=-1)) + 1
    if folds < 2 or n_units < folds:
        raise TableError(f"{n_units} {by}s cannot be split into {folds} folds; give more scenes or fewer folds")
    place = np.empty(n_units, dtype=np.int64)
    place[stream(seed, "scene folds").permutation(n_units)] = np.arange(n_units) % folds
    return place[units]


@dataclass(frozen=True, eq=False)
class ObjectSplit:
    """Training and held-out objects of one table.

    train `[O]`: True for training objects (positions as in `table.candidates`). coverage: the share that trains, as it
    came out, in 0..1. identified: the additive fit is unique on the training objects (design rank sum V_k - C + 1).
    unseen_share: share of held-out objects with at least one value that no training object has, in 0..1.
    """

    train: BoolArray
    coverage: float
    identified: bool
    unseen_share: float

    def sides(self, table: SceneTable) -> IntArray:
        """TRAIN (all objects train), TEST (all held out) or MIXED for each scene, `[n]`."""
        trained = np.where(table.present, self.train[table.object_codes], False).sum(axis=1)
        return np.where(trained == table.counts, TRAIN, np.where(trained == 0, TEST, MIXED)).astype(np.int64)

    def closed(self, table: SceneTable) -> BoolArray:
        """Test scenes `[n]` in which elimination cannot stand in for binding.

        Unshared, all objects held out, and every value-swapped object held out too (or not in the data set at all).
        """
        return np.asarray(table.unshared & (table.count_in_bag(self.train) == 0))


def split_objects(table: SceneTable, coverage: float, seed: int = 0, method: ObjectMethod = "connected") -> ObjectSplit:
    """Choose round(coverage * O) training objects (at least one, at most O - 1).

    `connected`: a random spanning structure of the values first, then a random fill; random and not identified where
    there are too few objects for that. `random`: the paper's. O(O * (sum V_k)^2) at worst.
    """
    _refuse_coverage(table, coverage)
    order = stream(seed, "object order").permutation(table.n_objects)
    return _split_in_order(table, coverage, order, method)


def object_folds(table: SceneTable, coverage: float, seed: int = 0) -> list[ObjectSplit]:
    """Rotated splits at one coverage, until every object was held out that can be.

    Each next split trains first on what was held out most often so far, so held-out sets rotate through the objects.
    An object without which the others are not connected (the only one with some value, say) trains in every split.
    """
    rng = stream(seed, "connected objects")
    held_out = np.zeros(table.n_objects)
    splits: list[ObjectSplit] = []
    while not held_out.all():
        order = np.lexsort((rng.random(table.n_objects), -held_out))
        split = split_objects_in_order(table, coverage, order)
        if splits and not (held_out[~split.train] == 0).any():
            break  # what is left is needed in training
        splits.append(split)
        held_out += ~split.train
    return splits


def split_objects_in_order(table: SceneTable, coverage: float, order: IntArray) -> ObjectSplit:
    """Connected split that takes training objects as early in `order` `[O]` (positions of candidates) as it can."""
    _refuse_coverage(table, coverage)
    return _split_in_order(table, coverage, order, "connected")


def validation_objects(table: SceneTable, split: ObjectSplit, share: float = 0.1, seed: int = 0) -> BoolArray:
    """Mask `[O]` of validation objects: a random `share` of the training objects, at least one.

    Their removal keeps the rest as connected as it was; there are fewer of them where that asks for it, and only where
    no training object can be spared are they any.
    """
    inside = np.flatnonzero(split.train)
    if len(inside) < 2:
        raise TableError("one training object only; none can be kept for validation, use a higher coverage")
    if not 0.0 < share < 1.0:
        raise InputError(f"the share of validation objects must lie between 0 and 1, got {share}")
    order = inside[stream(seed, "validation objects").permutation(len(inside))]
    values = table.candidate_values
    spare = len(inside) - len(spanning_objects(values, order, additive_rank(values)))
    count = min(max(round(share * len(inside)), 1), spare or len(inside) - 1)
    keep = _training_positions(table, len(inside) - count, order, "connected")
    mask = split.train.copy()
    mask[keep] = False
    return mask


def spanning_objects(values: IntArray, order: IntArray, rank: int) -> IntArray:
    """First objects along `order` whose value indicators are independent, until `rank` are found.

    values `[O, C]`. An incremental Gram-Schmidt on the indicator rows; for two concepts it is a spanning tree.
    """
    if values.shape[1] == 2:
        return _spanning_forest(values, order)[:rank]
    offsets = np.cumsum([0, *(values.max(axis=0)[:-1] + 1)])
    columns = values + offsets
    basis = np.zeros((rank, int((values.max(axis=0) + 1).sum())))
    found: list[int] = []
    for position in order:
        if len(found) == rank:
            break
        row = np.zeros(basis.shape[1])
        row[columns[position]] = 1.0
        done = basis[: len(found)]
        rest = row - (done @ row) @ done
        rest -= (done @ rest) @ done  # twice is enough against rounding
        length = float(np.linalg.norm(rest))
        if length > 1e-7:
            basis[len(found)] = rest / length
            found.append(int(position))
    return np.array(found, dtype=np.int64)


def _spanning_forest(values: IntArray, order: IntArray) -> IntArray:
    """The same for two concepts: objects are edges between values, and the earliest ones that close no circle are those of
    the smallest spanning forest. O(O log O)."""
    from scipy.sparse import coo_matrix, csgraph

    rows, columns = values[order].T
    _, first = np.unique(rows * (int(columns.max(initial=0)) + 1) + columns, return_index=True)
    size = int(rows.max(initial=0)) + int(columns.max(initial=0)) + 2
    ends = (rows[first], columns[first] + int(rows.max(initial=0)) + 1)
    forest = csgraph.minimum_spanning_tree(coo_matrix((first + 1.0, ends), shape=(size, size)))
    return np.asarray(order[np.sort(forest.data).astype(np.int64) - 1], dtype=np.int64)


def additive_rank(values: IntArray) -> int:
    """Largest rank that an additive design of these objects `[O, C]` can have: sum of the numbers of values - C + 1."""
    return int(sum(len(np.unique(column)) for column in values.T) - values.shape[1] + 1)


def _refuse_coverage(table: SceneTable, coverage: float) -> None:
    if not 0.0 < coverage < 1.0:
        raise InputError(f"coverage must lie between 0 and 1, got {coverage}")
    if table.n_objects < 2:
        raise TableError("the data set shows one object only; nothing can be held out")


def _split_in_order(table: SceneTable, coverage: float, order: IntArray, method: ObjectMethod) -> ObjectSplit:
    count = min(max(round(coverage * table.n_objects), 1), table.n_objects - 1)
    train = np.zeros(table.n_objects, dtype=bool)
    train[_training_positions(table, count, order, method)] = True
    values = table.candidate_values
    full = additive_rank(values)
    own = spanning_objects(values, np.flatnonzero(train), full)
    unseen = np.zeros(int((~train).sum()), dtype=bool)
    for column in values.T:
        unseen |= ~np.isin(column[~train], column[train])
    return ObjectSplit(train, count / table.n_objects, len(own) == full, float(unseen.mean()))


def _training_positions(table: SceneTable, count: int, order: IntArray, method: ObjectMethod) -> IntArray:
    if method == "random":
        return order[:count]
    if method != "connected":
        raise InputError(f"object split method must be 'connected' or 'random', got {method!r}")
    tree = spanning_objects(table.candidate_values, order, additive_rank(table.candidate_values))
    if len(tree) > count:
        return order[:count]
    rest = order[~np.isin(order, tree)]
    return np.concatenate([tree, rest[: count - len(tree)]])


def _units(table: SceneTable, by: SceneUnit) -> IntArray:
    if by == "bag":
        return table.bag_ids
    if by == "row":
        return np.arange(len(table), dtype=np.int64)
    raise InputError(f"split must be 'bag' or 'row', got {by!r}")
