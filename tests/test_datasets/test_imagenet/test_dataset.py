# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visbench.datasets import Draw, ImageNetDET, ImageNetVID, SeededClipSampler
from visbench.datasets.imagenet.categories import CLASSES, categories
from visbench.datasets.imagenet.convert import write_annotations
from visbench.registry import DATASETS

CLIP = {"type": "visbench.SampleClip", "num_frames": 3}
FIRST = "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"


@pytest.fixture
def pipeline() -> list[dict[str, Any]]:
    """Load boxes only."""
    return [
        {
            "type": "visbench.ClipBroadcaster",
            "share_random_params": True,
            "transforms": [
                {"type": "visbench.LoadFrame"},
                {"type": "mmdet.LoadTrackAnnotations", "with_mask": False},
                {"type": "mmdet.RandomFlip", "prob": 0.5},
            ],
        },
        {"type": "visbench.PackClip", "require": "any"},
    ]


def build(kind: str, root: Path, **kwargs: Any) -> Any:
    config = {"data_root": str(root), "clip": CLIP, "serialize_data": False, **kwargs}
    return DATASETS.build({"type": f"visbench.ImageNet{kind}", **config})


def to_coco_vid(path: Path) -> dict[str, Any]:
    """Return a written file in the per-frame form of MMTracking's converter."""
    data = json.loads(path.read_text())
    content: dict[str, Any] = {"categories": categories(), "images": [], "annotations": []}
    content["videos"] = [
        {"id": video["id"], "name": str(Path(video["file_names"][0]).parent)}
        for video in data["videos"]
    ]
    for video in data["videos"]:
        for index, name in enumerate(video["file_names"]):
            image = {"id": len(content["images"]) + 1, "file_name": name, "frame_id": index}
            image |= {"video_id": video["id"], "height": 64, "width": 96}
            content["images"].append({**image, "is_vid_train_frame": True})
            for track in data["annotations"]:
                if track["video_id"] == video["id"] and track["bboxes"][index]:
                    box = track["bboxes"][index]
                    content["annotations"].append(
                        {
                            "id": len(content["annotations"]) + 1,
                            "video_id": video["id"],
                            "image_id": image["id"],
                            "instance_id": track["id"],
                            "category_id": track["category_id"],
                            "bbox": box,
                            "area": box[2] * box[3],
                            "iscrowd": False,
                            "occluded": False,
                            "generated": False,
                        }
                    )
    return content


def test_xml_files_are_read_on_first_use(tiny_imagenet: Path) -> None:
    dataset = build("VID", tiny_imagenet, split="train")
    assert dataset.ann_file.endswith("annotations/visbench_imagenet_vid_train.json")
    assert dataset.metainfo["classes"] == CLASSES
    assert dataset.category_ids == list(range(1, 31))
    # The third video has no objects: there is nothing to train on.
    assert len(dataset) == 2
    images = dataset.get_data_info(0)["images"]
    assert [len(image["instances"]) for image in images] == [1, 2, 1]
    assert images[1]["instances"][1] == {
        "bbox": [60, 20, 90, 60],
        "bbox_label": 29,
        "ignore_flag": 0,
        "instance_id": 2,
    }
    test = build("VID", tiny_imagenet, split="val", test_mode=True)
    assert [test.get_video(index).video.length for index in range(len(test))] == [2, 1]
    assert tuple(next(iter(test.get_video(0).frames)).image.shape) == (3, 64, 96)


def test_boxes_alone_are_trained_on(tiny_imagenet: Path, pipeline: list[Any]) -> None:
    dataset = build("VID", tiny_imagenet, split="train", pipeline=pipeline)
    sample = dataset[Draw(0, 5, 1)]["data_samples"]
    assert [len(frame.gt_instances) for frame in sample] == [1, 2, 1]
    assert all("masks" not in frame.gt_instances for frame in sample)
    assert sample[1].gt_instances.instances_ids.tolist() == [1, 2]


def test_per_frame_form_gives_the_same_records(tiny_imagenet: Path) -> None:
    written = write_annotations(tiny_imagenet, "vid", "train")
    expected = list(build("VID", tiny_imagenet).iter_records())
    theirs = tiny_imagenet / "annotations" / "imagenet_vid_train.json"
    theirs.write_text(json.dumps(to_coco_vid(written)))
    written.unlink()
    dataset = build("VID", tiny_imagenet)
    assert dataset.ann_file == str(theirs)
    for ours, other in zip(expected, dataset.iter_records(), strict=True):
        assert ours["file_names"] == other["file_names"]
        for track, same in zip(ours["tracks"], other["tracks"], strict=True):
            np.testing.assert_array_equal(track["boxes"], same["boxes"])
            assert track["masks"] is None and same["masks"] is None
            assert (track["id"], track["label"]) == (same["id"], same["label"])


