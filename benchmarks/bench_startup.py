"""Start-up: `bindscope --help` and `import bindscope`, as fresh processes, the interpreter's own start apart."""

from __future__ import annotations

import statistics
import subprocess
import sys

from harness import Cell, arguments, timed, write_result

PROGRAMS: tuple[tuple[str, list[str], float | None], ...] = (
    ("python -c pass", ["-c", "pass"], None),
    ("import bindscope", ["-c", "import bindscope"], 0.3),
    ("bindscope --help", ["-m", "bindscope", "--help"], 0.5),
)


def seconds(arguments: list[str], repeats: int) -> list[float]:
    """Wall times of fresh processes, after one that warms the disk."""
    command = [sys.executable, *arguments]
    return [timed(lambda: subprocess.run(command, check=True, capture_output=True))[1] for _ in range(repeats + 1)][1:]


def main() -> None:
    """Measure the three programs."""
    repeats = 3 if arguments(__doc__).quick else 15
    rows: list[dict[str, Cell]] = []
    for name, words, limit in PROGRAMS:
        taken = seconds(words, repeats)
        middle = statistics.median(taken)
        row: dict[str, Cell] = {"program": name, "median s": middle, "worst s": max(taken), "to reach s": limit}
        rows.append(row if limit is None else {**row, "": "reached" if middle < limit else "NOT REACHED"})
    write_result(
        "startup", "Start-up of fresh processes", rows, [f"{repeats} runs each, after one that warms the disk"]
    )


if __name__ == "__main__":
    main()
