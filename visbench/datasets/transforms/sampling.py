# SPDX-License-Identifier: Apache-2.0
"""Chooses the frames of a clip. Positions in the list of frames are never taken for frame ids."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.transforms import BaseFrameSample

from visbench.registry import TRANSFORMS

_ORDERS = ("sorted", "key_first", "shuffled")
_ANNOTATED = ("none", "key", "all")


class FrameSampler(BaseFrameSample):
    """Base of samplers that choose a key frame and further frames around it.

    The randomness is that of numpy's global generator, which the data set seeds for every draw.

    Args:
        annotated: Which frames must carry at least one object that is not a crowd: ``none``,
            ``key`` or ``all``. Ignored when the video has no such frame.
        order: ``sorted`` by time, ``key_first``, or ``shuffled``.

    Raises:
        ValueError: If an argument is not one of the words above.
    """

    def __init__(self, annotated: str = "none", order: str = "sorted") -> None:
        super().__init__(collect_video_keys=["video_id", "video_length"])
        _check("annotated", annotated, _ANNOTATED)
        _check("order", order, _ORDERS)
        self.annotated = annotated
        self.order = order

    @abstractmethod
    def choose(self, candidates: list[int], key: int) -> list[int]:
        """Return the positions of the clip's other frames.

        Args:
            candidates: Sorted positions that may be taken; ``key`` may be among them.
            key: Position of the key frame.
        """

    def candidates(self, frames: Sequence[dict[str, Any]], key: int) -> list[int]:
        """Return the sorted positions that the other frames may be taken from.

        Args:
            frames: The video's frames with their ``instances``.
            key: Position of the key frame, which may be among the positions returned.
        """
        everything = list(range(len(frames)))
        if self.annotated != "all":
            return everything
        return [position for position in everything if has_objects(frames[position])] or everything

    def transform(self, video_infos: dict[str, Any]) -> dict[str, list[Any]]:
        """Choose frames of a video.

        Args:
            video_infos: A video as :class:`~visbench.datasets.VISDataset` gives it: ``images``,
                ``video_id``, ``video_length``, and ``key_frame_id`` if the key frame is fixed.

        Returns:
            Dictionary of lists over the chosen frames, with ``key_frame_flags``.
        """
        frames = video_infos["images"]
        key = video_infos.get("key_frame_id")
        if key is None:
            keys = list(range(len(frames)))
            if self.annotated != "none":
                keys = [position for position in keys if has_objects(frames[position])] or keys
            key = keys[np.random.randint(len(keys))]
        chosen = self._arrange(key, self.choose(self.candidates(frames, key), key))
        results = self.prepare_data(video_infos, [position for position, _ in chosen])
        results["key_frame_flags"] = [is_key for _, is_key in chosen]
        return results

    def prepare_data(self, video_infos: dict[str, Any], sampled_inds: Sequence[int]) -> Any:
        """Collate copies of the chosen frames, so that a frame may be taken twice."""
        images = [dict(video_infos["images"][index]) for index in sampled_inds]
        video = {**video_infos, "images": images}
        return super().prepare_data(video, list(range(len(images))))

    def _arrange(self, key: int, others: list[int]) -> list[tuple[int, bool]]:
        clip = [(key, True)] + [(position, False) for position in others]
        if self.order == "sorted":
            return sorted(clip, key=lambda frame: frame[0])
        if self.order == "shuffled":
            return [clip[i] for i in np.random.permutation(len(clip))]
        return clip


@TRANSFORMS.register_module()
class SampleClip(FrameSampler):
    """Choose ``num_frames`` frames at random around a random key frame.

    Frames are distinct where the range holds enough of them; otherwise all of them are taken and
    some repeated.

    Args:
        num_frames: Number of frames of the clip.
        frame_range: Largest distance from the key frame, or ``(lowest, highest)`` offset, both
            inclusive; None for the whole video.
        order: ``sorted`` by time, ``key_first`` or ``shuffled``.
        annotated: Which frames must carry objects: ``none``, ``key`` or ``all``.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_frames: int,
        frame_range: int | Sequence[int] | None = None,
        order: str = "sorted",
        annotated: str = "none",
    ) -> None:
        super().__init__(annotated, order)
        if num_frames < 1:
            raise ValueError(f"num_frames must be 1 or more, got {num_frames}")
        self.num_frames = num_frames
        self.frame_range = _offsets(frame_range)

    def choose(self, candidates: list[int], key: int) -> list[int]:
        """Draw the other frames without replacement while there are enough."""
        low, high = self.frame_range
        allowed = [i for i in candidates if i != key and key + low <= i <= key + high]
        return draw_positions(allowed or [key], self.num_frames - 1)


