"""How fast scenes become pictures on disk, by number of processes.

10,000 flat scenes and 576 rendered ones, at 224 pixels, written as PNG files; the cache is a new directory each time.
"""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

from bindscope.datasets.images.drawn import plan
from bindscope.datasets.images.store import draw_all
from harness import Cell, arguments, timed, write_result

FLAT = ("clevr2d:12x8?sizes=2&scenes=10000", 10_000, 60.0)
FLAT_OCCLUDED = ("clevr2d:12x8?sizes=2&scenes=10000&occlusion=0.3&jitter=1", 10_000, None)
SOLID = ("clevr:8x3?same=true", 576, 240.0)


def measured(name: str, total: int, limit: float | None, workers: int, quick: bool) -> dict[str, Cell]:
    """Seconds for all scenes of a data set; a quick run draws a part and extrapolates."""
    drawn = plan(name)
    share = 10 if quick else 1
    table = drawn.table.take(range(total // share))
    before = processor_seconds()
    with tempfile.TemporaryDirectory() as place:
        _, seconds = timed(lambda: draw_all(drawn.painter, table, Path(place), workers, lambda done: None))
        size = sum(file.stat().st_size for file in Path(place).iterdir()) / len(table)
    return {
        "data": name,
        "pictures": total,
        "processes": workers,
        "seconds": seconds * share,
        "processor s": (processor_seconds() - before) * share,
        "pictures/s": len(table) / seconds,
        "limit, s": limit,
        "kB a picture": size / 1000,
    }


def processor_seconds() -> float:
    """Time that this process and those that it started and ended have computed."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    """Measure, print, write."""
    quick = arguments(__doc__).quick
    load = f"Load average before the run: {os.getloadavg()[0]:.1f}."
    cores = os.cpu_count() or 1
    rows = [
        measured(*FLAT, 1, quick),
        *(measured(name, n, limit, cores, quick) for name, n, limit in (FLAT, FLAT_OCCLUDED, SOLID)),
    ]
    notes = [
        "Starting the processes is included. Seconds are wall time, in which whatever else the machine does counts;",
        "processor seconds are what was computed for the pictures, by all processes together.",
        load,
    ]
    if quick:
        notes.append("Quick: a tenth of the pictures were drawn and the seconds are ten times those.")
    write_result("render", "Pictures drawn to disk", rows, notes)


if __name__ == "__main__":
    main()
