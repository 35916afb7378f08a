"""What the pages of results/ are made of: intervals over models, tables, and the studies on planted tables."""

from __future__ import annotations

from pathlib import Path

import forms
import helps
import numpy as np
import pages
import pytest
import queries
import transition

from bindscope.controlled.config import preset
from bindscope.runs.transition import transitions


def rows(places: dict[int, float], noise: float = 0.01, **changes: object) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    made = []
    for values, place in places.items():
        for coverage in (0.2, 0.35, 0.5, 0.65, 0.8):
            for seed in range(3):
                config = preset("tiny", values=values, coverage=coverage, seed=seed, **changes)
                figure = 0.9 / (1 + np.exp(-30 * (coverage - place))) + noise * rng.normal()
                made.append({**config.model_dump(), "closed": figure, "test": figure})
    return made


def test_the_interval_of_a_rank_correlation_holds_the_truth_and_the_control_holds_zero() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    value, low, high = pages.bootstrap(forms.spearman, x, x + 0.5 * rng.normal(size=200))
    assert low < value < high
    assert low > 0.7
    _, low, high = pages.bootstrap(forms.spearman, x, rng.normal(size=200))
    assert low < 0 < high


def test_a_correlation_that_comes_from_a_setting_alone_is_gone_when_it_is_held() -> None:
    rng = np.random.default_rng(0)
    coverage = rng.uniform(size=400)
    x, y = (coverage + 0.2 * rng.normal(size=400) for _ in range(2))
    assert forms.spearman(x, y) > 0.5
    assert abs(forms.partial(x, y, coverage)) < 0.12
    assert forms.partial(x, x, coverage) == pytest.approx(1.0)


def test_the_words_on_the_transition_name_each_threshold() -> None:
    words = transition.trend(rows({8: 0.6, 16: 0.4}))  # type: ignore[arg-type]
    assert "at 64 objects" in words
    assert words.index("at 64 objects") < words.index("at 256 objects")
    assert "0.60 (" in words


def test_a_length_that_changes_nothing_is_told_at_each_coverage() -> None:
    lengths = [*rows({16: 0.5}, 0.0, steps=500), *rows({16: 0.4}, 0.0, steps=1000), *rows({16: 0.4}, 0.0, steps=2000)]
    words = transition.length_sentence(lengths)  # type: ignore[arg-type]
    assert "coverage 0.2: from 500 on (seen to 2,000); coverage 0.35: from 1,000 on" in words
    assert "coverage 0.5: not yet at 1,000" in transition.length_sentence(lengths[:30])  # type: ignore[arg-type]
    first, _, last = transition.length_rows([*lengths[:33], *lengths[-1:]])  # type: ignore[arg-type]
    assert (first["steps"], first["coverage 0.5"]) == (500, "0.45 (0.45 to 0.45)")
    assert (last["coverage 0.35"], last["coverage 0.8"]) == ("", "0.90 (0.90 to 0.90)")


def test_the_length_study_takes_the_models_of_the_same_split_and_seed() -> None:
    plain, longer = rows({8: 0.5, 16: 0.5}), [row for row in rows({16: 0.4}, steps=4000) if row["seed"] == 1]
    same = transition.same_space(plain, longer)  # type: ignore[arg-type]
    assert len(same) == 5
    assert {(row["values"], row["seed"]) for row in same} == {(16, 1)}


def test_batches_stand_beside_each_other_at_the_shared_coverages() -> None:
    plain, large = rows({16: 0.5}, 0.0), [r for r in rows({16: 0.7}, 0.0, batch=512) if r["coverage"] in (0.5, 0.65)]
    small, big = transition.batch_rows(plain, large)  # type: ignore[arg-type]
    assert (small["batch"], small["models"], big["batch"], big["models"]) == (128, 6, 512, 6)
    assert small["coverage 0.5"] == "0.45 (0.45 to 0.45)"
    assert big["coverage 0.5"] == "0.00 (0.00 to 0.00)"


