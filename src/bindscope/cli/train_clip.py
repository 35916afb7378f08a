"""The command `train-clip`: one of the small dual encoders of images and text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bindscope.cli.printing import progress_lines
from bindscope.streams import MAX_SEED


def train_clip(
    name: Annotated[str, typer.Argument(help="Recipe: bag or bound.")],
    out: Annotated[Path, typer.Option("--out", help="Directory for weights and recipe; use it as embedded:DIR.")],
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps; default: the recipe's.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed; default: the recipe's.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Train one of the small dual encoders on the project's own scenes, on one core. The last line is the directory."""
    from bindscope.encoders.embedded.recipe import recipe_of
    from bindscope.errors import MissingExtraError
    from bindscope.run_directory import locked

    changes = {key: value for key, value in (("steps", steps), ("seed", seed)) if value is not None}
    recipe = recipe_of(name, **changes)
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("train-clip", "torch", "vision") from None
    from bindscope.encoders.embedded.training import train

    with locked(out), progress_lines(True) as say:
        low, high = recipe.steps / 300, recipe.steps / 120
        say(f"{name}: {recipe.steps:,} steps of {recipe.batch}, about {low:.0f} to {high:.0f} min on one core")
        train(
            recipe, out, resume, lambda step, loss: say(f"step {step:,}, loss {loss:.3f}") if step % 50 == 0 else None
        )
    typer.echo(str(out))
