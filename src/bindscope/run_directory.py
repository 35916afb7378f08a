"""Run directories: config.json, embeddings, results, written whole or not at all.

A run is written into `<out>.partial`, analysis by analysis, and renamed when it is complete. A killed run therefore
leaves no half directory under its own name, and `resume` goes on from the analyses that are finished.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from bindscope.errors import InputError, StoreError
from bindscope.results import Record, Results, read_results

SCHEMA_VERSION = 1
PARTIAL = ".partial"
_TEMPORARY = re.compile(r"\.(tmp\w+|results-(?P<other>\d+)|.+\.(?P<pid>\d+)(\.partial)?)")
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "sentence-transformers", "transformers", "safetensors")


def config_hash(inputs: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that name these inputs."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that the numbers depend on, where installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_config(directory: Path) -> dict[str, Any]:
    """config.json of a run directory; StoreError where it is missing, damaged or of another schema version."""
    file = directory / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{directory} is no run directory: it has no config.json; make one with `bindscope diagnose`"
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {error}; the run is damaged, make it again with --resume") from error
    version = config.get("schema_version") if isinstance(config, dict) else None
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{file} has schema version {version!r} and this bindscope reads {SCHEMA_VERSION}; run `bindscope diagnose` again"
        )
    return dict(config)


def refuse_unwritable(place: Path, directory: bool = True) -> None:
    """Raise StoreError where a directory (or a file) cannot be written; for commands to ask before the work.

    Nothing is made: the nearest directory above that exists must be one that can be written to.
    """
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            place.stat()  # a name that no file can have raises
        if place.exists() and place.is_dir() != directory:
            kind = "no directory" if directory else "a directory"
            raise StoreError(f"cannot write to {place}: it is {kind}; give another --out")
        above = place
        while not above.exists() and above.parent != above:
            above = above.parent
        inside = above if above.is_dir() or above == place else None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"cannot write to {place}: {reason}; give another --out") from None
    if inside is None:
        raise StoreError(f"cannot write to {place}: {above} is no directory; give another --out")
    if not os.access(above, os.W_OK | (os.X_OK if above.is_dir() else 0)):
        raise StoreError(f"cannot write to {place}: {above} cannot be written to; give another --out")


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep a directory that is being written to one process; StoreError names the process that has it.

    The lock lies beside the directory and ends with the process, however it ends.
    """
    refuse_unwritable(directory)
    place = directory.with_name(f".{directory.resolve().name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file: TextIO | None = place.open("a+", encoding="utf-8")
    except OSError as error:
        if not directory.is_dir():
            raise StoreError(f"cannot write to {directory}: {error.strerror or error}; give another --out") from error
        file = None  # the place beside it is closed to us, the directory is not
    if file is None:
        yield
        return
    with file:
        _refuse_busy(file, directory)
        sweep(directory)
        try:
            yield
            sweep(directory)
        finally:
            place.unlink(missing_ok=True)


def _refuse_busy(file: TextIO, directory: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no locks on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "another process"
        raise StoreError(f"{directory} is being written by {owner}; wait for it or give another --out") from None
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()


@dataclass(frozen=True)
class RunWriter:
    """A run in the making: `directory` is its final place."""

    directory: Path
    hash: str

    @property
    def partial(self) -> Path:
        """Where the run is written until it is complete."""
        return self.directory.with_name(self.directory.name + PARTIAL)

    @classmethod
    def open(cls, directory: Path, digest: str, resume: bool) -> RunWriter:
        """Make the partial directory; what an earlier run with the same inputs finished is kept only with `resume`."""
        directory = directory.expanduser()
        writer = cls(directory, digest)
        sweep(directory)
        if directory.exists() and (not directory.is_dir() or _foreign(directory)):
            raise StoreError(f"{directory} exists and is no run directory; give another --out or empty it")
        try:
            if writer.partial.exists() and not (resume and writer._same_run()):
                shutil.rmtree(writer.partial)
            (writer.partial / "parts").mkdir(parents=True, exist_ok=True)
            write_text(writer.partial / "hash", digest)
        except OSError as error:
            raise StoreError(
                f"cannot write to {writer.partial}: {error.strerror or error}; give another --out"
            ) from error
        return writer

    def _same_run(self) -> bool:
        try:
            return (self.partial / "hash").read_text(encoding="utf-8") == self.hash
        except (OSError, ValueError):
            return False

    def finished(self, name: str) -> list[Record] | None:
        """Records of an analysis that an earlier run finished, else None."""
        file = self.partial / "parts" / f"{name}.json"
        try:
            return read_signed(file)
        except (OSError, ValueError, TypeError, AttributeError, KeyError, InputError):
            return None  # not there, cut short, or of another version: it is made again

    def refused(self) -> None:
        """Leave nothing behind of a run that was refused before any analysis was finished."""
        if not any((self.partial / "parts").glob("*.json")):
            shutil.rmtree(self.partial, ignore_errors=True)

    def keep(self, name: str, records: Sequence[Record]) -> None:
        """Store the records of a finished analysis."""
        write_signed(self.partial / "parts" / f"{name}.json", records)

    def complete(self, config: Mapping[str, Any], results: Results) -> Path:
        """Write config and results and move the run to its final place, replacing an older run there."""
        try:
            results.write(self.partial)
            write_text(
                self.partial / "config.json", json.dumps(config, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
            )
            _replace_directory(self.partial, self.directory)
            shutil.rmtree(self.directory / "parts")  # after the move: a run that is stopped before it can go on
            (self.directory / "hash").unlink()
            sweep(self.directory)
        except OSError as error:
            raise StoreError(f"cannot write to {self.directory}: {error.strerror or error}") from error
        return self.directory


@contextlib.contextmanager
def open_run(directory: Path, digest: str, resume: bool) -> Iterator[RunWriter]:
    """The writer of a run, for this process alone; a run that is refused leaves nothing behind."""
    place = directory.expanduser()
    with locked(place):
        writer = RunWriter.open(place, digest, resume)
        try:
            yield writer
        except InputError:
            writer.refused()
            raise


def now() -> str:
    """The time in UTC; it stands in config.json only."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_text(file: Path, text: str) -> None:
    """Write a file under a temporary name and rename it; what killed processes left of it goes."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        for old in file.parent.glob(f".{glob.escape(file.name)}.*"):
            pid = old.name.rpartition(".")[2]
            if pid.isdecimal() and not _alive(pid):
                old.unlink(missing_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from error


def write_signed(file: Path, records: Sequence[Record]) -> None:
    """Records of a step of a run that may be killed, as JSON with their digest."""
    text = Results(records).to_json()
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_text(file, json.dumps({"sha256": digest, "records": text}, ensure_ascii=False))


def read_signed(file: Path) -> list[Record]:
    """What `write_signed` wrote; raises StoreError for a digest that does not fit, others where it is cut short."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if hashlib.sha256(content["records"].encode()).hexdigest() != content["sha256"]:
        raise StoreError(f"{file} was altered: its checksum does not fit; make it again")
    return [Record(**row) for row in json.loads(content["records"])]


def _foreign(directory: Path) -> bool:
    return any(directory.iterdir()) and not (directory / "config.json").is_file()


def _replace_directory(new: Path, place: Path) -> None:
    """Put a directory in the place of another, in one step where the system can: there is always one at that place."""
    old = place.with_name(f"{place.name}.old-{os.getpid()}")
    if not place.exists():
        os.replace(new, place)
        return
    if _exchanged(new, place):
        os.replace(new, old)
    else:
        os.replace(place, old)
        try:
            os.replace(new, place)
        except OSError:
            os.replace(old, place)
            raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system exchanged two directories in one step (Linux: renameat2 with RENAME_EXCHANGE)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def sweep(directory: Path) -> None:
    """Clear what killed processes left of a run: an older run that was on its way out, temporary files inside.

    An older run that was taken aside and never replaced is put back.
    """
    for old in directory.parent.glob(f"{glob.escape(directory.name)}.old-*"):
        if not _alive(old.name.rpartition("-")[2]):
            if directory.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(old, directory)
    for file in (*directory.glob(".*"), *directory.glob("figures/.*"), *directory.glob(f"*{PARTIAL}/.*")):
        found = _TEMPORARY.fullmatch(file.name)
        if found and not _alive(found["pid"] or ""):
            shutil.rmtree(file, ignore_errors=True) if file.is_dir() else file.unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    """Whether another process of that number runs."""
    if not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def replace_records(directory: Path, analyses: Sequence[str], records: Results) -> Results:
    """Put records into a run's results in place of all that it has of these analyses; the rest keeps its order.

    The three files are written aside and renamed, so a killed run leaves the old ones whole. Gives all records.
    """
    kept = read_results(directory).select(lambda record: record.analysis not in analyses)
    every = kept + records
    aside = directory / f".results-{os.getpid()}"
    try:
        aside.mkdir(exist_ok=True)
        every.write(aside)
        for file in sorted(aside.iterdir()):
            os.replace(file, directory / file.name)
    except OSError as error:
        raise StoreError(f"cannot write results to {directory}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return every


def amend_config(directory: Path, key: str, value: Any) -> None:
    """Set one key of a run's config.json, written whole."""
    config = {**read_config(directory), key: value}
    write_text(directory / "config.json", json.dumps(config, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
