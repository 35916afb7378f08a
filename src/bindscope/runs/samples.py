"""Samples of the pictures that a run saw: a contact sheet in its directory, for the report."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets import Dataset
from bindscope.datasets.images.thumbnails import contact_sheet
from bindscope.errors import BindscopeWarning, MissingExtraError
from bindscope.files import whole_file

FILE = "samples.jpg"
COUNT, COLUMNS, SIZE = 18, 6, 128


def write_samples(dataset: Dataset, directory: Path) -> dict[str, Any] | None:
    """Write the contact sheet of evenly spaced rows; gives its file name, columns and captions.

    None for data without images, and (with a warning) where no library is there to read them.
    """
    if dataset.items.images is None:
        return None
    rows = np.unique(np.linspace(0, len(dataset) - 1, COUNT).astype(int)).tolist()
    try:
        sheet = contact_sheet([dataset.items.images[row] for row in rows], COLUMNS, SIZE, "jpeg")
    except MissingExtraError as error:
        warnings.warn(f"no samples of the pictures in the report: {error}", BindscopeWarning, stacklevel=2)
        return None
    with whole_file(directory / FILE) as partial:
        partial.write_bytes(sheet)
    return {"file": FILE, "columns": COLUMNS, "captions": [dataset.describe(row) for row in rows]}
