# SPDX-License-Identifier: Apache-2.0
"""Track and detect queries in place of InsPro's united ones: the baseline of row 2e."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from visbench.models.inspro.association import video_scores
from visbench.models.inspro.detector import Emitted, InsPro, InsProState
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.stage_series import Carry, stack_frames
from visbench.models.inspro.targets import ClipTargets, match_clips
from visbench.models.inspro.track_queries import (
    OpenTracks,
    TrackLifeCycle,
    TrackQueryMatching,
    TrackSelection,
)
from visbench.registry import MODELS
from visbench.structures import VideoInfo


@dataclass
class TrackDetectState(InsProState):
    """What is remembered of a video: the pairs of its R open tracks and class scores per track.

    ``queries (1, R, C)`` and ``proposals (1, R, 4)`` are those of the open tracks. ``totals`` and
    ``counts`` have one row per track ever opened; the row is the track's id. There is no bank.

    Args:
        ids: Id of every open track.
        misses: Frames in a row in which its score has been too low.
        opened: Number of tracks opened so far.
    """

    ids: list[int] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)
    opened: int = 0


class TrackPairs(NamedTuple):
    """Track queries of B clips, filled up to the largest number R.

    Attributes:
        queries: ``(B, R, C)``.
        proposals: ``(B, R, 4)`` xyxy, divided by the frame's size.
        owners: Object ids of the tracks of every clip, ``NOBODY`` for false positives.
    """

    queries: Tensor
    proposals: Tensor
    owners: list[list[int]]


@MODELS.register_module()
class InsProTrackDetect(InsPro):
    """InsPro's network with separate queries for tracking and for detecting, after MOTR.

    In every frame N detect pairs, always the learned ones, and the pairs (object feature, box) of
    the tracks of the previous frame pass through the stages together. Nothing is aggregated over
    time. Clips of a batch have different numbers of tracks: they are filled up with slots that no
    other slot attends to and that have no loss, which costs less than running clips one by one,
    since the time of small batches goes into the number of calls.

    Decided by us, since the paper only says that MOTR is followed: a track whose object is not
    visible is background in that frame and then ends; losses are divided by the objects of each
    frame, as in InsPro; in a frame all tracks that are open after it are emitted.

    Args:
        track_selection: Fields of a
            :class:`~visbench.models.inspro.track_queries.TrackSelection`: training.
        track_life_cycle: Fields of a
            :class:`~visbench.models.inspro.track_queries.TrackLifeCycle`: testing. The score of a
            slot is its largest class probability.
        **arguments: Arguments of :class:`~visbench.models.InsPro`. ``head.bank_size`` must be 1.
            Of ``test_cfg``, ``score_reduce`` is over the frames in which a track was open.

    Raises:
        ValueError: If the head aggregates over frames or does not propagate, or the criterion
            matches frames independently.
    """

    def __init__(
        self,
        track_selection: dict | None = None,
        track_life_cycle: dict | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.track_selection = TrackSelection(**(track_selection or {}))
        self.track_life_cycle = TrackLifeCycle(**(track_life_cycle or {}))
        for owner, name, value in (
            ("head", "bank_size", 1),
            ("head", "propagate_query", True),
            ("head", "propagate_proposal", True),
            ("criterion", "tcm", True),
        ):
            given = getattr(getattr(self, owner), name)
            if given != value:
                raise ValueError(
                    f"{owner}.{name}={given}: track queries are handed on as they are and keep "
                    f"their objects; set {owner}.{name}={value}"
                )

    def run_clips(
        self, features: Sequence[Tensor], targets: ClipTargets
    ) -> tuple[StageOutput, Tensor, Tensor]:
        """Run clips, handing tracks on by the matching of each frame; see :meth:`InsPro.run_clips`.

        Slots are the N detect slots, then tracks and padding, as many as the frame with most has.
        """
        carry = self.head.start(targets.num_clips)
        tracks = TrackPairs(
            carry.queries[:, :0], carry.proposals[:, :0], [[] for _ in range(targets.num_clips)]
        )
        outputs, slots, paddings = [], [], []
        moment = torch.arange(len(targets.whwh), device=targets.whwh.device) // targets.num_clips
        maps = zip(*[level.split(targets.num_clips) for level in features], strict=True)
        for time, levels in enumerate(maps):
            current, _ = targets.of_frames(moment == time)
            pairs = self.with_detect_pairs(tracks.queries, tracks.proposals)
            padding = self.padding(tracks.owners, pairs.queries.shape[1])
            hidden = padding.to(current.whwh.device) if padding.any() else None
            stages, handed = self.head.advance(levels, pairs, current.whwh, hidden)
            found = self.match(stack_frames([stages]), current, tracks.owners)
            tracks = self.select(stages[-1].boxes, handed, current, found[-1], tracks.owners)
            outputs.append(stages)
            slots.append(found)
            paddings.append(padding)
        joined = _join_paddings(paddings).to(targets.whwh.device)
        return stack_frames(_fill(outputs)), torch.cat(slots, dim=1), joined

    def with_detect_pairs(self, queries: Tensor, proposals: Tensor) -> Carry:
        """Return the learned pairs, followed by track pairs ``(B, R, ...)``."""
        fresh = self.head.start(len(queries))
        return Carry(
            torch.cat([fresh.queries, queries], dim=1),
            torch.cat([fresh.proposals, proposals], dim=1),
            [],
        )

    def padding(self, owners: Sequence[Sequence[int]], num_slots: int) -> Tensor:
        """Return ``(B, num_slots)`` booleans, true beyond the tracks of each clip."""
        used = torch.tensor([self.head.num_queries + len(clip) for clip in owners])
        return torch.arange(num_slots) >= used[:, None]

    def match(
        self, outputs: StageOutput, targets: ClipTargets, owners: Sequence[Sequence[int]]
    ) -> Tensor:
        """Return the slot ``(M, O)`` of every object of one frame of each clip.

        Args:
            outputs: ``(M, B, S, ...)``.
            targets: The objects of the frame.
            owners: Object ids of the tracks of every clip.
        """
        mode = self.criterion.tcm_stage_mode
        matchers = iter([TrackQueryMatching(clip, self.head.num_queries, mode) for clip in owners])
        return match_clips(self.criterion.costs(outputs, targets), targets, lambda: next(matchers))

    def select(
        self,
        boxes: Tensor,
        handed: Carry,
        targets: ClipTargets,
        slots: Tensor,
        owners: Sequence[Sequence[int]],
    ) -> TrackPairs:
        """Return the track queries with which the next frame starts.

        Args:
            boxes: ``(B, S, 4)`` of the last stage.
            handed: What all slots hand on.
            targets: The objects of the frame.
            slots: ``(O,)`` slot of every object in the last stage, -1 for none.
            owners: Object ids of the tracks with which the frame started.
        """
        boxes = boxes.detach().float()
        matched = boxes[targets.frame, slots.clamp(min=0)]
        overlaps = bbox_overlaps(matched, targets.boxes, is_aligned=True).cpu().numpy()
        neighbours = bbox_overlaps(boxes, boxes).cpu().numpy()
        frame, found = targets.frame.cpu().numpy(), slots.cpu().numpy()
        chosen, handed_owners = [], []
        for clip, clip_owners in enumerate(owners):
            rows = (frame == clip).nonzero()[0]
            used = self.head.num_queries + len(clip_owners)
            kept, kept_owners = self.track_selection.select(
                [targets.ids[row] for row in rows],
                found[rows],
                overlaps[rows],
                neighbours[clip, :used, :used],
                torch.rand(2, len(rows)).numpy(),
            )
            chosen.append(torch.tensor(kept, dtype=torch.long))
            handed_owners.append(kept_owners)
        # Padding repeats slot 0: its values are finite and nothing looks at them.
        index = pad_sequence(chosen, batch_first=True).to(boxes.device)
        clip_index = torch.arange(len(index), device=index.device)[:, None]
        return TrackPairs(
            handed.queries[clip_index, index], handed.proposals[clip_index, index], handed_owners
        )

    def start(self, video: VideoInfo) -> TrackDetectState:
        """Return a state without tracks."""
        carry = self.head.start(1)
        scores = carry.queries.new_zeros((0, self.head.num_classes))
        return TrackDetectState(
            video,
            queries=carry.queries[:, :0].detach(),
            proposals=carry.proposals[:, :0].detach(),
            totals=scores,
            counts=scores.clone(),
        )

    def pairs_of(self, state: InsProState) -> Carry:
        """Return the learned pairs and those of the open tracks."""
        return self.with_detect_pairs(state.queries, state.proposals)

    def identify(  # type: ignore[override]
        self,
        features: Sequence[Tensor],
        output: StageOutput,
        whwh: Tensor,
        state: TrackDetectState,
    ) -> Emitted:
        """Open and close tracks and keep their pairs only; emitted are the tracks open now.

        A track is left out where its class, the best of its running scores, is less probable than
        ``frame_score_thr``.
        """
        probabilities = output.logits[0].float().sigmoid()
        kept, tracks = self.track_life_cycle.advance(
            OpenTracks(state.ids, state.misses, state.opened),
            probabilities.amax(dim=1).cpu().numpy(),
        )
        slots = torch.tensor(kept, dtype=torch.long, device=probabilities.device)
        ids = torch.tensor(tracks.ids, dtype=torch.long, device=probabilities.device)
        state.ids, state.misses, state.opened = tracks
        state.queries, state.proposals = state.queries[:, slots], state.proposals[:, slots]
        state.bank = []
        labels, scores = self._score(state, ids, probabilities[slots])
        shown = scores >= self.test_cfg["frame_score_thr"]
        return Emitted(ids[shown], slots[shown], labels[shown], scores[shown])

    def _score(
        self, state: TrackDetectState, ids: Tensor, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add a frame to the class scores of open tracks; return their labels and frame scores."""
        new = state.opened - len(state.totals)
        state.totals = F.pad(state.totals, (0, 0, 0, new))
        state.counts = F.pad(state.counts, (0, 0, 0, new))
        state.totals[ids], state.counts[ids] = self._accumulate(
            state.totals[ids],
            state.counts[ids],
            probabilities,
        )
        labels = video_scores(state.totals[ids], state.counts[ids]).argmax(dim=1)
        return labels, probabilities.gather(1, labels[:, None])[:, 0]


def _fill(outputs: Sequence[Sequence[StageOutput]]) -> list[list[StageOutput]]:
    """Fill the outputs ``(B, S_t, ...)`` of all frames and stages up to the largest S_t."""
    most = max(stages[0].logits.shape[1] for stages in outputs)
    return [
        [
            StageOutput(*(F.pad(value, (0, 0, 0, most - value.shape[1])) for value in stage))
            for stage in stages
        ]
        for stages in outputs
    ]


def _join_paddings(paddings: Sequence[Tensor]) -> Tensor:
    """Join ``(B, S_t)`` of all frames along the batch; what is filled up is padding too."""
    most = max(padding.shape[1] for padding in paddings)
    return torch.cat(
        [F.pad(padding, (0, most - padding.shape[1]), value=True) for padding in paddings]
    )
