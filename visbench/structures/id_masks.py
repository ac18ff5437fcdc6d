# SPDX-License-Identifier: Apache-2.0
"""One PNG per frame whose pixels say which track they belong to, written and read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import orjson

from visbench.files import write_json
from visbench.structures.file_names import natural_key
from visbench.structures.frames import frames_to_tracks, tracks_to_frames
from visbench.structures.instances import FrameInstances
from visbench.structures.label_maps import (
    Labels,
    images_of_earlier_export,
    paint_labels,
    read_label_map,
    write_label_map,
)
from visbench.structures.rle import encode_masks
from visbench.structures.tracks import VideoTracks
from visbench.structures.video import VideoInfo

LEGEND = "ids.json"
"""File beside the images: track id and 0-based label of every pixel value."""

MAX_VALUE = 65535


class IdMaskWriter:
    """Writes one PNG per frame as soon as it is known.

    Pixel values count the tracks in the order of their appearance, from 1; 0 is background. The
    images have DAVIS' palette; from the 256th track on, frames that show such a track are grey
    images of 16 bits. ``ids.json`` holds the track id of each value and is up to date after every
    frame, so that an interrupted run can be read.

    Args:
        folder: Folder of the images; made if it is missing. Images of an earlier run (there is an
            ``ids.json``) are removed.
        size: ``(height, width)`` of the frames.

    Raises:
        ValueError: If the folder holds images of another kind.

    Examples:
        >>> writer = IdMaskWriter("masks", (2, 3))
        >>> mask = np.array([[[0, 1, 1], [0, 1, 1]]])
        >>> writer.write("00000", FrameInstances([70], [0], [0.9], masks=encode_masks(mask)))
        array([[0, 1, 1],
               [0, 1, 1]], dtype=uint16)
        >>> read_id_masks("masks").tracks[0].id
        70
    """

    def __init__(self, folder: str | Path, size: tuple[int, int]) -> None:
        self.folder = Path(folder)
        self.size = size
        self._values: dict[int, int] = {}
        self._legend: dict[str, dict[str, int]] = {}
        ours = (self.folder,) if (self.folder / LEGEND).is_file() else ()
        for path in images_of_earlier_export(self.folder.glob("*.png"), ours):
            path.unlink()

    def write(self, name: str, instances: FrameInstances) -> Labels:
        """Write the masks of a frame; the best score wins where they overlap.

        Args:
            name: File name without suffix.
            instances: The frame.

        Returns:
            The ``(H, W)`` pixel values.

        Raises:
            ValueError: If the method gives boxes only, or there are more than 65535 tracks.
        """
        if instances.masks is None:
            raise ValueError(f"{self.folder}: the frame has boxes only, no masks to write")
        self.folder.mkdir(parents=True, exist_ok=True)
        before = len(self._values)
        for track_id, label in zip(instances.ids.tolist(), instances.labels.tolist(), strict=True):
            self._enter(track_id, label)
        # Also before the first track, since it is what tells these images from others.
        if len(self._values) > before or not (self.folder / LEGEND).is_file():
            write_json(self.folder / LEGEND, self._legend)
        order = np.argsort(-instances.scores, kind="stable").tolist()
        image = paint_labels(
            [instances.masks[row] for row in order],
            [self._values[int(instances.ids[row])] for row in order],
            self.size,
        )
        write_label_map(self.folder / f"{name}.png", image)
        return image

    def _enter(self, track_id: int, label: int) -> None:
        if track_id in self._values:
            return
        value = len(self._values) + 1
        if value > MAX_VALUE:
            raise ValueError(f"{self.folder}: more than {MAX_VALUE} tracks do not fit into a PNG")
        self._values[track_id] = value
        self._legend[str(value)] = {"track_id": track_id, "label": label}


def write_id_masks(folder: str | Path, result: VideoTracks, score_threshold: float = 0.0) -> None:
    """Write a finished video as one PNG per frame, ``00000.png``, ``00001.png``, ...

    Args:
        folder: Folder of the images; see :class:`IdMaskWriter`.
        result: The result of a video, with masks.
        score_threshold: Predictions with a lower score are left out.

    Raises:
        ValueError: If the result has boxes only.

    Examples:
        >>> frame = FrameInstances([7], [0], [0.9], masks=encode_masks(np.ones((1, 2, 3))))
        >>> write_id_masks("masks", frames_to_tracks(VideoInfo(0, "clip", 2, 3), [frame]))
        >>> read_id_masks("masks").tracks[0].masks
        [{'size': [2, 3], 'counts': '06'}]
    """
    writer = IdMaskWriter(folder, (result.video.height, result.video.width))
    for index, instances in enumerate(tracks_to_frames(result)):
        writer.write(f"{index:05d}", instances.select(instances.scores >= score_threshold))


def read_id_masks(folder: str | Path, void: int | None = None) -> VideoTracks:
    """Read a folder of label images as tracks: what this module wrote, or a video of DAVIS.

    Args:
        folder: The images, in the order of their names (numbers in natural order). Without
            ``ids.json`` beside them pixel values are track ids and all labels are 0.
        void: Pixel value that means unknown and is left out; 255 in some annotations.

    Returns:
        The tracks, with scores of 1.

    Raises:
        ValueError: If there is no image, one cannot be read or sizes differ.

    Examples:
        >>> mask = np.array([[[0, 1, 1], [0, 1, 1]]])
        >>> frame = FrameInstances([7], [3], [0.9], masks=encode_masks(mask))
        >>> _ = IdMaskWriter("masks", (2, 3)).write("00000", frame)
        >>> result = read_id_masks("masks")
        >>> result.tracks[0].id, result.predictions
        (7, [Prediction(track_index=0, label=3, score=1.0)])
    """
    folder = Path(folder)
    paths = sorted(folder.glob("*.png"), key=lambda path: natural_key(path.name))
    if not paths:
        raise ValueError(f"{folder} holds no PNG")
    height, width = read_label_map(paths[0]).shape
    video = VideoInfo(0, folder.resolve().name, height, width, len(paths))
    return frames_to_tracks(video, _read(paths, _read_legend(folder), void))


def _read(
    paths: Iterable[Path], legend: dict[int, tuple[int, int]], void: int | None
) -> Iterator[FrameInstances]:
    size = None
    for path in paths:
        labels = read_label_map(path)
        if labels.shape != (size := size or labels.shape):
            raise ValueError(f"{path} is {labels.shape}, but the first image is {size}")
        values = [int(value) for value in np.unique(labels) if value not in (0, void)]
        masks = np.array([labels == value for value in values]).reshape(-1, *labels.shape)
        facts = [legend.get(value, (value, 0)) for value in values]
        yield FrameInstances(
            [track_id for track_id, _ in facts],
            [label for _, label in facts],
            np.ones(len(values)),
            masks=encode_masks(masks),
        )


def _read_legend(folder: Path) -> dict[int, tuple[int, int]]:
    path = folder / LEGEND
    if not path.is_file():
        return {}
    try:
        return {
            int(value): (int(entry["track_id"]), int(entry["label"]))
            for value, entry in orjson.loads(path.read_bytes()).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is no legend of pixel values ({error}); remove it to take values as ids"
        ) from error
