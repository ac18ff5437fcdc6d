# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from visbench.models.inspro.association import TemporallyConsistentMatching
from visbench.models.inspro.track_queries import (
    NOBODY,
    OpenTracks,
    TrackLifeCycle,
    TrackQueryMatching,
    TrackSelection,
)

SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
UNIT = st.floats(0, 1, exclude_max=True, width=32)


class SlowLifeCycle:
    """Remembers every score of every track and looks at all of them again in every frame."""

    def __init__(self, cycle: TrackLifeCycle) -> None:
        self.cycle = cycle
        self.scores: list[list[float]] = []
        self.closed: set[int] = set()

    @property
    def open(self) -> list[int]:
        return [track for track in range(len(self.scores)) if track not in self.closed]

    def frame(self, detect: list[float], tracks: list[float]) -> list[int]:
        """Return the detect slots that open a track."""
        for track, score in zip(self.open, tracks, strict=True):
            self.scores[track].append(score)
        for track in self.open:
            last = self.scores[track][-self.cycle.patience :]
            if len(last) == self.cycle.patience and max(last) < self.cycle.keep_score:
                self.closed.add(track)
        opening: list[int] = []
        while len(self.open) < self.cycle.max_tracks:
            rest = [
                (-score, slot)
                for slot, score in enumerate(detect)
                if score >= self.cycle.open_score and slot not in opening
            ]
            if not rest:
                break
            opening.append(min(rest)[1])
            self.scores.append([])
        return sorted(opening)


@st.composite
def videos(draw: st.DrawFn) -> tuple[TrackLifeCycle, int, np.ndarray]:
    keep, first = sorted([draw(SCORES), draw(SCORES)])
    cycle = TrackLifeCycle(first, keep, draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    num_detect, frames = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    shape = (frames, num_detect + cycle.max_tracks)
    return cycle, num_detect, draw(arrays(np.float64, shape, elements=SCORES))


@given(videos())
@settings(max_examples=200, deadline=None)
def test_life_cycle(video: tuple[TrackLifeCycle, int, np.ndarray]) -> None:
    cycle, num_detect, scores = video
    slow, tracks = SlowLifeCycle(cycle), OpenTracks([], [], 0)
    closed: set[int] = set()
    for row in scores:
        before = tracks
        row = row[: num_detect + len(before.ids)]
        slots, tracks = cycle.advance(before, row)
        opening = slow.frame(row[:num_detect].tolist(), row[num_detect:].tolist())
        assert tracks.ids == slow.open
        assert tracks.opened == len(slow.scores)
        assert [slot for slot in slots if slot < num_detect] == opening
        old = [slot - num_detect for slot in slots if slot >= num_detect]
        assert [before.ids[index] for index in old] == tracks.ids[: len(old)]
        assert len(slots) == len(tracks.ids) == len(set(tracks.ids)) <= cycle.max_tracks
        assert all(missed < cycle.patience for missed in tracks.misses)
        closed |= set(before.ids) - set(tracks.ids)
        assert not closed & set(tracks.ids)


def test_the_best_open_when_there_is_no_room_for_all() -> None:
    cycle = TrackLifeCycle(open_score=0.5, keep_score=0.2, patience=1, max_tracks=3)
    slots, tracks = cycle.advance(OpenTracks([4], [0], 5), np.array([0.6, 0.9, 0.4, 0.9, 0.3]))
    assert slots == [4, 1, 3]
    assert tracks == OpenTracks([4, 5, 6], [0, 0, 0], 7)
    slots, tracks = cycle.advance(tracks, np.array([0.9, 0.9, 0.9, 0.9, 0.2, 0.1, 0.3]))
    assert (slots, tracks.ids, tracks.opened) == ([4, 6, 0], [4, 6, 7], 8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patience": 0}, "patience=0"),
        ({"max_tracks": 0}, "max_tracks=0"),
        ({"open_score": 0.2, "keep_score": 0.3}, "open_score=0.2"),
    ],
)
def test_impossible_life_cycles_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackLifeCycle(**fields)


