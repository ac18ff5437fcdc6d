# SPDX-License-Identifier: Apache-2.0
"""ImageNet VID, and the still images of ImageNet DET that are mixed with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from mmengine.logging import print_log

from visbench.datasets.annotations import read_annotations, read_json, video_name
from visbench.datasets.imagenet.categories import CLASSES
from visbench.datasets.imagenet.convert import write_annotations, written_path
from visbench.datasets.vis_dataset import VISDataset
from visbench.evaluation.per_frame import join_images
from visbench.registry import DATASETS


class _ImageNet(VISDataset):
    """Boxes of 30 classes from a JSON file, which is written from the XML files if need be."""

    KIND: ClassVar[str]

    def __init__(
        self,
        split: str = "train",
        data_root: str = "data/ILSVRC",
        ann_file: str = "",
        list_file: str | None = None,
        metainfo: dict[str, Any] | None = None,
        data_prefix: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        path = Path(data_root, ann_file) if ann_file else self.find(data_root, split)
        images = Path(data_root, "Data", self.KIND.upper())
        self.list_file = list_file
        super().__init__(
            ann_file=str(path.absolute()),
            split=split,
            metainfo={"classes": CLASSES, **(metainfo or {})},
            data_prefix=data_prefix or {"img_path": str(images)},
            **kwargs,
        )

    @classmethod
    def find(cls, data_root: str, split: str) -> Path:
        """Return the annotation file of a split; write it from the XML files if there is none.

        Args:
            data_root: Root folder.
            split: ``train`` or ``val``.
        """
        for path in cls.candidates(data_root, split):
            if path.is_file():
                return path
        target = written_path(data_root, cls.KIND, split)
        print_log(f"Reading the XML files of {data_root} once, to write {target}.", "current")
        return write_annotations(data_root, cls.KIND, split)

    @classmethod
    def candidates(cls, data_root: str, split: str) -> list[Path]:
        """Return the annotation files that are looked for, in order."""
        return [written_path(data_root, cls.KIND, split)]

    def read_annotations(self) -> dict[str, Any]:
        """Return the annotations in YouTube-VIS layout, restricted to ``list_file``."""
        annotations = self.read_file()
        if self.list_file is None:
            return annotations
        return _listed(annotations, self.list_file, self.ann_file, self.split or "")

    def read_file(self) -> dict[str, Any]:
        """Return all annotations of the file in YouTube-VIS layout."""
        return read_annotations(self.ann_file)


@DATASETS.register_module()
class ImageNetVID(_ImageNet):
    """ImageNet VID: 30 classes, tracks of boxes.

    Looked for under ``data_root`` are ``annotations/visbench_imagenet_vid_{split}.json``, then
    MMTracking's ``annotations/imagenet_vid_{split}.json``. Without them the former is written from
    ``Annotations/VID/{split}/**/*.xml``, once, in some minutes (``tools/convert_imagenet.py`` does
    the same beforehand). Frames are in ``Data/VID``.

    Args:
        split: ``train`` or ``val``.
        data_root: Root folder; ``data/ILSVRC`` by default.
        ann_file: Another file in YouTube-VIS layout or the per-frame form, relative to
            ``data_root`` unless absolute.
        list_file: Text file with a video (or a frame of it) at the start of each line, as in
            ``ImageSets/VID``; other videos are left out.
        **kwargs: As in :class:`~visbench.datasets.VISDataset`. Load annotations with
            ``LoadTrackAnnotations(with_mask=False)``.

    Raises:
        FileNotFoundError: If there are neither JSON nor XML files.
        ValueError: If a file has a defect, or ``list_file`` names a video that is not there.
    """

    KIND = "vid"

    @classmethod
    def candidates(cls, data_root: str, split: str) -> list[Path]:
        """Return the annotation files that are looked for, in order."""
        theirs = Path(data_root, "annotations", f"imagenet_vid_{split}.json")
        return [*super().candidates(data_root, split), theirs]


@DATASETS.register_module()
class ImageNetDET(_ImageNet):
    """Still images of ImageNet DET with objects of the 30 classes of VID, each a video of 1 frame.

    A clip of T frames repeats the image with stable object ids. Looked for under ``data_root`` are
    ``annotations/visbench_imagenet_det_{split}.json``, then, for ``train``, MMTracking's
    ``annotations/imagenet_det_30plus1cls.json``, whose other classes are left out. Without them
    the former is written from ``Annotations/DET/{split}/**/*.xml``. Images are in ``Data/DET``.

    Args:
        split: ``train`` or ``val``.
        data_root: Root folder; ``data/ILSVRC`` by default.
        ann_file: Another file: images in COCO's layout, or videos in YouTube-VIS layout.
        list_file: Text file with an image at the start of each line, as in ``ImageSets/DET``;
            others are left out.
        **kwargs: As in :class:`ImageNetVID`.

    Raises:
        FileNotFoundError: If there are neither JSON nor XML files.
        ValueError: If a file has a defect, or ``list_file`` names an image that is not there.
    """

    KIND = "det"

    @classmethod
    def candidates(cls, data_root: str, split: str) -> list[Path]:
        """Return the annotation files that are looked for, in order."""
        theirs = Path(data_root, "annotations", "imagenet_det_30plus1cls.json")
        return [*super().candidates(data_root, split), *([theirs] if split == "train" else [])]

    def read_file(self) -> dict[str, Any]:
        """Return all images of the file as videos of one frame."""
        content = read_json(self.ann_file)
        if isinstance(content, dict) and "videos" not in content:
            return join_images(content, self.ann_file)
        return read_annotations(self.ann_file)


def _listed(
    annotations: dict[str, Any], list_file: str, ann_file: str, split: str
) -> dict[str, Any]:
    """Keep the videos that a list names by folder, frame or image, with the split or without."""
    lines = [line.split()[0] for line in Path(list_file).read_text().splitlines() if line.split()]
    wanted = {str(Path(line).with_suffix("")) if line.endswith(".JPEG") else line for line in lines}
    videos, met = [], set()
    for video in annotations["videos"]:
        files = [str(Path(name).with_suffix("")) for name in video["file_names"]]
        names = {video_name(video), *files} if len(files) > 1 else set(files)
        names |= {name.removeprefix(f"{split}/") for name in names}
        if names & wanted:
            videos.append(video)
            met |= names & wanted
    unknown = sorted(wanted - met)
    if unknown:
        raise ValueError(
            f"{list_file}: {len(unknown)} of {len(wanted)} entries, such as '{unknown[0]}', are "
            f"not in {ann_file}; give the list of the same split"
        )
    kept = {video["id"] for video in videos}
    tracks = [entry for entry in annotations["annotations"] or [] if entry["video_id"] in kept]
    return {**annotations, "videos": videos, "annotations": tracks}
