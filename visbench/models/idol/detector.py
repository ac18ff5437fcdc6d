# SPDX-License-Identifier: Apache-2.0
"""IDOL: the registered model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import TrackDataSample
from torch import Tensor

from visbench.models.base import OnlineVISModel
from visbench.models.idol.head import FrameOutputs, IDOLHead
from visbench.models.idol.identity_losses import FrameQueries
from visbench.models.idol.matching import Match
from visbench.models.idol.targets import frame_order, pair_targets
from visbench.models.idol.transformer import Decoded, IDOLTransformer, frame_padding
from visbench.models.state import VideoState
from visbench.registry import MODELS, TASK_UTILS
from visbench.structures import Frame, FrameInstances, VideoInfo, VideoTracks

DECODED_MASKS = 20
"""Masks that are decoded of every frame where no association chooses them."""


@MODELS.register_module()
class IDOL(OnlineVISModel[VideoState]):
    """Online video instance segmentation by contrastive embeddings and a memory of tracks.

    Every frame is segmented by itself with a deformable transformer; embeddings of its queries are
    matched with those remembered of earlier frames.

    Args:
        backbone: Backbone config.
        neck: Config of a ``ChannelMapper`` to the width of the transformer; coarser levels than
            the backbone's are made from its last one.
        transformer: Arguments of an :class:`IDOLTransformer`; width and levels follow from the
            neck.
        head: Config of an :class:`IDOLHead`; width and layers follow from the transformer.
        criterion: Config of an :class:`IDOLCriterion`.
        association: Config of what makes instances of the outputs: a :class:`FrameAssociation`
            (the default) or, for still images, a :class:`StillImageAssociation`.
        data_preprocessor: Config of a ClipPreprocessor.
        init_cfg: Initialisation config of MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        transformer: dict,
        head: dict,
        criterion: dict | None = None,
        association: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        width, num_backbone_levels = neck["out_channels"], len(neck["in_channels"])
        levels = {
            "channels": width,
            "num_levels": neck.get("num_outs") or num_backbone_levels,
            "num_backbone_levels": num_backbone_levels,
        }
        self.transformer = IDOLTransformer(**{**levels, **transformer})
        layers = self.transformer.decoder.num_layers
        self.head: IDOLHead = MODELS.build({"channels": width, "num_layers": layers, **head})
        self.criterion = MODELS.build(criterion or {"type": "visbench.IDOLCriterion"})
        self.association = TASK_UTILS.build(association or {"type": "visbench.FrameAssociation"})

    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        """Return parameters that need no gradient; see :class:`~visbench.models.VISModel`."""
        if (config.get("criterion") or {}).get("identity", True) is None:
            return {"head.embed_head.*": "nothing trains embeddings (criterion.identity=None)"}
        return {}

    def decode(self, images: Tensor, valid_sizes: Sequence[tuple[int, int]]) -> Decoded:
        """Run backbone and transformer.

        Args:
            images: ``(B, 3, H, W)`` normalised frames, zero-padded.
            valid_sizes: ``(height, width)`` of the part of each frame that is not padding.
        """
        levels = self.neck(self.backbone(images))
        padding = frame_padding(images, valid_sizes)
        return self.transformer(levels, padding, self.head.reg_branches)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the losses of pairs of a key and a reference frame, or of single frames.

        Args:
            inputs: ``(B, T, 3, H, W)`` normalised frames, zero-padded; T is 2 or, for still
                images, which train everything but the embeddings, 1.
            data_samples: B samples with ``gt_instances``; ``key_frames_inds`` names the key frame,
                by default the first.

        Returns:
            The losses of :class:`IDOLCriterion`.

        Raises:
            FloatingPointError: If a prediction is not finite.
        """
        frames, sizes = _key_frames_first(data_samples)
        decoded = self.decode(inputs[frames], sizes)
        pairs = len(data_samples)
        key, reference = decoded.frames(slice(pairs)), decoded.frames(slice(-pairs, None))
        targets = pair_targets(data_samples, inputs.device, self.head.mask_stride)
        outputs = [self.head(key.hidden, key.references, layer) for layer in range(len(key.hidden))]
        logits = require_finite(torch.stack([output.logits for output in outputs]))
        boxes = torch.stack([output.boxes for output in outputs])
        matches = self.criterion.match(logits, boxes, targets)
        masks = self._matched_masks(key, outputs, matches, sizes[:pairs])
        last = self.head(reference.hidden, reference.references)
        return {
            **self.criterion.box_losses(logits, boxes, targets, matches),
            **self.criterion.mask_losses(masks, targets, matches),
            **self.criterion.identity_losses(
                self.head.embed_head(outputs[-1].hidden),
                FrameQueries(last.logits, last.boxes, self.head.embed_head(last.hidden)),
                targets,
                matches[-1],
            ),
        }

    def _matched_masks(
        self,
        decoded: Decoded,
        outputs: Sequence[FrameOutputs],
        matches: Sequence[Sequence[Match]],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Tensor]:
        """Return the mask logits ``(n, h, w)`` of the n matched queries of every layer."""
        features = self.head.mask_branch(decoded.memory)
        valid_sizes = torch.tensor(sizes, device=features.device)
        return [
            self.head.mask_logits(features, output, *_matched(of_frames), valid_sizes)
            for output, of_frames in zip(outputs, matches, strict=True)
        ]

    def start(self, video: VideoInfo) -> VideoState:
        """Return the state that the association begins with."""
        return self.association.start(video)

    @torch.no_grad()
    def step(self, frame: Frame, state: VideoState) -> FrameInstances:
        """Segment the next prepared frame and let the association name its detections.

        Raises:
            FloatingPointError: If a prediction is not finite.
        """
        decoded = self.decode(frame.image[None], [frame.valid_size])
        outputs = self.head(decoded.hidden, decoded.references)
        mask_features = self.head.mask_branch(decoded.memory)
        valid_size = torch.tensor([frame.valid_size], device=frame.image.device)

        def mask_logits(queries: Tensor) -> Tensor:
            frames = torch.zeros_like(queries)
            return self.head.mask_logits(mask_features, outputs, frames, queries, valid_size)

        return self.association.step(
            require_finite(outputs.logits[0]),
            outputs.boxes[0],
            self.head.embed_head(outputs.hidden[0]),
            mask_logits,
            frame,
            state,
        )

    def finish(self, state: VideoState) -> VideoTracks:
        """Return what the association makes of the video."""
        return self.association.finish(state)

    def forward_frames(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network on frames without padding; see :meth:`predict_frames`."""
        height, width = images.shape[-2:]
        return self.predict_frames(images, [(height, width)] * len(images))

    def predict_frames(
        self, images: Tensor, valid_sizes: Sequence[tuple[int, int]]
    ) -> dict[str, Tensor]:
        """Run the whole network on frames, each by itself.

        Args:
            images: ``(F, 3, H, W)`` normalised frames, zero-padded.
            valid_sizes: ``(height, width)`` of the part of each frame that is not padding.

        Returns:
            ``logits (F, Q, K)``, ``boxes (F, Q, 4)``, ``embeddings (F, Q, C)``, and ``masks
            (F * n, h, w)``: logits of the n best queries of each frame.
        """
        decoded = self.decode(images, valid_sizes)
        outputs = self.head(decoded.hidden, decoded.references)
        number = min(DECODED_MASKS, outputs.logits.shape[1])
        queries = outputs.logits.amax(dim=2).topk(number).indices
        frames = torch.arange(len(images), device=images.device).repeat_interleave(number)
        sizes = torch.tensor(valid_sizes, device=images.device)
        mask_features = self.head.mask_branch(decoded.memory)
        return {
            "logits": outputs.logits,
            "boxes": outputs.boxes,
            "embeddings": self.head.embed_head(outputs.hidden),
            "masks": self.head.mask_logits(
                mask_features, outputs, frames, queries.flatten(), sizes
            ),
        }


