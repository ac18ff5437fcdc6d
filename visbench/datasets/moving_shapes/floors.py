# SPDX-License-Identifier: Apache-2.0
"""Rows that every table of results carries: two floors and a control, nothing learned.

All give the list that ``results.json`` holds: one entry per predicted track.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from .draws import Draws
from .linking import Linker, Region
from .shapes import CATEGORIES, silhouette

Result = dict[str, Any]
ReadFrame = Callable[[str], NDArray[np.uint8]]

_BLUR = 3.0
_COLOURS = 5
_LARGE_HOLE = 0.12
_SMALLEST = 150
_LARGEST = 3200
_SHAPE_SIZE = 32
_TURNS = 12


def _encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    rle = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def _tracks_of(annotations: dict[str, Any], video_id: int) -> list[dict[str, Any]]:
    return [track for track in annotations["annotations"] if track["video_id"] == video_id]


def filled_boxes(annotations: dict[str, Any]) -> list[Result]:
    """Return the first floor: ground-truth boxes filled as masks, linked by IoU.

    Boxes and categories are the ground truth's, identities are not: boxes of one category are
    linked from frame to frame by their IoU.

    Args:
        annotations: A YouTube-VIS annotation file with ground truth.
    """
    results: list[Result] = []
    for video in annotations["videos"]:
        tracks = _tracks_of(annotations, video["id"])
        linker = Linker()
        for index in range(len(video["file_names"])):
            regions = [
                Region(_fill(track["bboxes"][index], video), track["category_id"], 1.0)
                for track in tracks
                if track["bboxes"][index] is not None
            ]
            linker.step(index, regions)
        results += _as_results(linker, video)
    return results


def _fill(box: list[float], video: dict[str, Any]) -> NDArray[np.bool_]:
    x, y, width, height = (round(value) for value in box)
    mask = np.zeros((video["height"], video["width"]), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return mask


def shuffled_ids(annotations: dict[str, Any], seed: int = 0) -> list[Result]:
    """Return the control: perfect masks whose identities are shuffled in every frame.

    In every frame the masks of one category change places among that category's tracks that
    are there, so detection is perfect and identity is chance.

    Args:
        annotations: A YouTube-VIS annotation file with ground truth.
        seed: Seed of the shuffles.
    """
    results: list[Result] = []
    for video in annotations["videos"]:
        tracks = _tracks_of(annotations, video["id"])
        draws = Draws(seed, video["id"])
        masks: list[list[Any]] = [list(track["segmentations"]) for track in tracks]
        for index in range(len(video["file_names"])):
            for category in sorted({track["category_id"] for track in tracks}):
                there = [
                    number
                    for number, track in enumerate(tracks)
                    if track["category_id"] == category and masks[number][index] is not None
                ]
                shown = [masks[number][index] for number in there]
                for number, place in zip(there, draws.order(len(there)), strict=True):
                    masks[number][index] = shown[place]
        results += [
            {
                "video_id": video["id"],
                "category_id": track["category_id"],
                "score": 1.0,
                "segmentations": mask,
            }
            for track, mask in zip(tracks, masks, strict=True)
        ]
    return results


def colour_segmentation(annotations: dict[str, Any], read_frame: ReadFrame) -> list[Result]:
    """Return the second floor: regions of one colour, linked by IoU.

    Every frame is smoothed and its colours are clustered by k-means in CIE Lab. Connected
    regions of a cluster whose size an object may have are filled, named after the category whose
    silhouette fits best over a set of rotations, scored by that fit and linked by IoU. Knows the
    eight silhouettes and the range of sizes; learns nothing and sees no ground truth.

    Args:
        annotations: A YouTube-VIS annotation file; only videos and file names are used.
        read_frame: Gives the frame (height, width, 3) uint8, blue, green, red, of a file name.
    """
    results: list[Result] = []
    for video in annotations["videos"]:
        linker = Linker(by_category=False)
        for index, name in enumerate(video["file_names"]):
            linker.step(index, colour_regions(read_frame(name)))
        results += _as_results(linker, video)
    return results


def colour_regions(frame: NDArray[np.uint8]) -> list[Region]:
    """Return the regions of one frame that colour segmentation takes for objects."""
    # Smoothing blends the two tones of a texture into one colour.
    smooth = cv2.GaussianBlur(frame, (0, 0), _BLUR)
    lab = cv2.cvtColor(smooth, cv2.COLOR_BGR2LAB).reshape(-1, 3).astype(np.float32)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 1.0)
    cv2.setRNGSeed(0)
    start = np.empty(0, dtype=np.int32)
    _, labels, _ = cv2.kmeans(lab, _COLOURS, start, stop, 1, cv2.KMEANS_PP_CENTERS)
    clusters = labels.reshape(frame.shape[:2])
    regions: list[Region] = []
    for cluster in range(_COLOURS):
        plane = (clusters == cluster).astype(np.uint8)
        count, parts, facts, _ = cv2.connectedComponentsWithStats(plane, connectivity=4)
        for part in range(1, count):
            if _SMALLEST <= facts[part, cv2.CC_STAT_AREA] <= _LARGEST:
                mask = _tidy(parts == part)
                category, fit = nearest_category(mask)
                regions.append(Region(mask, category + 1, fit))
    return regions


def _tidy(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a region with small holes filled and the rim that clustering loses put back."""
    area = np.count_nonzero(mask)
    lines, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, dtype=np.uint8)
    holes = [link[3] >= 0 for link in tree[0]]
    for line, hole in sorted(zip(lines, holes, strict=True), key=lambda pair: pair[1]):
        if not hole or cv2.contourArea(line) > _LARGE_HOLE * area:
            cv2.drawContours(filled, [line], -1, 0 if hole else 1, cv2.FILLED)
    return cv2.dilate(filled, np.ones((3, 3), dtype=np.uint8)) > 0


