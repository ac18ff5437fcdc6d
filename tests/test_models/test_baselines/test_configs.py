# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from visbench.models import MaskTrackRCNN
from visbench.registry import MODELS, TRANSFORMS
from visbench.testing.conformance.case import prepared, seed_all, video_of
from visbench.testing.conformance.scene import Scene, batch

FOLDER = Path(__file__).parents[3] / "configs" / "baselines"
CONFIGS = sorted(FOLDER.glob("*.py"))


def without_downloads(config: Any) -> Any:
    """Return the config without weights from the network."""
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if not _pretrained(value)}
        return type(config)({key: without_downloads(value) for key, value in kept.items()})
    return config


def _pretrained(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "Pretrained"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_and_predicts(path: Path) -> None:
    config = Config.fromfile(path)
    seed_all(0)
    model = MODELS.build(without_downloads(config.model))
    key_frames = [0] if isinstance(model, MaskTrackRCNN) else [0, 1]
    data = model.data_preprocessor(batch([Scene(0, 2)], key_frames), training=True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    assert torch.isfinite(loss)
    loss.backward()
    model.eval()
    frames = prepared(model, Scene(0, 2))
    assert model.segment(video_of(frames), frames).video.length == 2


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_samples_what_the_model_trains_on(path: Path) -> None:
    config = Config.fromfile(path)
    sampler = TRANSFORMS.build(config.train_dataloader.dataset.clip)
    assert sampler.num_frames == config.model.get("track_head", {}).get("num_frames", 2)
    assert config.param_scheduler[-1]["end"] == config.train_cfg.max_iters
