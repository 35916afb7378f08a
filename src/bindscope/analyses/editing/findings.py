"""What came out of the edits, in sentences."""

from __future__ import annotations

from bindscope.results import Results
from bindscope.show.words import number, plain

TARGETS = {"value": "one concept value", "object": "the whole object"}
ORDER_MATTERS = 0.15


def findings(every: Results) -> list[str]:
    """How many edits were tried, and what retrieval misses by the order of the objects alone."""
    return [*counted(every), *unordered(every)]


def counted(every: Results) -> list[str]:
    """How many edits were tried, and what could not be tested."""
    out = []
    for target, what in TARGETS.items():
        found = {
            str(r.extra.get("outcome", "tried")): int(r.value or 0)
            for r in every.select(metric="n_cases", target=target, split="all")
        }
        if not found:
            continue
        missing = [f"{count:,} {name}" for name, count in found.items() if name != "tried" and count]
        worst = max(
            (r for r in every.select(metric="n_cases", target=target) if r.extra.get("outcome") == "not testable"),
            key=lambda r: r.value or 0.0,
            default=None,
        )
        words = f"Edits of {what}: {found.get('tried', 0):,} tried"
        words += f"; counted and not tried: {', '.join(missing)}" if missing else "; none had to be left out"
        if worst is not None and worst.value:
            words += (
                f"; {number(worst.value)} of them not testable once both scenes are left out ({plain(worst.estimator)})"
            )
        out.append(words + ".")
    return out


def unordered(every: Results) -> list[str]:
    """A sentence where much of what retrieval misses is only the order of the objects."""
    out = []
    for target, what in TARGETS.items():
        words = {"metric": "retrieval_top1", "target": target, "estimator": "ols+pos", "split": "held_out"}
        strict = every.first(**words)
        loose = next(iter(every.select(lambda r: r.extra == {"order": "any"}, **words)), None)
        if strict is None or loose is None or strict.value is None or loose.value is None:
            continue
        if loose.value - strict.value > ORDER_MATTERS:
            out.append(
                f"Edits of {what}: counted in any order of the objects, retrieval is {number(loose.value)} and not "
                f"{number(strict.value)} (ols+pos, both scenes left out); the vectors hardly say which object stands where."
            )
    return out
