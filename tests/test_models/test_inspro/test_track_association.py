# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from visbench.models.inspro.track_association import (
    Detections,
    TrackAssociation,
    TrackMemory,
)
from visbench.models.layers.multi_cues import choose, similarity_logits

CHANNELS = 3
VIDEOS = st.tuples(st.integers(0, 10**6), st.lists(st.integers(0, 4), min_size=1, max_size=8))
ASSOCIATIONS = st.builds(
    TrackAssociation,
    score_weight=st.sampled_from([0.0, 1.0]),
    iou_weight=st.sampled_from([0.0, 2.0]),
    label_weight=st.sampled_from([0.0, 1.0, 10.0]),
    max_detections=st.just(4),
    max_instances=st.integers(4, 7),
)


def video(seed: int, counts: list[int]) -> list[Detections]:
    """Return random detections of the given numbers; scores fall."""
    rng = np.random.default_rng(seed)
    frames = []
    for count in counts:
        corner = rng.uniform(0, 12, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(4, 12, (count, 2))], axis=1)
        scores = np.sort(rng.uniform(0.05, 1, count))[::-1]
        frames.append(
            Detections(
                torch.tensor(rng.normal(size=(count, CHANNELS)), dtype=torch.float32),
                torch.tensor(boxes, dtype=torch.float32),
                torch.tensor(rng.integers(0, 2, count)),
                torch.tensor(scores.copy(), dtype=torch.float32),
            )
        )
    return frames


def run(
    association: TrackAssociation, frames: list[Detections], memory: TrackMemory
) -> list[list[int]]:
    return [association.associate(frame, memory) for frame in frames]


def iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)


class SlowTracker:
    """The rules one by one: instances by id, each with all that is known of it."""

    def __init__(self, association: TrackAssociation) -> None:
        self.rules = association
        self.instances: dict[int, dict] = {}
        self.given = 0

    def step(self, index: int, frame: Detections) -> list[int]:
        rows = [dict(zip(frame._fields, row, strict=True)) for row in zip(*frame, strict=True)]
        rows = [{name: value.tolist() for name, value in row.items()} for row in rows]
        wishes = [self.wish(row) for row in rows]
        ids = []
        for position, (wish, score) in enumerate(wishes):
            rivals = [(other, -place) for place, (same, other) in enumerate(wishes) if same == wish]
            if wish is None:
                ids.append(self.given)
                self.given += 1
            else:
                ids.append(wish if max(rivals) == (score, -position) else -1)
        for position, (track_id, row) in enumerate(zip(ids, rows, strict=True)):
            if track_id >= 0:
                self.instances[track_id] = {**row, "seen": (index, -position)}
        while len(self.instances) > self.rules.max_instances:
            del self.instances[min(self.instances, key=lambda key: self.instances[key]["seen"])]
        return ids

    def wish(self, row: dict) -> tuple[int | None, float]:
        """Return the id a detection wants, None for a new one, and the match score."""
        candidates: list[tuple[int | None, float, float]] = [(None, 0.0, self.rules.label_weight)]
        for track_id, known in self.instances.items():
            product = sum(
                a * b for a, b in zip(row["embeddings"], known["embeddings"], strict=True)
            )
            bonus = self.rules.iou_weight * iou(row["boxes"], known["boxes"])
            bonus += self.rules.label_weight * (row["labels"] == known["labels"])
            candidates.append((track_id, product, bonus))
        total = sum(math.exp(product) for _, product, _ in candidates)
        confidence = self.rules.score_weight * math.log(row["scores"])
        scored = [
            (product - math.log(total) + confidence + bonus, track_id)
            for track_id, product, bonus in candidates
        ]
        best = max(scored, key=lambda entry: entry[0])
        return best[1], best[0]


@given(association=ASSOCIATIONS, clip=VIDEOS)
@settings(max_examples=150, deadline=None)
def test_ids_are_those_of_the_slow_tracker(
    association: TrackAssociation, clip: tuple[int, list[int]]
) -> None:
    frames = video(*clip)
    slow = SlowTracker(association)
    expected = [slow.step(index, frame) for index, frame in enumerate(frames)]
    memory = TrackMemory()
    assert run(association, frames, memory) == expected
    assert set(memory.ids) == set(slow.instances)
    for track_id, embedding, box in zip(
        memory.ids, memory.embeddings.tolist(), memory.boxes.tolist(), strict=True
    ):
        assert embedding == slow.instances[track_id]["embeddings"]
        assert box == slow.instances[track_id]["boxes"]


@given(association=ASSOCIATIONS, clip=VIDEOS)
@settings(max_examples=100, deadline=None)
def test_an_id_is_unique_in_its_frame_and_new_once(
    association: TrackAssociation, clip: tuple[int, list[int]]
) -> None:
    memory, known, begun = TrackMemory(), set[int](), 0
    for frame in video(*clip):
        remembered = set(memory.ids)
        ids = association.associate(frame, memory)
        assert len(ids) == len(frame.labels)
        assert all(count == 1 for value, count in Counter(ids).items() if value != -1)
        for track_id in ids:
            # Either an instance that is remembered, or the next number.
            assert track_id in remembered | {-1, begun}
            begun += track_id == begun
        known |= set(ids) - {-1}
        assert memory.next_id == begun == len(known)
        assert len(memory.ids) <= association.max_instances
        assert len(memory.embeddings) == len(memory.boxes) == len(memory.ids)


