# SPDX-License-Identifier: Apache-2.0
"""A stored golden case, checked with some of its arrays replaced."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from visbench.testing.parity import CaseResult, check


def check_changed(stored: Path, changes: Mapping[str, np.ndarray], tmp_path: Path) -> CaseResult:
    """Return the outcome of a case after some of its arrays were replaced.

    Args:
        stored: The npz file of the case, which stays as it is.
        changes: New arrays by name.
        tmp_path: Where the changed case is written.
    """
    folder = tmp_path / stored.parent.name
    folder.mkdir()
    with np.load(stored) as arrays:
        np.savez(folder / stored.name, **{**arrays, **changes})
    # What a group keeps beside its cases.
    for path in stored.parent.glob("weight_keys.json"):
        shutil.copy(path, folder)
    (result,) = check(folder, [stored.stem])
    return result
