#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure the reduction of Propose-Reduce: from packed mask sequences to what is kept.

The problem is made from a seed: blobs with a wobbly outline, each of 0.5 to 5 % of the frame, drift
through the video and bounce off its borders. A share of them (30 %) follows another blob
closely, as proposals of the same object do; all others overlap by chance. Making and packing the
masks, which goes on while a model runs, is timed apart from the reduction, which starts from
the packed masks and counts all overlaps anew for each row of the table.

Processor seconds count, as other processes may run on the machine. ``--check`` counts all pairs of
sequences again with pycocotools, frame by frame, and compares every IoU.

Example:
    python benchmarks/sequence_reduction.py
    python benchmarks/sequence_reduction.py --sequences 50 --frames 30 --check
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_utils
from rich.console import Console
from rich.table import Table

from visbench.benchmark.machine import machine, peak_memory_mb
from visbench.models.propose_reduce.association import (
    CategoryAwareReduction,
    MaskSequence,
    SequenceNMS,
    SequenceOverlaps,
    SequenceSoftNMS,
    pack_masks,
    reduce_sequences,
)

AREA = (0.005, 0.05)
ASPECT = (0.5, 2.0)
SPEED = 6.0
"""Largest step of a blob between frames, in pixels per side."""

FOLLOWING = (0.02, 0.3)
"""Distance of a follower from its blob, in half axes of that blob."""

WOBBLE = 0.15
CLASSES = 40
REDUCTIONS = {
    "NMS, IoU 0.5": [SequenceNMS(0.5, 0.05)],
    "Gaussian soft NMS, at most 20": [SequenceSoftNMS()],
    "Gaussian soft NMS, all": [SequenceSoftNMS(max_sequences=10**6)],
    "category-aware": [SequenceNMS(0.9, 0.05), CategoryAwareReduction()],
}


class Blobs(NamedTuple):
    """N blobs: half axes, outline and path.

    Attributes:
        axes: ``(N, 2)`` half axes, x and y, in pixels.
        waves: ``(N, 2)`` number of waves of the outline and their phase.
        centres: ``(T, N, 2)`` x and y in pixels.
    """

    axes: Any
    waves: Any
    centres: Any


