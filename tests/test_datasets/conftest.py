# SPDX-License-Identifier: Apache-2.0
"""Pipelines, and annotation files with one defect each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def train_pipeline() -> list[dict[str, Any]]:
    """Shared resize and flip, as the configs have it."""
    return [
        {
            "type": "visbench.ClipBroadcaster",
            "share_random_params": True,
            "transforms": [
                {"type": "visbench.LoadFrame"},
                {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
                {
                    "type": "mmdet.RandomChoiceResize",
                    "resize_type": "mmdet.Resize",
                    "scales": [(96, 64), (72, 48)],
                    "keep_ratio": True,
                },
                {"type": "mmdet.RandomFlip", "prob": 0.5},
            ],
        },
        {"type": "visbench.PackClip", "require": "any"},
    ]


@pytest.fixture
def test_pipeline() -> list[dict[str, Any]]:
    return [
        {
            "type": "visbench.ClipBroadcaster",
            "transforms": [
                {"type": "visbench.LoadFrame"},
                {"type": "mmdet.Resize", "scale": (72, 48), "keep_ratio": True},
            ],
        },
        {"type": "visbench.PackClip"},
    ]


@pytest.fixture
def edited(tiny_youtube_vis: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy a split's annotation file, apply an edit to its content and return the path."""

    def make(edit: Edit, split: str = "train") -> Path:
        data = json.loads((tiny_youtube_vis / f"{split}.json").read_text())
        edit(data)
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps(data))
        return path

    return make


@pytest.fixture
def copied_root(tiny_youtube_vis: Path, tmp_path: Path) -> Path:
    """A copy of the data set whose files a test may damage."""
    return Path(shutil.copytree(tiny_youtube_vis, tmp_path / "copy"))
