"""Models of the hub: the cache first, and every way in which it fails in one line (no network is touched)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bindscope.encoders.hub import hub_directory
from bindscope.errors import BindscopeError, InputError, MissingExtraError, StoreError, UnknownNameError


class NotFound(Exception):
    pass


class Gated(NotFound):
    pass


class NoRevision(Exception):
    pass


class NoName(ValueError):
    pass


def library(local: Any, info: Any = None, remote: Any = None) -> SimpleNamespace:
    """A stand-in for huggingface_hub: each part is what it gives, or the error that it raises."""

    def answer(part: Any) -> Any:
        if isinstance(part, Exception):
            raise part
        return part

    errors = SimpleNamespace(
        HFValidationError=NoName,
        RevisionNotFoundError=NoRevision,
        GatedRepoError=Gated,
        RepositoryNotFoundError=NotFound,
    )
    return SimpleNamespace(
        errors=errors,
        HfApi=lambda: SimpleNamespace(model_info=lambda *_, **__: answer(info)),
        snapshot_download=lambda **wanted: answer(local if wanted.get("local_files_only") else remote),
    )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # `st:` sets it for the process

    def use(made: SimpleNamespace) -> None:
        monkeypatch.setattr("bindscope.encoders.hub._library", lambda: made)

    return use


def test_the_local_cache_is_asked_first(stand_in: Any) -> None:
    stand_in(library("place", info=AssertionError("asked the network")))
    assert hub_directory("org/name", "hf:org/name") == Path("place")


def test_then_the_network(stand_in: Any) -> None:
    stand_in(library(FileNotFoundError(), "there", "fetched"))
    assert hub_directory("org/name@main", "hf:org/name") == Path("fetched")


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (library(NoName()), InputError, r"'org/name' is not a name of the form ORG/NAME"),
        (library(OSError(), NoRevision()), UnknownNameError, r"unknown revision 'rev'; .*main"),
        (library(OSError(), Gated()), StoreError, r"asks for a licence"),
        (library(OSError(), NotFound()), InputError, r"no public model of this name; check the spelling"),
        (
            library(OSError(), TimeoutError()),
            StoreError,
            r"hub cannot be reached; fetch it beforehand: `hf download org/name`",
        ),
        (
            library(OSError(), "there", RuntimeError("line one\nline two")),
            StoreError,
            r"broke off \(line one\); try again",
        ),
    ],
)
def test_failures_are_one_line(stand_in: Any, made: SimpleNamespace, kind: type[BindscopeError], message: str) -> None:
    stand_in(made)
    with pytest.raises(kind, match=message) as caught:
        hub_directory("org/name@rev", "hf:org/name")
    assert "\n" not in str(caught.value)


def test_offline_mode_and_a_hint_are_said(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    stand_in(library(OSError(), TimeoutError()))
    with pytest.raises(StoreError, match=r"offline mode is on; fetch it beforehand: pip install it"):
        hub_directory("org/name", "hf:org/name", "pip install it")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"needs huggingface_hub"):
        hub_directory("org/name", "hf:org/name")
