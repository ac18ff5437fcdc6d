# SPDX-License-Identifier: Apache-2.0
"""Every method of the library, as its tiny conformance case, through the inferencer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from visbench.apis import VISInferencer
from visbench.structures import (
    VideoTracks,
    from_mot_text,
    from_mots_text,
    read_id_masks,
    to_mot_text,
    to_mots_text,
)
from visbench.testing.conformance import ConformanceCase
from visbench.testing.conformance.cases import CASES
from visbench.testing.conformance.scene import ORIGINAL_SIZE, SIZE, Scene

COUNT = 3
PIPELINE = [
    {
        "type": "visbench.ClipBroadcaster",
        "transforms": [
            {"type": "visbench.LoadFrame"},
            {"type": "mmdet.Resize", "scale": SIZE[::-1], "keep_ratio": True},
        ],
    },
    {"type": "visbench.PackClip"},
]


def _frames() -> list[np.ndarray]:
    scene = Scene(0, COUNT)
    images = [scene.image(index).permute(1, 2, 0).numpy() for index in range(COUNT)]
    return [cv2.resize(image, ORIGINAL_SIZE[::-1]) for image in images]


def _inferencer(case: ConformanceCase, tmp_path: Path) -> VISInferencer:
    config = Config({"model": case.model, "test_dataloader": {"dataset": {"pipeline": PIPELINE}}})
    weights = case.build().state_dict()
    meta = {"dataset_meta": {"classes": ("rectangle", "disc", "other")}}
    torch.save({"state_dict": weights, "meta": meta}, tmp_path / "weights.pth")
    inferencer = VISInferencer(config, tmp_path / "weights.pth", "cpu", show_progress=False)
    # Some cases change settings of the model and not only its weights.
    case.adjust(inferencer.model)
    inferencer.model.load_state_dict(weights)
    return inferencer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_inputs_and_outputs_agree(case: ConformanceCase, tmp_path: Path) -> None:
    inferencer, frames = _inferencer(case, tmp_path), _frames()
    assert inferencer.online == case.online
    (tmp_path / "clip").mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "clip" / f"{index}.png"), frame)
    outputs = {"video_out": tmp_path / "o.mp4", "results_out": tmp_path / "o.json"}
    outcome = inferencer(frames, return_datasamples=True, name="clip", **outputs)
    result = outcome["predictions"]
    assert result.video.length == COUNT
    assert result.predictions, "the case finds something"
    other: dict[str, Any] = {
        "folder": inferencer(tmp_path / "clip", return_datasamples=True)["predictions"],
        "generator": inferencer(iter(frames), return_datasamples=True, name="clip")["predictions"],
    }
    streamed = inferencer.stream(frames, name="clip")
    shown = list(streamed)
    other["stream"] = streamed.result()
    for kind, found in other.items():
        assert found.to_dict() == result.to_dict(), kind
    assert [frame.index for frame in shown] == list(range(COUNT))
    records = json.loads((tmp_path / "o.json").read_text())
    assert [record["score"] for record in records] == [p.score for p in result.predictions]
    assert (tmp_path / "o.mp4").stat().st_size > 0
    _check_conversions(result, inferencer, frames, tmp_path)


def _check_conversions(
    result: VideoTracks, inferencer: VISInferencer, frames: list[np.ndarray], tmp_path: Path
) -> None:
    ids = {track.id for track in result.tracks}
    boxes = from_mot_text(to_mot_text(result), result.video)
    assert {track.id for track in boxes.tracks} <= ids
    if any(track.masks is None for track in result.tracks):
        return
    masks = from_mots_text(to_mots_text(result), result.video)
    assert {track.id for track in masks.tracks} <= ids
    inferencer(frames, masks_out=tmp_path / "masks", pred_score_thr=0.0)
    assert read_id_masks(tmp_path / "masks").video.length == COUNT
