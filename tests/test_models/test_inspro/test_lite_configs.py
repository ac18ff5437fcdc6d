# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from visbench.registry import MODELS, TRANSFORMS

FOLDER = Path(__file__).parents[3] / "configs" / "inspro"
FULL = FOLDER / "inspro-lite_r50_8xb1-16k_youtubevis2019.py"
TRAININGS = {
    FULL: FOLDER / "inspro_r50_8xb1-32k_youtubevis2019.py",
    FOLDER / "ablations" / "inspro-lite_demo_movingshapes.py": FOLDER
    / "inspro_demo_movingshapes.py",
}
TABLE_3 = sorted((FOLDER / "ablations").glob("inspro-lite_3-*.py"))


@pytest.mark.parametrize(("path", "first"), TRAININGS.items(), ids=lambda path: path.stem)
def test_second_phase_continues_the_first(path: Path, first: Path) -> None:
    config, base = Config.fromfile(path), Config.fromfile(first)
    checkpoint = Path("work_dirs", first.stem, f"iter_{base.train_cfg.max_iters}.pth")
    assert config.load_from == str(checkpoint)
    assert config.model.head == base.model.head
    own = ("type", "key_frame_interval", "clip_pattern", "lite_init", "backbone")
    shared = {key: value for key, value in config.model.items() if key not in own}
    assert shared == {key: value for key, value in base.model.items() if key not in own}
    sampler = TRANSFORMS.build(config.train_dataloader.dataset.clip)
    assert sampler.num_frames == len(config.model.clip_pattern)
    assert sampler.order == "sorted"
    last = config.param_scheduler[-1]
    assert last.get("end", last.get("T_max")) == config.train_cfg.max_iters


def test_weights_of_the_first_phase_fit() -> None:
    path = FOLDER / "ablations" / "inspro-lite_demo_movingshapes.py"
    first = MODELS.build(Config.fromfile(TRAININGS[path]).model)
    lite = MODELS.build(Config.fromfile(path).model)
    assert lite.load_state_dict(first.state_dict()).missing_keys == []
    for name, value in first.head.stages[0].state_dict().items():
        assert torch.equal(lite.lite_head.stages[0].state_dict()[name], value)


def test_rows_of_table_3_differ_in_the_interval_only() -> None:
    full = Config.fromfile(FULL)
    intervals = [full.model.key_frame_interval]
    for path in TABLE_3:
        config = Config.fromfile(path)
        intervals.append(config.model.key_frame_interval)
        assert path.name.startswith(f"inspro-lite_3-k{intervals[-1]}_")
        config.model.key_frame_interval = full.model.key_frame_interval
        assert config.to_dict() == full.to_dict()
    assert sorted(intervals) == [1, 5, 10, 15]
