# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset, pseudo_collate
from mmengine.runner import Runner
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from visbench.datasets import Draw, FrameError, SeededClipSampler, VISDataset
from visbench.models import ClipPreprocessor
from visbench.registry import DATASETS

CLIP = {"type": "visbench.SampleClip", "num_frames": 3}


def build(root: Path, **kwargs: Any) -> VISDataset:
    # Serialising collects the garbage of the whole test process, which takes a second.
    config = {"data_root": str(root), "clip": CLIP, "serialize_data": False, **kwargs}
    return DATASETS.build({"type": "visbench.VISDataset", **config})


def fingerprint(sample: dict[str, Any]) -> list[Any]:
    frames = sample["data_samples"]
    return [
        *(image.numpy().tobytes() for image in sample["inputs"]),
        *(frame.metainfo["frame_id"] for frame in frames),
        *(frame.gt_instances.bboxes.tolist() for frame in frames),
        *(frame.gt_instances.masks.masks.tobytes() for frame in frames),
    ]


def test_classes_and_category_ids_come_from_the_file(tiny_youtube_vis: Path) -> None:
    dataset = build(tiny_youtube_vis, split="train")
    assert dataset.metainfo["classes"] == ("disc", "square")
    assert dataset.metainfo["category_ids"] == (3, 7)
    assert dataset.category_ids == [3, 7]
    assert dataset.ann_file == str(tiny_youtube_vis / "train.json")
    assert dataset.has_annotations
    assert not build(tiny_youtube_vis, split="test", test_mode=True).has_annotations


def test_labels_follow_the_order_of_given_classes(tiny_youtube_vis: Path) -> None:
    dataset = build(tiny_youtube_vis, split="train", metainfo={"classes": ("square", "disc")})
    assert dataset.category_ids == [7, 3]
    instances = dataset.get_data_info(0)["images"][0]["instances"]
    assert [(i["instance_id"], i["bbox_label"]) for i in instances] == [(1, 1), (2, 0)]


def test_unknown_class_is_named(tiny_youtube_vis: Path) -> None:
    with pytest.raises(ValueError, match=r"metainfo\['classes'\] names \['cube'\], but .*disc"):
        build(tiny_youtube_vis, split="train", metainfo={"classes": ("disc", "cube")})


@pytest.mark.parametrize(
    "source",
    [
        {"split": "train"},
        {
            "ann_file": "annotations/youtube_vis_2019_train.json",
            "data_prefix": {"img_path": "train/JPEGImages"},
        },
        {"ann_file": "train.json"},
    ],
    ids=["split", "converted", "ann_file"],
)
def test_every_form_gives_the_same_training_sample(
    tiny_youtube_vis: Path, train_pipeline: list[Any], source: dict[str, Any]
) -> None:
    reference = build(tiny_youtube_vis, split="train", pipeline=train_pipeline)
    dataset = build(tiny_youtube_vis, pipeline=train_pipeline, **source)
    for number in range(3):
        draw = Draw(number, number, 5)
        assert fingerprint(dataset[draw]) == fingerprint(reference[draw])


def test_training_sample(tiny_youtube_vis: Path, train_pipeline: list[Any]) -> None:
    dataset = build(tiny_youtube_vis, split="train", pipeline=train_pipeline)
    assert len(dataset) == 3
    for number in range(12):
        sample = dataset[Draw(number % 3, number, 1)]
        frames = sample["data_samples"]
        assert len(sample["inputs"]) == len(frames) == 3
        assert len({image.shape for image in sample["inputs"]}) == 1
        assert len({frame.metainfo["flip"] for frame in frames}) == 1
        for image, frame in zip(sample["inputs"], frames, strict=True):
            assert tuple(image.shape[-2:]) == frame.metainfo["img_shape"]
            assert frame.metainfo["ori_shape"] == (64, 96)
            assert frame.video_id == number % 3 + 1
            objects = frame.gt_instances
            tight = objects.masks.get_bboxes("hbox").tensor
            assert (tight - objects.bboxes).abs().max() <= 1.5
            colours = [image.permute(1, 2, 0)[torch.from_numpy(m) > 0] for m in objects.masks.masks]
            for label, pixels in zip(objects.labels.tolist(), colours, strict=True):
                middle = pixels.float().median(dim=0).values
                assert (middle[2] > middle[0]) == (label == 0), "disc is red, square blue"


def test_absent_object_is_absent(tiny_youtube_vis: Path) -> None:
    images = build(tiny_youtube_vis, split="train").get_data_info(0)["images"]
    assert [len(image["instances"]) for image in images] == [2, 1, 2, 2, 2]


def loaded(dataset: VISDataset, workers: int, start: int, count: int) -> list[Any]:
    sampler = SeededClipSampler(dataset, seed=11, start_draw=start)
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=1,
        sampler=sampler,
        num_workers=workers,
        collate_fn=lambda batch: batch[0],
    )
    return [fingerprint(sample) for sample in islice(loader, count)]


