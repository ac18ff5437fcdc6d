# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test folders use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# One thread per process, before any library starts its own: the models of the tests are tiny, and
# processes of several threads each hinder one another. Subprocesses inherit it.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from pycocotools import mask as mask_utils  # noqa: E402

HEIGHT, WIDTH = 64, 96
CATEGORIES = [
    {"id": 3, "name": "disc", "supercategory": "shape"},
    {"id": 7, "name": "square", "supercategory": "shape"},
]
LENGTHS = {"train": (5, 4, 5), "valid": (4, 5), "test": (4, 4)}


@pytest.fixture(scope="session")
def tiny_youtube_vis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny data set in YouTube-VIS layout: 2-3 videos of 64x96 per split, 2 classes.

    ``train.json`` has uncompressed RLE as the public files, ``valid.json`` compressed RLE,
    ``test.json`` no annotations, ``annotations/youtube_vis_2019_train.json`` is MMDetection's
    converted form of ``train.json``. Frames are in ``{split}/JPEGImages/<video>/<frame>.jpg``;
    as in YouTube-VIS only every fifth frame of a video is there, so file names count in fives.
    Two moving objects are in all frames of every video, except that object 2 of the first
    training video is absent in its frame 1.
    """
    root = tmp_path_factory.mktemp("tiny_youtube_vis")
    for offset, (split, lengths) in enumerate(LENGTHS.items()):
        data = make_split(root / split / "JPEGImages", lengths, 1 + 10 * offset)
        if split == "valid":
            compress(data)
        if split == "test":
            del data["annotations"]
        (root / f"{split}.json").write_text(json.dumps(data))
    (root / "annotations").mkdir()
    converted = to_converted(json.loads((root / "train.json").read_text()))
    (root / "annotations" / "youtube_vis_2019_train.json").write_text(json.dumps(converted))
    return root


def make_split(folder: Path, lengths: tuple[int, ...], first_id: int) -> dict[str, Any]:
    """Write the frames of some videos and return their annotations in YouTube-VIS layout."""
    videos, annotations = [], []
    for number, length in enumerate(lengths):
        video_id = first_id + number
        name = f"clip{video_id:03d}"
        (folder / name).mkdir(parents=True)
        masks = np.stack([object_masks(number, t) for t in range(length)])
        file_names = [f"{name}/{5 * t:05d}.jpg" for t in range(length)]
        for t, file_name in enumerate(file_names):
            cv2.imwrite(str(folder / file_name), paint(masks[t], video_id))
        videos.append(
            {
                "id": video_id,
                "width": WIDTH,
                "height": HEIGHT,
                "length": length,
                "file_names": file_names,
            }
        )
        for row, category in enumerate(CATEGORIES):
            absent = {1} if first_id == 1 and number == 0 and row == 1 else set()
            annotation_id = len(annotations) + 1
            track = track_of(masks[:, row], absent)
            annotations.append(
                {
                    "id": annotation_id,
                    "video_id": video_id,
                    "category_id": category["id"],
                    "iscrowd": 0,
                    "width": WIDTH,
                    "height": HEIGHT,
                    "length": 1,
                    **track,
                }
            )
    return {
        "info": {},
        "licenses": [],
        "videos": videos,
        "categories": CATEGORIES,
        "annotations": annotations,
    }


def object_masks(number: int, t: int) -> np.ndarray:
    """Return the ``(2, 64, 96)`` masks of a disc and a square at frame t."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = (rows - 20 - 2 * number) ** 2 + (columns - 18 - 4 * t) ** 2 <= 100
    top, left = 38, 70 - 5 * t - 3 * number
    square = (abs(rows - top - 8) <= 8) & (abs(columns - left - 8) <= 8)
    return np.stack([disc, square])


def paint(masks: np.ndarray, seed: int) -> np.ndarray:
    """Return a BGR image of grey noise with a coloured disc and square."""
    noise = np.random.default_rng(seed).integers(90, 130, (HEIGHT, WIDTH, 1), dtype=np.uint8)
    image = np.repeat(noise, 3, axis=2)
    image[masks[0]] = (40, 40, 220)
    image[masks[1]] = (220, 160, 30)
    return image


