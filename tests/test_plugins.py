"""The door for other packages: names that an installed distribution adds, and what its mistakes do."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.registry import analyses
from bindscope.cli import main
from bindscope.datasets import dataset_names, load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import encoder_names, load_encoder
from bindscope.errors import BindscopeWarning, InputError, UnknownNameError
from bindscope.learners.registry import approximator_names, load_approximator
from bindscope.names import Registry
from bindscope.results import read_results
from commands import Command

CODE = '''
import zlib
import numpy as np
from bindscope.datasets import load_dataset
from bindscope.encoders import Encoder
from bindscope.learners.additive import load_additive

class Lengths(Encoder):
    """Counts letters."""
    def encode(self, items):
        return np.array([[len(text), zlib.crc32(text.encode()) / 2**32] for text in items.texts], dtype=np.float32)
    def fidelity(self):
        return {"architecture": "lengths"}

def lengths(rest, name, settings):
    """Letters of each caption."""
    made = Lengths()
    made.batch = settings.batch_size
    return made

def pairs(rest, name):
    """Pairs of the first words."""
    return load_dataset("text:" + rest)

def learner(rest, tune):
    """Exact least squares, from outside."""
    return load_additive(rest, tune)

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric
from bindscope.uncertainty import Outcome

def lengths_of(context):
    squares = (context.vectors.astype(float) ** 2).sum(axis=1)
    return [Outcome.mean("mean_length", squares ** 0.5, target="scenes", estimator="plain", split="all", chance=0.0)]

def a_lot(table, dimensions):
    return 1e13

LENGTHS = Analysis(
    "lengths",
    "Lengths of the vectors",
    "how long the vectors are",
    metrics={"mean_length": Metric("Mean length", target="scenes")},
    measure="acme_binding:lengths_of",
    cost="acme_binding:a_lot",
)

def fails(*arguments):
    raise RuntimeError("no licence\\nsecond line")

def stops(*arguments):
    raise SystemExit(3)

def other(*arguments):
    return 3
'''


def install(place: Path, name: str, groups: dict[str, dict[str, str]], version: str = "1.2") -> None:
    """A distribution of metadata alone: what pip leaves beside the modules of a package."""
    info = place / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{word} = {at}\n" for word, at in rows.items()) for group, rows in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the search path with the module acme_binding."""
    (tmp_path / "acme_binding.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for module in [name for name in sys.modules if name.startswith("acme_binding")]:
        del sys.modules[module]


@pytest.fixture
def acme(place: Path) -> Path:
    """The package acme, which adds one name of each kind."""
    groups = {
        "bindscope.encoders": {"lengths": "acme_binding:lengths"},
        "bindscope.datasets": {"pairs-of": "acme_binding:pairs"},
        "bindscope.learners": {"outside": "acme_binding:learner"},
        "bindscope.analyses": {"lengths": "acme_binding:LENGTHS"},
    }
    install(place, "acme", groups)
    return place


def test_an_installed_package_adds_names_of_each_kind(acme: Path) -> None:
    data = load_dataset("pairs-of:2x2")
    assert len(data) == 12
    encoder = load_encoder("lengths:x", batch_size=3)
    assert encoder.name == "lengths:x"
    assert vars(encoder)["batch"] == 3
    embeddings = embed(encoder, data)
    assert embeddings.vectors.shape == (12, 2)
    fitted = load_approximator("outside").fit(embeddings.table, embeddings.vectors)
    assert np.isfinite(fitted.train_r2)


def test_the_list_says_where_names_come_from(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encoder_names()["lengths:"] == "Letters of each caption. (from acme 1.2)"
    assert dataset_names()["pairs-of:"] == "Pairs of the first words. (from acme 1.2)"
    assert approximator_names()["outside"] == "Exact least squares, from outside. (from acme 1.2)"
    main_exit(["list", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [listed[group][name] for group, name in (("models", "lengths:"), ("data", "pairs-of:"))] == [
        "Letters of each caption. (from acme 1.2)",
        "Pairs of the first words. (from acme 1.2)",
    ]


def test_near_names_of_plugins_are_offered(acme: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean lengths:"):
        load_encoder("lenghts:x")
    with pytest.raises(UnknownNameError, match="did you mean lengths:"):
        load_encoder("lengths")  # the colon is missing
    with pytest.raises(UnknownNameError, match="did you mean pairs-of:"):
        load_dataset("pairs-of")
    with pytest.raises(UnknownNameError, match="did you mean outside"):
        load_approximator("outsde")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("acme_nowhere:thing", "cannot be loaded .ModuleNotFoundError"),
        ("acme_binding:missing", "cannot be loaded .AttributeError"),
        ("acme_binding:CODE.x", "cannot be loaded .AttributeError"),
        ("not a reference", "cannot be loaded"),
        ("acme_binding:np.pi", "is no encoder but float"),
        ("acme_broken:thing", "cannot be loaded .ZeroDivisionError"),
        ("acme_stops:thing", "cannot be loaded .SystemExit"),
    ],
)
def test_a_broken_plugin_is_one_line(
    place: Path, target: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "acme_broken.py").write_text("1 / 0\n")
    (place / "acme_stops.py").write_text("import sys\nsys.exit('bye')\n")
    install(place, "broken", {"bindscope.encoders": {"bad": target}})
    with pytest.warns(BindscopeWarning, match=message):
        assert "bad:" not in encoder_names()
    with pytest.raises(InputError, match=message):
        load_encoder("bad:x")
    assert load_encoder("planted:bag").name == "planted:bag"  # others are not touched
    main_exit(["list"])
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("note: plug-in 'bad'")


@pytest.mark.parametrize(
    ("factory", "message"),
    [("fails", "RuntimeError: no licence;"), ("stops", "SystemExit: 3;"), ("other", "gave int; expected an Encoder")],
)
def test_what_a_plugin_raises_is_one_line(place: Path, factory: str, message: str) -> None:
    install(place, "acme", {"bindscope.encoders": {"own": f"acme_binding:{factory}"}})
    with pytest.raises(InputError, match=message) as caught:
        load_encoder("own:x")
    assert "\n" not in str(caught.value)


def test_words_that_are_taken_or_cannot_be_typed(place: Path) -> None:
    install(place, "acme", {"bindscope.encoders": {"st": "acme_binding:lengths", "own": "acme_binding:lengths"}})
    with pytest.warns(BindscopeWarning, match="'st' of acme 1.2 is passed over: the encoder 'st' is there already"):
        assert "own:" in encoder_names()
    install(place, "zebra", {"bindscope.learners": {"a?b": "acme_binding:learner", "own": "acme_binding:learner"}})
    install(place, "yak", {"bindscope.learners": {"own": "acme_binding:learner"}})
    with pytest.warns(BindscopeWarning) as told:
        assert approximator_names()["own"].endswith("(from yak 1.2)")
    texts = sorted(str(warning.message) for warning in told)
    assert [text.partition(":")[0] for text in texts] == [
        "plug-in 'a?b' of zebra 1.2 is passed over",
        "plug-in 'own' of zebra 1.2 is passed over",
    ]


def test_unreadable_metadata_harm_nobody(place: Path) -> None:
    install(place, "ruined", {})
    (place / "ruined-1.2.dist-info" / "entry_points.txt").write_text("[bindscope.encoders]\nno equals sign\n")
    with pytest.warns(BindscopeWarning, match="entry points of the package ruined cannot be read"):
        assert "planted:KIND" in encoder_names()


def test_of_two_versions_the_first_on_the_path_counts(
    acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "older"
    older.mkdir()
    install(older, "acme", {"bindscope.learners": {"outside": "acme_nowhere:old"}}, "0.9")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    assert approximator_names()["outside"].endswith("(from acme 1.2)")


def test_a_broken_analysis_is_one_warning(place: Path) -> None:
    install(place, "acme", {"bindscope.analyses": {"letters": "acme_binding:CODE", "digits": "acme_binding:np.pi"}})
    with pytest.warns(BindscopeWarning) as told:
        assert {"letters", "digits"}.isdisjoint(analyses())
    assert [str(one.message).partition(" (")[0] for one in told] == ["plug-in 'digits'", "plug-in 'letters'"]
    assert "recognition" in analyses()


def test_items_leave_broken_ones_out(place: Path) -> None:
    install(place, "acme", {"acme.palettes": {"good": "acme_binding:CODE_NAME", "letters": "string:ascii_letters"}})
    palettes = Registry[str]("palette", "acme.palettes", {"digits": "string:digits"}, fits=lambda x: isinstance(x, str))
    with pytest.warns(BindscopeWarning, match="plug-in 'good'"):
        found = dict(palettes.items())
    assert found["digits"] == "0123456789"
    assert list(found) == ["digits", "letters"]
    assert palettes.package_of("letters") == "acme 1.2"
    assert palettes.package_of("digits") is None
    palettes.add("vowels", "aeiou", "five letters")
    assert palettes["vowels"] == "aeiou"
    with pytest.raises(InputError, match="'digits' cannot name a palette"):
        palettes.add("digits", "1", "")


def main_exit(arguments: list[str]) -> None:
    """The command line, which ends in SystemExit 0."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0


def test_an_analysis_from_outside_stands_in_all_places(acme: Path, command: Command) -> None:
    """One entry of an installed package: it is listed, asked for, announced, recorded, printed, shown and gated."""
    listed = json.loads(command("list", "--json").out)["analyses"]
    assert listed["lengths"] == "how long the vectors are (from acme 1.2)"
    arguments = (
        "diagnose",
        "planted:bag?dim=16",
        "--data",
        "text:3x3",
        "--analyses",
        "recognition,lengths",
        "--out",
        "r",
    )
    done = command(*arguments, "--fail-if", "mean_length>1000")
    assert done.code == 0, done.err
    assert "Lengths of the vectors" in done.out
    assert "Mean length" in done.out
    assert "gate passed: mean_length>1000" in done.out
    assert re.search(r"lengths of 72 scenes, about [0-9,]+ (s|min|h)", done.err)
    record = read_results(Path("r")).one(analysis="lengths", metric="mean_length")
    assert record.value > 0  # type: ignore[operator]
    assert record.ci_low is not None
    page = Path("r/report.html").read_text(encoding="utf-8")
    assert 'id="lengths"' in page
    assert "Mean length" in page
    assert command(*arguments, "--fail-if", "mean_length>0").code == 1
    assert "did you mean lengths" in command(*arguments[:5], "lenghts").refusal
