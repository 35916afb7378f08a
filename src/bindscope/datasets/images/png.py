"""PNG files of arrays, without a library: the same pixels give the same bytes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from bindscope.errors import InputError


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    r"""A picture `[h, w, 3]` as a PNG file; every line is stored as its difference to the line above (filter "up").

    >>> png_bytes(np.zeros((2, 2, 3), dtype=np.uint8))[:8] == b"\x89PNG\r\n\x1a\n"
    True
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise InputError(f"a picture must be uint8 [height, width, 3], got {pixels.dtype} {list(pixels.shape)}")
    height, width = pixels.shape[:2]
    lines = np.empty((height, 1 + 3 * width), dtype=np.uint8)
    lines[:, 0] = 2
    flat = pixels.reshape(height, 3 * width)
    lines[0, 1:] = flat[0]
    lines[1:, 1:] = flat[1:] - flat[:-1]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
