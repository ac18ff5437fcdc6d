# SPDX-License-Identifier: Apache-2.0
"""Shows what a data set holds: clips as training sees them, and videos as they are annotated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from mmengine.config import Config

from visbench.datasets.converters.annotation_file import as_rle
from visbench.datasets.draws import Draw
from visbench.datasets.transforms.loading import LoadFrame
from visbench.datasets.vis_dataset import VISDataset
from visbench.engine.commands import clear_errors
from visbench.engine.errors import ConfigError, UserError
from visbench.registry import DATASETS, register_all_modules
from visbench.structures import FrameInstances, encode_masks
from visbench.visualization import (
    OverlayWriter,
    display_scale,
    draw_instances,
    pad_to,
    side_by_side,
    write_contact_sheet,
)

Image = npt.NDArray[np.uint8]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class AnnotatedFrame:
    """A frame and its ground truth.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR.
        instances: Its objects; scores are 1.
        caption: Video and number of the frame.
    """

    image: Image
    instances: FrameInstances
    caption: str


def config_dataset(config: Config, split: str = "train") -> Any:
    """Build the data set of a config.

    Args:
        config: The config.
        split: ``train``, ``val`` or ``test``.

    Raises:
        ConfigError: If the config has no such data set or it cannot be built.
    """
    register_all_modules(init_default_scope=False)
    loader = config.get(f"{split}_dataloader")
    if not loader:
        raise ConfigError(f"config {config.filename} has no field '{split}_dataloader'")
    with clear_errors(f"config {config.filename}: {split}_dataloader.dataset", config):
        dataset = DATASETS.build(loader["dataset"])
        len(dataset)
    return dataset


def file_dataset(annotations: str | Path, images: str | Path) -> VISDataset:
    """Return the data set of an annotation file as it is.

    Args:
        annotations: File in YouTube-VIS or OVIS layout, or the per-frame form of OpenMMLab.
        images: Folder that its file names are relative to.

    Raises:
        UserError: If a file is missing or has a defect.
    """
    try:
        dataset = VISDataset(
            ann_file=str(Path(annotations).absolute()),
            data_prefix={"img_path": str(images)},
            test_mode=True,
        )
        len(dataset)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(error)) from error
    return dataset


def training_clips(dataset: Any, seed: int = 0) -> Iterator[list[AnnotatedFrame]]:
    """Yield clips after the training pipeline, in an order drawn from a seed.

    Args:
        dataset: A training set whose pipeline ends with ``PackClip``.
        seed: Seed of the order and of everything random in a clip.

    Raises:
        UserError: If the data set is one for testing, whose items are no clips.
    """
    if getattr(dataset, "test_mode", False):
        raise UserError("a data set for testing has no clips; show its videos as annotated")
    order = np.random.default_rng(seed).permutation(len(dataset))
    for number, index in enumerate(order.tolist()):
        item = dataset[Draw(index, number, seed)]
        yield [
            AnnotatedFrame(
                np.ascontiguousarray(image.numpy().transpose(1, 2, 0)),
                _packed_instances(frame.gt_instances),
                _caption(frame.metainfo),
            )
            for image, frame in zip(item["inputs"], item["data_samples"], strict=True)
        ]


def _packed_instances(found: Any) -> FrameInstances:
    boxes = getattr(found.bboxes, "tensor", found.bboxes)
    masks = encode_masks(found.masks.to_ndarray()) if "masks" in found else None
    return FrameInstances(found.instances_ids, found.labels, np.ones(len(found)), boxes, masks)


def _caption(metainfo: Mapping[str, Any]) -> str:
    video = Path(str(metainfo.get("img_path", ""))).parent.name
    return f"{video or metainfo.get('video_id')}: {metainfo.get('frame_id')}"


def annotated_videos(dataset: Any, video: str | None = None) -> Iterator[Sequence[AnnotatedFrame]]:
    """Yield the frames of videos as they are annotated: no transform is applied.

    Args:
        dataset: A :class:`~visbench.datasets.VISDataset`.
        video: Only the video of this name.

    Raises:
        UserError: If there is no such video, or the data set is a mixture of several.
    """
    if not isinstance(dataset, VISDataset):
        kind = type(dataset).__name__
        raise UserError(f"{kind} is a mixture; give the annotation file of one of its parts")
    dataset.full_init()
    names = [record["video_name"] for record in dataset.iter_records()]
    if video is not None and video not in names:
        shown = ", ".join(names[:5])
        raise UserError(f"no video {video!r} in {dataset.ann_file}; there are {shown}, ...")
    rows = [row for row in range(len(names)) if video in (None, names[row])]
    first_items = {int(dataset.pairs[i, 0]): i for i in reversed(range(len(dataset)))}
    loader = LoadFrame(backend_args=dataset.backend_args)
    for row in rows:
        if row in first_items:
            info = dataset.get_data_info(first_items[row])
            yield _Frames(loader, info["images"])


class _Frames(Sequence[AnnotatedFrame]):
    """Frames that are read when they are asked for."""

    def __init__(self, loader: LoadFrame, images: Sequence[Mapping[str, Any]]) -> None:
        self._loader = loader
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        record = self._images[index]
        image = self._loader.transform(dict(record))["img"]
        caption = f"{record['video_name']}: {record['frame_id']}"
        return AnnotatedFrame(image, _annotated_instances(record), caption)


def _annotated_instances(record: Mapping[str, Any]) -> FrameInstances:
    found = record["instances"]
    masks = [item["mask"] for item in found if "mask" in item]
    return FrameInstances(
        [item["instance_id"] for item in found],
        [item["bbox_label"] for item in found],
        np.ones(len(found)),
        np.array([item["bbox"] for item in found]).reshape(-1, 4),
        [as_rle(mask, record["height"], record["width"]) for mask in masks]
        if len(masks) == len(found)
        else None,
    )


def draw_frame(frame: AnnotatedFrame, class_names: Sequence[str]) -> Image:
    """Return a frame with masks, boxes, ids and classes drawn on it, enlarged if it is small."""
    height, width = frame.image.shape[:2]
    scale = display_scale(height, width, shorter_side=240)
    drawn = draw_instances(frame.image, frame.instances, class_names, scores=False, scale=scale)
    return side_by_side([drawn], [frame.caption])


def write_sheet(
    path: str | Path,
    clips: Iterable[Sequence[AnnotatedFrame]],
    class_names: Sequence[str],
    number: int = 8,
    frames: int = 6,
) -> int:
    """Write a contact sheet with a row per clip.

    Args:
        path: The image.
        clips: Frames of clips or videos.
        class_names: Name of every 0-based label.
        number: So many clips at most.
        frames: So many frames of each at most, spread evenly.

    Returns:
        The number of clips.

    Raises:
        UserError: If there is no clip.
    """
    rows = []
    for clip in islice(clips, number):
        count = min(frames, len(clip))
        picks = np.linspace(0, len(clip) - 1, count).round().astype(int).tolist()
        rows.append([draw_frame(clip[pick], class_names) for pick in picks])
    if not rows:
        raise UserError(f"{path}: there is no clip to show")
    write_contact_sheet(path, rows)
    return len(rows)


def write_video(
    path: str | Path,
    clips: Iterable[Sequence[AnnotatedFrame]],
    class_names: Sequence[str],
    number: int = 8,
    fps: float = 5.0,
) -> int:
    """Write clips one after the other to a video; frames take the size of the largest in the first.

    Args:
        path: The video, ``*.mp4``.
        clips: Frames of clips or videos.
        class_names: Name of every 0-based label.
        number: So many clips at most.
        fps: Frames per second.

    Returns:
        The number of clips.

    Raises:
        UserError: If there is no clip.
    """
    shown = 0
    size: tuple[int, int] | None = None
    with OverlayWriter(path, fps) as writer:
        for clip in islice(clips, number):
            for frame in clip:
                drawn = draw_frame(frame, class_names)
                size = size or (drawn.shape[0], drawn.shape[1])
                writer.write(_fit(drawn, *size))
            shown += 1
    if not shown:
        raise UserError(f"{path}: there is no clip to show")
    return shown


def _fit(image: Image, height: int, width: int) -> Image:
    """Shrink an image into a size and pad it."""
    share = min(1.0, height / image.shape[0], width / image.shape[1])
    size = (max(1, int(image.shape[1] * share)), max(1, int(image.shape[0] * share)))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return pad_to(smaller, height, width)
