"""The sections of the report. A new analysis gets its own by an entry in BUILDERS."""

from __future__ import annotations

from collections.abc import Callable

from bindscope.analyses.alignment import section as alignment
from bindscope.analyses.audit import section as audit
from bindscope.analyses.codelength import section as codelength
from bindscope.analyses.complexity import section as complexity
from bindscope.analyses.crossmodal import section as crossmodal
from bindscope.analyses.editing import section as editing
from bindscope.analyses.geometry import section as geometry
from bindscope.analyses.recognition import section as recognition
from bindscope.analyses.removal import section as removal
from bindscope.analyses.training import section as training
from bindscope.analyses.variance import section as variance
from bindscope.report import pictures, provenance
from bindscope.report import provenance as sensitivity
from bindscope.results import ANALYSES
from bindscope.show import generic
from bindscope.show.blocks import Section
from bindscope.show.run import Run

BUILDERS: dict[str, Callable[[Run], Section]] = {
    "recognition": recognition.build,
    "geometry": geometry.build,
    "variance": variance.build,
    "removal": removal.build,
    "editing": editing.build,
    "complexity": complexity.build,
    "codelength": codelength.build,
    "crossmodal": crossmodal.build,
    "alignment": alignment.build,
    "training": training.build,
    "audit": audit.build,
}


def build_sections(run: Run) -> list[Section]:
    """Every section that the records give, in reading order; an analysis without a builder has a generic one."""
    found = {record.analysis for record in run.results}
    sections = [_build(run, analysis) for analysis in ANALYSES if analysis in found and analysis != "audit"]
    sections += [made for build in (pictures.occlusion, pictures.noise, sensitivity.build) if (made := build(run))]
    shown = pictures.samples(run)
    if shown is not None:
        sections.append(shown)
    if "audit" in found:
        sections.append(_build(run, "audit"))
    return [*sections, provenance.fidelity(run), provenance.settings(run)]


def _build(run: Run, analysis: str) -> Section:
    builder = BUILDERS.get(analysis)
    return builder(run) if builder else generic.build(run, analysis)
