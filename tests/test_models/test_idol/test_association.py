# SPDX-License-Identifier: Apache-2.0
"""Selection, mask NMS and tracker against slow versions with loops, written from the fact sheet."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.idol import IDOLTracker
from visbench.models.idol.association import (
    BACKDROP,
    DISCARDED,
    DUPLICATE,
    mask_nms,
    mask_overlaps,
    select_queries,
)
from visbench.models.idol.memory import Detections, TrackMemory, recency, weighted_embeddings

CHANNELS = 4


def frame(rng: np.random.Generator, count: int, spread: float = 0.7) -> Detections:
    """Return detections of a few recurring appearances, the most probable first."""
    looks = np.random.default_rng(0).normal(size=(5, CHANNELS)) * spread
    which = rng.permutation(5)[:count]
    overlaps = rng.uniform(0, 0.6, (count, count)) * (rng.random((count, count)) < 0.3)
    overlaps = np.maximum(overlaps, overlaps.T)
    np.fill_diagonal(overlaps, 1)
    return Detections(
        (looks[which] + 0.2 * rng.normal(size=(count, CHANNELS))).astype(np.float32),
        rng.uniform(0.2, 0.8, (count, 4)).astype(np.float32),
        rng.integers(0, 3, count),
        np.sort(rng.uniform(0.1, 0.9, count))[::-1].astype(np.float32),
        overlaps.astype(np.float32),
    )


class SlowTracker:
    """Section 9 of the fact sheet with a list per track."""

    def __init__(self, temporal: bool, frame_weight: bool, length: int) -> None:
        self.temporal, self.frame_weight, self.length = temporal, frame_weight, length
        self.tracks: dict[int, dict[str, Any]] = {}
        self.next_id = self.time = 0

    def embedding(self, track: dict[str, Any]) -> np.ndarray:
        if not self.temporal:
            return track["average"]
        number = len(track["embeddings"])
        weights = [score + (i + 1) / number for i, score in enumerate(track["scores"])]
        pairs = zip(weights, track["embeddings"], strict=True)
        return sum(weight * value for weight, value in pairs) / sum(weights)

    def match_scores(self, found: np.ndarray) -> np.ndarray:
        tracks = [self.embedding(track) for track in self.tracks.values()]
        dots = [[float(a @ b) for b in tracks] for a in found]
        scores = np.zeros((len(found), len(tracks)))
        for i, row in enumerate(dots):
            for j, value in enumerate(row):
                over_tracks = sum(math.exp(other - value) for other in row)
                over_found = sum(math.exp(others[j] - value) for others in dots)
                scores[i, j] = (1 / over_tracks + 1 / over_found) / 2
        return scores

    def update(self, detections: Detections) -> list[int]:
        kept: list[int] = []
        for i in range(len(detections.scores)):
            if all(detections.overlaps[j, i] <= 0.5 for j in kept):
                kept.append(i)
        ids = dict.fromkeys(kept, DISCARDED)
        began_empty = not self.tracks
        if self.tracks and kept:
            scores = self.match_scores(detections.embeddings[kept].astype(np.float64))
            known = list(self.tracks)
            for row, i in enumerate(kept):
                values = scores[row].copy()
                above = values > 0.5
                if self.frame_weight and above.sum() > 1:
                    counts = np.array([self.tracks[key]["frames"] for key in known], dtype=float)
                    values = values * np.where(above, counts, counts[above].mean())
                best = int(values.argmax())
                if values[best] > 0.5:
                    ids[i] = known[best]
                    scores[:, best] = 0
        for i in kept:
            if ids[i] < 0 and detections.scores[i] > np.float32(0.2 if began_empty else 0.25):
                ids[i] = self.next_id
                self.next_id += 1
            elif ids[i] < 0 and all(detections.overlaps[j, i] < 0.05 for j in kept if j < i):
                ids[i] = BACKDROP
        for i in kept:
            if ids[i] >= 0:
                self.remember(ids[i], detections, i)
        self.tracks = {
            key: track for key, track in self.tracks.items() if self.time - track["last"] < 10
        }
        self.time += 1
        return [ids.get(i, DUPLICATE) for i in range(len(detections.scores))]

    def remember(self, key: int, detections: Detections, i: int) -> None:
        embedding = detections.embeddings[i].astype(np.float64)
        new = {"embeddings": [], "scores": [], "frames": 0, "average": embedding}
        track = self.tracks.setdefault(key, new)
        track["embeddings"] = [*track["embeddings"], embedding][-self.length :]
        track["scores"] = [*track["scores"], float(detections.scores[i])][-self.length :]
        track["average"] = 0.2 * track["average"] + 0.8 * embedding
        track["frames"] += 1
        track["last"] = self.time


def tracker(**fields: Any) -> IDOLTracker:
    frame_weight = fields.pop("frame_weight", True)
    matching = {"type": "visbench.EmbeddingMatching", "frame_weight": frame_weight}
    return IDOLTracker(**{"matching": matching, "new_threshold": 0.25, **fields})


@given(st.integers(0, 100_000), st.booleans(), st.booleans(), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_tracker_is_that_of_loops(
    seed: int, temporal: bool, frame_weight: bool, length: int
) -> None:
    rng = np.random.default_rng(seed)
    fast = tracker(
        temporal_weight="score" if temporal else None,
        memory_length=length,
        frame_weight=frame_weight,
    )
    slow, memory = SlowTracker(temporal, frame_weight, length), TrackMemory()
    for _ in range(30):
        detections = frame(rng, int(rng.integers(0, 5)) * int(rng.random() < 0.6))
        assert fast.update(memory, detections).tolist() == slow.update(detections)
        assert memory.ids.tolist() == list(slow.tracks)
        assert memory.num_frames.tolist() == [t["frames"] for t in slow.tracks.values()]
        expected = [slow.embedding(track) for track in slow.tracks.values()]
        if expected:
            assert np.allclose(fast.embeddings(memory), expected, atol=1e-4)
    assert memory.next_id == slow.next_id


@given(st.integers(0, 100_000))
@settings(max_examples=15, deadline=None)
def test_a_saved_memory_continues_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [frame(rng, int(rng.integers(0, 5))) for _ in range(12)]
    rule, memory = tracker(), TrackMemory()
    for detections in frames[:6]:
        rule.update(memory, detections)
    buffer = io.BytesIO()
    torch.save(memory.state_dict(), buffer)
    buffer.seek(0)
    restored = TrackMemory()
    restored.load_state_dict(torch.load(buffer, weights_only=True))
    for detections in frames[6:]:
        ids = rule.update(memory, detections)
        assert np.array_equal(ids, rule.update(restored, detections))
    assert np.array_equal(rule.embeddings(memory), rule.embeddings(restored))


def test_ids_occur_once_in_a_frame_and_are_not_used_again() -> None:
    rng = np.random.default_rng(2)
    rule, memory, seen = tracker(), TrackMemory(), set()
    for _ in range(60):
        before = set(memory.ids.tolist())
        ids = rule.update(memory, frame(rng, int(rng.integers(0, 6))))
        found = ids[ids >= 0].tolist()
        assert len(set(found)) == len(found)
        assert not (set(found) - before) & seen
        seen |= set(found)


def test_memory_is_bounded() -> None:
    rng = np.random.default_rng(0)
    rule, memory, sizes = tracker(), TrackMemory(), []
    for _ in range(300):
        detections = frame(rng, 5, spread=0.0)
        strange = rng.normal(size=(5, CHANNELS)).astype(np.float32) * 30
        rule.update(memory, detections._replace(embeddings=strange))
        sizes.append(len(memory))
    assert max(sizes) <= 5 * rule.max_age
    assert memory.embeddings.shape == (len(memory), 3, CHANNELS)


def test_tracks_are_forgotten_after_frames_without_detections() -> None:
    rng = np.random.default_rng(1)
    rule, memory, nothing = tracker(), TrackMemory(), frame(rng, 0)
    detections = frame(rng, 3)._replace(overlaps=np.eye(3, dtype=np.float32))
    detections = detections._replace(scores=np.array([0.9, 0.8, 0.7], np.float32))
    first = rule.update(memory, detections)
    for _ in range(8):
        assert rule.update(memory, nothing).tolist() == []
    assert len(memory) == 3
    rule.update(memory, nothing)
    assert len(memory) == 3
    rule.update(memory, nothing)
    assert len(memory) == 0
    assert rule.update(memory, detections).tolist() == (first + 3).tolist()


def test_with_one_track_the_best_detection_inherits_it() -> None:
    rng = np.random.default_rng(3)
    rule, memory = tracker(), TrackMemory()
    one = frame(rng, 1)._replace(scores=np.array([0.9], np.float32))
    rule.update(memory, one)
    other = one._replace(embeddings=-one.embeddings, scores=np.array([0.15], np.float32))
    assert rule.update(memory, other).tolist() == [0]


def test_weights_of_remembered_embeddings() -> None:
    memory = TrackMemory(
        ids=np.arange(2),
        num_frames=np.array([2, 7]),
        embeddings=np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        scores=np.array([[0, 0.5, 0.9], [0.2, 0.3, 0.4]], np.float32),
    )
    thirds = [1 / 3, 2 / 3, 1]
    assert np.allclose(recency(memory), [[0, 0.5, 1], thirds])
    rows = tracker(temporal_weight="tau", tau=0.5).embeddings(memory)
    weights = [[0, 1.0, 1.5], [value + 0.5 for value in thirds]]
    for row, weight in zip(range(2), weights, strict=True):
        expected = np.average(memory.embeddings[row], axis=0, weights=weight)
        assert np.allclose(rows[row], expected)
    same = weighted_embeddings(memory, np.ones((2, 3), np.float32))
    assert np.allclose(same[0], memory.embeddings[0, 1:].mean(axis=0))


def test_multi_cue_matching_follows_class_and_box() -> None:
    rule = IDOLTracker(matching={"type": "visbench.MultiCueMatching"}, temporal_weight=None)
    memory = TrackMemory()
    boxes = np.array([[0.2, 0.2, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]], np.float32)
    detections = Detections(
        np.zeros((2, CHANNELS), np.float32),
        boxes,
        np.array([0, 1]),
        np.array([0.9, 0.8], np.float32),
        np.eye(2, dtype=np.float32),
    )
    assert rule.update(memory, detections).tolist() == [0, 1]
    swapped = detections._replace(boxes=boxes[::-1].copy(), labels=np.array([1, 0]))
    assert rule.update(memory, swapped).tolist() == [1, 0]
    # Two that want one track: the less probable one is dropped and begins none.
    both = detections._replace(boxes=boxes[[0, 0]], labels=np.array([0, 0]))
    assert rule.update(memory, both).tolist() == [0, BACKDROP]
    # A class that was never there is new although the box is that of a track.
    new = detections._replace(boxes=boxes, labels=np.array([2, 1]))
    assert rule.update(memory, new).tolist() == [2, 1]


@given(st.integers(0, 100_000), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_mask_overlaps_and_nms_are_those_of_loops(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, 5, 6)) - rng.choice([0, 1, 9], (count, 1, 1))
    overlaps = mask_overlaps(torch.from_numpy(logits)).numpy()
    masks = logits > 0
    for i in range(count):
        for j in range(count):
            both, either = (masks[i] & masks[j]).sum(), (masks[i] | masks[j]).sum()
            assert overlaps[i, j] == pytest.approx((both + 1e-6) / (either + 1e-6), rel=1e-5)
    kept: list[int] = []
    for i in range(count):
        if all(overlaps[j, i] <= 0.3 for j in kept):
            kept.append(i)
    assert mask_nms(overlaps, 0.3).tolist() == kept


def test_selection() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4]]).repeat(5, 1)
    boxes[4] = 0.2
    probabilities = torch.full((5, 3), 0.01)
    probabilities[[0, 1, 2, 3, 4], [1, 1, 2, 0, 0]] = torch.tensor([0.5, 0.7, 0.6, 0.05, 0.2])
    assert select_queries(probabilities, boxes).tolist() == [1, 2, 4]
    assert select_queries(probabilities * 0.1, boxes).tolist() == [1]


def test_outputs_that_are_not_finite_are_refused() -> None:
    probabilities, boxes = torch.rand(3, 2), torch.rand(3, 4)
    probabilities[1, 1] = torch.nan
    with pytest.raises(FloatingPointError, match="class probabilities or boxes"):
        select_queries(probabilities, boxes)
    detections = frame(np.random.default_rng(0), 2)
    detections.embeddings[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="embeddings of frame 0"):
        tracker().update(TrackMemory(), detections)


@pytest.mark.parametrize(
    ("field", "value"), [("temporal_weight", "age"), ("memory_length", 0), ("max_age", 0)]
)
def test_settings_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"tracker.{field}={value!r}"):
        IDOLTracker(**{field: value})
