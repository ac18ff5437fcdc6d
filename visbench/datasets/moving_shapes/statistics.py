# SPDX-License-Identifier: Apache-2.0
"""Statistics of a preset, measured on its exact annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .annotations import OCCLUSION_LABELS, scene_annotations
from .motion import PIXEL, TICKS
from .presets import FRAME_HEIGHT, FRAME_WIDTH
from .scene import Scene
from .shapes import SPRITE_RADIUS, texel_area

LEVELS = ("light", "medium", "heavy")

LATE_FROM = 3
"""An object first seen in this frame or later comes late."""

_LABEL_VALUES = dict(zip(OCCLUSION_LABELS, (0.0, 0.25, 0.75), strict=True))


def occlusion_score(labels: Iterable[str | None]) -> float:
    """Return OVIS's occlusion score of a track, 0 to 0.75.

    The labels that are not null count 0, 0.25 and 0.75; the score is the mean of the higher
    half of them (with an odd number, the middle one included).

    Raises:
        ValueError: If all labels are null.
    """
    values = sorted((_LABEL_VALUES[label] for label in labels if label is not None), reverse=True)
    if not values:
        raise ValueError("labels: the track is visible in no frame")
    half = math.ceil(len(values) / 2)
    return sum(values[:half]) / half


def occlusion_level(score: float) -> str:
    """Return the level of a score; 0.25 counts as light and 0.5 as medium, once each."""
    if score <= 0.25:
        return "light"
    return "medium" if score <= 0.5 else "heavy"


@dataclass(frozen=True)
class TrackFacts:
    """What is counted of one ground-truth track.

    Attributes:
        level: Its occlusion level.
        late: Whether it is first seen in frame ``LATE_FROM`` or later.
        returns: Whether its centre is outside the frame in an absence between two appearances.
        speeds: Ways of its centre between frames in which it is seen, per cent of the width.
        areas: Smallest and largest area of its silhouette, per cent of the frame.
        visible: Frames in which it is seen.
    """

    level: str
    late: bool
    returns: bool
    speeds: NDArray[np.float64]
    areas: tuple[float, float]
    visible: int


def scene_facts(scene: Scene) -> list[TrackFacts]:
    """Return the facts of all tracks of a scene."""
    poses = scene.poses(0, np.arange(scene.length, dtype=np.int64) * TICKS)
    facts = []
    for index, annotation in enumerate(scene_annotations(scene)):
        labels = annotation["occlusion"]
        seen = np.array([label is not None for label in labels])
        x, y = poses.x[index] / PIXEL, poses.y[index] / PIXEL
        outside = (x < 0) | (x > FRAME_WIDTH) | (y < 0) | (y > FRAME_HEIGHT)
        first, last = np.flatnonzero(seen)[[0, -1]]
        both = seen[1:] & seen[:-1]
        radius = poses.radius[index] / PIXEL / SPRITE_RADIUS
        areas = texel_area(scene.objects[index].category) * radius**2
        areas = 100 * areas / (FRAME_HEIGHT * FRAME_WIDTH)
        facts.append(
            TrackFacts(
                level=occlusion_level(occlusion_score(labels)),
                late=bool(first >= LATE_FROM),
                returns=bool((~seen & outside)[first:last].any()),
                speeds=100 * np.hypot(np.diff(x), np.diff(y))[both] / FRAME_WIDTH,
                areas=(float(areas.min()), float(areas.max())),
                visible=int(seen.sum()),
            )
        )
    return facts


def summarise(tracks: Sequence[TrackFacts]) -> dict[str, float]:
    """Return the statistics of tracks.

    Returns:
        ``tracks`` (count), ``light``, ``medium``, ``heavy``, ``late``, ``late_or_return``
        (per cent of tracks), ``median_speed`` (per cent of the width per frame),
        ``smallest_area`` and ``largest_area`` (per cent of the frame), ``fewest_frames`` (the
        fewest frames in which a track is seen).
    """
    count = len(tracks)
    shares = {
        level: 100 * sum(track.level == level for track in tracks) / count for level in LEVELS
    }
    return {
        "tracks": count,
        **shares,
        "late": 100 * sum(track.late for track in tracks) / count,
        "late_or_return": 100 * sum(track.late or track.returns for track in tracks) / count,
        "median_speed": float(np.median(np.concatenate([track.speeds for track in tracks]))),
        "smallest_area": min(track.areas[0] for track in tracks),
        "largest_area": max(track.areas[1] for track in tracks),
        "fewest_frames": min(track.visible for track in tracks),
    }