def main() -> None:
    """Make the problem, reduce it in all ways and print the table."""
    args = parse_args()
    rng = np.random.default_rng(args.seed)
    begin = time.process_time()
    sequences, areas = packed_sequences(draw_blobs(rng, args), tuple(args.size))
    making = time.process_time() - begin
    scores = rng.dirichlet(np.full(CLASSES + 1, 0.1), size=len(sequences)).astype(np.float32)
    held = sum(mask.words.nbytes for sequence in sequences for mask in sequence)
    before = peak_memory_mb()
    rows = [
        (name, *timed(lambda r=reducers: reduce_packed(sequences, scores, r), args.runs))
        for name, reducers in REDUCTIONS.items()
    ]
    peak = peak_memory_mb()
    console = Console(width=120)
    console.print(machine())
    console.print(
        f"blobs of {100 * min(areas):.2f} to {100 * max(areas):.2f} % of the frame; making and "
        f"packing took {making:.1f} processor seconds; packed masks: {held / 2**20:.0f} MiB"
    )
    console.print(describe_overlaps(sequences))
    console.print(time_table(rows, args))
    console.print(
        f"peak memory of the process: {peak:.0f} MiB, {before:.0f} MiB of it before the reduction"
    )
    if args.check:
        console.print(check_against_pycocotools(sequences))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the reduction of Propose-Reduce.")
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640), metavar=("H", "W"))
    parser.add_argument(
        "--overlapping", type=float, default=0.3, help="share that follows another (default: 0.3)"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each reduction (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="compare with pycocotools (slow)")
    return parser.parse_args()


def draw_blobs(rng: np.random.Generator, args: argparse.Namespace) -> Blobs:
    """Draw blobs that move on their own, and after them those that follow one of these."""
    height, width = args.size
    followers = round(args.overlapping * args.sequences)
    leaders = args.sequences - followers
    area = rng.uniform(*AREA, args.sequences) * height * width
    aspect = np.exp(rng.uniform(*np.log(ASPECT), args.sequences))
    axes = np.sqrt(area / np.pi)[:, None] * np.stack([aspect**0.5, aspect**-0.5], axis=1)
    leader = rng.integers(0, max(leaders, 1), followers)
    axes[leaders:] = axes[leader]
    # The whole outline stays inside, so that the areas are what was drawn.
    reach = (1 + WOBBLE) * axes[:leaders]
    room = np.array([width, height]) - 2 * reach
    start, speed = rng.uniform(0, 1, (leaders, 2)) * room, rng.uniform(-SPEED, SPEED, (leaders, 2))
    travelled = start + speed * np.arange(args.frames)[:, None, None]
    free = reach + room - np.abs(np.mod(travelled, 2 * room) - room)
    angle = rng.uniform(0, 2 * np.pi, followers)
    offset = rng.uniform(*FOLLOWING, followers)[:, None] * np.stack(
        [np.cos(angle), np.sin(angle)], axis=1
    )
    inside = reach[leader], np.array([width, height]) - reach[leader]
    following = np.clip(free[:, leader] + offset * axes[leader], *inside)
    waves = np.stack(
        [rng.integers(3, 9, args.sequences), rng.uniform(0, 2 * np.pi, args.sequences)], axis=1
    )
    return Blobs(axes, waves, np.concatenate([free, following], axis=1))


def packed_sequences(blobs: Blobs, size: tuple[int, int]) -> tuple[list[MaskSequence], list[float]]:
    """Return the packed sequences and the areas of all masks as shares of the frame."""
    sequences: list[MaskSequence] = [[] for _ in blobs.axes]
    for centres in blobs.centres:
        for sequence, mask in zip(sequences, render(blobs, centres, size), strict=True):
            sequence += pack_masks(mask[None])
    pixels = size[0] * size[1]
    return sequences, [mask.area / pixels for sequence in sequences for mask in sequence]


def render(blobs: Blobs, centres: Any, size: tuple[int, int]) -> Iterator[Any]:
    """Yield the ``(H, W)`` masks of one frame."""
    height, width = size
    for (cx, cy), (ax, ay), (count, phase) in zip(centres, blobs.axes, blobs.waves, strict=True):
        x = slice(max(int(cx - 1.2 * ax), 0), int(cx + 1.2 * ax) + 2)
        y = slice(max(int(cy - 1.2 * ay), 0), int(cy + 1.2 * ay) + 2)
        dx = (np.arange(width)[x] - cx) / ax
        dy = (np.arange(height)[y, None] - cy) / ay
        wave = WOBBLE * np.cos(count * np.arctan2(dy, dx) + phase)
        mask = np.zeros(size, dtype=bool)
        mask[y, x] = np.hypot(dx, dy) < 1 + wave
        yield mask


def reduce_packed(sequences: list[MaskSequence], scores: Any, reducers: list[Any]) -> int:
    """Return how many sequences are left; overlaps are counted from nothing."""
    return len(reduce_sequences(reducers, SequenceOverlaps(sequences), scores).kept)


def timed(action: Callable[[], int], runs: int) -> tuple[int, list[float], list[float]]:
    """Return the answer, and processor and wall seconds of every run."""
    processor, wall, answer = [], [], 0
    for _ in range(runs):
        begin = time.process_time(), time.perf_counter()
        answer = action()
        processor.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    return answer, processor, wall


def time_table(rows: list[tuple[str, int, list[float], list[float]]], args: Any) -> Table:
    """Return a table of least and largest seconds."""
    height, width = args.size
    table = Table(
        title=f"{args.sequences} sequences of {args.frames} frames of {height}x{width}, "
        f"{args.runs} runs, one thread, numpy {np.__version__}"
    )
    for name in ("reduction", "kept", "processor seconds", "wall seconds"):
        table.add_column(name, justify="left" if name == "reduction" else "right")
    for name, kept, processor, wall in rows:
        spans = [f"{min(taken):.2f} to {max(taken):.2f}" for taken in (processor, wall)]
        table.add_row(name, str(kept), *spans)
    return table


def describe_overlaps(sequences: list[MaskSequence]) -> str:
    """Return how many pairs of sequences overlap."""
    overlaps = SequenceOverlaps(sequences)
    iou = np.stack([overlaps.row(index) for index in range(len(overlaps))])
    pairs = iou[np.triu_indices(len(iou), 1)]
    best = np.where(np.eye(len(iou), dtype=bool), 0, iou).max(axis=1)
    return (
        f"{100 * (pairs > 0).mean():.0f} % of the pairs of sequences share a pixel; "
        f"{100 * (best >= 0.3).mean():.0f} % of the sequences have an IoU of 0.3 or more with "
        "another"
    )


def check_against_pycocotools(sequences: list[MaskSequence]) -> str:
    """Return whether all IoU are those from pycocotools' areas of merged masks."""
    begin = time.process_time()
    overlaps = SequenceOverlaps(sequences)
    ours = np.stack([overlaps.row(index) for index in range(len(sequences))])
    seconds = {"here": time.process_time() - begin, "there": 0.0}
    shared = np.zeros(ours.shape)
    area = np.zeros(len(sequences))
    for masks in zip(*sequences, strict=True):
        stack = np.stack([mask.unpack() for mask in masks], axis=-1)
        encoded = mask_utils.encode(np.asfortranarray(stack, dtype=np.uint8))
        areas = mask_utils.area(encoded).astype(np.float64)
        begin = time.process_time()
        # With every mask a crowd region, the IoU is the intersection over the first mask's area.
        part = mask_utils.iou(encoded, encoded, [1] * len(encoded))
        seconds["there"] += time.process_time() - begin
        shared += np.rint(part * areas[:, None])
        area += areas
    union = area[:, None] + area - shared
    expected = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return (
        f"all {ours.size} IoU equal pycocotools': {bool((ours == expected).all())}; all pairs: "
        f"{seconds['here']:.2f} processor seconds here, {seconds['there']:.2f} there"
    )


if __name__ == "__main__":
    main()
