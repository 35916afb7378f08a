"""Where the numbers come from: the encoder's fidelity record, settings and versions."""

from __future__ import annotations

from typing import Any

from bindscope.report.blocks import Block, Note, Section, mapping_table
from bindscope.report.run import Run

FIDELITY = (
    "What exactly produced the vectors. Results change with the activation, the padding or the prompt, so compare this "
    "before you compare numbers."
)
SETTINGS = "Everything that is needed to make this page again. The same seed gives the same numbers."


def fidelity(run: Run) -> Section:
    """What exactly encoded the scenes."""
    entries = run.config["fidelity"]
    block: Block = (
        mapping_table("Fidelity record of the encoder", ("property", "value"), entries)
        if entries
        else Note("This run has no fidelity record.")
    )
    return Section("fidelity", "Encoder fidelity record", FIDELITY, (block,))


def settings(run: Run) -> Section:
    """Inputs, options and versions."""
    config = run.config
    names = ("model", "data", "modality", "seed", "hash", "schema_version", "bindscope", "created")
    inputs: dict[str, Any] = {name: config[name] for name in names if config.get(name) not in (None, "")}
    known = {*names, "command", "options", "versions", "fidelity", "space", "examples", "samples"}
    inputs |= {name: value for name, value in config.items() if name not in known}
    inputs |= {f"options.{name}": value for name, value in config["options"].items() if value is not None}
    blocks: list[Block] = [mapping_table("Settings", ("setting", "value"), inputs)]
    if config["versions"]:
        blocks.append(mapping_table("Versions", ("library", "version"), config["versions"]))
    return Section("settings", "Settings", SETTINGS, tuple(blocks))
