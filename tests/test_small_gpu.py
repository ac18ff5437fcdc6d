# SPDX-License-Identifier: Apache-2.0
"""Presets for one small GPU: published configs with other means, not with another training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from config_checks import changed
from mmengine.config import Config

from visbench.registry import MODELS

ROOT = Path(__file__).parents[1]
PUBLISHED = {
    "idol_r50-8gb_1xb1-accum32-amp-12k_youtubevis2019": "idol_r50_8xb4-12k_youtubevis2019",
    "inspro_r50-8gb_1xb1-accum8-amp-32k_youtubevis2019": "inspro_r50_8xb1-32k_youtubevis2019",
    "iai_r50-8gb_1xb2-accum8-amp-12e_youtubevis2019": "iai_r50_4xb4-12e_youtubevis2019",
    "propose-reduce_r50-8gb_1xb5-accum4-amp-4e_youtubevis2019": (
        "propose-reduce_r50_4xb5-4e_youtubevis2019"
    ),
    "masktrack_rcnn_r50-8gb_1xb4-accum2-amp-12e_youtubevis2019": (
        "masktrack_rcnn_r50_8xb1-12e_youtubevis2019"
    ),
    "mask2former_vis_r50-8gb_1xb2-accum8-amp-6k_youtubevis2019": (
        "mask2former_vis_r50_8xb2-6k_youtubevis2019"
    ),
}
FILES = {path.stem: path for path in (ROOT / "configs").glob("*/*.py")}


def samples_per_update(name: str) -> int:
    """Return devices times samples times batches as the name of a config says."""
    found = re.search(r"_(\d)xb(\d)(?:-accum(\d+))?-", name)
    assert found
    devices, samples, batches = found.groups()
    config = Config.fromfile(FILES[name])
    assert config.train_dataloader.batch_size == int(samples)
    assert config.train_cfg.get("batches_per_update", 1) == int(batches or 1)
    return int(devices) * int(samples) * int(batches or 1)


def test_every_preset_is_looked_at() -> None:
    assert {name for name in FILES if "-accum" in name} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_changes_its_switches_only(name: str) -> None:
    preset, published = (Config.fromfile(FILES[n]).to_dict() for n in (name, PUBLISHED[name]))
    found = changed(preset, published)
    backbone = "detector.backbone" if "detector" in preset["model"] else "backbone"
    assert found.pop(f"model.{backbone}.with_cp") is True
    assert found.pop("optim_wrapper.type") == "AmpOptimWrapper"
    assert set(found) - {"train_dataloader.batch_size"} == {"train_cfg.batches_per_update"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_updates_by_as_many_samples(name: str) -> None:
    assert samples_per_update(name) == samples_per_update(PUBLISHED[name])
    preset = Config.fromfile(FILES[name])
    assert preset.auto_scale_lr.base_batch_size == samples_per_update(name)
    # A group of one orientation fills whole updates.
    group = preset.train_dataloader.sampler.get("group_size", 1)
    assert samples_per_update(name) % group == 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_weights_of_its_published_config(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = (
            MODELS.build(Config.fromfile(FILES[n]).model) for n in (name, PUBLISHED[name])
        )
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    again = [module for module in ours.modules() if getattr(module, "with_cp", False)]
    assert len(again) > 10


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_table_has_both(name: str) -> None:
    lines = (ROOT / "docs" / "reproduce.md").read_text().splitlines()
    for config in (name, PUBLISHED[name]):
        assert any(line.startswith(f"| `{config}` |") for line in lines), config
