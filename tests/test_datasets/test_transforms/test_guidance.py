# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from visbench.datasets import CocoClips, Draw, SampleGuidance, SelectGuidance
from visbench.datasets.transforms import ClipBroadcaster, guidance_positions

FRAMES = st.lists(
    st.dictionaries(st.integers(0, 5), st.just(None), max_size=4), min_size=1, max_size=6
)


@given(frames=FRAMES, query=st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_guidance_by_the_words_of_the_rule(frames: list[dict[int, None]], query: int) -> None:
    """An object's label is its id modulo 3."""
    query %= len(frames)
    objects = [{identity: identity % 3 for identity in frame} for frame in frames]
    expected = []
    for position, other in enumerate(objects):
        shares = any(identity in other for identity in objects[query])
        complete, some = True, False
        for label in range(3):
            wanted = [i for i, kind in objects[query].items() if kind == label]
            if wanted and label in other.values():
                some = True
                complete &= all(identity in other for identity in wanted)
        if position != query and shares and some and complete:
            expected.append(position)
    assert guidance_positions(objects, query) == expected


def video(*frames: dict[int, int], crowds: tuple[int, ...] = ()) -> dict[str, Any]:
    images = [
        {
            "frame_id": 10 * position,
            "instances": [
                {"instance_id": key, "bbox_label": label, "ignore_flag": int(key in crowds)}
                for key, label in objects.items()
            ],
        }
        for position, objects in enumerate(frames)
    ]
    return {"video_id": 1, "video_length": len(images), "images": images}


def pairs(source: dict[str, Any], sampler: SampleGuidance, count: int = 60) -> set[tuple[int, int]]:
    np.random.seed(0)
    found = set()
    for _ in range(count):
        results = sampler.transform(source)
        assert results["key_frame_flags"] == [True, False]
        found.add(tuple(frame // 10 for frame in results["frame_id"]))
    return found


def test_pairs_of_a_video() -> None:
    source = video({1: 0, 2: 0}, {}, {1: 0}, {1: 0, 2: 0, 3: 1})
    # The first frame has both objects of the class, the third only one of them.
    assert pairs(source, SampleGuidance()) == {(0, 3), (2, 0), (2, 3), (3, 0)}
    assert pairs({**source, "key_frame_id": 2}, SampleGuidance()) == {(2, 0), (2, 3)}
    everything = {(a, b) for a in (0, 2, 3) for b in (0, 2, 3) if a != b}
    assert pairs(source, SampleGuidance(coverage=False)) == everything


def test_a_query_without_guidance_guides_itself() -> None:
    assert pairs(video({1: 0}, {2: 0}), SampleGuidance()) == {(0, 0), (1, 1)}
    for coverage in (True, False):
        assert pairs(video({1: 0}), SampleGuidance(coverage)) == {(0, 0)}
    # A crowd has no identity.
    source = video({1: 0, 9: 0}, {1: 0}, crowds=(9,))
    assert pairs(source, SampleGuidance()) == {(0, 1), (1, 0)}


def clip(*frames: dict[int, int], gone: tuple[tuple[int, int], ...] = ()) -> dict[str, Any]:
    """Return a clip with annotations; ``gone`` lists (frame, object) without a pixel left."""
    masks = [
        BitmapMasks([np.full((4, 4), (t, key) not in gone, np.uint8) for key in objects], 4, 4)
        for t, objects in enumerate(frames)
    ]
    return {
        "img": [np.full((4, 4, 3), t, np.uint8) for t in range(len(frames))],
        "gt_masks": masks,
        "gt_instances_ids": [np.array(list(objects), dtype=np.int32) for objects in frames],
        "gt_bboxes_labels": [
            np.array(list(objects.values()), dtype=np.int64) for objects in frames
        ],
        "gt_ignore_flags": [np.zeros(len(objects), dtype=bool) for objects in frames],
        "key_frame_flags": [True, False, False],
    }


def selected(source: dict[str, Any], count: int = 60) -> set[tuple[int, ...]]:
    np.random.seed(0)
    found = set()
    for _ in range(count):
        results = SelectGuidance().transform(source)
        assert results is not None
        assert results["key_frame_flags"] == [True, False]
        assert all(len(values) == 2 for values in results.values())
        found.add(tuple(int(image[0, 0, 0]) for image in results["img"]))
    return found


def test_pairs_of_a_clip() -> None:
    both = {1: 0, 2: 0}
    everything = {(a, b) for a in range(3) for b in range(3) if a != b}
    assert selected(clip(both, both, both)) == everything
    # Object 2 has been rotated out of frame 1, which so guides only itself.
    assert selected(clip(both, both, both, gone=((1, 2),))) == {(0, 2), (2, 0), (1, 0), (1, 2)}
    assert selected(clip({1: 0}, {1: 0}, {1: 0}, gone=((0, 1), (1, 1)))) == {(2, 2)}


def test_a_frame_that_guides_itself_is_transformed_once() -> None:
    source = clip({1: 0}, {}, {})
    source["gt_bboxes"] = [
        HorizontalBoxes(np.full((len(m), 4), (0, 1, 2, 3.0))) for m in ([1], [], [])
    ]
    pair = SelectGuidance().transform(source)
    double = {"type": "mmdet.Resize", "scale": (8, 8), "keep_ratio": True}
    resized = ClipBroadcaster([double]).transform(pair)
    assert resized is not None
    assert [boxes.tensor.tolist() for boxes in resized["gt_bboxes"]] == [[[0, 2, 4, 6]]] * 2


def test_a_clip_without_objects_is_drawn_again() -> None:
    assert SelectGuidance().transform(clip({1: 0}, {}, {}, gone=((0, 1),))) is None


@pytest.mark.parametrize("target", ["youtube_vis_2019", "davis"])
def test_pseudo_videos(tiny_coco: Path, target: str) -> None:
    """Three rotated frames, two of them kept; what is rotated in is the mean colour."""
    mean = (103.53, 116.28, 123.675)
    load = [
        {"type": "visbench.LoadFrame"},
        {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
    ]
    rotate = {"type": "mmdet.Rotate", "max_mag": 30.0, "img_border_value": mean}
    dataset = CocoClips(
        data_root=str(tiny_coco),
        split="train2017",
        target=target,
        clip={"type": "visbench.SampleClip", "num_frames": 3},
        pipeline=[
            {"type": "visbench.ClipBroadcaster", "transforms": load},
            {"type": "visbench.JitterClip", "transforms": [rotate]},
            {"type": "visbench.SelectGuidance"},
            {"type": "visbench.PackClip", "require": "key", "boxes_from_masks": True},
        ],
    )
    corners = set()
    for number in range(6):
        sample = dataset[Draw(number % len(dataset), number, 0)]
        query, guidance = sample["inputs"]
        assert query.shape == guidance.shape and not query.equal(guidance)
        assert sample["data_samples"].metainfo["key_frames_inds"] == [0]
        truth = [frame.gt_instances for frame in sample["data_samples"]]
        assert len(truth[0])
        for frame in truth:
            for mask, box in zip(frame.masks.masks, frame.bboxes.tolist(), strict=True):
                assert set(np.unique(mask)) == {0, 1}
                rows, columns = np.nonzero(mask)
                assert box[:2] == [columns.min(), rows.min()]
                assert box[2:] == [columns.max() + 1, rows.max() + 1]
        corners |= {tuple(image[:, 0, 0].tolist()) for image in sample["inputs"]}
    assert (104, 116, 124) in corners
