"""Encoding: items a second through bindscope, beside the library called directly in a loop of full batches.

Both ways take turns and the best round counts, so that other work on the machine weighs on both alike.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets import load_dataset
from bindscope.datasets.items import Items
from bindscope.encoders import load_encoder
from harness import Cell, arguments, write_result

MINILM = "st:sentence-transformers/all-MiniLM-L6-v2"
LITE0 = "module:bindscope.encoders.efficientnet:lite0"
OPENCLIP = "openclip:ViT-B-32,?seed=0"
Work = Callable[[], Any]


def rates(ways: dict[str, Work], counts: dict[str, int], rounds: int) -> dict[str, tuple[float, float]]:
    """Items a second of each way, by the clock and by processor time; the ways take turns."""
    best = dict.fromkeys(ways, (0.0, 0.0))
    for _ in range(rounds):
        for name, work in ways.items():
            clock, busy = time.perf_counter(), time.process_time()
            work()
            found = counts[name] / (time.perf_counter() - clock), counts[name] / (time.process_time() - busy)
            best[name] = max(best[name][0], found[0]), max(best[name][1], found[1])
    return best


def table(encoder: str, ways: dict[str, Work], counts: dict[str, int], rounds: int) -> list[dict[str, Cell]]:
    """Rows of one encoder; the first way is the library called directly."""
    found = rates(ways, counts, rounds)
    direct = found[next(iter(ways))]
    return [
        {
            "encoder": encoder,
            "way": name,
            "items": counts[name],
            "items/s": clock,
            "of direct": clock / direct[0],
            "items/CPU-s": busy,
            "of direct (CPU)": busy / direct[1],
        }
        for name, (clock, busy) in found.items()
    ]


def captions(count: int) -> Items:
    """The first captions of all scenes of two objects out of 100."""
    return load_dataset("text:10x10?same=true").items.take(slice(0, count))


def minilm(count: int, rounds: int) -> list[dict[str, Cell]]:
    """all-MiniLM-L6-v2 on captions."""
    encoder: Any = load_encoder(MINILM, batch_size=64)
    items = captions(count)
    texts = list(items.texts or ())

    def direct() -> Any:
        return [
            encoder.model.encode(texts[i : i + 64], batch_size=64, show_progress_bar=False) for i in range(0, count, 64)
        ]

    ways = {"directly, full batches": direct, "bindscope": lambda: encoder.encode(items)}
    return table("MiniLM, text", ways, dict.fromkeys(ways, count), rounds)


def efficientnet(count: int, rounds: int, folder: Path) -> list[dict[str, Cell]]:
    """EfficientNet-Lite0 on PNG files of 224 x 224 pixels."""
    import torch
    from PIL import Image

    from bindscope.encoders.efficientnet import pixels_of

    paths = pictures(count, folder)
    encoder: Any = load_encoder(LITE0, batch_size=32)
    items = Items(np.zeros((count, 1, 1), dtype=np.int64), np.arange(count), "scene", images=tuple(paths))

    def direct() -> Any:
        with torch.inference_mode():
            for i in range(0, count, 32):
                images = [Image.open(path).convert("RGB") for path in paths[i : i + 32]]
                encoder.model.features(pixels_of(images)).numpy()

    ways = {"directly, full batches": direct, "bindscope": lambda: encoder.encode(items)}
    return table("EfficientNet-Lite0, images", ways, dict.fromkeys(ways, count), rounds)


def openclip(count: int, rounds: int) -> list[dict[str, Cell]]:
    """ViT-B-32's text tower on captions: padded to 77 tokens, padding cut, and beginnings shared."""
    import torch

    encoder: Any = load_encoder(OPENCLIP)
    tower, items = encoder.text, captions(count)
    texts = list(items.texts or ())
    few, some = count // 16, count // 4

    def direct() -> Any:
        with torch.inference_mode():
            return tower.model.encode_text(tower.tokenizer(texts[:few])).numpy()

    def sharing(shares: bool, number: int) -> Any:
        tower.shares = shares
        return encoder.encode(items.take(slice(0, number)))

    ways: dict[str, Work] = {
        "directly, full batches": direct,
        "bindscope, padding cut only": lambda: sharing(False, some),
        "bindscope": lambda: sharing(True, count),
    }
    counts = dict(zip(ways, (few, some, count), strict=True))
    rows = table("open_clip ViT-B-32, text", ways, counts, rounds)
    rows[-1]["largest difference"] = float(np.abs(sharing(True, few) - direct()).max())
    return rows


def threads() -> int:
    """Threads that torch computes with (OMP_NUM_THREADS sets them)."""
    import torch

    return int(torch.get_num_threads())


def pictures(count: int, folder: Path) -> Sequence[Path]:
    """Smooth random pictures as PNG files."""
    from PIL import Image

    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(count)]
    for path in paths:
        small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        small.resize((224, 224), Image.Resampling.BICUBIC).save(path)
    return paths


def main() -> None:
    """Measure the three encoders."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    quick = arguments(__doc__).quick
    rounds = 2 if quick else 3
    rows = minilm(256 if quick else 1024, rounds)
    with tempfile.TemporaryDirectory() as folder:
        rows += efficientnet(64 if quick else 128, rounds, Path(folder))
    rows += openclip(512 if quick else 1024, rounds)
    notes = [
        f"best of {rounds} rounds, ways by turns, {threads()} torch threads; of direct: 1 is as fast as the library, "
        "larger is faster (at least 0.9 is wanted)"
    ]
    write_result("encoders" + "-quick" * quick, "Encoding throughput", rows, notes)


if __name__ == "__main__":
    main()
