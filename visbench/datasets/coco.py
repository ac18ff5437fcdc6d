# SPDX-License-Identifier: Apache-2.0
"""COCO's still images as videos of one frame, with the classes of COCO or of a video data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from mmdet.datasets import YouTubeVISDataset

from visbench.datasets.annotations import read_json
from visbench.datasets.vis_dataset import VISDataset
from visbench.registry import DATASETS


class _YouTubeVISNames(YouTubeVISDataset):
    """MMDetection's class names, which its own class keeps one year at a time."""


@dataclass(frozen=True)
class TargetClasses:
    """Classes of a video data set and what they are called in COCO.

    Args:
        classes: Its classes in the order of the labels.
        names: Its name for every COCO category that it shares.
    """

    classes: tuple[str, ...]
    names: Mapping[str, str]


def _youtube_vis(year: str, names: Mapping[str, str]) -> TargetClasses:
    _YouTubeVISNames.set_dataset_classes(year)
    return TargetClasses(tuple(_YouTubeVISNames.METAINFO["classes"]), names)


_SAME_NAME = (
    *("person", "airplane", "train", "truck", "boat", "cat", "dog", "horse", "cow", "elephant"),
    *("bear", "zebra", "giraffe", "snowboard", "skateboard", "surfboard"),
)
_SHARED = {
    **{name: name for name in _SAME_NAME},
    "motorcycle": "motorbike",
    "tennis racket": "tennis_racket",
}

# COCO's mouse is the one of a computer.
TARGETS: dict[str, TargetClasses] = {
    "youtube_vis_2019": _youtube_vis("2019", {**_SHARED, "car": "sedan"}),
    "youtube_vis_2021": _youtube_vis(
        "2021", {**_SHARED, "car": "car", "bird": "bird", "frisbee": "flying_disc"}
    ),
}
"""Data sets that COCO images can be mixed with."""


@DATASETS.register_module()
class CocoClips(VISDataset):
    """COCO images, each a video of one frame, so that everything made for videos works on them.

    ``clip=dict(type="visbench.SampleClip", num_frames=3)`` repeats the image, and
    :class:`~visbench.datasets.JitterClip` gives each copy its own view. With ``target`` the
    categories are those of a video data set: others are dropped, and images without any shared
    one are left out of training. Object ids count the file's annotations, since COCO's own do not
    fit 32 bits. Crowds and what mmdet takes for invalid become ignored instances; objects whose
    polygons lie outside the image have no pixel and are dropped by ``PackClip``.

    Args:
        split: ``train2017``, ``val2017`` or the name of a file of one's own.
        data_root: Root folder with ``annotations/instances_{split}.json`` and ``{split}/*.jpg``.
        target: A key of :data:`TARGETS`; None keeps the file's categories.
        **kwargs: As in :class:`~visbench.datasets.VISDataset`.

    Raises:
        ValueError: If there is no such target, the file is not in COCO's layout or shares no
            category with the target.
    """

    def __init__(
        self,
        split: str | None = None,
        data_root: str = "data/coco",
        target: str | None = None,
        **kwargs: Any,
    ) -> None:
        if target is not None and target not in TARGETS:
            raise ValueError(f"CocoClips: target={target!r} is not one of {sorted(TARGETS)}")
        self.target = target
        super().__init__(split=split, data_root=data_root, **kwargs)

    def read_annotations(self) -> dict[str, Any]:
        """Return the images as videos of one frame in YouTube-VIS layout."""
        target = None if self.target is None else TARGETS[self.target]
        return images_as_videos(read_json(self.ann_file), self.ann_file, target)


def images_as_videos(data: Any, where: str, target: TargetClasses | None = None) -> dict[str, Any]:
    """Return COCO annotations in YouTube-VIS layout, every image a video of one frame.

    Args:
        data: Content of a file in COCO's layout; ``annotations`` may be missing.
        where: Name of the file, for messages.
        target: Classes to translate to; other categories are dropped. Category ids are then the
            labels plus one.

    Returns:
        Dictionary with ``videos``, ``categories`` and ``annotations``.

    Raises:
        ValueError: If a list is missing, an annotation names an unknown image or category, or no
            category is shared.
    """
    for key in ("images", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list) or not data[key]:
            raise ValueError(
                f"{where}: field '{key}' must be a list with entries; is this a file in COCO's "
                "layout?"
            )
    categories, translated = _translate(data["categories"], where, target)
    videos = {image["id"]: _video(image, where) for image in data["images"]}
    annotations = data.get("annotations")
    tracks = [
        _track(annotation, number, translated)
        for number, annotation in enumerate(annotations or [], start=1)
        if _is_kept(annotation, videos, translated, where)
    ]
    return {
        "videos": list(videos.values()),
        "categories": categories,
        "annotations": None if annotations is None else tracks,
    }


def _translate(
    categories: list[dict[str, Any]], where: str, target: TargetClasses | None
) -> tuple[list[dict[str, Any]], dict[int, int | None]]:
    """Return the new categories and the new id of every old one, None for those to drop."""
    names = {int(category["id"]): category["name"] for category in categories}
    if target is None:
        return categories, {category: category for category in names}
    ids = {name: label + 1 for label, name in enumerate(target.classes)}
    translated = {
        category: ids[target.names[name]] if name in target.names else None
        for category, name in names.items()
    }
    if not any(translated.values()):
        raise ValueError(
            f"{where}: none of the categories {list(names.values())} is shared with the target; it "
            f"shares {sorted(target.names)}"
        )
    return [{"id": number, "name": name} for name, number in ids.items()], translated


def _video(image: dict[str, Any], where: str) -> dict[str, Any]:
    for key in ("file_name", "height", "width"):
        if not image.get(key):
            raise ValueError(f"{where}: image {image.get('id')}: field '{key}' is missing")
    return {
        "id": image["id"],
        "name": image["file_name"],
        "file_names": [image["file_name"]],
        "height": image["height"],
        "width": image["width"],
    }


def _is_kept(
    annotation: dict[str, Any],
    videos: Mapping[int, Any],
    translated: Mapping[int, int | None],
    where: str,
) -> bool:
    name = f"{where}: annotation {annotation.get('id')}"
    if annotation.get("image_id") not in videos:
        raise ValueError(f"{name}: field 'image_id' names no image: {annotation.get('image_id')}")
    if annotation.get("category_id") not in translated:
        raise ValueError(
            f"{name}: field 'category_id' names no category: {annotation.get('category_id')}"
        )
    # MMDetection's CocoDataset leaves objects out that the file says have no area.
    return translated[annotation["category_id"]] is not None and annotation.get("area", 1) > 0


def _track(
    annotation: dict[str, Any], number: int, translated: Mapping[int, int | None]
) -> dict[str, Any]:
    return {
        "id": number,
        "video_id": annotation["image_id"],
        "category_id": translated[annotation["category_id"]],
        "iscrowd": annotation.get("iscrowd", 0),
        "ignore": annotation.get("ignore", 0),
        "bboxes": [annotation.get("bbox")],
        "segmentations": [annotation.get("segmentation")],
    }
