# SPDX-License-Identifier: Apache-2.0
"""IDOL: the registered model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from visbench.models.base import VISModel
from visbench.models.idol.head import FrameOutputs, IDOLHead
from visbench.models.idol.transformer import Decoded, IDOLTransformer, frame_padding
from visbench.registry import MODELS


@MODELS.register_module()
class IDOL(VISModel):
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

    def decode(self, images: Tensor, valid_sizes: Sequence[tuple[int, int]]) -> Decoded:
        """Run backbone and transformer.

        Args:
            images: ``(B, 3, H, W)`` normalised frames, zero-padded.
            valid_sizes: ``(height, width)`` of the part of each frame that is not padding.
        """
        levels = self.neck(self.backbone(images))
        padding = frame_padding(images, valid_sizes)
        return self.transformer(levels, padding, self.head.reg_branches)

    def predict_layer(self, decoded: Decoded, layer: int = -1) -> FrameOutputs:
        """Return the predictions of a decoder layer, by default the last one."""
        mask_features = self.head.mask_branch(decoded.memory)
        return self.head(decoded.hidden, decoded.references, mask_features, layer)

    def loss(self, inputs, data_samples):
        pass

    def segment(self, video, frames):
        pass

    def forward_frames(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network on frames without padding.

        Args:
            images: ``(F, 3, H, W)`` normalised frames.
        """
