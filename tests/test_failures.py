"""Where commands end: exit codes of their own, one line, and a file for what nobody foresaw."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bindscope.cli.failures import LONGEST, ended, foreseen, shortened
from bindscope.errors import InputError
from commands import Command, environment


def raised(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def command() -> None:
        raise error

    code = ended(command)
    return code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), "out of memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (OSError(errno.ENOSPC, "No space left on device", "r/x"), "free space"),
        (OSError(errno.EACCES, "Permission denied", "r/x"), "change its rights"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "too long for this file system"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "folder"), "folder: Is a directory"),
        (ValueError("Exceeds the limit (4300 digits) for integer string conversion"), "more than 4,300 digits"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "give it in UTF-8"),
        (InputError("expected this, got that"), "expected this, got that"),
    ],
)
def test_what_is_foreseen_is_bad_input(error: BaseException, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = raised(error, capsys)
    assert code == 2
    assert line.startswith("error: ")
    assert said in line
    assert len(line.splitlines()) == 1


def test_what_nobody_foresaw_has_a_code_and_a_file_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = raised(KeyError("color\nsecond line" * 50), capsys)
    assert code == 3
    assert len(line) <= LONGEST
    assert len(line.splitlines()) == 1
    found = re.search(r"the traceback is in (\S+\.log);", line)
    assert found is not None
    file = Path(found[1])
    assert "KeyError" in file.read_text(encoding="utf-8")
    assert "in command" in file.read_text(encoding="utf-8")
    file.unlink()


def test_it_is_foreseen_only_where_the_cause_is_plain() -> None:
    assert foreseen(KeyError("x")) == foreseen(RuntimeError("shape mismatch")) == foreseen(ValueError("no")) == ""


def test_ctrl_c_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = raised(KeyboardInterrupt(), capsys)
    assert (code, "--resume" in line) == (130, True)


@pytest.mark.parametrize("text", ["x" * 1000, "a\x00b\x1b[31m", "zeile\nzeile", "ä" * 400])
def test_lines_are_short_and_plain(text: str) -> None:
    line = shortened(text)
    assert len(line) <= LONGEST
    assert line.isprintable()


def test_a_long_message_keeps_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    _, line = raised(InputError("expected a number, got " + "9" * 5000 + "; give a shorter one"), capsys)
    assert len(line) == LONGEST
    assert line.endswith("give a shorter one")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_a_terminal_cannot_write_is_replaced(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "scenes.csv").write_text(
        "object1_color,object1_shape,object2_color,object2_shape\n"
        + "".join(
            f"{a},{s},{b},{t}\n" for a in ("立方", "红") for s in ("α", "β") for b in ("立方", "红") for t in ("α", "β")
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "bindscope", "audit", "scenes.csv"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONIOENCODING=encoding),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (b"?" in done.stdout) == (encoding == "ascii")  # the other one has all that is printed here


def test_a_closed_pipe_is_an_end_like_any_other(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bindscope", "list"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert said == b""


def test_gates_keep_their_code(command: Command) -> None:
    words = ("diagnose", "planted:bag?dim=16", "--data", "text:3x3", "--analyses", "recognition", "--out", "r")
    assert command(*words, "--fail-if", "object_recognition<2").code == 1
    assert command(*words, "--fail-if", "object_recognition<0").code == 0


def test_an_unforeseen_error_of_a_command_is_3(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("bindscope.analyses.audit.measure.measure", broken)
    done = command("diagnose", "planted:bag?dim=16", "--data", "text:3x3", "--analyses", "audit", "--out", "r")
    assert done.code == 3
    assert "unforeseen ZeroDivisionError: a bug" in done.error
    os.unlink(re.search(r"is in (\S+);", done.error)[1])  # type: ignore[index]