def require_finite(logits: Tensor) -> Tensor:
    """Return class logits unchanged.

    Raises:
        FloatingPointError: If one is NaN or infinite.
    """
    if not logits.isfinite().all():
        raise FloatingPointError(
            "class logits of IDOL are NaN or infinite: training has diverged or the checkpoint "
            "holds weights that are not finite; lower the learning rate, clip gradients, or go "
            "without reduced precision"
        )
    return logits


def _key_frames_first(
    samples: Sequence[TrackDataSample],
) -> tuple[tuple[Tensor, Tensor], list[tuple[int, int]]]:
    """Return clip and position of all key frames, then of all reference frames; their sizes."""
    order = torch.tensor([frame_order(sample) for sample in samples])
    clip = torch.arange(len(samples)).repeat(order.shape[1])
    position = order.T.flatten()
    frames = zip(clip.tolist(), position.tolist(), strict=True)
    return (clip, position), [_size(samples[i][j].img_shape) for i, j in frames]


def _matched(matches: Sequence[Match]) -> tuple[Tensor, Tensor]:
    """Return frame and query of all matched queries, frame by frame."""
    queries = torch.cat([match.queries for match in matches])
    frames = [torch.full_like(match.queries, frame) for frame, match in enumerate(matches)]
    return torch.cat(frames), queries


def _size(shape: Sequence[int]) -> tuple[int, int]:
    return int(shape[0]), int(shape[1])
