"""Run directories: config.json, embeddings, results, written whole or not at all.

A run is written into `<out>.partial`, analysis by analysis, and renamed when it is complete. A killed run therefore
leaves no half directory under its own name, and `resume` goes on from the analyses that are finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bindscope.errors import InputError, StoreError
from bindscope.results import Record, Results, read_results

SCHEMA_VERSION = 1
PARTIAL = ".partial"
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
        writer = cls(directory, digest)
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
            return [Record(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError, AttributeError, InputError):
            return None  # not there, cut short, or of another version: it is made again

    def keep(self, name: str, records: Sequence[Record]) -> None:
        """Store the records of a finished analysis."""
        write_text(self.partial / "parts" / f"{name}.json", Results(records).to_json())

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
        except OSError as error:
            raise StoreError(f"cannot write to {self.directory}: {error.strerror or error}") from error
        return self.directory


def now() -> str:
    """The time in UTC; it stands in config.json only."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_text(file: Path, text: str) -> None:
    """Write a file under a temporary name and rename it."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from error


def _foreign(directory: Path) -> bool:
    return any(directory.iterdir()) and not (directory / "config.json").is_file()


def _replace_directory(new: Path, place: Path) -> None:
    old = place.with_name(f"{place.name}.old-{os.getpid()}")
    if place.exists():
        os.replace(place, old)
    try:
        os.replace(new, place)
    except OSError:
        if old.exists():
            os.replace(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)


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
