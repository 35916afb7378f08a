"""What encoders that compute with torch share: device, number format, batches of one length, and errors in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.errors import BindscopeError, InputError, MissingExtraError

DTYPES = ("float32", "float16", "bfloat16")


def torch_for(what: str, extra: str) -> Any:
    """The library torch; raises MissingExtraError."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(what, "torch", extra) from None
    return torch


def usable_device(name: str | None) -> str:
    """The device to compute on (None: the processor); raises InputError where torch has no such device here."""
    import torch

    try:
        device = torch.device(name or "cpu")
        torch.zeros(1, device=device).add(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise InputError(
            f"cannot compute on device {name!r} ({reason}); expected cpu, cuda, cuda:1, mps, ..."
        ) from error
    return str(device)


DRAWN_SD = 0.02  # of matrices and embeddings, as BERT, CLIP and ViT begin


def redrawn(model: Any, seed: int) -> Any:
    """A copy of a torch model in evaluation mode with all its weights drawn anew by the seed.

    Matrices and embeddings are normal with standard deviation 0.02, weights of norms one, everything else zero; running
    statistics begin at zero and one. The caller's random state is left alone.
    """
    import copy

    import torch

    twin = copy.deepcopy(model)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in twin.modules():
            if hasattr(module, "reset_running_stats"):
                module.reset_running_stats()
            for name, weight in module.named_parameters(recurse=False):
                if weight.ndim > 1:
                    drawn = torch.randn(weight.shape, generator=chance) * DRAWN_SD
                    weight.copy_(drawn.to(weight))
                else:
                    weight.fill_(1.0 if name == "weight" else 0.0)
    return twin.eval()


def by_length(lengths: Sequence[int], batch_size: int) -> Iterator[IntArray]:
    """Positions in batches, longest first, so that a batch holds texts of nearly one length.

    >>> [batch.tolist() for batch in by_length([3, 9, 3, 8], 2)]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@contextmanager
def inference(label: str) -> Iterator[None]:
    """No gradients; what torch cannot do (memory, a number format, a device) is said in one line as InputError."""
    import torch

    try:
        with torch.inference_mode():
            yield
    except BindscopeError:
        raise
    except torch.OutOfMemoryError as error:
        raise InputError(f"{label}: out of memory on the device; give a smaller --batch-size") from error
    except (RuntimeError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise InputError(
            f"{label}: torch could not run the model ({reason}); try ?dtype=float32, another --device or a smaller "
            "--batch-size"
        ) from error
