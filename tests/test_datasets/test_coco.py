# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from visbench.datasets import CocoClips, Draw, FrameError, JitterClip
from visbench.datasets.coco import TARGETS
from visbench.datasets.holdout import shared_videos
from visbench.evaluation.per_frame import join_images

HEIGHT, WIDTH = 60, 80
LOAD = {
    "type": "visbench.ClipBroadcaster",
    "transforms": [
        {"type": "visbench.LoadFrame"},
        {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
    ],
}
ROTATE = {"type": "mmdet.Rotate", "max_mag": 30.0}
CROP = {
    "type": "mmdet.RandomCrop",
    "crop_size": (0.7, 0.7),
    "crop_type": "relative_range",
    "allow_negative_crop": True,
}
PACK = {"type": "visbench.PackClip", "require": "any", "boxes_from_masks": True}


def jitter(*transforms: dict[str, Any], coco_clip: str = "jitter") -> dict[str, Any]:
    return {
        "type": "visbench.JitterClip",
        "transforms": list(transforms) or [ROTATE, CROP],
        "coco_clip": coco_clip,
    }


def clips(root: Path, *stages: dict[str, Any], **fields: Any) -> CocoClips:
    return CocoClips(
        data_root=str(root),
        **{
            "split": "train2017",
            "target": "youtube_vis_2019",
            "clip": {"type": "visbench.SampleClip", "num_frames": 3},
            "pipeline": [LOAD, *stages, PACK],
            **fields,
        },
    )


def frames_of(sample: dict[str, Any]) -> list[Any]:
    return list(sample["data_samples"])


def test_labels_are_those_of_the_target(tiny_coco: Path) -> None:
    dataset = clips(tiny_coco, target="youtube_vis_2021")
    classes = dataset.metainfo["classes"]
    assert classes == TARGETS["youtube_vis_2021"].classes
    assert dataset.category_ids == list(range(1, 41))
    names = {
        video["video_name"]: [classes[track["label"]] for track in video["tracks"]]
        for video in dataset.iter_records()
    }
    assert names == {
        "000000000001.jpg": ["person"],
        "000000000004.jpg": ["car", "person", "person", "motorbike"],
        "000000000006.jpg": ["person"] * 7,
    }
    older = clips(tiny_coco, target="youtube_vis_2019")
    labels = [track["label"] for video in older.iter_records() for track in video["tracks"]]
    assert {older.metainfo["classes"][label] for label in labels} == {
        "person",
        "sedan",
        "motorbike",
    }


def test_without_target_everything_is_kept(tiny_coco: Path) -> None:
    dataset = clips(tiny_coco, target=None, split="val2017", test_mode=True, clip=None)
    assert len(dataset) == 6
    assert dataset.metainfo["classes"] == ("person", "car", "motorcycle", "frisbee", "mouse")
    assert dataset.category_ids == [1, 3, 4, 34, 74]
    item = dataset.get_video(3)
    assert (item.video.video_id, item.video.length) == (4, 1)
    (frame,) = item.frames
    assert frame.image.shape == (3, HEIGHT, WIDTH)


def test_every_shared_category_is_known_to_both_sides() -> None:
    from mmdet.datasets import CocoDataset

    videos = {key: target for key, target in TARGETS.items() if key.startswith("youtube_vis")}
    assert {key: len(target.names) for key, target in videos.items()} == {
        "youtube_vis_2019": 19,
        "youtube_vis_2021": 21,
    }
    for target in videos.values():
        assert set(target.names) <= set(CocoDataset.METAINFO["classes"])
        assert set(target.names.values()) <= set(target.classes)
        assert len(set(target.names.values())) == len(target.names)
        assert len(target.classes) == 40
        assert "mouse" not in target.names


def test_davis_takes_every_object_without_its_class(tiny_coco: Path) -> None:
    from mmdet.datasets import CocoDataset

    dataset = clips(tiny_coco, target="davis")
    assert dataset.metainfo["classes"] == ("object",)
    assert dataset.category_ids == [1]
    everything = clips(tiny_coco, target=None)
    counts = [len(video["tracks"]) for video in dataset.iter_records()]
    assert counts == [len(video["tracks"]) for video in everything.iter_records()]
    assert {track["label"] for video in dataset.iter_records() for track in video["tracks"]} == {0}
    assert set(TARGETS["davis"].names) == set(CocoDataset.METAINFO["classes"])


def test_images_without_shared_objects_are_left_out(tiny_coco: Path) -> None:
    # 2 has another category, 3 a crowd only, 5 nothing.
    assert [video["video_id"] for video in clips(tiny_coco).iter_records()] == [1, 4, 6]
    everything = clips(tiny_coco, filter_cfg={"filter_empty_gt": False})
    assert len(everything) == 6


def test_crowds_and_bad_polygons_have_defined_ends(tiny_coco: Path) -> None:
    (frame, *_) = frames_of(clips(tiny_coco)[Draw(1, 0, 0)])
    assert frame.gt_instances.labels.tolist() == [
        TARGETS["youtube_vis_2019"].classes.index("sedan")
    ]
    assert len(frame.ignored_instances) == 1
    assert frame.ignored_instances.masks.areas.tolist() == [200]
    assert np.isfinite(frame.gt_instances.bboxes).all()


def test_identical_frames_are_copies(tiny_coco: Path) -> None:
    sample = clips(tiny_coco, jitter(coco_clip="identical"))[Draw(2, 5, 1)]
    first, *others = frames_of(sample)
    assert len(others) == 2
    for image, frame in zip(sample["inputs"][1:], others, strict=True):
        assert torch.equal(image, sample["inputs"][0])
        assert torch.equal(frame.gt_instances.bboxes, first.gt_instances.bboxes)
        assert frame.gt_instances.instances_ids.tolist() == list(range(10, 17))


def test_jitter_gives_every_frame_its_own_view_and_keeps_ids(tiny_coco: Path) -> None:
    dataset = clips(tiny_coco, jitter())
    sample = dataset[Draw(2, 5, 1)]
    assert len({tuple(image.shape) for image in sample["inputs"]}) == 3
    record = next(video for video in dataset.iter_records() if video["video_id"] == 6)
    labels = {track["id"]: track["label"] for track in record["tracks"]}
    for frame in frames_of(sample):
        for object_id, label in zip(
            frame.gt_instances.instances_ids.tolist(),
            frame.gt_instances.labels.tolist(),
            strict=True,
        ):
            assert labels[object_id] == label


@pytest.mark.parametrize("seed", range(6))
def test_masks_and_boxes_follow_the_image(tiny_coco: Path, seed: int) -> None:
    """Rotation and crop of image and masks against a warp by the recorded matrix."""
    load = clips(tiny_coco)[Draw(2, 0, 0)]
    pack = {**PACK, "meta_keys": ("homography_matrix",)}
    sample = clips(tiny_coco, pipeline=[LOAD, jitter(), pack])[Draw(2, seed, 0)]
    whole = frames_of(load)[0].gt_instances
    masks = dict(zip(whole.instances_ids.tolist(), whole.masks.masks, strict=True))
    original = load["inputs"][0].numpy().transpose(1, 2, 0)
    for image, frame in zip(sample["inputs"], frames_of(sample), strict=True):
        size = (image.shape[2], image.shape[1])
        matrix = frame.homography_matrix[:2].astype(np.float64)
        expected = cv2.warpAffine(original, matrix, size, borderValue=(128.0,) * 3)
        difference = np.abs(image.numpy().transpose(1, 2, 0).astype(int) - expected.astype(int))
        assert difference.mean() < 2
        seen = frame.gt_instances
        for object_id, mask, box in zip(
            seen.instances_ids.tolist(), seen.masks.masks, seen.bboxes, strict=True
        ):
            warped = cv2.warpAffine(masks[object_id], matrix, size)
            union = (mask | warped).sum()
            assert (mask & warped).sum() / union > 0.9 or union - (mask & warped).sum() <= 4
            rows, columns = np.nonzero(mask)
            tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == tight
        lost = set(masks) - set(seen.instances_ids.tolist())
        assert all(cv2.warpAffine(masks[key], matrix, size).sum() <= 4 for key in lost)


def test_flip_and_resize_after_the_jitter_are_shared(tiny_coco: Path) -> None:
    shared = {
        "type": "visbench.ClipBroadcaster",
        "share_random_params": True,
        "transforms": [{"type": "mmdet.RandomFlip", "prob": 0.5}],
    }
    dataset = clips(tiny_coco, jitter(), shared)
    flips = [
        {bool(frame.get("flip")) for frame in frames_of(dataset[Draw(2, number, 0)])}
        for number in range(12)
    ]
    assert all(len(flip) == 1 for flip in flips)
    assert {True} in flips and {False} in flips


def test_samples_follow_from_seed_and_number(tiny_coco: Path) -> None:
    dataset, again = (clips(tiny_coco, jitter()) for _ in range(2))

    def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
        pairs = zip(one["inputs"], other["inputs"], strict=True)
        return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)

    assert same(dataset[Draw(2, 7, 3)], again[Draw(2, 7, 3)])
    assert not same(dataset[Draw(2, 7, 3)], again[Draw(2, 8, 3)])
    assert not same(dataset[Draw(2, 7, 3)], again[Draw(2, 7, 4)])


