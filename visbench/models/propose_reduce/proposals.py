# SPDX-License-Identifier: Apache-2.0
"""The sequences that were proposed for a video, collected frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.models.propose_reduce.association import MaskSequence, PackedMask, SequenceScorer
from visbench.structures.rle import as_array


@dataclass
class SequenceProposals:
    """Sequences of all key frames of a video: in order of the key frames, then of the objects.

    Args:
        sequences: One per object and key frame.
        scores: ``(C + 1,)`` class probabilities of every sequence, background last.
    """

    sequences: list[MaskSequence] = field(default_factory=list)
    scores: list[npt.NDArray[Any]] = field(default_factory=list)


class KeyFrameRecorder:
    """What propagation finds of the objects of one key frame.

    Args:
        length: Number of frames of the video.
        objects: Number of objects.
        num_classes: Number of classes without the background.
    """

    def __init__(self, length: int, objects: int, num_classes: int) -> None:
        self._masks: list[list[PackedMask]] = [[] for _ in range(length)]
        self._probabilities = np.zeros((length, objects, num_classes + 1), dtype=np.float32)
        self._visible = np.zeros((length, objects), dtype=np.bool_)

    def add(self, frame: int, masks: list[PackedMask], visible: npt.NDArray[np.bool_]) -> None:
        """Record the masks of one frame.

        Args:
            frame: Index of the frame.
            masks: The objects' masks.
            visible: ``(O,)`` which of them have any pixel.
        """
        self._masks[frame] = masks
        self._visible[frame] = visible

    def add_probabilities(self, frame: int, probabilities: Any) -> None:
        """Record the classes of the visible objects of a frame, after its masks.

        Args:
            frame: Index of the frame.
            probabilities: ``(visible objects, C + 1)`` class probabilities, background last.
        """
        self._probabilities[frame, self._visible[frame]] = as_array(probabilities, np.float32)

    def finish(self, score: SequenceScorer, proposals: SequenceProposals) -> None:
        """Append the objects' sequences and their scores to the proposals."""
        proposals.sequences += [list(sequence) for sequence in zip(*self._masks, strict=True)]
        proposals.scores += list(score(self._probabilities, self._visible))
