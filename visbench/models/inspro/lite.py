# SPDX-License-Identifier: Apache-2.0
"""InsPro-lite: one extra stage instead of all of them between key frames (appendix A.1)."""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from mmdet.structures import TrackDataSample
from mmengine.model import ModuleList
from torch import Tensor

from visbench.models.inspro.detector import InsPro, InsProState
from visbench.models.inspro.head import InsProHead
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.stage_series import Carry, StageSeries, run_frames, stack_frames
from visbench.models.inspro.targets import clip_targets
from visbench.registry import MODELS


class InsProLiteHead(StageSeries):
    """One stage with class, box and mask heads of its own, for non-key frames.

    It refines the carried pairs and replaces the proposals; queries and bank stay those of the
    last key frame.

    Args:
        key_head: Runs key frames; the stage has the sizes of its last one, and all else that
            needs no weights is shared.
    """

    def __init__(self, key_head: InsProHead) -> None:
        super().__init__()
        self.stages = ModuleList([copy.deepcopy(key_head.stages[-1])])
        self.mask_stages = [0] if key_head.mask_stages else []
        self.mask_head = key_head.mask_head
        self.roi_extractor = key_head.roi_extractor
        self.clip_proposals = key_head.clip_proposals
        self.min_proposal_size = key_head.min_proposal_size
        self.fixed_divisor = key_head.fixed_divisor

    def hand_over(self, output: StageOutput, carry: Carry, whwh: Tensor) -> Carry:
        """Return the same queries and bank with new proposals."""
        return carry._replace(proposals=self.next_proposals(output, whwh))


@MODELS.register_module()
class InsProLite(InsPro):
    """InsPro that runs all stages on every K-th frame only, and one extra stage on the others.

    As neither queries nor bank change on non-key frames, a bank of T spans T key frames.

    Training is that of the extra stage, the second phase of the paper: give the weights of a
    trained InsPro as ``load_from``. They are frozen, norm statistics included. Losses are those
    of the non-key frames, against the binding that consistent matching makes over the whole clip.
    The paper is silent on the order of frames in a clip (``clip_pattern``), on the start of the
    extra stage (``lite_init``) and on objects that a non-key frame shows first, which here are
    bound by the extra stage's predictions.

    Args:
        *args: As of :class:`InsPro`.
        key_frame_interval: Frames t with ``t mod K = 0`` are key frames at test time; 1 is InsPro.
        clip_pattern: Kind of each frame of a training clip in temporal order, ``K`` (key) or ``N``
            (non-key), e.g. ``KKKNN`` or ``KNKNK``. The clip sampler gives clips of this length.
        lite_init: ``stage<s>``: the extra stage starts as a copy of stage s, counted from 1, when
            weights are initialised and when weights without an extra stage are loaded. Stage 1
            has the same inputs, an enhanced query and a proposal of the frame before.
            ``random``: no copy. A mask generator that stage s lacks starts at random too.
        **fields: As of :class:`InsPro`.

    Raises:
        ValueError: If K is no whole number of at least 1; if the pattern does not start with K,
            has no N or another letter; if there is no such ``lite_init``; or if the head does not
            hand on queries and proposals.
    """

    def __init__(
        self,
        *args: Any,
        key_frame_interval: int = 10,
        clip_pattern: str = "KKKNN",
        lite_init: str = "stage1",
        **fields: Any,
    ) -> None:
        super().__init__(*args, **fields)
        if not isinstance(key_frame_interval, int) or key_frame_interval < 1:
            raise ValueError(
                f"key_frame_interval={key_frame_interval!r} must be a whole number of at least 1 "
                "(1: every frame is a key frame)"
            )
        if re.fullmatch("K[KN]*N[KN]*", clip_pattern) is None:
            raise ValueError(
                f"clip_pattern={clip_pattern!r} must consist of K and N, start with K (a key "
                "frame) and hold at least one N (only non-key frames are trained), e.g. 'KKKNN'"
            )
        if not (self.head.propagate_query and self.head.propagate_proposal):
            raise ValueError(
                "propagate_query and propagate_proposal must be True: non-key frames live on what "
                "is handed to them"
            )
        self.key_frame_interval = key_frame_interval
        self.clip_pattern = clip_pattern
        self.copied_stage = _copied_stage(lite_init, len(self.head.stages))
        self.requires_grad_(False)
        self.lite_head = InsProLiteHead(self.head).requires_grad_(True)

    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        """Return nothing: what is trained at all, the extra stage, is trained in every clip."""
        return {}

    def init_weights(self) -> None:
        """Initialise everything, the extra stage as ``lite_init`` says."""
        super().init_weights()
        if self.copied_stage is not None:
            source = self.head.stages[self.copied_stage].state_dict()
            self.lite_head.stages[0].load_state_dict(source, strict=False)

    def train(self, mode: bool = True) -> InsProLite:
        """Switch the extra stage only: norm layers of frozen parts keep their statistics."""
        super().train(False)
        self.training = mode
        self.lite_head.train(mode)
        return self

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the losses of the extra stage on the non-key frames; see :meth:`InsPro.loss`.

        Raises:
            ValueError: If the clips are not as long as ``clip_pattern``.
        """
        num_clips, num_frames = inputs.shape[:2]
        if num_frames != len(self.clip_pattern):
            raise ValueError(
                f"clips have {num_frames} frames, but clip_pattern={self.clip_pattern!r} has "
                f"{len(self.clip_pattern)}; set train_dataloader.dataset.clip.num_frames="
                f"{len(self.clip_pattern)}, or another clip_pattern"
            )
        targets = clip_targets(data_samples, self.mask_branch.target_stride, inputs.device)
        features = self.neck(self.backbone(inputs.transpose(0, 1).flatten(0, 1)))
        heads = [self.head if kind == "K" else self.lite_head for kind in self.clip_pattern]
        frames = run_frames(heads, self.head.start(num_clips), features, targets.whwh)
        # One output per frame: the last stage binds objects on key frames, the extra one on others.
        outputs = stack_frames([stages[-1:] for stages in frames])
        slots = self.criterion.match(outputs, targets)
        others = torch.tensor([kind == "N" for kind in self.clip_pattern], device=inputs.device)
        others = others.repeat_interleave(num_clips)
        targets, kept = targets.of_frames(others)
        outputs, slots = StageOutput(*(part[:, others] for part in outputs)), slots[:, kept]
        mask_features = self.mask_branch([level[others] for level in features])
        return {
            **self.criterion.box_losses(outputs, targets, slots),
            **self.mask_branch.losses(
                mask_features, outputs, targets, slots, self.lite_head, self.criterion
            ),
        }

    def head_of(self, state: InsProState) -> StageSeries:
        """Return the head of key frames or that of non-key frames."""
        key = state.recorder.num_frames % self.key_frame_interval == 0
        return self.head if key else self.lite_head

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        own = f"{prefix}lite_head.stages.0."
        if self.copied_stage is not None and not any(name.startswith(own) for name in state_dict):
            source = f"{prefix}head.stages.{self.copied_stage}."
            copies = {
                own + name.removeprefix(source): value
                for name, value in state_dict.items()
                if name.startswith(source)
            }
            state_dict.update(copies)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _copied_stage(lite_init: str, num_stages: int) -> int | None:
    """Return the index of the stage to copy, None for none."""
    allowed = ["random", *[f"stage{number + 1}" for number in range(num_stages)]]
    if lite_init not in allowed:
        raise ValueError(f"lite_init={lite_init!r} is not one of {allowed}")
    return None if lite_init == "random" else allowed.index(lite_init) - 1
