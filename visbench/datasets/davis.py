# SPDX-License-Identifier: Apache-2.0
"""DAVIS 2017, unsupervised: objects without classes, from folders of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as mask_utils

from visbench.datasets.layout import describe_folder
from visbench.datasets.vis_dataset import VISDataset
from visbench.evaluation.davis_files import read_label_map
from visbench.registry import DATASETS

CLASSES = ("object",)
VOID = 255
"""Label of pixels that belong to nobody; neither object nor background."""

_YEARS = ("2017", "2019")


@DATASETS.register_module()
class DAVISUnsupervised(VISDataset):
    """DAVIS 2017 in its original folders, every object of the one class ``object``.

    Under ``data_root`` are ``ImageSets/2017/{split}.txt`` (``2019`` for the test sets of the
    unsupervised task), one video a line, ``JPEGImages/{resolution}/<video>/<frame>.jpg`` and
    ``Annotations_unsupervised/{resolution}/<video>/<frame>.png`` or, without that folder,
    ``Annotations/{resolution}/...``, those of the semi-supervised task. Pixels of a PNG are labels:
    0 is background, 255 void, others are objects, the same in all frames. Splits whose name starts
    with ``test`` have no annotations, whatever PNGs there are.

    The PNGs are turned into YouTube-VIS layout in memory. Videos count from 1 in the order of the
    list, and ``video_name`` is that of the folder.

    Args:
        split: ``train``, ``val``, ``test-dev`` or ``test-challenge``.
        data_root: Root folder.
        resolution: Folder of the images' size, ``480p`` or ``Full-Resolution``.
        **kwargs: As in :class:`~visbench.datasets.VISDataset`.

    Raises:
        FileNotFoundError: If a list, a folder or a file is not there.
        ValueError: If a PNG is damaged, not a label map or of another size than its frame.
    """

    def __init__(
        self,
        split: str = "train",
        data_root: str = "data/DAVIS",
        resolution: str = "480p",
        **kwargs: Any,
    ) -> None:
        root = Path(data_root)
        self.frame_folder = root / "JPEGImages" / resolution
        self.annotation_folder = _annotation_folder(root, resolution, split)
        super().__init__(
            ann_file=str(_list_file(root, split).absolute()),
            split=split,
            data_root=data_root,
            data_prefix={"img_path": str(self.frame_folder.absolute())},
            **kwargs,
        )

    def read_annotations(self) -> dict[str, Any]:
        """Return the listed videos in YouTube-VIS layout."""
        names = Path(self.ann_file).read_text().split()
        if not names:
            raise ValueError(f"{self.ann_file} names no video; fetch the list again")
        videos: list[dict[str, Any]] = []
        tracks: list[dict[str, Any]] = []
        for number, name in enumerate(names, start=1):
            videos.append(_video(number, name, self.frame_folder))
            if self.annotation_folder is not None:
                masks = _masks(videos[-1], self.annotation_folder)
                tracks += [
                    {"id": len(tracks) + row, "video_id": number, "category_id": 1, **track}
                    for row, track in enumerate(masks, start=1)
                ]
        return {
            "videos": videos,
            "categories": [{"id": 1, "name": CLASSES[0]}],
            "annotations": None if self.annotation_folder is None else tracks,
        }


def _list_file(root: Path, split: str) -> Path:
    tried = [root / "ImageSets" / year / f"{split}.txt" for year in _YEARS]
    for path in tried:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"no list of the videos of split '{split}'. Tried: {', '.join(map(str, tried))}. "
        f"There is under data_root:\n{describe_folder(root)}\nCorrect 'data_root' or 'split'."
    )


def _annotation_folder(root: Path, resolution: str, split: str) -> Path | None:
    if split.startswith("test"):
        return None
    tried = [root / name / resolution for name in ("Annotations_unsupervised", "Annotations")]
    for folder in tried:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"no folder of annotations. Tried: {', '.join(map(str, tried))}. There is under "
        f"data_root:\n{describe_folder(root)}\nCorrect 'data_root' or 'resolution', or fetch "
        "DAVIS-2017-Unsupervised-trainval."
    )


def _video(number: int, name: str, folder: Path) -> dict[str, Any]:
    frames = sorted(path.name for path in (folder / name).glob("*.jpg"))
    if not frames:
        raise FileNotFoundError(
            f"no frames {folder / name}/*.jpg of a listed video. There is:\n"
            f"{describe_folder(folder / name)}\nFetch the video, or take it off the list."
        )
    return {
        "id": number,
        **_size(folder / name / frames[0]),
        "length": len(frames),
        "file_names": [f"{name}/{frame}" for frame in frames],
    }


def _size(path: Path) -> dict[str, int]:
    try:
        with Image.open(path) as image:
            return {"width": image.width, "height": image.height}
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{path} is no image that can be read ({error}); fetch it again"
        ) from error


def _masks(video: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return masks, in RLE or None, and their lengths for every object of a video, by label."""
    paths = [(folder / name).with_suffix(".png") for name in video["file_names"]]
    _require_all(paths, folder)
    segmentations: dict[int, list[Any]] = {}
    for frame, path in enumerate(paths):
        labels = _labels(path, (video["height"], video["width"]))
        for label in np.setdiff1d(labels, (0, VOID)).tolist():
            track = segmentations.setdefault(label, [None] * len(paths))
            track[frame] = mask_utils.encode(np.asfortranarray(labels == label).view(np.uint8))
    return [{"segmentations": segmentations[label]} for label in sorted(segmentations)]


def _require_all(paths: Sequence[Path], folder: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: {len(missing)} of {len(paths)} frames of the video have no annotation "
            f"in {folder}; every frame needs one: fetch the archive again"
        )


def _labels(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    labels = read_label_map(path)
    if labels.shape != size:
        raise ValueError(
            f"{path} has the size {labels.shape[0]}x{labels.shape[1]}, its video's frames "
            f"{size[0]}x{size[1]}; take images and annotations of the same resolution"
        )
    return labels
