"""The page as a file: complete, self-contained, safe, and robust against missing or damaged inputs."""

from __future__ import annotations

import html
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bindscope.analyses.registry import analyses
from bindscope.errors import StoreError
from bindscope.report import write_report
from bindscope.results import Record
from bindscope.show.words import interval_text, plain, value_text, variant
from report.synthetic import audit_records, every_record, geometry_records, recognition_records, record, write_run


class Page(HTMLParser):
    """Tags with their attributes, the text outside of scripts and styles, and what each row of a table holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[set[str]] = []
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append(set())
        if "data-exact" in dict(attrs):
            self.rows[-1].add(dict(attrs)["data-exact"] or "")
        if tag in ("script", "style"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.words.append(data)
            if self.rows:
                self.rows[-1].add(data.strip())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, name: str) -> set[str]:
        return {value for _, attrs in self.tags if (value := attrs.get(name)) is not None}


def read(directory: Path) -> tuple[str, Page]:
    text = write_report(directory).read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    return read(write_run(tmp_path_factory.mktemp("full") / "run"))


def shown(one: Record) -> set[str]:
    """What a row of a table must hold to show a record whole: the exact figures and the printed words."""
    exact = [one.value, one.chance, one.ceiling, one.coverage, one.n_ties]
    pair = [] if one.ci_low is None else [f"{one.ci_low!r} {one.ci_high!r}"]
    words = [value_text(one), interval_text(one), variant(one.extra), plain(one.estimator), plain(one.target)]
    return {*(repr(value) for value in exact if value is not None), *pair, *words, plain(one.split)} - {""}


def test_every_record_stands_whole_in_a_row(full: tuple[str, Page]) -> None:
    for one in every_record():
        assert any(shown(one) <= row for row in full[1].rows), one


def test_a_record_that_was_not_made_is_not_found(full: tuple[str, Page]) -> None:
    other = replace(recognition_records()[0], value=0.123456)
    assert not any(shown(other) <= row for row in full[1].rows)


def test_first_screen_tells_the_story(full: tuple[str, Page]) -> None:
    text = full[1].text
    first = text.index("Does this model bind concepts?")
    assert (
        first < text.index("st:some/encoder", first) < text.index("Bag of concepts", first) < text.index("The evidence")
    )
    assert "This model is a bag of concepts" in text
    assert "the vector holds the binding, the queries do not find it" in text
    assert "Asked about scenes such as “a red circle and a blue square”" in text


def test_every_analysis_and_the_fixed_sections_are_there(full: tuple[str, Page]) -> None:
    sections = {attrs.get("id") for tag, attrs in full[1].tags if tag == "section"}
    assert {*analyses(), "verdict", "sensitivity", "fidelity", "settings", "command", "reading", "citing"} <= sections


def test_links_of_the_bar_lead_somewhere(full: tuple[str, Page]) -> None:
    targets = {href[1:] for href in full[1].values("href") if href.startswith("#")}
    assert targets <= full[1].values("id")


def test_ids_are_unique(full: tuple[str, Page]) -> None:
    ids = [attrs["id"] for _, attrs in full[1].tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_outside(full: tuple[str, Page]) -> None:
    for tag, attrs in full[1].tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert attrs.get("src") is None
        href = attrs.get("href") or ""
        assert not href.startswith(("http:", "https:", "//")) or tag == "a"
    style = full[0].split("<style>")[1].split("</style>")[0]
    assert "@import" not in style
    assert "url(" not in style


def test_a_policy_forbids_requests(full: tuple[str, Page]) -> None:
    policy = next(a["content"] for _, a in full[1].tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_plotly_is_inlined_once_with_its_licence(full: tuple[str, Page]) -> None:
    assert len(re.findall(r"\* plotly\.js v", full[0])) == 1
    assert "Licensed under the MIT license" in full[0]


def test_print_phone_dark_and_reader_styles(full: tuple[str, Page]) -> None:
    text, page = full
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text
    assert any(a.get("name") == "viewport" and "width=device-width" in (a["content"] or "") for _, a in page.tags)
    assert ("html", {"lang": "en"}) in page.tags
    plots = [attrs for _, attrs in page.tags if attrs.get("class") == "plot"]
    assert plots
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in plots)


def test_settings_versions_fidelity_and_command(full: tuple[str, Page]) -> None:
    for word in ("BertModel", "padding.to", "3.11.9", "a photo of {}", "0123456789ab", "2605.31503", "@inproceedings"):
        assert word in full[1].text
    assert "bindscope diagnose st:some/encoder --data text:10x10" in full[1].text


def test_settings_that_the_report_does_not_know_are_shown(tmp_path: Path) -> None:
    _, page = read(write_run(tmp_path, recognition_records(), data_digest="abc123", options={"own": {"deep": [1, 2]}}))
    assert "data_digest abc123" in page.text
    assert "options.own.deep 1, 2" in page.text


NASTY = ("<script>alert(1)</script>", "größe & <b>Grün</b>", "赤い", "a\u2028b", "</style>", "{{ 7 * 7 }}", "%{x}")


def test_words_of_users_are_escaped(tmp_path: Path) -> None:
    space = [{"name": name, "values": list(NASTY)} for name in NASTY[:2]]
    text, page = read(
        write_run(
            tmp_path,
            [*recognition_records(NASTY), *audit_records()],
            model=NASTY[0],
            data=NASTY[1],
            space=space,
            examples=list(NASTY),
            fidelity={NASTY[1]: NASTY[0]},
            command=NASTY[0],
        )
    )
    assert "alert(1)</script>" not in text
    assert html.escape(NASTY[1], quote=False) in text
    assert "<b>Grün" not in text
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|\b49\b", page.text)
    assert NASTY[0] in page.text
    assert NASTY[2] in page.text
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 4
    drawn = figures_of(text)["recognition"]["layout"]["yaxis"]["ticktext"]
    assert any("&lt;b&gt;" in tick for tick in drawn)
    assert not any("<b>" in tick for tick in drawn)


def figures_of(text: str) -> dict[str, Any]:
    body = text.split('<script type="application/json" id="figures">')[1].split("</script>")[0]
    found: dict[str, Any] = json.loads(body)
    return found


def test_figures_on_the_page_are_the_figures_in_the_files(tmp_path: Path) -> None:
    text, page = read(write_run(tmp_path))
    names = {path.stem for path in (tmp_path / "figures").glob("*.json")}
    assert names == set(figures_of(text)) == page.values("data-figure")
    for name, figure in figures_of(text).items():
        stored = json.loads((tmp_path / "figures" / f"{name}.json").read_text(encoding="utf-8"))
        assert stored["data"] == figure["data"]
        assert stored["layout"]["title"]["text"]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path)
    first = write_report(tmp_path).read_bytes()
    assert write_report(str(tmp_path)).read_bytes() == first
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("analysis", analyses())
def test_one_analysis_alone_makes_a_page(tmp_path: Path, analysis: str) -> None:
    records = [r for r in every_record() if r.analysis == analysis]
    _, page = read(write_run(tmp_path, records))
    sections = {attrs.get("id") for tag, attrs in page.tags if tag == "section"}
    assert analysis in sections
    assert not sections & (set(analyses()) - {analysis})


def test_no_record_at_all_is_undecided(tmp_path: Path) -> None:
    _, page = read(write_run(tmp_path, []))
    assert "Undecided" in page.text
    assert "plot" not in page.values("class")


def test_config_with_the_required_words_only(tmp_path: Path) -> None:
    write_run(tmp_path)
    bare = {"schema_version": 1, "model": "m", "data": "d"}
    (tmp_path / "config.json").write_text(json.dumps(bare), encoding="utf-8")
    _, page = read(tmp_path)
    assert "no fidelity record" in page.text
    assert "not recorded" in page.text


def test_missing_values_are_words_not_nan(tmp_path: Path) -> None:
    empty = [
        Record(r.analysis, r.metric, None, r.estimator, r.target, split=r.split, coverage=r.coverage, extra=r.extra)
        for r in every_record()
    ]
    text, page = read(write_run(tmp_path, empty))
    assert "not available" in page.text
    for word in ("NaN", "nan", "None", "inf"):
        assert not re.search(rf"\b{word}\b", page.text)
    assert "NaN" not in text.split('id="figures">')[1].split("</script>")[0]


@pytest.mark.parametrize(("count", "noted"), [(24, True), (25, False)])
def test_few_objects_are_named(tmp_path: Path, count: int, noted: bool) -> None:
    records = [
        Record(**{**r.row(), "n_objects": count, "extra": dict(r.extra)})
        for r in (*recognition_records(), *geometry_records())
    ]
    _, page = read(write_run(tmp_path, records))
    assert (f"Only {count} objects" in page.text) is noted


def test_few_objects_are_named_without_recognition_too(tmp_path: Path) -> None:
    _, page = read(
        write_run(tmp_path, [record("geometry", "r2", 0.9, 0.1, estimator="ols", target="level1", n_objects=6)])
    )
    assert "Only 6 objects" in page.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read .*config.json"),
        ("[]", "schema version None"),
        ('{"schema_version": 99, "model": "m", "data": "d"}', "schema version 99"),
        ('{"schema_version": 1, "data": "d"}', "'model' must be text, got None"),
        ('{"schema_version": 1, "model": 3, "data": "d"}', "'model' must be text, got 3"),
        ('{"schema_version": 1, "model": "m", "data": "d", "fidelity": []}', "'fidelity' must be an object"),
        ('{"schema_version": 1, "model": "m", "data": "d", "space": [3]}', "'space' must list concepts"),
        (
            '{"schema_version": 1, "model": "m", "data": "d", "space": [{"name": "a", "values": 3}]}',
            "'space' must list",
        ),
    ],
)
def test_damaged_config_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    write_run(tmp_path)
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(StoreError, match=message) as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"config\.json"):
        write_report(tmp_path / "nowhere")


def test_no_results(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "results.parquet").unlink()
    with pytest.raises(StoreError, match="no results at"):
        write_report(tmp_path)


def test_figures_that_cannot_be_made(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "figures").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot write figures"):
        write_report(tmp_path)


def test_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path)
    old = write_report(tmp_path).read_bytes()
    move = os.replace

    def refuse(source: Any, target: Any) -> None:
        if Path(target).name == "report.html":
            raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match=r"cannot write .*report\.html: No space left"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == old
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