def track_of(masks: np.ndarray, absent: set[int]) -> dict[str, list[Any]]:
    """Return segmentations (uncompressed RLE), boxes and areas, null in the absent frames."""
    track: dict[str, list[Any]] = {"segmentations": [], "bboxes": [], "areas": []}
    for t, mask in enumerate(masks):
        gone = t in absent
        rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
        track["segmentations"].append(None if gone else uncompressed(mask))
        track["bboxes"].append(None if gone else mask_utils.toBbox(rle).tolist())
        track["areas"].append(None if gone else int(mask.sum()))
    return track


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as RLE with a list of run lengths, as the public files have it."""
    flat = mask.astype(np.int8).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    counts = np.diff(np.concatenate([[0], edges]))
    return {"size": [HEIGHT, WIDTH], "counts": counts.tolist()}


def compress(data: dict[str, Any]) -> None:
    """Replace the run lengths of all masks by compressed strings."""
    for annotation in data["annotations"]:
        for t, mask in enumerate(annotation["segmentations"]):
            if mask is not None:
                rle = mask_utils.frPyObjects(mask, HEIGHT, WIDTH)
                counts = rle["counts"].decode("ascii")
                annotation["segmentations"][t] = {"size": [HEIGHT, WIDTH], "counts": counts}


def to_converted(data: dict[str, Any]) -> dict[str, Any]:
    """Return annotations in the per-frame form of MMDetection's youtubevis2coco.py."""
    converted: dict[str, Any] = {
        "categories": data["categories"],
        "videos": [],
        "images": [],
        "annotations": [],
    }
    for video in data["videos"]:
        size = {"width": video["width"], "height": video["height"]}
        name = video["file_names"][0].split("/")[0]
        converted["videos"].append({"id": video["id"], "name": name, **size})
        for t, file_name in enumerate(video["file_names"]):
            image_id = len(converted["images"]) + 1
            converted["images"].append(
                {
                    "file_name": file_name,
                    "id": image_id,
                    "frame_id": t,
                    "video_id": video["id"],
                    **size,
                }
            )
            for track in data["annotations"]:
                if track["video_id"] != video["id"] or track["bboxes"][t] is None:
                    continue
                converted["annotations"].append(
                    {
                        "id": len(converted["annotations"]) + 1,
                        "video_id": video["id"],
                        "image_id": image_id,
                        "category_id": track["category_id"],
                        "instance_id": track["id"],
                        "bbox": track["bboxes"][t],
                        "segmentation": track["segmentations"][t],
                        "area": track["areas"][t],
                        "iscrowd": track["iscrowd"],
                    }
                )
    return converted


Boxes = dict[str, tuple[str, tuple[int, int, int, int]]]
"""Class and box (x1, y1, x2, y2) of every object of a frame by its track id."""

AIRPLANE, ZEBRA = "n02691156", "n02391049"
IMAGENET_VIDEOS: dict[str, list[Boxes]] = {
    "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000": [
        {"0": (AIRPLANE, (10, 8, 40, 30))},
        {"0": (AIRPLANE, (14, 8, 44, 30)), "1": (ZEBRA, (60, 20, 90, 60))},
        {"1": (ZEBRA, (58, 20, 88, 60))},
    ],
    "train/ILSVRC2015_VID_train_0001/ILSVRC2015_train_00001000": [
        {"0": (ZEBRA, (20, 20, 50, 50))},
        {"0": (ZEBRA, (22, 20, 52, 50))},
    ],
    "train/ILSVRC2015_VID_train_0001/ILSVRC2015_train_00001001": [{}, {}],
    "val/ILSVRC2015_val_00000000": [
        {"0": (AIRPLANE, (4, 4, 34, 24)), "1": (AIRPLANE, (50, 30, 80, 50))},
        {"0": (AIRPLANE, (6, 4, 36, 24)), "1": (AIRPLANE, (50, 32, 80, 52))},
    ],
    "val/ILSVRC2015_val_00001000": [{}],
}
IMAGENET_IMAGES: dict[str, Boxes] = {
    "train/ILSVRC2013_train/n02391049/n02391049_12": {"a": (ZEBRA, (10, 10, 60, 50))},
    "train/ILSVRC2014_train_0000/ILSVRC2014_train_00000003": {
        "a": (AIRPLANE, (5, 5, 45, 25)),
        "b": (AIRPLANE, (50, 30, 90, 60)),
        "c": ("n02672831", (0, 0, 20, 20)),
    },
    "train/ILSVRC2014_train_0000/ILSVRC2014_train_00000004": {"a": ("n02672831", (0, 0, 9, 9))},
}


