# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from visbench.structures import FrameInstances, encode_masks, from_supervision, to_supervision

MASKS = np.zeros((2, 6, 8), bool)
MASKS[0, 1:3, 2:6] = True
MASKS[1, 4:, :3] = True


def test_all_fields_come_back() -> None:
    pytest.importorskip("supervision")
    boxes = [[1, 2, 7, 3], [0, 4, 3, 6]]
    frame = FrameInstances([5, 0], [1, 0], [0.5, 0.25], boxes, encode_masks(MASKS))
    detections = to_supervision(frame, ["cat"])
    assert type(detections).__module__.startswith("supervision")
    np.testing.assert_array_equal(detections.mask, MASKS)
    assert detections.tracker_id.tolist() == [5, 0]
    assert detections.data["class_name"].tolist() == ["class 1", "cat"]
    again = from_supervision(detections[np.array([1, 0])])
    assert again.ids.tolist() == [0, 5]
    again = from_supervision(detections)
    for name, value in vars(frame).items():
        assert np.array_equal(getattr(again, name), value), name


def test_boxes_come_from_masks_and_masks_may_be_left_out() -> None:
    pytest.importorskip("supervision")
    frame = FrameInstances([5, 0], [1, 0], [0.5, 0.25], None, encode_masks(MASKS))
    detections = to_supervision(frame, masks=False)
    assert detections.mask is None
    assert detections.xyxy.tolist() == [[2, 1, 6, 3], [0, 4, 3, 6]]


@pytest.mark.parametrize("masks", [True, False])
def test_nothing_found_stays_nothing(masks: bool) -> None:
    pytest.importorskip("supervision")
    detections = to_supervision(FrameInstances.empty(masks), ["cat"])
    assert len(detections) == 0
    assert len(from_supervision(detections)) == 0


def test_an_annotator_draws_the_masks() -> None:
    supervision = pytest.importorskip("supervision")
    frame = FrameInstances([5, 0], [1, 0], [0.5, 0.25], None, encode_masks(MASKS))
    lookup = supervision.ColorLookup.TRACK
    annotator = supervision.MaskAnnotator(opacity=1, color_lookup=lookup)
    drawn = annotator.annotate(np.zeros((6, 8, 3), np.uint8), to_supervision(frame))
    np.testing.assert_array_equal(drawn.any(axis=2), MASKS.any(axis=0))


def test_detections_need_ids_and_nothing_else() -> None:
    found = SimpleNamespace(
        xyxy=np.ones((1, 4)), tracker_id=None, confidence=None, class_id=None, mask=None
    )
    with pytest.raises(ValueError, match="no tracker_id; pass them through a tracker"):
        from_supervision(found)
    found.tracker_id = np.array([3])
    frame = from_supervision(found)
    assert (frame.ids.tolist(), frame.labels.tolist(), frame.scores.tolist()) == ([3], [0], [1])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match=r"pip install 'visbench\[supervision\]'"):
        to_supervision(FrameInstances.empty())