def test_samples_depend_on_seed_and_draw_number_only(
    tiny_youtube_vis: Path, train_pipeline: list[Any]
) -> None:
    dataset = build(tiny_youtube_vis, split="train", pipeline=train_pipeline)
    np.random.seed(0)
    whole = loaded(dataset, 0, 0, 8)
    np.random.seed(1)
    torch.manual_seed(1)
    assert loaded(dataset, 2, 0, 8) == whole
    assert loaded(dataset, 0, 5, 3) == whole[5:]
    assert loaded(dataset, 2, 5, 3) == whole[5:]
    assert len({repr(sample) for sample in whole}) > 4


def test_drawing_leaves_the_global_generators_alone(
    tiny_youtube_vis: Path, train_pipeline: list[Any]
) -> None:
    dataset = build(tiny_youtube_vis, split="train", pipeline=train_pipeline)
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    dataset[Draw(0, 0, 1)]
    assert np.random.rand() == expected


@pytest.mark.parametrize("wrapper", ["concat", "repeat"])
def test_wrappers_pass_draws_on(
    tiny_youtube_vis: Path, train_pipeline: list[Any], wrapper: str
) -> None:
    dataset = build(tiny_youtube_vis, split="train", pipeline=train_pipeline)
    if wrapper == "concat":
        wrapped: Any = ConcatDataset(
            [dataset, build(tiny_youtube_vis, split="train", pipeline=train_pipeline)]
        )
    else:
        wrapped = RepeatDataset(dataset, times=2)
    assert fingerprint(wrapped[Draw(4, 9, 2)]) == fingerprint(dataset[Draw(1, 9, 2)])


def test_useless_clips_are_drawn_again_deterministically(tiny_youtube_vis: Path) -> None:
    calls: list[int] = []

    def picky(results: dict[str, Any]) -> dict[str, Any] | None:
        calls.append(results["frame_id"][0])
        return results if results["frame_id"][0] == 3 else None

    clip = {"type": "visbench.SampleClip", "num_frames": 1}
    dataset = build(tiny_youtube_vis, split="train", clip=clip, pipeline=[picky])
    chosen = [dataset[Draw(0, number, 1)]["frame_id"] for number in range(5)]
    first = list(calls)
    calls.clear()
    assert [dataset[Draw(0, number, 1)]["frame_id"] for number in range(5)] == chosen == [[3]] * 5
    assert calls == first
    assert len(calls) > 5


def test_endless_redraws_end_with_an_error(tiny_youtube_vis: Path) -> None:
    dataset = build(tiny_youtube_vis, split="train", pipeline=[lambda _: None], max_refetch=12)
    with pytest.raises(RuntimeError, match=r"no sample for video 2 \(clip002\) .* 12 redraws"):
        dataset[Draw(1, 0, 1)]


def test_unreadable_frame_is_an_error_and_no_other_video_is_drawn(
    copied_root: Path, train_pipeline: list[Any]
) -> None:
    damaged = sorted((copied_root / "train/JPEGImages/clip002").glob("*.jpg"))
    for path in damaged[1:]:
        path.write_bytes(path.read_bytes()[:200])
    dataset = build(copied_root, split="train", pipeline=train_pipeline)
    words = r"clip002/000\d\d\.jpg of video 'clip002' is damaged"
    with pytest.raises(FrameError, match=words) as error:
        dataset[Draw(1, 0, 1)]
    with pytest.raises(FrameError, match=words):
        ExceptionWrapper((FrameError, error.value, None)).reraise()


def test_video_item_equals_the_packed_test_sample(
    tiny_youtube_vis: Path, test_pipeline: list[Any]
) -> None:
    dataset = build(tiny_youtube_vis, split="valid", pipeline=test_pipeline, test_mode=True)
    item = dataset.get_video(1)
    assert (item.video.video_id, item.video.name, item.video.length) == (12, "clip012", 5)
    assert (item.video.height, item.video.width) == (64, 96)
    sample = dataset[1]
    assert len(item.frames) == len(sample["inputs"]) == 5
    for index, (frame, image) in enumerate(zip(item.frames, sample["inputs"], strict=True)):
        assert torch.equal(frame.image, image)
        assert frame.index == sample["data_samples"][index].frame_id == index
        assert frame.valid_size == sample["data_samples"][index].img_shape == (48, 72)
        assert frame.original_size == sample["data_samples"][index].ori_shape == (64, 96)


def test_packed_test_sample_goes_through_the_preprocessor(
    tiny_youtube_vis: Path, test_pipeline: list[Any]
) -> None:
    """As MMEngine's own TestLoop does it: collate a batch of one video."""
    config = {
        "batch_size": 1,
        "num_workers": 0,
        "sampler": {"type": "DefaultSampler", "shuffle": False, "round_up": False},
        "dataset": build(tiny_youtube_vis, split="test", pipeline=test_pipeline, test_mode=True),
    }
    for batch, length in zip(Runner.build_dataloader(config), (4, 4), strict=True):
        outputs = ClipPreprocessor()(batch)
        assert outputs["inputs"].shape == (1, length, 3, 64, 96)
        assert [frame.img_shape for frame in outputs["data_samples"][0]] == [(48, 72)] * length