@pytest.fixture
def tiny_imagenet(tmp_path: Path) -> Path:
    """Root of a tiny ImageNet in its original layout, frames of 64x96.

    VID has two training videos with objects and one without, two validation videos, one of them
    without objects; DET has two training images with objects of the 30 classes and one without.
    """
    root = tmp_path / "ILSVRC"
    for name, frames in IMAGENET_VIDEOS.items():
        for index, boxes in enumerate(frames):
            write_imagenet_frame(root, "VID", f"{name}/{index:06d}", boxes, tracked=True)
    for name, boxes in IMAGENET_IMAGES.items():
        write_imagenet_frame(root, "DET", name, boxes, tracked=False)
    return root


def write_imagenet_frame(root: Path, kind: str, name: str, boxes: Boxes, tracked: bool) -> None:
    """Write the image and the XML file of a frame."""
    image, file = (
        root / "Data" / kind / f"{name}.JPEG",
        root / "Annotations" / kind / f"{name}.xml",
    )
    for path in (image, file):
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(image), paint(object_masks(0, 0), len(name)))
    objects = "".join(
        "<object>"
        + (f"<trackid>{track}</trackid>" if tracked else "")
        + f"<name>{wnid}</name><bndbox><xmax>{x2}</xmax><xmin>{x1}</xmin><ymax>{y2}</ymax>"
        f"<ymin>{y1}</ymin></bndbox><occluded>0</occluded><generated>0</generated></object>"
        for track, (wnid, (x1, y1, x2, y2)) in boxes.items()
    )
    file.write_text(
        f"<annotation><folder>{Path(name).parent}</folder><filename>{Path(name).name}</filename>"
        f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{objects}</annotation>"
    )


COCO_HEIGHT, COCO_WIDTH = 60, 80
COCO_CATEGORIES = ((1, "person"), (3, "car"), (4, "motorcycle"), (74, "mouse"), (34, "frisbee"))


def coco_object(number: int, image: int, category: int, polygon: list[float]) -> dict[str, Any]:
    """Return an annotation of one polygon with COCO's fields."""
    xs, ys = polygon[::2], polygon[1::2]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "area": width * height / 2,
        "bbox": [min(xs), min(ys), width, height],
        "segmentation": [polygon],
    }


def coco_crowd(number: int, image: int, category: int) -> dict[str, Any]:
    """Return a crowd in the upper left 10 x 20 pixels; its id does not fit 32 bits, as COCO's."""
    runs = [0, 10] + [COCO_HEIGHT - 10, 10] * 19 + [COCO_HEIGHT * (COCO_WIDTH - 19) - 10]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": 1,
        "area": 200.0,
        "bbox": [0, 0, 20, 10],
        "segmentation": {"size": [COCO_HEIGHT, COCO_WIDTH], "counts": runs},
    }


def coco_content() -> dict[str, Any]:
    """Return six images: shared and other categories, crowds, bad polygons, nothing, many."""
    triangle = [20.0, 10.0, 60.0, 20.0, 30.0, 50.0]
    square = [5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0]
    outside = [200.0, 200.0, 240.0, 200.0, 240.0, 240.0]
    many = [
        coco_object(600 + i, 6, 1, [8.0 * i, 8.0, 8.0 * i + 14, 8.0, 8.0 * i + 7, 8.0 + 6 * i + 9])
        for i in range(7)
    ]
    annotations = [
        coco_object(11, 1, 1, triangle),
        coco_object(12, 1, 74, square),
        coco_object(21, 2, 74, triangle),
        coco_crowd(900100000031, 3, 1),
        coco_object(41, 4, 3, square),
        coco_crowd(900100000042, 4, 1),
        {**coco_object(43, 4, 1, outside), "bbox": [70, 50, 20, 20]},
        {**coco_object(44, 4, 4, triangle), "segmentation": [[10.0, 10.0, 20.0, 20.0]]},
        {**coco_object(45, 4, 1, square), "area": 0},
        *many,
    ]
    size = {"height": COCO_HEIGHT, "width": COCO_WIDTH}
    return {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", **size} for i in range(1, 7)],
        "categories": [{"id": number, "name": name} for number, name in COCO_CATEGORIES],
        "annotations": annotations,
    }


@pytest.fixture
def tiny_coco(tmp_path: Path) -> Path:
    """Root of a tiny COCO: train2017 with defects, val2017 the same without them."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (root / split).mkdir()
        content = coco_content()
        if split == "val2017":
            content["annotations"] = [a for a in content["annotations"] if a["id"] not in (43, 44)]
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
        for number in range(1, 7):
            rng = np.random.default_rng(number)
            image = rng.integers(0, 255, (COCO_HEIGHT, COCO_WIDTH, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f"{number:012d}.jpg"), cv2.blur(image, (9, 9)))
    return root
