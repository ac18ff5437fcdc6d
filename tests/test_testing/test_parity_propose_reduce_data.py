# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_case import check_changed

from visbench.testing.goldens.propose_reduce import GROUP
from visbench.testing.parity import GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "propose_reduce"
# What is computed for every pair fails alike.
OUTPUTS = [name for name in GROUP.outputs(GOLDENS, "dataset") if name[:5] not in ("pair1", "pair2")]


def test_case() -> None:
    (result,) = check(GOLDENS, ["dataset"])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, "dataset"))


def test_output_that_is_off_by_ten_tolerances_fails(tmp_path: Path) -> None:
    """All outputs at once: computing them is what takes the time."""
    stored = GoldenCase.load(GOLDENS / "dataset.npz")
    # The last value, since the first columns of a table are inputs.
    wrong = {
        name: perturb(stored[name], GROUP.tolerance("dataset", name), index=-1) for name in OUTPUTS
    }
    result = check_changed(stored.path, wrong, tmp_path)
    assert not result.passed
    assert [name for name in OUTPUTS if f"{name}: " not in result.note] == []


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}


def other_set(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the inputs of a case with other sizes, lengths and names; an object of two pixels."""
    sizes, lengths = [(35, 51), (51, 35), (35, 51)], [2, 4, 1]
    videos, annotations, arrays = [], [], {}
    for number, ((height, width), length) in enumerate(zip(sizes, lengths, strict=True)):
        names = [f"night/{number}_{5 * t}.jpg" for t in range(length)]
        videos.append({"id": 7 - number, "width": width, "height": height, "file_names": names})
        for t in range(length):
            frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            arrays[f"frame_v{number}_{t}"] = frame
        for identity in range(2):
            masks = np.zeros((length, height, width), dtype=np.uint8)
            masks[:, 20:22, 9 + identity : 30 - 10 * identity] = 1
            boxes = [[9 + identity, 20, 21 - 11 * identity, 2]] * length
            annotations.append(
                {
                    "id": 1 + len(annotations),
                    "video_id": 7 - number,
                    "category_id": 4 + identity,
                    "segmentations": [uncompressed(mask) for mask in masks],
                    "bboxes": boxes,
                }
            )
    categories = [{"id": 4, "name": "b"}, {"id": 5, "name": "a"}]
    content = {"videos": videos, "categories": categories, "annotations": annotations}
    return {
        **arrays,
        "ann_json": np.array(json.dumps(content)),
        "img_scale": np.array([40, 24]),
        "pair0": np.array([0, 1, 0, 1]),
        "pair11": np.array([1, 3, 3, 0]),
        "test_index": np.array(6),
        "valid_guidance": np.zeros((7, 4), dtype=np.int64),
        "size_table": np.array([[35, 51, 40, 24, 0, 0, 0, 0]]),
    }


def test_set_of_other_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "propose_reduce"
    folder.mkdir()
    inputs = other_set(np.random.default_rng(0))
    path = folder / "dataset.npz"
    outputs = {
        name: np.asarray(value)
        for name, value in GROUP.compute(GoldenCase(path, "dataset", inputs, {})).items()
    }
    np.savez(path, **{**inputs, **outputs})
    (result,) = check(folder)
    assert result.passed, result.note
    # 35x51 fits 24x40 at 24 / 35: 24x34.97, so the ratio of the widths is another.
    factor = 24 / 35
    assert outputs["size_table"].tolist() == [[35, 51, 40, 24, 24, 35, 32, 64]]
    assert outputs["pair0_scale"] == pytest.approx(factor)
    left, right, top, bottom = 9 * factor, (9 + 20) * factor, 20 * factor, 21 * factor
    expected = [35 - 1 - right, top, 35 - 1 - left, bottom]
    np.testing.assert_allclose(outputs["pair0_gt_bboxes"][0], expected, rtol=1e-6)
    assert outputs["pair11_gt_labels"].tolist() == [1, 2]
    assert outputs["test_video_frame"].tolist() == [2, 0]
    assert outputs["group_flag"].tolist() == [1, 1, 0, 0, 0, 0, 1]
    assert outputs["valid_guidance"][0].tolist() == [0, 1, 0, 0]
    assert outputs["valid_guidance"][6].tolist() == [0, 0, 0, 0]