def test_unreadable_frame_of_a_test_video_is_named(
    copied_root: Path, test_pipeline: list[Any]
) -> None:
    (copied_root / "valid/JPEGImages/clip012/00010.jpg").unlink()
    dataset = build(copied_root, split="valid", pipeline=test_pipeline, test_mode=True)
    seen = []
    with pytest.raises(FrameError, match=r"clip012/00010\.jpg of video 'clip012' cannot be read"):
        for frame in dataset.get_video(1).frames:
            seen.append(frame.index)
    assert seen == [0, 1]


def test_frame_ids_are_not_positions(edited: Callable[..., Path], tiny_youtube_vis: Path) -> None:
    import json

    converted = json.loads(
        (tiny_youtube_vis / "annotations/youtube_vis_2019_train.json").read_text()
    )
    images = [image for image in converted["images"] if image["video_id"] == 1]
    gone = images[0]["id"]
    converted["images"] = [image for image in converted["images"] if image["id"] != gone][::-1]
    converted["annotations"] = [a for a in converted["annotations"] if a["image_id"] != gone]

    def replace(data: dict[str, Any]) -> None:
        data.clear()
        data.update(converted)

    path = edited(replace)
    dataset = build(
        tiny_youtube_vis,
        ann_file=str(path),
        data_prefix={"img_path": "train/JPEGImages"},
    )
    frames = dataset.get_data_info(0)["images"]
    assert [frame["frame_id"] for frame in frames] == [1, 2, 3, 4]
    assert [Path(frame["img_path"]).stem for frame in frames] == [
        "00005",
        "00010",
        "00015",
        "00020",
    ]
    assert [len(frame["instances"]) for frame in frames] == [1, 2, 2, 2]


def test_videos_that_cannot_be_trained_on_are_left_out(
    edited: Callable[..., Path], tiny_youtube_vis: Path
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["annotations"] = [a for a in data["annotations"] if a["video_id"] != 2]
        for annotation in data["annotations"]:
            if annotation["video_id"] == 3:
                annotation["iscrowd"] = 1

    path = edited(change)
    prefix = {"img_path": "train/JPEGImages"}
    source = {"ann_file": str(path), "data_prefix": prefix}
    assert [v["video_id"] for v in build(tiny_youtube_vis, **source).iter_records()] == [1]
    keep = {"filter_empty_gt": False}
    assert len(build(tiny_youtube_vis, filter_cfg=keep, **source)) == 3
    assert len(build(tiny_youtube_vis, test_mode=True, **source)) == 3
    with pytest.raises(ValueError, match=r"none of 3 videos is left after filter_cfg=.*min_size"):
        build(tiny_youtube_vis, filter_cfg={"min_size": 65}, **source)


def test_training_needs_annotations(tiny_youtube_vis: Path) -> None:
    with pytest.raises(ValueError, match=r"test\.json: field 'annotations' is missing or null"):
        build(tiny_youtube_vis, split="test")


def test_missing_frames_are_reported_with_the_paths(copied_root: Path) -> None:
    (copied_root / "train").rename(copied_root / "frames")
    with pytest.raises(FileNotFoundError, match="no frames of split 'train'") as error:
        build(copied_root, split="train")
    assert str(copied_root / "train/JPEGImages/clip001/00000.jpg") in str(error.value)
    given = {"split": "train", "data_prefix": {"img_path": "elsewhere"}}
    with pytest.raises(FileNotFoundError, match=r"data_prefix\['img_path'\] is .*elsewhere"):
        build(copied_root, **given)
    given["data_prefix"] = {"img_path": "frames/JPEGImages"}
    assert len(build(copied_root, **given)) == 3


def test_split_or_file_must_be_given() -> None:
    with pytest.raises(ValueError, match=r"give 'split' .* or 'ann_file'"):
        VISDataset()


def test_records_are_compact(tiny_youtube_vis: Path) -> None:
    """Serialised records must not exceed the size of the compressed masks by much."""
    dataset = build(tiny_youtube_vis, split="train", serialize_data=True)
    assert dataset.data_bytes.nbytes < 12_000
    assert dataset.data_list == []


def test_batches_of_clips(tiny_youtube_vis: Path, train_pipeline: list[Any]) -> None:
    dataset = build(tiny_youtube_vis, split="train", pipeline=train_pipeline)
    batch = pseudo_collate([dataset[Draw(index, index, 1)] for index in range(2)])
    outputs = ClipPreprocessor()(batch, training=True)
    assert outputs["inputs"].shape[:3] == (2, 3, 3)
    assert outputs["inputs"].shape[-1] % 32 == outputs["inputs"].shape[-2] % 32 == 0


def test_clips_grow_with_the_number_of_the_draw(
    tiny_youtube_vis: Path, train_pipeline: list[Any]
) -> None:
    clip = {"type": "visbench.SampleGrowingClip", "lengths": [(0, 1), (6, 3)]}
    dataset = build(tiny_youtube_vis, split="train", clip=clip, pipeline=train_pipeline)
    lengths = [len(dataset[Draw(0, number, 5)]["inputs"]) for number in (0, 5, 6, 99)]
    assert lengths == [1, 1, 3, 3]
    assert len(dataset[0]["inputs"]) == 3
