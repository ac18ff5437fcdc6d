# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from visbench.structures import (
    FrameInstances,
    VideoInfo,
    VideoTracks,
    decode_mask,
    encode_masks,
    frames_to_tracks,
    from_mot_text,
    from_mots_text,
    to_mot_text,
    to_mots_text,
    tracks_to_frames,
)

SIZE = (5, 7)
VIDEO = VideoInfo(0, "clip", *SIZE)


def _video(seed: int, length: int, boxes: bool = False) -> VideoTracks:
    """Return a video of up to 4 objects with one label each that come and go."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(length):
        ids = np.flatnonzero(rng.random(4) < 0.6)
        corners = rng.uniform(0, 50, (len(ids), 2, 2)).astype(np.float32)
        found = {"boxes": np.sort(corners, axis=1).reshape(-1, 4)}
        if not boxes:
            found = {"masks": encode_masks(rng.integers(0, 2, (len(ids), *SIZE)))}
        scores = (ids + 1) / 8 + (0 if boxes else rng.random(len(ids)) / 100)
        frames.append(FrameInstances(ids + 11, ids % 3, scores, **found))
    return frames_to_tracks(VIDEO, frames)


def _masks(result: VideoTracks) -> list[dict[int, np.ndarray]]:
    return [
        {
            int(track_id): decode_mask(mask)
            for track_id, mask in zip(instances.ids, instances.masks or [], strict=True)
        }
        for instances in tracks_to_frames(result)
    ]


@given(seed=st.integers(0, 10**6), length=st.integers(1, 4), first_frame=st.integers(0, 1))
def test_mots_text_holds_what_no_better_mask_covers(
    seed: int, length: int, first_frame: int
) -> None:
    result = _video(seed, length)
    text = to_mots_text(result, [2, 1, 5], first_frame)
    info = VideoInfo(0, "clip", *SIZE, length)
    again = from_mots_text(text, info, [2, 1, 5], first_frame)
    expected = _masks(result)
    score = {
        result.tracks[entry.track_index].id: entry.score
        for entry in sorted(result.predictions, key=lambda entry: entry.score)
    }
    for frame, found in zip(expected, _masks(again), strict=True):
        taken = np.zeros(SIZE, bool)
        for track_id in sorted(frame, key=lambda track_id: -score[track_id]):
            left = frame[track_id] & ~taken
            taken |= frame[track_id]
            np.testing.assert_array_equal(found.get(track_id, np.zeros(SIZE, bool)), left)
        assert sum(mask.sum() for mask in found.values()) == taken.sum(), "no mask overlaps"
    labels = {result.tracks[entry.track_index].id: entry.label for entry in result.predictions}
    for entry in again.predictions:
        assert entry.label == labels[again.tracks[entry.track_index].id]
        assert entry.score == 1


def test_a_line_is_what_the_format_says() -> None:
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 1:3, 2:6] = True
    frames = [FrameInstances([0], [1], [0.9], None, encode_masks(mask))]
    first, second = (to_mots_text(frames_to_tracks(VIDEO, frames), first_frame=n) for n in (0, 1))
    counts = mask_utils.encode(np.asfortranarray(mask[0].astype(np.uint8)))["counts"].decode()
    assert first == f"0 0 2 5 7 {counts}\n"
    assert second == f"1 0 2 5 7 {counts}\n"


def test_what_scores_low_has_no_line() -> None:
    result = _video(1, 3)
    assert to_mots_text(result, score_threshold=2) == ""
    kept = {int(line.split()[1]) for line in to_mots_text(result, score_threshold=0.3).splitlines()}
    assert kept == {13, 14}


def test_the_example_of_the_format_is_read() -> None:
    mask = mask_utils.encode(np.asfortranarray(np.eye(375, 1242, dtype=np.uint8)))["counts"]
    text = f"52 1005 1 375 1242 {mask.decode()}\n\n52 10000 10 375 1242 {mask.decode()}\n"
    with pytest.warns(UserWarning, match=r"1 regions to ignore \(class 10\) are left out"):
        result = from_mots_text(text, first_frame=0)
    assert (result.video.height, result.video.width, result.video.length) == (375, 1242, 53)
    (track,) = result.tracks
    assert track.id == 1005
    assert track.masks is not None
    assert decode_mask(track.masks[52]).sum() == 375
    assert track.masks[:52] == [None] * 52


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 2 3", "line 1: 3 columns; the form is: frame id class height width rle"),
        ("0 1 1 5 7 S1", "line 1: frame 0 comes before frame 1; give first_frame=0"),
        ("x 1 1 5 7 S1", "line 1: frame is 'x'"),
        ("1 1.5 1 5 7 S1", "line 1: id is '1.5'"),
        ("1 1 0 5 7 S1", r"line 1: class 0 is unknown; the category_ids are 1, 2"),
        ("1 1 1 5 8 S1", "line 1: the mask is 8x5, but the video is 7x5"),
        ("1 1 1 5 7 05", "line 1: rle '05' does not fit 7x5"),
        ("1 1 1 5 7 S", "line 1: rle 'S'"),
        ("1 1 1 5 7 \x01", "line 1: rle"),
        ("1 1 1 5 7 S1\n1 1 1 5 7 S1", r"frame 0 \(counted from 0\): an id occurs twice"),
        ("9 1 1 5 7 S1", "there is frame 8 .* video clip has 3 frames"),
    ],
)
def test_bad_mots_lines_are_named(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_mots_text(line, VideoInfo(0, "clip", *SIZE, 3))


def test_mots_text_without_objects_needs_the_video() -> None:
    assert from_mots_text("", VideoInfo(0, "clip", 4, 4, 2)).tracks == []
    with pytest.raises(ValueError, match="give the video"):
        from_mots_text("")
    with pytest.raises(ValueError, match="0x5 is no size"):
        from_mots_text("1 1 1 5 0 S1")


def test_boxes_alone_are_no_mots_text() -> None:
    with pytest.raises(ValueError, match="has boxes only; use to_mot_text"):
        to_mots_text(_video(0, 1, boxes=True))


@given(seed=st.integers(0, 10**6), length=st.integers(1, 4))
def test_mot_text_and_back(seed: int, length: int) -> None:
    result = _video(seed, length, boxes=True)
    again = from_mot_text(to_mot_text(result), VideoInfo(0, "clip", *SIZE, length))
    assert [track.id for track in again.tracks] == [track.id for track in result.tracks]
    for track, other in zip(result.tracks, again.tracks, strict=True):
        assert track.boxes is not None
        assert other.boxes is not None
        np.testing.assert_allclose(other.boxes, track.boxes, rtol=1e-5, atol=1e-5)
    scores = [np.float32(entry.score) for entry in result.predictions]
    assert [np.float32(entry.score) for entry in again.predictions] == pytest.approx(scores)
    assert {entry.label for entry in again.predictions} <= {0}


def test_masks_are_written_as_the_boxes_around_them() -> None:
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 1:3, 2:6] = True
    frame = FrameInstances([4], [1], [0.5], None, encode_masks(mask))
    assert to_mot_text(frames_to_tracks(VIDEO, [frame])) == "1,4,2,1,4,2,0.5,-1,-1,-1\n"


def test_ground_truth_of_motchallenge_has_classes() -> None:
    text = "1,5,10,20,30,40,1,7,0.9\n2,5,10,20,30,40,1,7,0.8\n"
    assert from_mot_text(text, VIDEO).predictions[0].label == 6
    assert from_mot_text(text, VIDEO, [1, 7]).predictions[0].label == 1
    with pytest.raises(ValueError, match="class 7 is unknown; the category_ids are 1, 2"):
        from_mot_text(text, VIDEO, [1, 2])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,2,3", "line 1: 3 columns; the form is: frame,id,left"),
        ("1 2 3 4 5 6 7", "line 1: 1 columns"),
        ("1,2,3,nan,5,6,7", "line 1: top is 'nan'"),
        ("1,2,3,4,5,6,high", "line 1: score is 'high'"),
        ("0,2,3,4,5,6,7", "frame 0 comes before frame 1"),
    ],
)
def test_bad_mot_lines_are_named(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_mot_text(line, VIDEO)


def _one(label: int) -> VideoTracks:
    masks = encode_masks(np.ones((1, *SIZE)))
    frame = FrameInstances([7], [label], [1.0], masks=masks)
    return frames_to_tracks(VideoInfo(0, "clip", *SIZE), [frame])


def test_no_object_becomes_a_region_to_ignore() -> None:
    with pytest.raises(ValueError, match=r"label 9 .* region to ignore .*category_ids"):
        to_mots_text(_one(9))
    ids = [*range(1, 10), 11]
    found = from_mots_text(to_mots_text(_one(9), ids), category_ids=ids)
    assert [prediction.label for prediction in found.predictions] == [9]


def test_labels_without_class_are_named() -> None:
    with pytest.raises(ValueError, match=r"label 2 has no class, there are 2 category_ids"):
        to_mots_text(_one(2), [1, 2])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.5,7,2,3,10,30,1", "line 1: frame is '1.5'; a whole number"),
        ("1,7.5,2,3,10,30,1", "line 1: id is '7.5'; a whole number"),
        ("1,1e30,2,3,10,30,1", "line 1: id is '1e30'; it must fit into 64 bits"),
        ("999999999999,7,2,3,10,30,1", "line 1: frame 999999999999 is beyond"),
    ],
)
def test_numbers_that_cannot_be(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        from_mot_text(line, VideoInfo(0, "clip", *SIZE))


def test_ids_are_exact() -> None:
    video = VideoInfo(0, "clip", *SIZE)
    assert from_mot_text("1,9007199254740993,2,3,10,30,1", video).tracks[0].id == 2**53 + 1
    assert from_mot_text("1.0,7.0,2,3,10,30,1", video).tracks[0].id == 7
