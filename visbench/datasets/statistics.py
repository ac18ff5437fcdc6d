# SPDX-License-Identifier: Apache-2.0
"""What is in an annotation file: counts and distributions of its videos and objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.datasets.annotations import read_annotations
from visbench.evaluation.annotation_files import load_annotations
from visbench.evaluation.annotations import Annotations, GroundTruthTrack
from visbench.evaluation.breakdown import make_splits, motion_iou

Float64 = npt.NDArray[np.float64]

PER_CENT = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class Distribution:
    """Values of one kind: what they are, and all of them.

    Attributes:
        title: What the values are, with their unit.
        values: ``(n,)``, unordered.
    """

    title: str
    values: Float64

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Smallest value, quartiles and largest value; empty without values."""
        if not len(self.values):
            return ()
        return tuple(np.percentile(self.values, PER_CENT).tolist())

    @property
    def mean(self) -> float:
        """Mean; NaN without values."""
        return float(self.values.mean()) if len(self.values) else float("nan")


@dataclass(frozen=True)
class DatasetStatistics:
    """The statistics of an annotation file.

    Attributes:
        source: The file.
        counts: Videos, frames, tracks and so on, by what is counted.
        distributions: By name: ``video_length``, ``tracks_per_video``, ``objects_per_frame``,
            ``track_length``, ``object_size``, ``motion``, ``gaps`` and ``occlusion``; those that
            the file does not tell are missing.
        groups: Tracks (videos for ``video_length``) in each group of the breakdown of the
            evaluation, by split and group.
        classes: Tracks, videos and frames of every category, by name.
    """

    source: str
    counts: dict[str, int]
    distributions: dict[str, Distribution]
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, tuple[int, int, int]] = field(default_factory=dict)


def dataset_statistics(annotations: str | Path | Mapping[str, Any]) -> DatasetStatistics:
    """Return the statistics of an annotation file.

    Args:
        annotations: Path of a file in YouTube-VIS or OVIS layout (or the per-frame form of
            OpenMMLab), or its content. Objects of boxes alone are taken as well.

    Raises:
        InputError: The file or one of its records has a defect.
        FileNotFoundError: There is no such file.
    """
    if isinstance(annotations, (str, Path)) and not Path(annotations).is_file():
        raise FileNotFoundError(f"no annotation file {annotations}; correct the path")
    file = _load(annotations)
    tracks = [track for track in file.tracks or [] if not track.is_crowd]
    present = {track.id: _present(track) for track in tracks}
    lengths = [video.length for video in file.videos.values()]
    counts = {"videos": len(lengths), "frames": sum(lengths), "categories": len(file.categories)}
    found = {"video_length": _distribution("length of videos (frames)", lengths)}
    if file.tracks is None:
        return DatasetStatistics(file.source, counts, found)
    counts |= {
        "tracks": len(tracks),
        "crowds": len(file.tracks) - len(tracks),
        "objects in frames": int(sum(seen.sum() for seen in present.values())),
        "frames without object": int(sum((n == 0).sum() for n in _per_frame(file, present))),
        "videos without object": sum(not n.any() for n in _per_frame(file, present)),
    }
    found |= _track_distributions(file, tracks, present)
    groups = {
        split: {name: len(part.objects or part.videos or ()) for name, part in parts.items()}
        for split, parts in make_splits(file, class_agnostic=True).items()
    }
    return DatasetStatistics(file.source, counts, found, groups, _classes(file, tracks, present))


def _load(annotations: str | Path | Mapping[str, Any]) -> Annotations:
    """Read masks, or boxes where the file has no mask."""
    content = annotations
    if isinstance(annotations, (str, Path)):
        content = read_annotations(annotations)
    assert isinstance(content, Mapping)
    tracks = content.get("annotations") or []
    with_masks = any(isinstance(t, Mapping) and t.get("segmentations") for t in tracks)
    source = str(annotations) if isinstance(annotations, (str, Path)) else "annotations"
    return load_annotations(
        content,
        masks=with_masks or not tracks,
        boxes=bool(tracks) and not with_masks,
        source=source,
    )


