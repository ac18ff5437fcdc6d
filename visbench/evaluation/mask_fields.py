# SPDX-License-Identifier: Apache-2.0
"""The field ``segmentations`` of a record: read, and checked for many records at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields, shorten
from visbench.evaluation.mask_measures import Measured, measure_extents
from visbench.evaluation.mask_texts import FrameStrings, MaskTexts
from visbench.evaluation.plain_masks import PlainMasks, simplify
from visbench.evaluation.plain_runs import measure_runs
from visbench.evaluation.run_lengths import MAX_PIXELS, MaskError, compress_runs, rasterize_polygons
from visbench.evaluation.tracks import MaskTrack, mean_area

__all__ = ["UncheckedMasks", "check_masks", "collect_masks", "read_masks"]

Int64 = npt.NDArray[np.int64]

_REMEDY = "Write masks with pycocotools.mask.encode at the size of the original frame"


@dataclass(frozen=True)
class UncheckedMasks:
    """The field ``segmentations`` of a record, not decoded yet.

    Attributes:
        fields: The record, for messages.
        length: Number of entries T.
        frames: Indices of the entries that are no null.
        texts: Their compressed strings.
        sizes: Height and width of all of them, or a list of their sizes where they differ.
    """

    fields: Fields
    length: int
    frames: Int64
    texts: MaskTexts
    sizes: tuple[int, int] | list[tuple[int, int]]


def read_masks(
    fields: Fields,
    size: tuple[int, int],
    *,
    any_size: bool = False,
    polygons: bool = False,
) -> MaskTrack:
    """Read and check the field ``segmentations`` of a record.

    Args:
        fields: The record.
        size: Height and width of the video.
        any_size: Accept masks of another size (the official evaluator does).
        polygons: Accept lists of polygons (ground truth only).

    Returns:
        The masks; ``null``, ``{}`` and ``[]`` count as absent.

    Raises:
        InputError: A mask is malformed, has another size, or does not fill its image.
    """
    runs = measure_runs(fields.values.get("segmentations"), size)
    if runs is not None:
        table = np.zeros((3, runs.length), np.int64)
        table[:, runs.frames] = runs.measured
        counts = FrameStrings(runs.encoded, runs.frames, runs.length)
        return MaskTrack(counts, runs.frames, size, table[0], table[1:], mean_area(table[0]))
    masks = collect_masks(fields, size, any_size=any_size, polygons=polygons)
    return check_masks([masks])[0]


def collect_masks(
    fields: Fields,
    size: tuple[int, int],
    *,
    any_size: bool = False,
    polygons: bool = False,
) -> UncheckedMasks:
    """Read the field ``segmentations`` of a record without decoding the masks.

    Args:
        fields: As in :func:`read_masks`.
        size: As in :func:`read_masks`.
        any_size: As in :func:`read_masks`.
        polygons: As in :func:`read_masks`.

    Raises:
        InputError: A mask is malformed or has another size.
    """
    entries: Any = fields.values.get("segmentations")
    if not isinstance(entries, PlainMasks):
        entries = simplify(entries) or entries
    if isinstance(entries, PlainMasks):
        if entries.size == size or (any_size and entries.pixels <= MAX_PIXELS):
            plain = entries
            return UncheckedMasks(fields, plain.length, plain.frames, plain.texts, plain.size)
        entries = entries.as_json()
    else:
        entries = fields.list("segmentations", "one mask or null per frame is expected")
    frames: list[int] = []
    counts: list[str] = []
    sizes: list[tuple[int, int]] = []
    for frame, mask in enumerate(entries):
        if mask is None or (isinstance(mask, (list, dict)) and not mask):
            continue
        try:
            one, text = _read_mask(mask, size, any_size, polygons)
        except MaskError as error:
            raise fields.error(f"segmentations[{frame}]", error.problem, _REMEDY) from None
        frames.append(frame)
        counts.append(text)
        sizes.append(one)
    same = sizes.count(size) == len(sizes)
    texts, positions = MaskTexts.of(counts), np.array(frames, np.int64)
    return UncheckedMasks(fields, len(entries), positions, texts, size if same else sizes)


def check_masks(tracks: Sequence[UncheckedMasks]) -> list[MaskTrack]:
    """Decode, check and measure the masks of some tracks, all of them at once.

    Raises:
        InputError: A mask is damaged or does not fill its image; the first one is named.
    """
    pixels = _pixels(tracks)
    try:
        found = measure_extents([track.texts for track in tracks], pixels)
    except MaskError as error:
        raise _mask_error(tracks, error) from None
    measured = np.stack([found.areas, found.first, found.stop])
    stops = np.cumsum(np.array([len(track.frames) for track in tracks], np.int64))
    starts = stops - np.diff(stops, prepend=0)
    sums = np.concatenate(([0], np.cumsum(found.areas)))
    filled = np.concatenate(([0], np.cumsum(found.areas != 0)))
    means = (sums[stops] - sums[starts]) / np.maximum(filled[stops] - filled[starts], 1)
    limits = zip(tracks, starts.tolist(), stops.tolist(), means.tolist(), strict=True)
    return [
        _mask_track(track, _merged(track, found, start), measured[:, start:stop], mean)
        for track, start, stop, mean in limits
    ]


def _merged(track: UncheckedMasks, found: Measured, start: int) -> MaskTexts:
    """Return the strings of a track without runs of length zero."""
    stop = start + len(track.frames)
    if not found.merged or not any(start <= index < stop for index in found.merged):
        return track.texts
    strings = enumerate(track.texts.strings(), start)
    return MaskTexts.of([found.merged.get(index, text) for index, text in strings])


def _pixels(tracks: Sequence[UncheckedMasks]) -> Int64:
    """Return height times width of every mask."""
    found = [
        track.sizes[0] * track.sizes[1] if isinstance(track.sizes, tuple) else 0 for track in tracks
    ]
    lengths = [len(track.frames) for track in tracks]
    pixels = np.repeat(np.array(found, np.int64), lengths)
    start = 0
    for track, length in zip(tracks, lengths, strict=True):
        if isinstance(track.sizes, list):
            pixels[start : start + length] = [height * width for height, width in track.sizes]
        start += length
    return pixels


def _mask_error(tracks: Sequence[UncheckedMasks], error: MaskError) -> InputError:
    index = error.index
    for track in tracks:
        if index < len(track.frames):
            break
        index -= len(track.frames)
    field = f"segmentations[{track.frames[index]}]"
    return track.fields.error(field, error.problem, _REMEDY)


def _mask_track(track: UncheckedMasks, texts: MaskTexts, measured: Int64, mean: float) -> MaskTrack:
    sizes: tuple[int, int] | list[tuple[int, int] | None]
    sizes = track.sizes if isinstance(track.sizes, tuple) else [*track.sizes]
    if len(track.frames) != track.length:
        if isinstance(track.sizes, list):
            sizes = [None] * track.length
            for frame, size in zip(track.frames.tolist(), track.sizes, strict=True):
                sizes[frame] = size
        table = np.zeros((3, track.length), np.int64)
        table[:, track.frames] = measured
        measured = table
    counts = FrameStrings(texts.encoded, track.frames, track.length)
    return MaskTrack(counts, track.frames, sizes, measured[0], measured[1:], mean)


def _read_mask(
    entry: Any, size: tuple[int, int], any_size: bool, polygons: bool
) -> tuple[tuple[int, int], str]:
    """Return size and compressed string of a mask."""
    if isinstance(entry, list):
        if not polygons:
            raise MaskError(0, "polygons are not accepted in results")
        return size, rasterize_polygons(entry, *size)
    if not isinstance(entry, Mapping):
        raise MaskError(0, f"must be null or an RLE object, found {shorten(entry)}")
    height, width = _mask_size(entry.get("size"))
    if (height, width) != size and not any_size:
        raise MaskError(
            0, f"size {[height, width]} is not the video's [height, width] {list(size)}"
        )
    counts = entry.get("counts")
    if isinstance(counts, bytes):
        # What is not ASCII becomes a character outside of the alphabet and is reported as such.
        counts = counts.decode("ascii", "replace")
    elif isinstance(counts, (list, tuple, np.ndarray)):
        counts = compress_runs(counts, height, width)
    elif not isinstance(counts, str):
        raise MaskError(0, f"'counts' must be a string or a list, found {shorten(counts)}")
    return (height, width), counts


def _mask_size(size: Any) -> tuple[int, int]:
    sides = list(size) if isinstance(size, (list, tuple, np.ndarray)) else []
    if len(sides) != 2 or not (_is_length(sides[0]) and _is_length(sides[1])):
        raise MaskError(0, f"'size' must be [height, width], found {size!r:.60}")
    height, width = int(sides[0]), int(sides[1])
    if height * width > MAX_PIXELS:
        raise MaskError(0, f"size {[height, width]} is larger than any image")
    return height, width


def _is_length(side: Any) -> bool:
    if type(side) is int:
        return side > 0
    return isinstance(side, (int, np.integer)) and not isinstance(side, bool) and int(side) > 0
