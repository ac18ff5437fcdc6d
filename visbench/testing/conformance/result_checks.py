# SPDX-License-Identifier: Apache-2.0
"""Checks of the result of a video, for online and offline methods."""

from __future__ import annotations

import json

import numpy as np
import torch

from visbench.models import VISModel
from visbench.structures import Frame, Track, VideoTracks, decode_mask
from visbench.testing.conformance.case import ConformanceCase, prepared, video_of
from visbench.testing.conformance.scene import ORIGINAL_SIZE, Scene

NUM_FRAMES = 6


def check_something_is_found(case: ConformanceCase) -> None:
    """The case is not vacuous: a reported track with pixels in two frames, and two tracks."""
    tracks = run(case, Scene(0, NUM_FRAMES))
    assert len(tracks.tracks) >= 2, f"{case.name}: {len(tracks.tracks)} tracks; adjust the case"
    reported = {prediction.track_index for prediction in tracks.predictions}
    frames = max((_present(tracks.tracks[index]) for index in reported), default=0)
    assert frames >= 2, f"{case.name}: no reported track is in two frames; adjust the case"


def check_results_are_valid(case: ConformanceCase) -> None:
    """Tracks have original size and the video's length, results are plain JSON."""
    tracks = run(case, Scene(0, NUM_FRAMES))
    assert tracks.video.length == NUM_FRAMES
    ids = [track.id for track in tracks.tracks]
    assert len(set(ids)) == len(ids), f"{case.name}: an id occurs in two tracks: {ids}"
    for track in tracks.tracks:
        assert len(track) == NUM_FRAMES
        for mask in track.masks or []:
            assert mask is None or tuple(mask["size"]) == ORIGINAL_SIZE
            assert mask is None or decode_mask(mask).shape == ORIGINAL_SIZE
    assert all(0 <= prediction.score <= 1 for prediction in tracks.predictions)
    results = json.loads(json.dumps(tracks.to_results(category_ids=range(10, 1000))))
    assert len(results) == len(tracks.predictions)
    for result, prediction in zip(results, tracks.predictions, strict=True):
        assert result["category_id"] == 10 + prediction.label
        assert len(result.get("segmentations", result.get("bboxes"))) == NUM_FRAMES
    rebuilt = VideoTracks.from_dict(json.loads(json.dumps(tracks.to_dict())))
    assert_same(tracks, rebuilt, f"{case.name}: to_dict and from_dict")


def check_single_frame(case: ConformanceCase) -> None:
    """A video of one frame works."""
    tracks = run(case, Scene(0, 1))
    assert tracks.video.length == 1
    assert tracks.tracks, f"{case.name}: nothing found in a single frame"


def check_no_frame(case: ConformanceCase) -> None:
    """A video whose source yields no frame gives an empty result."""
    tracks = case.build().segment(video_of([], known=False), iter(()))
    assert tracks.video.length == 0
    assert tracks.to_results(range(1000)) == []


def check_black_frames(case: ConformanceCase) -> None:
    """Frames without any content are valid input."""
    assert run(case, Scene(0, 3, objects=False)).video.length == 3


def check_nothing_found(case: ConformanceCase) -> None:
    """A video in which nothing is found gives a valid result without masks and boxes."""
    tracks = run(case, Scene(0, 3), case.build(silent=True))
    assert tracks.video.length == 3
    assert not any(_present(track) for track in tracks.tracks)
    json.dumps(tracks.to_results(range(1000)))


def check_unknown_length(case: ConformanceCase) -> None:
    """Frames from an iterator of unknown length give what a known length gives."""
    model = case.build()
    frames = prepared(model, Scene(0, NUM_FRAMES))
    known = model.segment(video_of(frames), frames)
    unknown = model.segment(video_of(frames, known=False), iter(frames))
    assert_same(known, unknown, f"{case.name}: known and unknown length")


def check_result_is_deterministic(case: ConformanceCase) -> None:
    """Two equal models give the same bits; other videos in between change nothing."""
    model = case.build()
    first = run(case, Scene(0, NUM_FRAMES), model)
    run(case, Scene(1, 3), model)
    assert_same(first, run(case, Scene(0, NUM_FRAMES), model), f"{case.name}: after another video")
    assert_same(first, run(case, Scene(0, NUM_FRAMES)), f"{case.name}: another equal model")


def check_weights_stay(case: ConformanceCase) -> None:
    """Segmenting a video changes no parameter and no buffer."""
    model = case.build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(case, Scene(0, 2), model)
    changed = [name for name, value in model.state_dict().items() if not value.equal(before[name])]
    assert not changed, f"{case.name}: segment changed {changed}"


def check_predict_equals_segment(case: ConformanceCase) -> None:
    """``predict`` on a clip in memory gives what ``segment`` gives on its frames."""
    model = case.build()
    scene = Scene(0, NUM_FRAMES)
    frames = prepared(model, scene)
    inputs = torch.stack([frame.image for frame in frames])[None]
    (sample,) = model(inputs, [scene.sample(range(NUM_FRAMES))], mode="predict")
    segmented = model.segment(video_of(frames), frames)
    assert_same(segmented, sample.video_tracks, f"{case.name}: predict and segment")


def check_forward_frames(case: ConformanceCase) -> None:
    """The network runs on bare frames, as GFLOPs are counted."""
    model = case.build()
    with torch.no_grad():
        outputs = model(torch.stack([_image(model)])[None], mode="tensor")
    assert _tensors(outputs), f"{case.name}: forward_frames returned no tensor"


def run(case: ConformanceCase, scene: Scene, model: VISModel | None = None) -> VideoTracks:
    """Segment a scene, with a new model of the case if none is given."""
    model = model or case.build()
    frames = prepared(model, scene)
    return model.segment(video_of(frames), iter(frames))


def assert_same(first: VideoTracks, second: VideoTracks, what: str) -> None:
    """Fail if two results differ in a bit, apart from the names of their videos."""
    one, two = first.to_dict(), second.to_dict()
    assert one["video"]["length"] == two["video"]["length"], f"{what}: lengths differ"
    assert one["predictions"] == two["predictions"], (
        f"{what}: predictions differ: {one['predictions']} and {two['predictions']}"
    )
    ids = [[track["id"] for track in tracks["tracks"]] for tracks in (one, two)]
    assert ids[0] == ids[1], f"{what}: ids differ: {ids[0]} and {ids[1]}"
    for track, other in zip(one["tracks"], two["tracks"], strict=True):
        for key, value in track.items():
            assert value == other[key], f"{what}: {key} of track {track['id']} differ"


def _present(track: Track) -> int:
    if track.masks is not None:
        return sum(mask is not None and bool(decode_mask(mask).any()) for mask in track.masks)
    return 0 if track.boxes is None else int((~np.isnan(track.boxes).any(axis=1)).sum())


def _image(model: VISModel) -> torch.Tensor:
    frame: Frame = prepared(model, Scene(0, 1))[0]
    return frame.image


def _tensors(outputs: object) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, (list, tuple)):
        return [tensor for item in outputs for tensor in _tensors(item)]
    return []


RESULT_CHECKS = (
    check_something_is_found,
    check_results_are_valid,
    check_single_frame,
    check_no_frame,
    check_black_frames,
    check_nothing_found,
    check_unknown_length,
    check_result_is_deterministic,
    check_weights_stay,
    check_predict_equals_segment,
    check_forward_frames,
)