def _present(track: GroundTruthTrack) -> npt.NDArray[np.bool_]:
    """Return in which frames an object is, ``(T,)``."""
    if track.masks is not None:
        return np.asarray(track.masks.areas > 0)
    assert track.boxes is not None
    return np.asarray((track.boxes.boxes[:, 2:] > 0).all(axis=1))


def _areas(track: GroundTruthTrack) -> Float64:
    if track.masks is not None:
        return track.masks.areas.astype(np.float64)
    assert track.boxes is not None
    areas: Float64 = track.boxes.boxes[:, 2:].prod(axis=1)
    return areas


def _per_frame(
    file: Annotations, present: Mapping[int, npt.NDArray[np.bool_]]
) -> list[npt.NDArray[np.int64]]:
    """Return the number of objects in every frame, by video."""
    return [
        np.sum(
            [np.zeros(video.length, np.int64)]
            + [
                present[track.id].astype(np.int64)
                for track in file.tracks_by_video.get(video.id, [])
                if not track.is_crowd
            ],
            axis=0,
        )
        for video in file.videos.values()
    ]


def _track_distributions(
    file: Annotations,
    tracks: Sequence[GroundTruthTrack],
    present: Mapping[int, npt.NDArray[np.bool_]],
) -> dict[str, Distribution]:
    per_video = Counter(track.video_id for track in tracks)
    sizes, gaps = [], []
    for track in tracks:
        video = file.videos[track.video_id]
        areas = _areas(track)[present[track.id]]
        sizes.append(100 * areas / (video.height * video.width))
        gaps += gap_lengths(present[track.id])
    motions = [iou for track in tracks if (iou := motion_iou(track)) is not None]
    occlusions = [track.occlusion for track in tracks if track.occlusion is not None]
    found: dict[str, tuple[str, Any]] = {
        "tracks_per_video": ("tracks per video", [per_video[number] for number in file.videos]),
        "objects_per_frame": ("objects per frame", np.concatenate(_per_frame(file, present))),
        "track_length": (
            "frames in which a track is there",
            [seen.sum() for seen in present.values()],
        ),
        "object_size": (
            "size of objects (% of the frame)",
            np.concatenate(sizes) if sizes else [],
        ),
        "motion": ("motion: IoU of boxes in consecutive frames, mean of a track", motions),
        "gaps": ("absences between two appearances (frames)", gaps),
        "occlusion": ("occlusion score of OVIS (0 to 0.75)", occlusions),
    }
    always = ("tracks_per_video", "objects_per_frame", "track_length")
    return {
        name: _distribution(title, values)
        for name, (title, values) in found.items()
        if len(values) or name in always
    }


def _distribution(title: str, values: Any) -> Distribution:
    return Distribution(title, np.asarray(values, dtype=np.float64))


def gap_lengths(present: npt.NDArray[np.bool_]) -> list[int]:
    """Return the lengths of absences between two appearances.

    Args:
        present: ``(T,)`` whether an object is in the frame.

    Examples:
        >>> gap_lengths(np.array([False, True, False, False, True, False]))
        [2]
    """
    seen = np.flatnonzero(present)
    if not len(seen):
        return []
    inside = present[seen[0] : seen[-1] + 1].tolist()
    return [len([*run]) for there, run in groupby(inside) if not there]


def _classes(
    file: Annotations,
    tracks: Sequence[GroundTruthTrack],
    present: Mapping[int, npt.NDArray[np.bool_]],
) -> dict[str, tuple[int, int, int]]:
    """Return tracks, videos and objects in frames by category, the most frequent first."""
    found = {}
    for number, name in file.categories.items():
        own = [track for track in tracks if track.category_id == number]
        frames = int(sum(present[track.id].sum() for track in own))
        label = name if name not in found else f"{name} ({number})"
        found[label] = (len(own), len({track.video_id for track in own}), frames)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))
