# SPDX-License-Identifier: Apache-2.0
"""COCO's still images as videos of one frame, with the classes of COCO or of a video data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from mmdet.datasets import CocoDataset, YouTubeVISDataset

from visbench.datasets.annotations import read_json
from visbench.datasets.vis_dataset import VISDataset
from visbench.evaluation.per_frame import join_images
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
    # Without classes: all 80 become the one of DAVISUnsupervised.
    "davis": TargetClasses(("object",), dict.fromkeys(CocoDataset.METAINFO["classes"], "object")),
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
        images = join_images(read_json(self.ann_file), self.ann_file)
        if images["annotations"] is not None:
            # MMDetection's CocoDataset leaves objects out that the file says have no area.
            images["annotations"] = [
                track
                for track in images["annotations"]
                if all(area is None or area > 0 for area in track.get("areas", ()))
            ]
        return images if self.target is None else translate(images, self.ann_file, self.target)


def translate(annotations: dict[str, Any], where: str, target: str) -> dict[str, Any]:
    """Return annotations with the categories of a video data set; other objects are dropped.

    Args:
        annotations: Annotations in YouTube-VIS layout with COCO's categories.
        where: Name of the file, for messages.
        target: A key of :data:`TARGETS`. Its labels plus one are the new category ids.

    Raises:
        ValueError: If an object names an unknown category, or none is shared with the target.
    """
    classes, shared = TARGETS[target].classes, TARGETS[target].names
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    ids = {name: label for label, name in enumerate(classes, start=1)}
    translated = {key: ids[shared[name]] for key, name in names.items() if name in shared}
    if not translated:
        raise ValueError(
            f"{where}: none of the categories {list(names.values())} is shared with the target; it "
            f"shares {sorted(shared)}"
        )
    tracks = annotations["annotations"]
    unknown = sorted({track["category_id"] for track in tracks or []} - set(names))
    if unknown:
        raise ValueError(f"{where}: field 'category_id' names no category: {unknown[0]}")
    kept = [
        {**track, "category_id": translated[track["category_id"]]}
        for track in tracks or []
        if track["category_id"] in translated
    ]
    return {
        **annotations,
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": None if tracks is None else kept,
    }
