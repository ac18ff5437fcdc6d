# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from visbench.apis.browse import (
    annotated_videos,
    draw_frame,
    file_dataset,
    training_clips,
    write_sheet,
    write_video,
)
from visbench.datasets import VISDataset
from visbench.engine.errors import UserError
from visbench.structures import decode_mask


def training_set(root: Path, **fields: Any) -> VISDataset:
    transforms = [
        {"type": "visbench.LoadFrame"},
        {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
        {"type": "mmdet.RandomFlip", "prob": 1.0},
    ]
    pipeline = [
        {"type": "visbench.ClipBroadcaster", "transforms": transforms},
        {"type": "visbench.PackClip"},
    ]
    clip = {"type": "visbench.SampleClip", "num_frames": 2}
    return VISDataset(split="train", data_root=str(root), clip=clip, pipeline=pipeline, **fields)


def test_clips_are_what_training_sees(tiny_youtube_vis: Path) -> None:
    dataset = training_set(tiny_youtube_vis)
    original = {frame.caption: frame for video in annotated_videos(dataset) for frame in video}
    clips = list(training_clips(dataset, seed=1))
    assert [len(clip) for clip in clips] == [2] * len(dataset)
    for frame in clips[0]:
        source = original[frame.caption]
        assert (frame.image == source.image[:, ::-1]).all()
        assert frame.instances.ids.tolist() == source.instances.ids.tolist()
        assert frame.instances.masks is not None and source.instances.masks is not None
        for ours, theirs in zip(frame.instances.masks, source.instances.masks, strict=True):
            assert (decode_mask(ours) == decode_mask(theirs)[:, ::-1]).all()


def test_a_seed_gives_the_same_clips(tiny_youtube_vis: Path) -> None:
    dataset = training_set(tiny_youtube_vis)

    def captions(seed: int) -> list[str]:
        return [frame.caption for clip in training_clips(dataset, seed) for frame in clip]

    assert captions(3) == captions(3)
    assert any(captions(3) != captions(seed) for seed in range(4, 8))


def test_videos_are_shown_as_annotated(tiny_youtube_vis: Path) -> None:
    images = tiny_youtube_vis / "train" / "JPEGImages"
    dataset = file_dataset(tiny_youtube_vis / "train.json", images)
    videos = list(annotated_videos(dataset))
    assert [len(video) for video in videos] == [5, 4, 5]
    # The second object is away in frame 1 of the first video.
    assert [len(frame.instances) for frame in videos[0]] == [2, 1, 2, 2, 2]
    drawn = draw_frame(videos[0][0], ("disc", "square"))
    assert drawn.shape == (64 * 4, 96 * 4, 3)
    (one,) = annotated_videos(dataset, "clip002")
    assert one[0].caption == "clip002: 0"


def test_sheets_and_videos(tiny_youtube_vis: Path, tmp_path: Path) -> None:
    images = tiny_youtube_vis / "train" / "JPEGImages"
    dataset = file_dataset(tiny_youtube_vis / "train.json", images)
    assert write_sheet(tmp_path / "sheet.png", annotated_videos(dataset), (), 2, 3) == 2
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None and sheet.shape == (2 * 256, 3 * 384, 3)
    assert write_video(tmp_path / "out.mp4", annotated_videos(dataset), (), 2) == 2
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 9


def test_frames_of_a_video_file_may_differ_in_size(tiny_youtube_vis: Path, tmp_path: Path) -> None:
    images = tiny_youtube_vis / "train" / "JPEGImages"
    (clip, *_) = annotated_videos(file_dataset(tiny_youtube_vis / "train.json", images))
    frame = clip[0]
    larger = type(frame)(np.zeros((300, 700, 3), np.uint8), frame.instances.select([]), "other")
    assert write_video(tmp_path / "out.mp4", [[frame, larger]], ()) == 1


def test_errors_name_what_is_wrong(tiny_youtube_vis: Path, tmp_path: Path) -> None:
    images = tiny_youtube_vis / "train" / "JPEGImages"
    with pytest.raises(UserError, match=r"none\.json"):
        file_dataset(tmp_path / "none.json", images)
    with pytest.raises(UserError, match="no frame"):
        file_dataset(tiny_youtube_vis / "train.json", tmp_path)
    dataset = file_dataset(tiny_youtube_vis / "train.json", images)
    with pytest.raises(UserError, match="no video 'x'"):
        next(annotated_videos(dataset, "x"))
    with pytest.raises(UserError, match="has no clips"):
        next(training_clips(dataset))
    with pytest.raises(UserError, match="no clip to show"):
        write_sheet(tmp_path / "sheet.png", [], ())