@TRANSFORMS.register_module()
class SampleGrowingClip(SampleClip):
    """Choose clips that become longer in the course of training.

    A recurrent model that starts from scratch learns appearance fastest from single frames of many
    videos, and to follow objects only from longer clips. The length follows from the number of
    the draw, so a resumed run continues as an uninterrupted one would.

    Args:
        lengths: Pairs ``(first draw, number of frames)``, the first from draw 0, in order. Draws
            count samples, not batches: a change must fall between two batches, so its draw is a
            multiple of the samples that all processes take per iteration.
        frame_range: As in :class:`SampleClip`.
        order: As in :class:`SampleClip`.
        annotated: As in :class:`SampleClip`.

    Raises:
        ValueError: If ``lengths`` does not start at draw 0 or is not in order.
    """

    def __init__(
        self,
        lengths: Sequence[Sequence[int]],
        frame_range: int | Sequence[int] | None = None,
        order: str = "sorted",
        annotated: str = "none",
    ) -> None:
        starts = [int(start) for start, _ in lengths]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(
                f"lengths={list(lengths)} must begin at draw 0 and name later draws in order"
            )
        super().__init__(min(int(length) for _, length in lengths), frame_range, order, annotated)
        self.lengths = [(int(start), int(length)) for start, length in lengths]

    def transform(self, video_infos: dict[str, Any]) -> dict[str, list[Any]]:
        """Choose frames of a video; one without ``draw_number`` gets the final length."""
        number = video_infos.get("draw_number")
        reached = [length for start, length in self.lengths if number is None or start <= number]
        self.num_frames = reached[-1]
        return super().transform(video_infos)


@TRANSFORMS.register_module()
class SampleKeyReference(SampleClip):
    """Choose a key frame and reference frames within a range of it.

    With ``order="sorted"`` and ``key="earliest"`` the earliest frame becomes the key frame, as in
    the reference implementation of IDOL (fact sheet, section 5.1).

    Args:
        num_references: Number of reference frames.
        frame_range: As in :class:`SampleClip`.
        order: As in :class:`SampleClip`.
        annotated: Which frames must carry objects: ``none``, ``key`` or ``all``.
        key: ``drawn`` (the frame drawn first) or ``earliest``.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_references: int = 1,
        frame_range: int | Sequence[int] | None = 10,
        order: str = "key_first",
        annotated: str = "key",
        key: str = "drawn",
    ) -> None:
        super().__init__(num_references + 1, frame_range, order, annotated)
        _check("key", key, ("drawn", "earliest"))
        self.key = key

    def _arrange(self, key: int, others: list[int]) -> list[tuple[int, bool]]:
        if self.key == "earliest":
            key, *others = sorted([key, *others])
        return super()._arrange(key, others)


@TRANSFORMS.register_module()
class SampleGapClip(FrameSampler):
    """Choose frames in order with random gaps of at most ``max_gap`` between neighbours.

    The start is uniform over the positions that leave room for the rest; then, with r frames
    still to pick, the gap is uniform in 1 to ``min(max_gap, n - current - r)`` (IAI's reference
    implementation). The list of a shorter video is repeated from its beginning. The first frame
    is the key frame.

    Args:
        num_frames: Number of frames of the clip.
        max_gap: Largest step between neighbours; 1 gives consecutive frames.
        annotated: ``all`` walks over the frames with objects only; ``none`` over all.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, num_frames: int, max_gap: int = 1, annotated: str = "none") -> None:
        super().__init__(annotated, "key_first")
        if num_frames < 1 or max_gap < 1:
            raise ValueError(f"num_frames {num_frames} and max_gap {max_gap} must be 1 or more")
        self.num_frames = num_frames
        self.max_gap = max_gap
        self._start: list[int] = []

    def transform(self, video_infos: dict[str, Any]) -> dict[str, list[Any]]:
        """Choose frames of a video; see :meth:`FrameSampler.transform`."""
        frames = video_infos["images"]
        positions = list(range(len(frames)))
        if self.annotated != "none":
            positions = [i for i in positions if has_objects(frames[i])] or positions
        chosen = self.choose(positions, -1)
        results = self.prepare_data(video_infos, chosen)
        results["key_frame_flags"] = [index == 0 for index in range(len(chosen))]
        return results

    def choose(self, candidates: list[int], key: int) -> list[int]:
        """Walk over the candidates with random gaps; ``key`` is not used."""
        repeats = -(-self.num_frames // len(candidates))
        candidates = (candidates * repeats)[: max(len(candidates), self.num_frames)]
        current = np.random.randint(len(candidates) - self.num_frames + 1)
        chosen = [candidates[current]]
        for remaining in range(self.num_frames - 1, 0, -1):
            current += np.random.randint(
                1, min(self.max_gap, len(candidates) - current - remaining) + 1
            )
            chosen.append(candidates[current])
        return chosen


def has_objects(frame: dict[str, Any]) -> bool:
    """Return whether a frame carries an object that is not a crowd."""
    return any(not instance.get("ignore_flag") for instance in frame["instances"])


def draw_positions(allowed: Sequence[int], count: int) -> list[int]:
    """Draw positions: without repeats while there are enough, else each once and some again.

    Args:
        allowed: Non-empty list.
        count: How many.
    """
    chosen: list[int] = []
    while len(chosen) < count:
        order = np.random.permutation(len(allowed))
        chosen += [allowed[i] for i in order[: count - len(chosen)]]
    return chosen


def _offsets(frame_range: int | Sequence[int] | None) -> tuple[float, float]:
    if frame_range is None:
        return -np.inf, np.inf
    low, high = (-frame_range, frame_range) if isinstance(frame_range, int) else frame_range
    if not low <= 0 <= high:
        raise ValueError(f"frame_range must include the key frame (offset 0), got {frame_range}")
    return low, high


def _check(name: str, value: str, words: Sequence[str]) -> None:
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {value!r}")