@given(association=ASSOCIATIONS, clips=st.tuples(VIDEOS, VIDEOS))
@settings(max_examples=50, deadline=None)
def test_interleaved_videos(
    association: TrackAssociation, clips: tuple[tuple[int, list[int]], ...]
) -> None:
    videos = [video(*clip) for clip in clips]
    alone = [run(association, frames, TrackMemory()) for frames in videos]
    memories: list[TrackMemory] = [TrackMemory(), TrackMemory()]
    together: list[list[list[int]]] = [[], []]
    for index in range(max(map(len, videos))):
        for number, frames in enumerate(videos):
            together[number] += run(association, frames[index : index + 1], memories[number])
    assert together == alone


@given(association=ASSOCIATIONS, clip=VIDEOS, cut=st.integers(0, 8))
@settings(max_examples=50, deadline=None)
def test_restored_memory_goes_on_alike(
    association: TrackAssociation, clip: tuple[int, list[int]], cut: int
) -> None:
    frames = video(*clip)
    memory = TrackMemory()
    run(association, frames[:cut], memory)
    restored = TrackMemory()
    restored.load_state_dict(copy.deepcopy(memory.state_dict()))
    late = run(association, frames[cut:], memory)
    assert run(association, frames[cut:], restored) == late


@given(
    scores=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 6), st.integers(1, 5)),
        elements=st.integers(-3, 3).map(float),
    )
)
def test_contests_with_ties(scores: np.ndarray) -> None:
    columns = choose(scores)
    wanted = [row.index(max(row)) for row in scores.tolist()]
    for row, (column, wish) in enumerate(zip(columns, wanted, strict=True)):
        rivals = [
            other
            for other, same in enumerate(wanted)
            if same == wish and (scores[other, wish], -other) > (scores[row, wish], -row)
        ]
        assert column == (-1 if wish and rivals else wish)


def one(
    left: float, embedding: tuple[float, ...] = (1.0, 0.0, 0.0), score: float = 0.9
) -> Detections:
    return Detections(
        torch.tensor([embedding]),
        torch.tensor([[left, 0.0, left + 10, 10.0]]),
        torch.tensor([0]),
        torch.tensor([score]),
    )


def test_object_returns_after_many_frames_without_detections() -> None:
    association, memory = TrackAssociation(), TrackMemory()
    nothing = video(0, [0])[0]
    assert association.associate(one(0.0), memory) == [0]
    assert run(association, [nothing] * 50, memory) == [[]] * 50
    assert association.associate(one(3.0), memory) == [0]
    assert association.associate(one(80.0, (-5.0, 0.0, 0.0)), memory) == [1]


def test_longest_unseen_is_forgotten_and_its_id_not_used_again() -> None:
    association = TrackAssociation(max_detections=1, max_instances=2)
    memory = TrackMemory()
    axes = [(9.0, 0.0, 0.0), (-9.0, 9.0, 0.0), (0.0, -9.0, 9.0)]
    found = [one(40.0 * place, axes[place]) for place in (0, 1, 0, 2, 1, 0)]
    # The third object displaces the second, which comes back as another and displaces the first.
    assert run(association, found, memory) == [[0], [1], [0], [2], [3], [4]]
    assert memory.ids == [3, 4]


def test_scores_of_zero_and_huge_similarities_stay_finite_enough() -> None:
    association, memory = TrackAssociation(), TrackMemory()
    huge = (1e4, -1e4, 1e4)
    for _ in range(3):
        assert association.associate(one(0.0, huge, score=0.0), memory) == [0]
    scores = association.match_scores(one(0.0, huge, score=0.0), memory)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize(
    ("field", "value"), [("score_weight", 0.0), ("iou_weight", 50.0), ("label_weight", 0.0)]
)
def test_each_weight_changes_the_match_scores(field: str, value: float) -> None:
    (first, second) = video(3, [3, 3])
    memory = TrackMemory()
    TrackAssociation().associate(first, memory)
    usual = TrackAssociation().match_scores(second, memory)
    changed = TrackAssociation(**{field: value}).match_scores(second, memory)
    assert not torch.allclose(usual, changed)
    # Whatever the weights, "new" has neither overlap nor another class.
    log_softmax = similarity_logits(second.embeddings, memory.embeddings).log_softmax(1)
    expected = log_softmax[:, 0] + second.scores.log() + 10
    torch.testing.assert_close(usual[:, 0], expected)


@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.0, 0.3, 0.7, 2.0]))
@settings(max_examples=50, deadline=None)
def test_detections_are_the_most_probable_slots(seed: int, threshold: float) -> None:
    probabilities = np.random.default_rng(seed).uniform(size=(7, 3)).astype(np.float32)
    slots = TrackAssociation(max_detections=3).detect(torch.from_numpy(probabilities), threshold)
    best = probabilities.max(axis=1).tolist()
    expected = sorted(range(7), key=lambda slot: -best[slot])[:3]
    assert slots.tolist() == [slot for slot in expected if best[slot] >= np.float32(threshold)]


def test_similarity_is_taken_in_full_precision() -> None:
    embeddings = torch.full((1, 1024), 100.0)
    with torch.autocast("cpu", dtype=torch.float16):
        logits = similarity_logits(embeddings.half(), embeddings.half())
    assert logits.tolist() == [[0.0, 100.0**2 * 1024]]


@pytest.mark.parametrize(("detections", "instances"), [(0, 5), (-1, 5), (6, 5)])
def test_bounds_are_checked(detections: int, instances: int) -> None:
    with pytest.raises(ValueError, match=rf"max_detections={detections}.*max_instances=5"):
        TrackAssociation(max_detections=detections, max_instances=instances)