@st.composite
def frames(draw: st.DrawFn) -> tuple[int, list[int], list[int], np.ndarray]:
    """Return N, owners of track slots, visible ids, and costs with slots of padding."""
    num_detect, stages = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    owners = draw(st.lists(st.integers(0, 6), unique=True, max_size=4))
    owners = [owner if draw(st.booleans()) else NOBODY for owner in owners]
    ids = draw(st.lists(st.integers(0, 6), unique=True, max_size=5))
    shape = (stages, num_detect + len(owners) + draw(st.integers(0, 2)), len(ids))
    return num_detect, owners, ids, draw(arrays(np.float32, shape, elements=UNIT))


@given(frames(), st.sampled_from(["per_stage_new", "last"]))
@settings(max_examples=200, deadline=None)
def test_track_slots_belong_to_their_objects(
    frame: tuple[int, list[int], list[int], np.ndarray], mode: str
) -> None:
    num_detect, owners, ids, costs = frame
    slots = TrackQueryMatching(owners, num_detect, mode).match(ids, costs)
    tracked = [object_id in owners for object_id in ids]
    for column, object_id in enumerate(ids):
        if tracked[column]:
            assert (slots[:, column] == num_detect + owners.index(object_id)).all()
        else:
            assert (slots[:, column] < num_detect).all()
    new = [object_id for object_id, known in zip(ids, tracked, strict=True) if not known]
    untracked = costs[:, :num_detect][:, :, ~np.array(tracked, dtype=bool)]
    expected = TemporallyConsistentMatching(num_detect, mode).match(new, untracked)
    np.testing.assert_array_equal(slots[:, ~np.array(tracked, dtype=bool)], expected)


@st.composite
def matched_frames(
    draw: st.DrawFn,
) -> tuple[TrackSelection, list[int], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    num_slots = draw(st.integers(1, 6))
    slots = draw(st.lists(st.integers(0, num_slots - 1), unique=True, max_size=5))
    slots = [slot if draw(st.integers(0, 4)) else -1 for slot in slots]
    number = len(slots)
    probability = st.sampled_from([0.0, 0.3, 1.0])
    return (
        TrackSelection(draw(SCORES), draw(probability), draw(probability)),
        list(range(10, 10 + number)),
        np.array(slots, dtype=np.int64),
        draw(arrays(np.float32, number, elements=SCORES)),
        draw(arrays(np.float32, (num_slots, num_slots), elements=SCORES)),
        draw(arrays(np.float32, (2, number), elements=UNIT)),
    )


@given(matched_frames())
@settings(max_examples=200, deadline=None)
def test_selection(
    frame: tuple[TrackSelection, list[int], np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    selection, ids, slots, overlaps, neighbours, draws = frame
    chosen, owners = selection.select(ids, slots, overlaps, neighbours, draws)
    kept, false_positives = [], []
    for object_id, slot, overlap, (drop, _) in zip(ids, slots, overlaps, draws.T, strict=True):
        if slot >= 0 and overlap > selection.min_iou and not drop < selection.drop_probability:
            kept.append((object_id, slot))
    for object_id, slot in kept:
        if draws[1, ids.index(object_id)] < selection.false_positive_probability:
            others = [
                (-neighbours[slot, other], other)
                for other in range(len(neighbours))
                if other not in slots and other not in false_positives
            ]
            false_positives += [other for _, other in sorted(others)[:1]]
    assert chosen == [slot for _, slot in kept] + false_positives
    assert owners == [object_id for object_id, _ in kept] + [NOBODY] * len(false_positives)
    assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("name", ["min_iou", "drop_probability", "false_positive_probability"])
def test_values_outside_the_unit_interval_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=1.5"):
        TrackSelection(**{name: 1.5})
