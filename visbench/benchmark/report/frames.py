# SPDX-License-Identifier: Apache-2.0
"""Frames of videos with what was annotated and what each method found, as small JPEGs."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visbench.benchmark.report.timeline import Timeline
from visbench.datasets.layout import ANNOTATION_LAYOUTS, find_frames
from visbench.engine.errors import UserError
from visbench.evaluation import Annotations
from visbench.evaluation.average_precision import CLASS_AGNOSTIC
from visbench.evaluation.json_lists import read_json_records
from visbench.evaluation.results import Prediction, ResultReader, iterate_results
from visbench.structures import RLE, FrameInstances, Track, VideoInfo, VideoTracks
from visbench.structures import Prediction as TrackPrediction
from visbench.visualization import display_scale, draw_instances, instances_at
from visbench.visualization.overlay import Image

_GREY = 96
_DRAWN_SHORT_SIDE = 256
_TEXT_SCALE = 1.7


@dataclass(frozen=True)
class Look:
    """Size and quality of the pictures.

    Attributes:
        width: Largest width in pixels.
        quality: JPEG quality, 1 to 100.
    """

    width: int
    quality: int


LOOKS = (Look(384, 82), Look(320, 75), Look(256, 70), Look(192, 60), Look(144, 50))
"""From the best to the smallest; the report takes the first that fits its size."""


@dataclass(frozen=True)
class VideoFiles:
    """Where the frames of a data set are.

    Attributes:
        names: Name of each video, by id.
        frames: File names of each video's frames, by id; empty where the file names none.
        folder: What they are relative to; None if no frame was found.
        note: What is missing.
    """

    names: Mapping[int, str]
    frames: Mapping[int, Sequence[str]]
    folder: Path | None
    note: str = ""

    def read(self, video_id: int, index: int, height: int, width: int) -> Image:
        """Return a frame, BGR; a grey one where there is no image."""
        names = self.frames[video_id]
        if self.folder is not None and index < len(names):
            image = cv2.imread(str(self.folder / names[index]))
            if image is not None and image.shape[:2] == (height, width):
                return image.astype(np.uint8, copy=False)
        return np.full((height, width, 3), _GREY, np.uint8)


def video_files(annotations: Path, image_folder: Path | None = None) -> VideoFiles:
    """Find the frames of an annotation file.

    Args:
        annotations: The file; the layouts that data sets are read from are tried around it.
        image_folder: Folder that its file names are relative to, where they are elsewhere.
    """
    content, _ = read_json_records(annotations, "annotations")
    frames = {
        int(video["id"]): [str(name) for name in video.get("file_names") or ()]
        for video in content["videos"]
    }
    names = {
        int(video["id"]): str(video.get("name") or _folder_name(frames[int(video["id"])]))
        for video in content["videos"]
    }
    first = next((files[0] for files in frames.values() if files), None)
    if first is None:
        return VideoFiles(names, frames, None, f"{annotations} names no frames")
    folder = image_folder or frames_beside(annotations, first)
    if folder is None or not (folder / first).is_file():
        place = folder or annotations.parent
        note = f"frame {first} is not in {place}; give --image-folder; masks are drawn on grey"
        return VideoFiles(names, frames, None, note)
    return VideoFiles(names, frames, folder)


def _folder_name(files: Sequence[str]) -> str:
    return str(Path(files[0]).parent) if files else ""


def frames_beside(annotations: Path, file_name: str) -> Path | None:
    """Return the folder of frames that belongs to an annotation file, or None.

    Args:
        annotations: A file in one of the layouts of :mod:`visbench.datasets.layout`.
        file_name: One of its file names.
    """
    for layout in ANNOTATION_LAYOUTS:
        pattern = re.escape(layout).replace(r"\*", "[^/]*")
        pattern = pattern.replace(r"\{split\}", "(?P<split>[^/]+?)", 1)
        pattern = pattern.replace(r"\{part\}", "(?:_holdout-[^/]*)?")
        for root in list(annotations.parents)[:2]:
            found = re.fullmatch(pattern, annotations.relative_to(root).as_posix())
            if found is not None:
                try:
                    return find_frames(root, found["split"], file_name)
                except FileNotFoundError:
                    continue
    return None


def true_tracks(annotations: Annotations, video_id: int, name: str = "") -> VideoTracks:
    """Return the annotated objects of a video as tracks; ids count from 1 in file order."""
    labels = _labels(annotations)
    objects = annotations.tracks_by_video.get(video_id, [])
    tracks = [_track(number, found, 1.0) for number, found in enumerate(objects, 1)]
    predictions = [
        TrackPrediction(index, labels[found.category_id], 1.0)
        for index, found in enumerate(objects)
    ]
    return VideoTracks(_info(annotations, video_id, name), tracks, predictions)


def found_tracks(
    annotations: Annotations,
    results: Path,
    videos: Collection[int],
    boxes: bool = False,
    class_agnostic: bool = False,
) -> dict[int, VideoTracks]:
    """Return what a results file holds of some videos, as tracks.

    Records with the same masks are one track under several classes. Ids count from 0 in the order
    of the scores.

    Args:
        annotations: The annotation file, loaded.
        results: The results file.
        videos: Ids of the videos.
        boxes: Read boxes in place of masks.
        class_agnostic: Accept predictions without a category.

    Raises:
        InputError: A record has a defect.
    """
    source, records = iterate_results(results)
    reader = ResultReader(
        annotations, source, masks=not boxes, boxes=boxes, class_agnostic=class_agnostic
    )
    found: dict[int, list[Prediction]] = {video: [] for video in videos}
    for prediction in reader.read_all(_of_videos(records, videos)):
        found[prediction.video_id].append(prediction)
    return {video: _video_tracks(annotations, video, group) for video, group in found.items()}


def _of_videos(records: Iterator[Any], videos: Collection[int]) -> Iterator[Any]:
    return (record for record in records if record.get("video_id") in videos)


def _video_tracks(
    annotations: Annotations, video_id: int, predictions: Sequence[Prediction]
) -> VideoTracks:
    labels = _labels(annotations)
    tracks: list[Track] = []
    known: dict[object, int] = {}
    entries = []
    for prediction in sorted(predictions, key=lambda found: (-found.score, found.index)):
        shape = _content(prediction)
        if shape not in known:
            known[shape] = len(tracks)
            tracks.append(_track(len(tracks), prediction, prediction.score))
        label = labels[prediction.category_id]
        entries.append(TrackPrediction(known[shape], label, prediction.score))
    return VideoTracks(_info(annotations, video_id), tracks, entries)


def _content(prediction: Prediction) -> object:
    if prediction.masks is not None:
        return tuple(prediction.masks.counts)
    return None if prediction.boxes is None else prediction.boxes.boxes.tobytes()


def _labels(annotations: Annotations) -> dict[int, int]:
    return {key: label for label, key in enumerate([*annotations.categories, CLASS_AGNOSTIC])}


def class_names(annotations: Annotations) -> list[str]:
    """Return the name of every 0-based label of tracks; the last is that of no category."""
    return [*annotations.categories.values(), "object"]


def _info(annotations: Annotations, video_id: int, name: str = "") -> VideoInfo:
    video = annotations.videos[video_id]
    return VideoInfo(video_id, name, video.height, video.width, video.length)


def _track(number: int, found: Any, score: float) -> Track:
    """Return masks or boxes of the evaluator as a track."""
    if found.masks is not None:
        masks = [_rle(mask) for mask in found.masks.rles]
        return Track(number, masks, None, np.full(len(masks), score, np.float32))
    boxes = found.boxes.boxes.astype(np.float32)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    corners[(boxes[:, 2:] <= 0).any(axis=1)] = np.nan
    return Track(number, None, corners, np.full(len(boxes), score, np.float32))


def _rle(mask: dict[str, Any] | None) -> RLE | None:
    return None if mask is None else RLE(size=list(mask["size"]), counts=mask["counts"])


def choose_frames(length: int, count: int, timelines: Sequence[Timeline]) -> list[int]:
    """Return frames spread over a video, in each part the one with the most identity switches.

    Args:
        length: Number of frames.
        count: Number of parts.
        timelines: Timelines of the methods.

    Returns:
        At most ``count`` frames, ascending; the middle of a part without switches.
    """
    edges = np.linspace(0, length, min(count, length) + 1).round().astype(int).tolist()
    frames = []
    for start, stop in pairwise(edges):
        middle = (start + stop - 1) // 2
        switched = [f for line in timelines for f in line.switches_in(start, stop - 1)]
        frames.append(max(sorted(set(switched)), key=switched.count) if switched else middle)
    return frames


@dataclass(frozen=True)
class Drawing:
    """One drawn frame, not yet encoded: BGR pixels and what it shows in words."""

    frame: int
    image: Image
    text: str


def draw_frame(
    image: Image, result: VideoTracks, frame: int, class_names: Sequence[str], threshold: float
) -> Drawing:
    """Draw a frame of a result.

    Args:
        image: The frame, BGR.
        result: What is drawn on it.
        frame: Its index.
        class_names: Name of every 0-based label.
        threshold: Predictions with a lower score are left out.
    """
    instances = instances_at(result, frame) if result.tracks else FrameInstances.empty()
    # Scores were rounded to float32 on the way.
    shown = instances.select(instances.scores >= np.float32(threshold))
    scale = display_scale(image.shape[0], image.shape[1], _DRAWN_SHORT_SIDE)
    drawn = draw_instances(
        image,
        shown,
        class_names,
        -np.inf,
        boxes=False,
        scale=scale,
        ids_only=True,
        text_scale=_TEXT_SCALE,
    )
    names = [
        f"{int(number)} ({class_names[int(label)]})"
        for number, label in sorted(zip(shown.ids, shown.labels, strict=True))
    ]
    return Drawing(frame, drawn, f"ids {', '.join(names)}" if names else "nothing")


def encode(image: Image, look: Look) -> str:
    """Return a picture as a data URI.

    Args:
        image: BGR.
        look: Its size and quality.

    Raises:
        UserError: If OpenCV cannot write JPEGs.
    """
    height, width = image.shape[:2]
    if width > look.width:
        size = (look.width, max(1, round(height * look.width / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, look.quality])
    if not done:
        raise UserError("OpenCV cannot write JPEG: pip install --force-reinstall opencv-python")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
