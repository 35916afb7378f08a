"""The sections of the page: one an analysis, and those that speak of the whole run."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis, analyses, page_order
from bindscope.report import pictures, provenance
from bindscope.show.blocks import Section
from bindscope.show.run import Run
from bindscope.show.words import plain


def build_sections(run: Run) -> list[Section]:
    """Every section that the records give, in reading order; an analysis that nobody knows here has a plain one."""
    found = list(dict.fromkeys(record.analysis for record in run.results))
    unknown = [name for name in found if name not in analyses()]
    sections = [_build(run, name) for name in (*page_order()[:-1], *unknown) if name in found]
    extras = (pictures.occlusion, pictures.noise, provenance.sensitivity, pictures.samples)
    sections += [made for build in extras if (made := build(run))]
    if "audit" in found:
        sections.append(_build(run, "audit"))
    return [*sections, provenance.fidelity(run), provenance.settings(run)]


def _build(run: Run, name: str) -> Section:
    return (analyses().get(name) or Analysis(name, plain(name).capitalize(), "")).section_of(run)
