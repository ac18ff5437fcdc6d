# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from changed_case import check_changed

from visbench.structures import VideoInfo, VideoTracks
from visbench.testing.goldens.iai import GROUP, association, identities
from visbench.testing.goldens.iai.identities import WRONG_PIXELS, _video_results
from visbench.testing.goldens.iai.model import build_model
from visbench.testing.parity import Comparison, GoldenCase, GoldenError, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "iai"
SHARED = ROOT.parent / "shared" / "goldens" / "iai"
PARTS = {**association.PART.computes, **identities.PART.computes}
CASES = [case for case in GROUP.cases(GOLDENS) if case in PARTS]
LARGE = ("association_block", "clip_memory")
MASKS = ("id_label_map*", "background*", "pred_masks*", "video_mask_area", "video_rle_counts")
SERIES_SHOWN = (0, 1, 4)
"""Frames whose arrays are perturbed; the others have the same names and tolerances."""


def is_shown(name: str) -> bool:
    number = name.rpartition("_")[2]
    return not number.isdecimal() or int(number) in SERIES_SHOWN


OUTPUTS = [
    (case, name)
    for case in CASES
    if case != "video_end_to_end"
    for name in GROUP.outputs(GOLDENS, case)
    if is_shown(name)
]


@cache
def computed(case: str) -> Any:
    return GROUP.compute(GoldenCase.load(GOLDENS / f"{case}.npz"))


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
@pytest.mark.parametrize("case", LARGE)
def test_large_case(case: str) -> None:
    (result,) = check(SHARED, [case])
    assert result.passed, result.note


def test_a_video_without_results_is_compared() -> None:
    frames, name = 3, "postprocess_ids"
    golden = GoldenCase(
        Path("none.npz"),
        name,
        {
            "video_scores": np.zeros(0, np.float32),
            "video_labels": np.zeros(0, np.int64),
            "video_mask_area": np.zeros((0, frames), np.int64),
            "video_mask_none": np.zeros((0, frames), bool),
            "video_rle_counts": np.zeros((0, frames), "<U8"),
            "ori_hw": np.array([4, 4]),
        },
        {},
    )
    comparison = Comparison(identities.PART.tolerances[name])
    nothing = _video_results(VideoTracks(VideoInfo(0, "video", 4, 4, frames), [], []))
    identities.PART.compares[name](golden, nothing, comparison)
    assert {check.name for check in comparison.checks} == set(golden.arrays) - {"ori_hw"}
    assert all(check.passed for check in comparison.checks)


@pytest.mark.parametrize(("config", "blocks"), [("ytvis2019_iai_condinst_r101", 23), ("x_r50", 6)])
def test_depth_is_that_of_the_recorded_config(config: str, blocks: int) -> None:
    meta = {"config": config, "num_ids": 5, "num_classes": 3}
    with torch.device("meta"):
        model = build_model(GoldenCase(Path("case.npz"), "case", {}, meta))
    assert len(model.backbone.layer3) == blocks


def test_a_config_without_a_depth_is_refused() -> None:
    golden = GoldenCase(Path("case.npz"), "case", {}, {"config": "unknown"})
    with pytest.raises(GoldenError, match=r"meta\.config does not name a ResNet"):
        build_model(golden)


def spoil(name: str, array: np.ndarray, pixels: int) -> np.ndarray:
    """Change as many pixels of a mask as are wrong, or one value by ten tolerances."""
    if array.dtype.kind == "U":
        changed = array.copy()
        row, column = np.argwhere(array != "")[0]
        changed[row, column] = array[np.where(array != "")][-1]
        return changed
    if name.startswith(("id_label_map", "background", "pred_masks")):
        changed = array.copy()
        flat = changed.reshape(-1)
        flat[: pixels + 1] = 1 - flat[: pixels + 1]
        return changed
    if name == "video_mask_area":
        changed = array.copy()
        changed.flat[0] += pixels + 1
        return changed
    raise AssertionError(name)


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output_that_is_off_fails(
    case: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The inputs stay as they are, so the outputs need not be computed for every array.
    outputs = computed(case)
    monkeypatch.setitem(GROUP.computes, case, lambda _: outputs)
    stored = GOLDENS / f"{case}.npz"
    array = GoldenCase.load(stored)[name]
    if not array.size:
        pytest.skip("an empty array has no value to perturb")
    forgiving = case in WRONG_PIXELS and any(Path(name).match(pattern) for pattern in MASKS)
    if forgiving:
        wrong = spoil(name, array, WRONG_PIXELS[case])
    else:
        wrong = perturb(array, GROUP.tolerance(case, name))
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert result.note.startswith(f"{name}: ")