def test_a_missing_image_is_named(tiny_coco: Path) -> None:
    dataset = clips(tiny_coco)
    (tiny_coco / "train2017" / "000000000006.jpg").unlink()
    with pytest.raises(FrameError, match=r"000000000006\.jpg"):
        dataset[Draw(2, 0, 0)]


def test_splits_are_compared_by_their_images(tiny_coco: Path) -> None:
    train, val = clips(tiny_coco), clips(tiny_coco, split="val2017")
    assert shared_videos(train, val) == []
    assert shared_videos(train, train) == [f"{i:012d}.jpg" for i in (1, 4, 6)]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data.pop("images"), "field 'images': is missing.*COCO's layout"),
        (lambda data: data.update(categories=[]), "field 'categories': is empty.*COCO's layout"),
        (
            lambda data: data["annotations"][0].update(image_id=99),
            r"annotations\[0\]: field 'image_id': 99 is not among",
        ),
        (lambda data: data["annotations"][0].update(category_id=99), "names no category: 99"),
        (lambda data: data["images"][1].update(id=1), "image 1: field 'id': occurs twice"),
        (lambda data: data["annotations"].append(3), r"annotations\[\d+\]: must be an object"),
        (lambda data: data["images"][0].pop("height"), "image 1: field 'height': is missing"),
        (
            lambda data: data["annotations"][3]["segmentation"].update(size=[5, 5]),
            r"mask's size \[5, 5\]",
        ),
        (
            lambda data: data.update(categories=[{"id": i, "name": f"c{i}"} for i in range(99)]),
            "none of the categories .* is shared",
        ),
    ],
)
def test_bad_files_are_named(
    tiny_coco: Path, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    path = tiny_coco / "annotations" / "instances_train2017.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message) as error:
        clips(tiny_coco)
    assert str(path) in str(error.value)


def test_unknown_words_are_refused(tiny_coco: Path) -> None:
    with pytest.raises(
        ValueError, match=r"target='ovis' is not one of \['davis', 'youtube_vis_2019'"
    ):
        clips(tiny_coco, target="ovis")
    with pytest.raises(ValueError, match="coco_clip='copies' is not one of"):
        JitterClip([], coco_clip="copies")


def test_a_file_of_boxes_serves_methods_without_masks(tiny_coco: Path) -> None:
    path = tiny_coco / "annotations" / "instances_train2017.json"
    data = json.loads(path.read_text())
    for annotation in data["annotations"]:
        del annotation["segmentation"]
    path.write_text(json.dumps(data))
    tracks = [track for video in clips(tiny_coco).iter_records() for track in video["tracks"]]
    assert tracks and all(track["masks"] is None for track in tracks)
    assert sum(len(track["boxes"]) for track in tracks) == len(tracks)


def test_a_file_without_annotations_serves_tests_only(tiny_coco: Path) -> None:
    path = tiny_coco / "annotations" / "instances_val2017.json"
    data = json.loads(path.read_text())
    del data["annotations"]
    path.write_text(json.dumps(data))
    assert join_images(data, "here")["annotations"] is None
    assert len(clips(tiny_coco, split="val2017", test_mode=True)) == 6
    with pytest.raises(ValueError, match="'annotations' is missing"):
        clips(tiny_coco, split="val2017")