def test_an_image_is_a_clip_of_equal_frames(tiny_imagenet: Path, pipeline: list[Any]) -> None:
    dataset = build("DET", tiny_imagenet, pipeline=pipeline)
    assert len(dataset) == 2
    sample = dataset[Draw(1, 3, 1)]
    first, *others = sample["inputs"]
    assert len(others) == 2 and all(frame.equal(first) for frame in others)
    frames = [frame.gt_instances for frame in sample["data_samples"]]
    assert [frame.instances_ids.tolist() for frame in frames] == [[2, 3]] * 3
    assert all(frame.bboxes.equal(frames[0].bboxes) for frame in frames)


def test_images_in_coco_layout(tiny_imagenet: Path) -> None:
    content = {
        "categories": [*categories(), {"id": 31, "name": "other_categeries"}],
        "images": [
            {"id": 4, "file_name": "train/a.JPEG", "height": 64, "width": 96},
            {"id": 5, "file_name": "train/b.JPEG", "height": 64, "width": 96},
        ],
        "annotations": [
            {"id": 8, "image_id": 4, "category_id": 31, "bbox": [1, 1, 9, 9], "iscrowd": False},
            {"id": 9, "image_id": 5, "category_id": 30, "bbox": [1, 1, 9, 9], "iscrowd": False},
        ],
    }
    for image in content["images"]:
        (tiny_imagenet / "Data" / "DET" / image["file_name"]).write_bytes(b"")
    (tiny_imagenet / "annotations").mkdir()
    path = tiny_imagenet / "annotations" / "imagenet_det_30plus1cls.json"
    path.write_text(json.dumps(content))
    (record,) = build("DET", tiny_imagenet).iter_records()
    assert record["file_names"] == ["train/b.JPEG"]
    assert [(track["id"], track["label"]) for track in record["tracks"]] == [(2, 29)]
    content["annotations"][0]["image_id"] = 77
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"annotations\[0\]: field 'image_id': 77"):
        build("DET", tiny_imagenet)


@pytest.mark.parametrize(
    "line",
    [
        f"{FIRST} 1 10 300",
        f"{FIRST.removeprefix('train/')} 1",
        f"{FIRST}/000001 4",
        f"{FIRST}/000001.JPEG",
    ],
)
def test_a_list_chooses_videos(tiny_imagenet: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"{line}\n\n")
    dataset = build("VID", tiny_imagenet, list_file=str(tmp_path / "list.txt"))
    assert [record["video_name"] for record in dataset.iter_records()] == [FIRST]


def test_a_list_chooses_images(tiny_imagenet: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("train/ILSVRC2014_train_0000/ILSVRC2014_train_00000003 1\n")
    dataset = build("DET", tiny_imagenet, list_file=str(tmp_path / "list.txt"))
    (record,) = dataset.iter_records()
    assert record["file_names"][0].endswith("00000003.JPEG")


def test_a_list_of_another_split_is_named(tiny_imagenet: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{FIRST} 1\nval/ILSVRC2015_val_00000000 1\n")
    with pytest.raises(ValueError, match=r"1 of 2 entries, such as 'val/.*give the list of the"):
        build("VID", tiny_imagenet, list_file=str(tmp_path / "list.txt"))


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no XML files in (.|\n)*Correct 'data_root'"):
        ImageNetVID(data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"Annotations/DET/train"):
        ImageNetDET(data_root=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_missing_frame_is_named(tiny_imagenet: Path, pipeline: list[Any]) -> None:
    dataset = build("VID", tiny_imagenet, pipeline=pipeline)
    (tiny_imagenet / "Data" / "VID" / FIRST / "000002.JPEG").unlink()
    with pytest.raises(RuntimeError, match=r"000002\.JPEG of video '.*' cannot be read"):
        dataset[Draw(0, 0, 0)]


def test_videos_and_images_are_mixed(tiny_imagenet: Path, pipeline: list[Any]) -> None:
    part = {"data_root": str(tiny_imagenet), "clip": CLIP, "pipeline": pipeline}
    dataset = DATASETS.build(
        {
            "type": "visbench.MixedDataset",
            "datasets": [
                {"type": "visbench.ImageNetVID", **part},
                {"type": "visbench.ImageNetDET", **part},
            ],
        }
    )
    samples = [dataset[draw] for draw in islice(SeededClipSampler(dataset, seed=3), 8)]
    kinds = [Path(sample["data_samples"][0].img_path).parts for sample in samples]
    assert sum("VID" in parts for parts in kinds) == 4
    assert sum("DET" in parts for parts in kinds) == 4
