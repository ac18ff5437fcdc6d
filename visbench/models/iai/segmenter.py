# SPDX-License-Identifier: Apache-2.0
"""What IAI needs of a detector: the base class of its segmenters and what they find in a frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.registry import MODELS


@dataclass(frozen=True)
class Detections:
    """What a segmenter found in one frame, in the order that non-maximum suppression left.

    Args:
        boxes: ``(n, 4)`` xyxy in pixels of the padded frame.
        scores: ``(n,)`` by which the detections were ranked; they may exceed 1.
        class_scores: ``(n, C)``, 0 to 1, without background.
        id_scores: ``(n, N)``, 0 to 1, without background and without the centerness of a dense
            head; None from a segmenter without id branch.
        probabilities: ``(n, H, W)`` of the masks, at the size of the padded frame.
        threshold: A pixel belongs to a mask above this probability.

    Raises:
        ValueError: If the fields differ in length.
    """

    boxes: Tensor
    scores: Tensor
    class_scores: Tensor
    id_scores: Tensor | None
    probabilities: Tensor
    threshold: float = 0.5

    def __post_init__(self) -> None:
        fields = {name: value for name, value in vars(self).items() if torch.is_tensor(value)}
        lengths = {name: len(value) for name, value in fields.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the fields of detections differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, keep: Tensor) -> Detections:
        """Return the detections at the given indices or where a boolean mask is true."""
        fields: dict[str, Any] = {
            name: value for name, value in vars(self).items() if torch.is_tensor(value)
        }
        return replace(self, **{name: value[keep] for name, value in fields.items()})

    @property
    def masks(self) -> Tensor:
        """Booleans ``(n, H, W)`` at the size of the padded frame."""
        return self.probabilities > self.threshold

    def masks_at_original_size(
        self, valid_size: Sequence[int], original_size: Sequence[int]
    ) -> Tensor:
        """Return the masks of the frame as filmed.

        Probabilities are cut to the part that is image and resized before the threshold.

        Args:
            valid_size: ``(height, width)`` of the part of the padded frame that is image.
            original_size: ``(height, width)`` of the result.

        Returns:
            Booleans ``(n, *original_size)``.
        """
        height, width = (int(side) for side in valid_size)
        size = (int(original_size[0]), int(original_size[1]))
        probabilities = self.probabilities[:, :height, :width]
        if len(self) and (height, width) != size:
            probabilities = F.interpolate(
                probabilities[:, None], size=size, mode="bilinear", align_corners=False
            )[:, 0]
        return (probabilities > self.threshold).reshape(-1, *size)


class IdentitySegmenter(BaseModule):
    """The heads of an instance segmentation model with an id branch beside the others.

    This is all that IAI knows of a detector: what comes after the neck. A subclass is registered
    and named by ``segmenter`` in the config of :class:`~visbench.models.iai.detector.IAI`.

    Args:
        num_classes: Number of classes C.
        num_ids: Number of ids N: ids 0 to N - 2 are those of objects, N - 1 means "not seen
            before", and N as a target means background.
        identification: Whether there is an id branch (the paper's Table 4); without one,
            detections have no id scores and there is no id loss.
        init_cfg: Initialisation config of MMEngine.
    """

    def __init__(
        self, num_classes: int, num_ids: int, identification: bool = True, init_cfg: Any = None
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.num_ids = num_ids
        self.identification = identification

    @abstractmethod
    def forward(self, features: tuple[Tensor, ...]) -> Any:
        """Return the raw outputs of the heads for a batch of frames, as GFLOPs are counted.

        Args:
            features: Levels ``(B, C, h, w)`` of the neck.
        """

    @abstractmethod
    def loss(
        self,
        features: tuple[Tensor, ...],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
    ) -> dict[str, Tensor]:
        """Return the losses of one time step.

        Args:
            features: Levels ``(B, C, h, w)`` of the neck.
            batch_gt_instances: B frames of ``bboxes`` (xyxy in pixels), ``labels``, ``masks``
                (``BitmapMasks``) and ``id_targets`` (``(n,)``, 0 to N); frames may be empty.
            batch_img_metas: MMDetection's ``img_shape``, ``batch_input_shape`` and the like.

        Returns:
            Scalars by name; the id loss is called ``loss_id``.
        """

    @abstractmethod
    def detect(self, features: tuple[Tensor, ...], img_meta: dict, first_frame: bool) -> Detections:
        """Detect in one frame.

        Args:
            features: Levels ``(1, C, h, w)`` of the neck.
            img_meta: ``img_shape`` (the part that is image), ``batch_input_shape`` (the padded
                frame), ``ori_shape`` and ``scale_factor`` (x, y), as in MMDetection.
            first_frame: Whether the video begins with this frame, which changes how detections
                are ranked; see :func:`~visbench.models.iai.association.rank`.

        Returns:
            At most as many detections as the segmenter's own limit, of all classes together.
        """


def build_segmenter(config: dict, num_ids: int) -> IdentitySegmenter:
    """Build a segmenter from its config.

    Args:
        config: Config of a registered :class:`IdentitySegmenter`, number of ids aside.
        num_ids: Number of ids N.

    Raises:
        ValueError: If ``config`` has a number of ids of its own.
        TypeError: If it is the config of something else.
    """
    if config.get("num_ids", num_ids) != num_ids:
        raise ValueError(
            f"segmenter.num_ids={config['num_ids']} contradicts the model's num_ids={num_ids}; "
            "leave it out"
        )
    kind = config.get("type")
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and not issubclass(kind, IdentitySegmenter):
        raise TypeError(
            f"segmenter.type={config['type']!r} is no IdentitySegmenter, such as IAICondInst "
            "or IAIMaskRCNN"
        )
    segmenter: IdentitySegmenter = MODELS.build({**config, "num_ids": num_ids})
    return segmenter
