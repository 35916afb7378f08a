"""Other people's tables through the commands: what is refused, what is told in the first lines, what is kept."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np

from commands import Command

OBJECTS = list(itertools.product(("1", "2", "10"), ("ball", "cube")))
ROWS = [(*a, *b) for a in OBJECTS for b in OBJECTS if a != b]
HEAD = "object1_n,object1_shape,object2_n,object2_shape"


def written(path: Path, rows: list[tuple[str, ...]], head: str = HEAD) -> str:
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path.name


def flat(text: str) -> str:
    return " ".join(text.split())


def test_audit_refuses_look_alikes_unless_they_are_to_be_kept(command: Command, tmp_path: Path) -> None:
    name = written(tmp_path / "t.csv", [(a, b, "0" + c, d) for a, b, c, d in ROWS])
    assert "'01' (10 cells) and '1' (10 cells)" in command("audit", name).refusal
    for arguments in ((name, "--keep-spellings"), (f"{name}?keep_spellings=true",)):
        kept = command("audit", *arguments)
        assert kept.code == 0
        assert "they are kept apart" in kept.err
    ran = command("diagnose", "planted:bag?dim=8", "--data", f"labels:{name}", "--keep-spellings", "--analyses", "audit",
                  "--out", "run")  # fmt: skip
    assert ran.code == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"] == f"labels:{name}?keep_spellings=true"


def test_fillers_and_other_numbers_of_objects_are_told_in_the_first_lines(command: Command, tmp_path: Path) -> None:
    name = written(tmp_path / "t.csv", [*ROWS, *((*o, "None", "None") for o in OBJECTS)])
    assert "'None None' as object 2 in 6 of 36 rows looks like a missing object" in command("audit", name).err
    assert (
        "of 36 scenes 6 show 1 object; the main analysis takes the 30 of 2 objects"
        in command("audit", f"{name}?missing=None").err
    )
    data = f"labels:{name}?missing=None"
    ran = command("diagnose", "planted:object?dim=16", "--data", data, "--analyses", "recognition", "--out", "run")
    assert "note: of 36 scenes 6 show 1 object" in flat(ran.out).partition("Recognition: share")[0]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["notes"] == [
        "of 36 scenes 6 show 1 object; the main analysis takes the 30 of 2 objects"
    ]
    assert "of 36 scenes 6 show 1 object" in (tmp_path / "run" / "report.html").read_text()


def test_audit_reads_the_layout_of_pug_as_folder_does(command: Command, tmp_path: Path) -> None:
    head = "world_name,character_name,character2_name,character_texture,character2_texture"
    rows = [(w, a, b, s, t) for w in ("Sea", "Sky") for a, s in OBJECTS for b, t in OBJECTS if a != b and s != t]
    written(tmp_path / "p.csv", rows, head)
    assert "rows of 2 worlds (Sea, Sky); choose one with ?world=Sea" in command("audit", "p.csv").refusal
    assert command("audit", "p.csv?world=all").code == 0


def test_queries_in_another_order_are_told(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers, shapes = [str(i) for i in range(1, 11)], ["ball", "cube"]
    objects = list(itertools.product(numbers, shapes))
    values = {word: rng.normal(size=32) for word in (*numbers, *shapes)}
    vectors = {o: values[o[0]] + values[o[1]] + rng.normal(size=32) for o in objects}
    rows = [(*a, *b) for a in objects for b in objects if a != b]
    written(tmp_path / "t.csv", rows)
    np.save(tmp_path / "v.npy", np.stack([vectors[r[:2]] + vectors[r[2:]] for r in rows]))
    for name, order in (("right", sorted(numbers)), ("wrong", numbers)):
        asked = np.stack([vectors[n, s] for n in order for s in shapes])
        value = np.stack([values[n] for n in order])
        np.savez(tmp_path / f"{name}.npz", objects=asked, n=value, shape=np.stack([values[s] for s in shapes]))
        model = f"file:v.npy?queries={name}.npz"
        ran = command("diagnose", model, "--data", "labels:t.csv", "--analyses", "recognition", "--out", name)
        assert "taken in the order of the values: objects 1 ball, 1 cube, 10 ball, 10 cube, ...; n 1, 10, 2, 3" in flat(
            ran.out
        )
        assert ("the queries may be in another order" in flat(ran.out)) is (name == "wrong")
