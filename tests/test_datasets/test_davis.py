# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from visbench.datasets import DAVISUnsupervised, Draw, FrameError
from visbench.evaluation import evaluate_davis
from visbench.evaluation.davis_files import read_label_map

HEIGHT, WIDTH = 48, 64
VIDEOS = {"train": {"bear": 3, "cows": 2}, "val": {"dogs": 2}, "test-dev": {"ants": 2}}


def labels_of(video: str, frame: int) -> np.ndarray:
    """Return labels 1 and 4, where 4 leaves after the first frame, and some void pixels."""
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[10:30, 5 + 3 * frame : 20 + 3 * frame] = 1
    if frame == 0:
        labels[20:40, 40:60] = 4
    labels[9, 5:20] = 255
    return labels


def write_labels(path: Path, labels: np.ndarray, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.convert(mode).save(path)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    root = tmp_path / "DAVIS"
    for split, videos in VIDEOS.items():
        year = "2019" if split.startswith("test") else "2017"
        listing = root / "ImageSets" / year / f"{split}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("".join(f"{name}\n" for name in videos))
        for name, length in videos.items():
            folder = root / "JPEGImages" / "480p" / name
            folder.mkdir(parents=True)
            for frame in range(length):
                labels = labels_of(name, frame)
                image = np.repeat(labels[..., None] % 5 * 40 + 20, 3, axis=2)
                cv2.imwrite(str(folder / f"{frame:05d}.jpg"), image)
                if year == "2017":
                    kind = "Annotations_unsupervised"
                    write_labels(root / kind / "480p" / name / f"{frame:05d}.png", labels)
    return root


def pipeline() -> list[dict[str, Any]]:
    load = [
        {"type": "visbench.LoadFrame"},
        {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
    ]
    return [
        {"type": "visbench.ClipBroadcaster", "transforms": load},
        {"type": "visbench.PackClip"},
    ]


def test_label_maps_become_tracks(davis: Path) -> None:
    dataset = DAVISUnsupervised("train", str(davis))
    assert dataset.metainfo["classes"] == ("object",)
    assert dataset.category_ids == [1]
    assert dataset.has_annotations
    bear, cows = dataset.iter_records()
    assert (bear["video_id"], bear["video_name"], bear["height"]) == (1, "bear", HEIGHT)
    assert [cows["video_id"], cows["file_names"]] == [2, ["cows/00000.jpg", "cows/00001.jpg"]]
    assert [track["frames"].tolist() for track in bear["tracks"]] == [[0, 1, 2], [0]]
    assert [track["label"] for track in bear["tracks"]] == [0, 0]
    ids = [track["id"] for video in (bear, cows) for track in video["tracks"]]
    assert ids == [1, 2, 3, 4]
    assert bear["tracks"][1]["boxes"].tolist() == [[40, 20, 60, 40]]


def test_masks_are_those_of_the_files_without_void(davis: Path) -> None:
    dataset = DAVISUnsupervised(
        "train",
        str(davis),
        items="frames",
        clip={"type": "visbench.SampleGuidance"},
        pipeline=pipeline(),
    )
    assert len(dataset) == 5
    for index, (name, frame) in enumerate(
        (name, frame) for name, length in VIDEOS["train"].items() for frame in range(length)
    ):
        query = dataset[Draw(index, index, 0)]["data_samples"][0]
        labels = labels_of(name, frame)
        expected = [labels == label for label in (1, 4) if (labels == label).any()]
        np.testing.assert_array_equal(query.gt_instances.masks.masks, expected)
        assert query.gt_instances.labels.tolist() == [0] * len(expected)


def test_a_test_split_has_frames_only(davis: Path) -> None:
    dataset = DAVISUnsupervised("test-dev", str(davis), test_mode=True, pipeline=pipeline())
    assert not dataset.has_annotations
    assert dataset.annotation_folder is None
    item = dataset.get_video(0)
    assert (item.video.name, item.video.length) == ("ants", 2)
    assert [tuple(frame.image.shape) for frame in item.frames] == [(3, HEIGHT, WIDTH)] * 2
    with pytest.raises(ValueError, match="nothing to train on"):
        DAVISUnsupervised("test-dev", str(davis))


def test_the_folder_of_annotations_serves_the_evaluation(davis: Path) -> None:
    dataset = DAVISUnsupervised("val", str(davis), test_mode=True)
    assert dataset.annotation_folder is not None
    (davis / "results").mkdir()
    shutil.copytree(dataset.annotation_folder / "dogs", davis / "results" / "dogs")
    for path in (davis / "results" / "dogs").glob("*.png"):
        write_labels(path, np.where(read_label_map(path) == 1, 1, 0).astype("uint8"))
    truth = davis / "truth"
    for path in (dataset.annotation_folder / "dogs").glob("*.png"):
        labels = read_label_map(path)
        write_labels(truth / "dogs" / path.name, np.where(labels == 4, 0, labels).astype("uint8"))
    assert evaluate_davis(truth, davis / "results").metrics["davis"]["J&F-Mean"] == 1


def test_annotations_of_the_other_task_are_taken_where_there_are_no_others(davis: Path) -> None:
    (davis / "Annotations_unsupervised").rename(davis / "Annotations")
    dataset = DAVISUnsupervised("train", str(davis))
    assert dataset.annotation_folder == davis / "Annotations" / "480p"
    assert len(next(dataset.iter_records())["tracks"]) == 2


def test_a_frame_of_another_size_is_named(davis: Path) -> None:
    path = davis / "JPEGImages" / "480p" / "cows" / "00001.jpg"
    cv2.imwrite(str(path), np.zeros((HEIGHT // 2, WIDTH, 3), np.uint8))
    dataset = DAVISUnsupervised("train", str(davis), test_mode=True, pipeline=pipeline())
    with pytest.raises(FrameError, match=r"cows/00001\.jpg.*24x64.*48x64"):
        list(dataset.get_video(1).frames)


def remove(path: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        target = root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return edit


def overwrite(path: str, labels: np.ndarray, mode: str = "P") -> Callable[[Path], None]:
    return lambda root: write_labels(root / path, labels, mode)


def truncate(path: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return edit


PNG = "Annotations_unsupervised/480p/cows/00001.png"
FIRST = "JPEGImages/480p/cows/00000.jpg"


@pytest.mark.parametrize(
    ("edit", "kind", "message"),
    [
        (remove("ImageSets/2017/train.txt"), FileNotFoundError, "split 'train'.*2017/train.txt"),
        (remove("Annotations_unsupervised"), FileNotFoundError, "no folder of annotations.*fetch"),
        (remove("JPEGImages/480p/cows"), FileNotFoundError, r"480p/cows/\*\.jpg.*Fetch the video"),
        (remove(PNG), FileNotFoundError, r"cows/00001\.png: 1 of 2 frames.*fetch the archive"),
        (
            overwrite(PNG, np.zeros((HEIGHT, WIDTH), np.uint8), "RGB"),
            ValueError,
            r"cows/00001\.png: is a RGB image.*palette",
        ),
        (
            overwrite(PNG, np.zeros((HEIGHT, WIDTH + 1), np.uint8)),
            ValueError,
            r"cows/00001\.png has the size 48x65.*48x64.*same resolution",
        ),
        (truncate(PNG), ValueError, r"cows/00001\.png: cannot be read.*damaged"),
        (
            lambda root: (root / FIRST).write_bytes(b"no image"),
            ValueError,
            r"cows/00000\.jpg is no image that can be read.*fetch it again",
        ),
        (
            lambda root: (root / "ImageSets/2017/train.txt").write_text("\n"),
            ValueError,
            r"train\.txt names no video",
        ),
    ],
)
def test_defects_are_named_before_work_starts(
    davis: Path, edit: Callable[[Path], Any], kind: type[Exception], message: str
) -> None:
    edit(davis)
    with pytest.raises(kind, match=f"(?s){message}"):
        DAVISUnsupervised("train", str(davis))


def test_grey_label_maps_are_read(davis: Path) -> None:
    write_labels(davis / PNG, labels_of("cows", 1), "L")
    cows = list(DAVISUnsupervised("train", str(davis)).iter_records())[1]
    assert [track["frames"].tolist() for track in cows["tracks"]] == [[0, 1], [0]]
