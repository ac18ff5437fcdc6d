# SPDX-License-Identifier: Apache-2.0
"""The association module: what passes information from frame to frame."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from visbench.models.iai.hybrid_association import (
    FrameTokens,
    HybridAssociationBlock,
    TokenPosition,
)
from visbench.models.iai.identification import IdentityBank, id_mask_of
from visbench.models.iai.memory import AssociationMemory
from visbench.registry import MODELS


@MODELS.register_module()
class AssociationModule(BaseModule):
    """Replaces the coarsest map C5 of the backbone by ``[E, A, Z]`` (fact sheet, section 1).

    E is a projection of C5, A what the hybrid association block makes of E and the memories, and
    Z the paper's classification projector of C5. The memories hold keys, and values in which the
    ids of a frame's objects are embedded, once these are known.

    Args:
        in_channels: Channels of C5.
        stride: Pixels of the frame per cell of C5.
        num_ids: Number of ids N.
        channels: Channels of E and A.
        classification_channels: Channels of Z; 0 leaves Z out (Table 5).
        block: Arguments of the :class:`HybridAssociationBlock`, ``local_memory`` and
            ``global_memory`` among them.
        global_interval: Frames between entries of the global memory.
        max_global_frames: Frames in the global memory at most; None for no bound.
        xavier_everywhere: Whether everything with more than one dimension in block and bank
            starts from Xavier's distribution, as in the reference implementation, constants of
            the channel gate and the local value bias included. Otherwise these start as identity
            and zero.
        linear_bank_start: Whether the id bank starts as :meth:`IdentityBank.start_linear` says. The
            reference's start says little of small objects and takes long to learn from.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If a size or limit makes no sense.
    """

    def __init__(
        self,
        in_channels: int,
        stride: int,
        num_ids: int,
        channels: int = 256,
        classification_channels: int = 1536,
        block: dict | None = None,
        global_interval: int = 3,
        max_global_frames: int | None = None,
        xavier_everywhere: bool = False,
        linear_bank_start: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_ids = num_ids
        self.stride = stride
        self.encoder_projector = nn.Conv2d(in_channels, channels, 1)
        self.classification_projector = (
            nn.Conv2d(in_channels, classification_channels, 1) if classification_channels else None
        )
        self.position = TokenPosition(channels)
        self.block = HybridAssociationBlock(channels, **(block or {}))
        self.bank = IdentityBank(num_ids, channels, stride)
        self.out_channels = 2 * channels + classification_channels
        reads_global = self.block.global_attention is not None
        if reads_global and global_interval is None:
            raise ValueError(
                "association.global_interval=None must be a number of frames; a model without "
                "global memory has association.block.global_memory=False"
            )
        self.limits = (global_interval if reads_global else None, max_global_frames)
        self.xavier_everywhere = xavier_everywhere
        self.linear_bank_start = linear_bank_start
        self.new_memory()  # complains of limits that make no sense

    def new_memory(self) -> AssociationMemory:
        """Return the memory before the first frame."""
        return AssociationMemory(*self.limits)

    def read(self, features: Tensor, memory: AssociationMemory) -> tuple[Tensor, FrameTokens]:
        """Associate a frame with the frames remembered.

        Args:
            features: C5, ``(B, in_channels, h, w)``.
            memory: Not changed; empty in the first frame.

        Returns:
            ``(B, out_channels, h, w)``, and what :meth:`write` needs of the frame.

        Raises:
            ValueError: If the remembered frames had another size or the backbone does not fit.
        """
        if features.size(1) != self.encoder_projector.in_channels:
            raise ValueError(
                f"association.in_channels={self.encoder_projector.in_channels}, but the last level "
                f"of the backbone has {features.size(1)} channels"
            )
        encoded = self.encoder_projector(features)
        associated, frame = self.associate(encoded, memory)
        parts = [encoded, associated]
        if self.classification_projector is not None:
            parts.append(self.classification_projector(features))
        return torch.cat(parts, dim=1), frame

    def associate(self, encoded: Tensor, memory: AssociationMemory) -> tuple[Tensor, FrameTokens]:
        """Return A for E, both ``(B, channels, h, w)``; see :meth:`read`."""
        size = (encoded.size(2), encoded.size(3))
        held = memory.local_key
        if held is not None and held.shape[:2] != (len(encoded), size[0] * size[1]):
            raise ValueError(
                f"a frame of {len(encoded)} x {size[0]}x{size[1]} tokens follows frames of "
                f"{held.size(0)} x {held.size(1)}; all frames of a video must have one size"
            )
        position = self.position(size, encoded.device).flatten(2).transpose(1, 2)
        blank = self.bank.blank((1, 1)).flatten(2).transpose(1, 2)
        tokens = encoded.flatten(2).transpose(1, 2)
        tokens, frame = self.block(tokens, position.to(tokens.dtype), size, memory, blank)
        return tokens.transpose(1, 2).unflatten(2, size), frame

    def write(
        self, frame: FrameTokens, label_map: Tensor, memory: AssociationMemory, new: bool = False
    ) -> None:
        """Remember a frame whose objects are known.

        Args:
            frame: What :meth:`read` returned for it.
            label_map: ``(B, H, W)`` id of every pixel of the padded frame, N for background; see
                :func:`~visbench.models.iai.identification.id_mask_of`.
            memory: Changed in place.
            new: Whether objects have appeared in this frame.

        Raises:
            ValueError: If the size of the frame does not suit the tokens.
        """
        embedding = self.bank(id_mask_of(label_map, self.num_ids).to(frame.content.dtype))
        embedding = embedding.flatten(2).transpose(1, 2)
        if embedding.size(1) != frame.content.size(1):
            raise ValueError(
                f"an id mask of {tuple(label_map.shape[-2:])} pixels has {embedding.size(1)} cells "
                f"of {self.stride} pixels, the frame {frame.content.size(1)} tokens; correct "
                "'stride' of the association module or the preprocessor's pad_size_divisor"
            )
        memory.write(frame.key, self.block.values(frame.content, embedding), new)

    def init_weights(self) -> None:
        """Initialise block and bank from Xavier's uniform distribution, or the bank as a mean."""
        super().init_weights()
        for part in (self.block, self.bank):
            constants = set() if self.xavier_everywhere else set(_constants(part))
            for name, parameter in part.named_parameters():
                if parameter.dim() > 1 and name not in constants:
                    nn.init.xavier_uniform_(parameter)
        if self.linear_bank_start:
            self.bank.start_linear()


def _constants(part: nn.Module) -> list[str]:
    names = [name for name, _ in part.named_parameters()]
    return [name for name in names if ".gate." in name or name.endswith("value_bias")]
