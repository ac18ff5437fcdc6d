# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from changed_case import check_changed

from visbench.testing.goldens.propose_reduce import GROUP
from visbench.testing.goldens.propose_reduce.detector import PART, WRONG_PIXELS
from visbench.testing.parity import GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "propose_reduce"
SHARED = ROOT.parent / "shared" / "goldens" / "propose_reduce"
CASES = ("det_post", "detect", "roi_heads")
LARGE = tuple(case for case in PART.computes if case not in CASES)
OUTPUTS = [(case, name) for case in CASES for name in GROUP.outputs(GOLDENS, case)]
COMPARED_FROM = {"bbox_pred": (0, 4), "mask_logits_sub": (0, 1, 0, 0)}
"""First value of an output that our detector has: it has no boxes and masks of the background."""


@cache
def outputs_of(case: str) -> Mapping[str, Any]:
    return PART.computes[case](GoldenCase.load(GOLDENS / f"{case}.npz"))


@pytest.fixture
def run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute each case once; the network is large and the comparison is what is tested."""
    for case in CASES:
        monkeypatch.setitem(GROUP.computes, case, lambda golden: outputs_of(golden.name))


@pytest.mark.usefixtures("run_once")
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


def off_by_ten_tolerances(case: str, name: str, golden: np.ndarray) -> np.ndarray:
    if name == "masks":
        return golden ^ np.uint8(255)  # one mask after the other is wrong in every pixel
    if name == "mask_area":
        pixels = GoldenCase.load(GOLDENS / f"{case}.npz")["img_shape"].prod()
        return golden + np.uint64(10 * WRONG_PIXELS * pixels)
    start = COMPARED_FROM.get(name, (0,) * golden.ndim)
    index = int(np.ravel_multi_index(start, golden.shape))
    return perturb(golden, GROUP.tolerance(case, name), 10, index)


@pytest.mark.usefixtures("run_once")
@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output_that_is_off_by_ten_tolerances_fails(case: str, name: str, tmp_path: Path) -> None:
    stored = GOLDENS / f"{case}.npz"
    wrong = off_by_ten_tolerances(case, name, GoldenCase.load(stored)[name])
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert result.note.startswith(f"{name}: ")


def test_detections_of_other_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 60, (7, 2))
    rois = np.concatenate([np.zeros((7, 1)), first, first + rng.uniform(5, 30, (7, 2))], axis=1)
    inputs = {
        "some_rois": rois.astype(np.float32),
        "some_cls_score": rng.normal(size=(7, 4)).astype(np.float32),
        "some_bbox_pred": rng.normal(size=(7, 16)).astype(np.float32),
        "none_rois": rois[:0].astype(np.float32),
        "none_cls_score": np.zeros((0, 4), np.float32),
        "none_bbox_pred": np.zeros((0, 16), np.float32),
    }
    golden = GoldenCase(tmp_path / "det_post.npz", "det_post", inputs, {"image_hw": [70, 80]})
    outputs = {
        name: torch.as_tensor(value).numpy() for name, value in GROUP.compute(golden).items()
    }
    assert outputs["some_decoded_all"].shape == (7, 16)
    assert outputs["some_decoded_all"][:, 0::2].max() <= 79
    assert outputs["some_decoded_all"][:, 1::2].max() <= 69
    assert 0 < len(outputs["some_det_labels"]) <= 10
    assert outputs["none_det_bboxes"].shape == (0, 5)
    folder = tmp_path / "propose_reduce"
    folder.mkdir()
    meta = np.array('{"image_hw": [70, 80]}')
    np.savez(folder / "det_post.npz", **inputs, **outputs, meta=meta)
    (result,) = check(folder)
    assert result.passed, result.note


def test_a_detector_run_of_another_size_and_seed(tmp_path: Path) -> None:
    inputs = {"img_shape": np.array([50, 90]), "pad_shape": np.array([64, 96])}
    golden = GoldenCase(tmp_path / "detect.npz", "detect", inputs, {"input_prefix": "other/"})
    outputs = GROUP.compute(golden)
    count = len(outputs["det_labels"])
    assert outputs["masks"].shape == (count, 50, 90)
    assert len(outputs["proposals"]) <= 200
    folder = tmp_path / "propose_reduce"
    folder.mkdir()
    stored = {name: torch.as_tensor(value).numpy() for name, value in outputs.items()}
    stored["masks"] = np.packbits(stored["masks"], axis=-1)
    meta = np.array('{"input_prefix": "other/"}')
    np.savez(folder / "detect.npz", **inputs, **stored, meta=meta)
    (result,) = check(folder)
    assert result.passed, result.note


@pytest.mark.usefixtures("run_once")
def test_masks_of_another_number_fail(tmp_path: Path) -> None:
    stored = GOLDENS / "detect.npz"
    fewer = GoldenCase.load(stored)["masks"][:-1]
    result = check_changed(stored, {"masks": fewer}, tmp_path)
    assert not result.passed
    assert "masks: shape" in result.note
