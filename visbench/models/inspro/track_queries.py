# SPDX-License-Identifier: Apache-2.0
"""How identities come about with track and detect queries; no network code.

The counterpart of InsPro's united queries (row 2e of the paper), after MOTR. Every frame has N
detect slots, the same learned pairs each time, followed by one slot per track of the previous
frame. In training a track slot belongs to its object; at test time scores open and close tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from visbench.models.inspro.association import Costs, Slots, TemporallyConsistentMatching

NOBODY = -1
"""Owner of a track slot that is a false positive."""

Values = npt.NDArray[np.floating]


class TrackQueryMatching(TemporallyConsistentMatching):
    """Matching of one frame in which track slots are bound to their objects beforehand.

    An object with a track slot is given it without a look at the cost. The other objects compete
    for the detect slots alone. False positives, and slots beyond the tracks (padding), are never
    matched.

    Args:
        owners: Object id of every track slot, each at most once, or :data:`NOBODY`.
        num_detect: Number of detect slots N; track slots follow them.
        stage_mode: As in TemporallyConsistentMatching.
    """

    def __init__(
        self, owners: Sequence[int], num_detect: int, stage_mode: str = "per_stage_new"
    ) -> None:
        owned = [index for index, owner in enumerate(owners) if owner != NOBODY]
        super().__init__(num_detect + len(owned), stage_mode)
        self.columns = np.array([*range(num_detect), *(num_detect + index for index in owned)])
        self.slot_of = {int(owners[index]): num_detect + row for row, index in enumerate(owned)}

    def match(self, ids: Sequence[int], costs: Costs) -> Slots:
        """Match the objects of the frame; see TemporallyConsistentMatching.

        Args:
            ids: G ids of the visible objects.
            costs: ``(S, N + R, G)`` costs of S stages for N detect and R track slots or padding.
        """
        slots = super().match(ids, costs[:, self.columns])
        return np.where(slots < 0, -1, self.columns[slots])


@dataclass(frozen=True)
class TrackSelection:
    """Which slots of a training frame become track slots of the next one.

    Args:
        min_iou: A slot is kept if its box overlaps its object by more than this.
        drop_probability: Of a kept slot to be left out, so that detect slots find its object again.
        false_positive_probability: Of a kept slot to bring along a slot without an object, so that
            tracks learn to end.

    Raises:
        ValueError: If a value is outside 0 to 1.
    """

    min_iou: float = 0.5
    drop_probability: float = 0.1
    false_positive_probability: float = 0.3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value} must be between 0 and 1")

    def select(
        self, ids: Sequence[int], slots: Slots, overlaps: Values, neighbours: Values, draws: Values
    ) -> tuple[list[int], list[int]]:
        """Choose the slots of one clip that are handed on.

        The false positive of a slot is the slot without an object whose box overlaps its box most,
        the lowest index on ties; each is taken once.

        Args:
            ids: G ids of the visible objects.
            slots: ``(G,)`` slot of each in the last stage, -1 for none.
            overlaps: ``(G,)`` IoU of the box of that slot with the object.
            neighbours: ``(S, S)`` IoU between the boxes of all slots of the clip.
            draws: ``(2, G)`` uniform random numbers in [0, 1).

        Returns:
            The chosen slots and their owners: first kept ones in the order of ``ids``, then false
            positives with the owner :data:`NOBODY`.
        """
        kept = (slots >= 0) & (overlaps > self.min_iou) & (draws[0] >= self.drop_probability)
        rows = np.flatnonzero(kept).tolist()
        free = np.ones(len(neighbours), dtype=bool)
        free[slots[slots >= 0]] = False
        false_positives = []
        for row in rows:
            if draws[1, row] < self.false_positive_probability and free.any():
                nearest = int(np.where(free, neighbours[slots[row]], -1.0).argmax())
                free[nearest] = False
                false_positives.append(nearest)
        chosen = [int(slots[row]) for row in rows]
        owners = [int(ids[row]) for row in rows]
        return chosen + false_positives, owners + [NOBODY] * len(false_positives)


class OpenTracks(NamedTuple):
    """The open tracks of a video, in the order of their slots.

    Attributes:
        ids: Id of each, ascending.
        misses: For how many frames in a row the score of each has been too low.
        opened: How many tracks have been opened so far, which is the next id.
    """

    ids: list[int]
    misses: list[int]
    opened: int


@dataclass(frozen=True)
class TrackLifeCycle:
    """When tracks are opened and closed at test time.

    The number of open tracks is bounded: when there is no room for all new ones, those with the
    highest scores are opened (the lowest slots on ties) and the others are not; open tracks never
    give way.

    Args:
        open_score: A detect slot with at least this score opens a track.
        keep_score: Below this score a track counts a miss; any other frame starts the count anew.
        patience: A track is closed at this many misses in a row, in the frame of the last of them.
        max_tracks: How many tracks may be open at once.

    Raises:
        ValueError: If a value is out of range or ``keep_score`` above ``open_score``.
    """

    open_score: float = 0.4
    keep_score: float = 0.3
    patience: int = 5
    max_tracks: int = 50

    def __post_init__(self) -> None:
        for name in ("patience", "max_tracks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.keep_score <= self.open_score:
            raise ValueError(
                f"keep_score={self.keep_score} must be at most open_score={self.open_score}, "
                "else a new track would begin with a miss"
            )

    def advance(self, tracks: OpenTracks, scores: Values) -> tuple[list[int], OpenTracks]:
        """Open and close tracks by the scores of a frame.

        Args:
            tracks: The tracks that the frame started with.
            scores: ``(N + R,)`` scores of the detect slots, then of the tracks.

        Returns:
            The slot in this frame of every track that is open now, and these tracks: those that
            stay in their order, then new ones in the order of their slots. Ids are never reused.
        """
        num_detect = len(scores) - len(tracks.ids)
        misses = [
            0 if score >= self.keep_score else missed + 1
            for score, missed in zip(scores[num_detect:], tracks.misses, strict=True)
        ]
        stay = [row for row, missed in enumerate(misses) if missed < self.patience]
        new = self._new(scores[:num_detect], self.max_tracks - len(stay))
        opened = tracks.opened + len(new)
        return [num_detect + row for row in stay] + new, OpenTracks(
            [tracks.ids[row] for row in stay] + list(range(tracks.opened, opened)),
            [misses[row] for row in stay] + [0] * len(new),
            opened,
        )

    def _new(self, scores: Values, room: int) -> list[int]:
        candidates = np.flatnonzero(scores >= self.open_score)
        order = np.argsort(-scores[candidates], kind="stable")
        return sorted(candidates[order[:room]].tolist())
