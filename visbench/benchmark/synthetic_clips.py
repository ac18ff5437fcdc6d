# SPDX-License-Identifier: Apache-2.0
"""Training batches of a config without its data: drawn videos through its own pipeline."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from mmengine.dataset import pseudo_collate

from visbench.datasets import Draw
from visbench.engine.errors import ConfigError
from visbench.registry import DATASETS
from visbench.structures import encode_masks, rle_area, rle_to_box

_LENGTH = 20
_LATE = 10**9
_KEPT = ("items", "clip", "pipeline")


def largest_batch(
    config: Any, frame_size: tuple[int, int], objects: int = 4, draws: int = 16
) -> dict[str, Any]:
    """Return a training batch of the largest samples among some draws.

    Everything random in a sample, its size above all, comes from the config's pipeline. The draws
    are late ones, so that clips which grow in the course of a training have their full length.

    Args:
        config: A config with ``train_dataloader``.
        frame_size: Height and width of the drawn videos in pixels.
        objects: Objects in every frame, all of them visible and of the first class.
        draws: Samples that are drawn of each data set.

    Returns:
        A batch as of the data loader.

    Raises:
        ConfigError: If the config has no such training data.
    """
    if "train_dataloader" not in config:
        raise ConfigError(f"config {config.filename} has no field 'train_dataloader'")
    size = int(config.train_dataloader.get("batch_size", 1))
    with tempfile.TemporaryDirectory() as folder:
        write_videos(Path(folder), frame_size, objects)
        samples = [
            dataset[Draw(0, _LATE + number, 0)]
            for dataset in _datasets(config.train_dataloader.dataset, folder)
            for number in range(max(draws, size))
        ]
    samples.sort(key=_pixels, reverse=True)
    batch: dict[str, Any] = pseudo_collate(samples[:size])
    return batch


def _datasets(settings: Mapping[str, Any], root: str) -> Iterator[Any]:
    """Yield the drawn videos with the clips and pipeline of each data set of a config."""
    for part in settings.get("datasets") or [settings]:
        kept = {key: part[key] for key in _KEPT if key in part}
        yield DATASETS.build(
            {"type": "visbench.VISDataset", "data_root": root, "split": "train", **kept}
        )


def _pixels(sample: Mapping[str, Any]) -> int:
    return sum(int(np.prod(image.shape[1:])) for image in sample["inputs"])


def write_videos(folder: Path, frame_size: tuple[int, int], objects: int) -> None:
    """Write a video of moving ellipses in YouTube-VIS layout, as split ``train``.

    Args:
        folder: Root of the data set.
        frame_size: Height and width in pixels.
        objects: Number of objects.
    """
    height, width = frame_size
    names = [f"drawn/{index:05d}.jpg" for index in range(_LENGTH)]
    frames = folder / "train" / "JPEGImages"
    (frames / "drawn").mkdir(parents=True)
    masks = np.stack([_masks(frame_size, objects, index) for index in range(_LENGTH)])
    shades = np.linspace(40, 160, width).astype(np.uint8)
    background = np.tile(shades[None, :, None], (height, 1, 3))
    for name, shown in zip(names, masks, strict=True):
        image = background.copy()
        for number, mask in enumerate(shown):
            image[mask] = (50 + 60 * number % 200, 200, 90)
        cv2.imwrite(str(frames / name), image)
    size = {"height": height, "width": width, "length": _LENGTH}
    content = {
        "videos": [{"id": 1, "file_names": names, **size}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [_annotation(number, masks[:, number], size) for number in range(objects)],
    }
    (folder / "train.json").write_text(json.dumps(content))


def _masks(frame_size: tuple[int, int], objects: int, index: int) -> npt.NDArray[np.bool_]:
    """Return the ``(objects, height, width)`` masks of a frame: side by side, drifting along."""
    height, width = frame_size
    rows, columns = np.mgrid[:height, :width]
    masks = []
    for number in range(objects):
        x = width * (number + 0.4 + 0.01 * index) / objects
        radius_x, radius_y = width / objects / 2.6, height / 4
        inside = ((columns - x) / radius_x) ** 2 + ((rows - height / 2) / radius_y) ** 2 <= 1
        masks.append(inside)
    return np.stack(masks)


def _annotation(number: int, masks: npt.NDArray[np.bool_], size: dict[str, int]) -> dict[str, Any]:
    runs = encode_masks(masks)
    corners = [rle_to_box(rle).tolist() for rle in runs]
    return {
        "id": number + 1,
        "video_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "segmentations": runs,
        "areas": [rle_area(rle) for rle in runs],
        "bboxes": [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in corners],
        **size,
    }