def nearest_category(mask: NDArray[np.bool_]) -> tuple[int, float]:
    """Return the category whose silhouette fits a mask best, and the IoU of that fit.

    The mask is moved and scaled so that centroid and area are those of the silhouettes.
    """
    shape = _normalise(mask).ravel().astype(np.float32)
    both = _TEMPLATES @ shape
    fit = both / (_TEMPLATES.sum(axis=1) + shape.sum() - both)
    best = int(fit.argmax())
    return best // _TURNS, float(fit[best])


def _normalise(mask: NDArray[np.bool_], degrees: float = 0.0) -> NDArray[np.uint8]:
    """Return a mask turned and scaled to a quarter of a 32 x 32 window, centred there."""
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    scale = _SHAPE_SIZE / 2 / np.sqrt(moments["m00"])
    turn = cv2.getRotationMatrix2D((x, y), degrees, float(scale))
    shift = (_SHAPE_SIZE - 1) / 2 - np.array([[0, 0, x], [0, 0, y]])
    turn = turn + shift * np.array([0, 0, 1])
    size = (_SHAPE_SIZE, _SHAPE_SIZE)
    turned = cv2.warpAffine(mask.astype(np.uint8), turn, size, flags=cv2.INTER_NEAREST)
    return np.asarray(turned, dtype=np.uint8)


_TEMPLATES = np.stack(
    [
        _normalise(silhouette(category), 360 * turn / _TURNS).ravel()
        for category in range(len(CATEGORIES))
        for turn in range(_TURNS)
    ]
).astype(np.float32)


def _as_results(linker: Linker, video: dict[str, Any]) -> list[Result]:
    """Return a video's linked regions as results; label by majority, score by mean."""
    results: list[Result] = []
    for chain in linker.chains:
        segmentations: list[dict[str, Any] | None] = [None] * len(video["file_names"])
        for index, region in chain.regions.items():
            segmentations[index] = _encode(region.mask)
        names = Counter(region.category_id for region in chain.regions.values())
        fits = [region.score for region in chain.regions.values()]
        # A chain seen in more frames is more likely an object than a passing blot.
        score = sum(fits) / len(segmentations)
        results.append(
            {
                "video_id": video["id"],
                "category_id": names.most_common(1)[0][0],
                "score": score,
                "segmentations": segmentations,
            }
        )
    return results