def test_a_change_is_told_at_each_coverage_and_a_setting_at_one() -> None:
    plain, decayed = rows({16: 0.6}, 0.0), rows({16: 0.4}, 0.0, weight_decay=0.5)
    change = helps.CHANGES[1]
    assert change.of([*plain, *decayed]) == decayed
    for row in (*plain, *decayed):
        row["train"] = 1.0
    words = "\n".join(helps.section(plain, decayed, change))  # type: ignore[arg-type]
    assert "Weight decay 0.5; FLOPs over those of the recipe: 1.00" in words
    assert "Shift of the threshold: -0.2" in words
    assert "| the recipe | 256 | 15 | 0.60 (" in words
    assert "| weight decay 0.5 | 256 | 15 | 0.40 (" in words
    line, other = helps.by_setting(plain, decayed, "weight_decay", 0.5)  # type: ignore[arg-type]
    assert (line["weight decay"], other["weight decay"], line["models"]) == (0.1, 0.5, 3)
    assert other["closed scenes"].startswith("0.86 ")


def test_pairs_of_heads_are_found_by_space_coverage_and_seed() -> None:
    plain, product = rows({16: 0.6}, 0.0), rows({16: 0.4}, 0.0, head="product")
    pairs = helps.paired(plain, product[:-1], "closed")  # type: ignore[arg-type]
    assert len(pairs) == 14
    assert all(theirs >= mine for _, mine, theirs in pairs)
    one, other = transitions(plain)[0], transitions(product)[0]
    assert helps.shift(one.threshold, other.threshold).startswith("-0.2")
    assert helps.flops(product[0]) > helps.flops(plain[0])


def test_pages_hold_their_command_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["studies/some.py", "--runs", str(tmp_path)])
    pages.write_page(tmp_path / "page.md", "Title", ["text", pages.table([{"a": 1.23456, "b": None}])], ["first"])
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Title\n\nMade by `first`, `python studies/some.py --runs RUNS` at commit ")
    assert "| 1.235 |  |" in text
    pages.write_rows(tmp_path / "rows.csv", [{"a": 0.5, "b": 12000}])
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["a,b", "0.5,12000"]


def test_recognition_among_test_objects_is_that_of_sorted_scores(tmp_path: Path) -> None:
    from bindscope.controlled.evaluate import encode_values, object_queries
    from bindscope.controlled.sampling import scenes_of_pool, split_run
    from bindscope.controlled.train import load_trained
    from bindscope.runs.training import train_run

    train_run(preset("tiny", values=5, coverage=0.5, steps=150, threads=1), tmp_path / "run")
    found = queries.among_test(tmp_path / "run")
    config, model = load_trained(tmp_path / "run")
    objects = split_run(config)
    scenes = scenes_of_pool(objects, objects.test, 2, config.test_scenes, config.seed)
    assert scenes is not None
    asked = object_queries(model, config, scenes)
    asked = asked[objects.test] / np.linalg.norm(asked[objects.test], axis=1, keepdims=True)
    best = objects.test[np.argsort(-encode_values(model.scene, scenes.values) @ asked.T, axis=1)[:, :2]]
    right = [set(row) == set(scene) for row, scene in zip(best, scenes.object_codes, strict=True)]
    assert found["among_test"] == pytest.approx(np.mean(right))
    assert 0 < found["among_test"] < 1
    pairs = len(objects.test) * (len(objects.test) - 1) / 2
    assert found["among_test_chance"] == pytest.approx(1 / pairs)


def test_means_over_seeds_stand_with_their_range_and_missing_figures_are_left_out() -> None:
    made = [
        {"coverage": 0.5, "queries": "all", **dict.fromkeys(queries.FIGURES, figure), "closed": None}
        for figure in (0.25, 0.75)
    ]
    (line,) = queries.means(made)
    assert line["held-out objects"] == "0.500 (0.250 to 0.750)"
    assert (line["models"], line["closed scenes"]) == (2, "")


def test_figures_over_seeds_leave_out_what_is_missing() -> None:
    assert pages.over_seeds([0.25, None, 0.75]) == "0.50 (0.25 to 0.75)"
    assert pages.over_seeds([0.002], 3) == "0.002 (0.002 to 0.002)"
    assert pages.over_seeds([None]) == ""
