# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from visbench.models import VideoState
from visbench.models.idol.image_results import (
    StillImageAssociation,
    best_pairs,
    boxes_within,
    pixel_boxes,
)
from visbench.structures import Frame, VideoInfo


def test_best_pairs_against_sorting() -> None:
    probabilities = torch.rand(7, 4)
    pairs = best_pairs(probabilities, 9)
    expected = sorted(
        ((p, q, k) for q, row in enumerate(probabilities.tolist()) for k, p in enumerate(row)),
        reverse=True,
    )[:9]
    found = zip(pairs.scores.tolist(), pairs.queries.tolist(), pairs.labels.tolist(), strict=True)
    assert list(found) == expected
    assert len(best_pairs(probabilities, 100).scores) == 28


def test_boxes_in_pixels_are_clipped() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.0, 1.0, 0.2, 0.2], [1.2, 0.5, 0.1, 0.1]])
    pixels = pixel_boxes(boxes, (50, 100))
    torch.testing.assert_close(pixels[0], torch.tensor([40.0, 15.0, 60.0, 35.0]))
    clipped, within = boxes_within(pixels, (50, 100))
    torch.testing.assert_close(clipped[1], torch.tensor([0.0, 45.0, 10.0, 50.0]))
    assert within.tolist() == [True, True, False]


def test_duplicates_of_one_class_are_left_out() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.3], [0.2, 0.7], [0.6, 0.0]])
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2]] * 3 + [[0.2, 0.2, 0.1, 0.1]])
    queries = StillImageAssociation().select(probabilities, boxes)
    assert sorted(queries.tolist()) == [0, 2, 3]


def test_a_query_is_reported_with_several_classes() -> None:
    association = StillImageAssociation(top_k=3)
    state = association.start(VideoInfo(1, "image", 16, 24, 1))
    assert isinstance(state, VideoState)
    probabilities = torch.tensor([[0.9, 0.8], [0.7, 0.1], [0.95, 0.6]])
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.1, 0.1], [1.5, 0.5, 0.1, 0.1]])
    wanted: list[list[int]] = []

    def mask_logits(queries: torch.Tensor) -> torch.Tensor:
        wanted.append(queries.tolist())
        return torch.ones(len(queries), 4, 6)

    frame = Frame(0, torch.zeros(3, 16, 24), (16, 20), (16, 20))
    found = association.step(
        probabilities.logit(), boxes, torch.zeros(3, 1), mask_logits, frame, state
    )
    assert wanted == [[0, 0]]
    assert found.labels.tolist() == [0, 1]
    assert found.ids.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert found.boxes is not None
    assert found.boxes[0].tolist() == pytest.approx([8.0, 6.4, 12.0, 9.6])
    tracks = association.finish(state)
    assert [(p.track_index, p.label) for p in tracks.predictions] == [(0, 0), (1, 1)]
    assert tracks.tracks[0].masks == found.masks[:1]
