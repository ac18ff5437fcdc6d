# SPDX-License-Identifier: Apache-2.0
"""CondInst as the image model of IAI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads.condinst_head import MaskFeatModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from visbench.models.iai.association import rank
from visbench.models.iai.condinst_head import (
    DensePredictions,
    DenseTargets,
    IdentityCondInstHead,
)
from visbench.models.iai.segmenter import Detections, IdentitySegmenter
from visbench.models.iai.settings import read_test_cfg
from visbench.models.layers import DynamicMaskHead
from visbench.models.layers.dynamic_masks import mask_probabilities, upsample_logits
from visbench.ops.nms import nms
from visbench.registry import MODELS

LOGIT_UPSAMPLING = 2
"""Masks are supervised and turned into probabilities at half the stride of the mask features."""

DICE_LOSS = {"type": "mmdet.DiceLoss", "use_sigmoid": True, "activate": True, "eps": 5e-6}


@MODELS.register_module()
class IAICondInst(IdentitySegmenter):
    """CondInst's heads with an id branch: fact sheet, sections 2, 5.4, 5.5 and 6.

    The heads are MMDetection's. Every location of an object trains a mask, without a limit.

    Args:
        num_classes: Number of classes C.
        num_ids: Number of ids N.
        head: Arguments of an :class:`IdentityCondInstHead`, numbers of classes, ids and mask
            parameters aside.
        mask_features: Arguments of MMDetection's ``MaskFeatModule``; its ``start_level`` counts
            from the first level of the neck, whose stride is ``mask_stride``.
        id_branch: Arguments of the id branch (number of convolutions, loss).
        mask_head: ``channels`` and ``num_layers`` of the dynamic mask head.
        loss_mask: Config of the mask loss, averaged over the locations of objects.
        head_start_level: First level of the neck on which objects are found; masks may take finer
            ones.
        size_of_interest: Relative coordinates are divided by this many strides of the location.
        test_cfg: Changes to the values of :attr:`TEST`.
        identification: Whether there is an id branch.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If ``test_cfg`` has an unknown field or a value out of range.
    """

    TEST = {
        "nms_pre": 200,
        "cls_score_thr": 0.1,
        "id_score_thr": 0.1,
        "nms_iou": 0.5,
        "max_per_frame": 10,
        "mask_thr": 0.5,
        "ranking": "weighted",
    }
    """``nms_pre`` locations of every level with the highest product of class probability and
    centerness are candidates if class and id probability exceed their thresholds; they are ranked
    (:func:`~visbench.models.iai.association.rank`), suppressed above the IoU ``nms_iou`` whatever
    their class, and the best ``max_per_frame`` stay."""

    def __init__(
        self,
        num_classes: int,
        num_ids: int,
        head: dict,
        mask_features: dict,
        id_branch: dict | None = None,
        mask_head: dict | None = None,
        loss_mask: dict | None = None,
        head_start_level: int = 0,
        size_of_interest: int = 8,
        test_cfg: dict | None = None,
        identification: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_classes, num_ids, identification, init_cfg)
        self.mask_features = MaskFeatModule(**mask_features)
        self.mask_head = DynamicMaskHead(
            in_channels=self.mask_features.out_channels,
            stride=self.mask_features.mask_stride,
            **(mask_head or {}),
        )
        self.head = IdentityCondInstHead(
            num_classes=num_classes,
            num_ids=num_ids,
            num_params=self.mask_head.num_parameters,
            id_branch=(id_branch or {}) if identification else None,
            **head,
        )
        self.loss_mask: nn.Module = MODELS.build(loss_mask or DICE_LOSS)
        self.head_start_level = head_start_level
        self.size_of_interest = size_of_interest
        self.test_cfg = read_test_cfg(self.TEST, test_cfg)

    @property
    def target_stride(self) -> int:
        """Stride in pixels at which masks are supervised."""
        return self.mask_head.stride // LOGIT_UPSAMPLING

    def forward(self, features: tuple[Tensor, ...]) -> tuple[DensePredictions, Tensor]:
        """Return the predictions of all locations and the mask features ``(B, C, h, w)``.

        Raises:
            ValueError: If the neck has not the levels that the config speaks of.
        """
        levels, strides = features[self.head_start_level :], self.head.strides
        if len(levels) != len(strides):
            raise ValueError(
                f"the neck has {len(levels)} levels from segmenter.head_start_level="
                f"{self.head_start_level} on, segmenter.head.strides={list(strides)}"
            )
        if len(features) <= self.mask_features.end_level:
            raise ValueError(
                f"the neck has {len(features)} levels, too few for segmenter.mask_features."
                f"end_level={self.mask_features.end_level}"
            )
        return self.head(levels), self.mask_features(features)

    def loss(
        self,
        features: tuple[Tensor, ...],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
    ) -> dict[str, Tensor]:
        """Return class, id, box, centerness and mask loss of one time step."""
        predictions, mask_features = self(features)
        self._check_strides(features, mask_features, batch_img_metas[0]["batch_input_shape"])
        return self.losses(predictions, mask_features, batch_gt_instances)

    def _check_strides(
        self, features: Sequence[Tensor], mask_features: Tensor, size: Sequence[int]
    ) -> None:
        named = {
            "segmenter.head.strides": (features[self.head_start_level], self.head.strides[0]),
            "segmenter.mask_features.mask_stride": (mask_features, self.mask_head.stride),
        }
        for field, (maps, stride) in named.items():
            cells = tuple(maps.shape[-2:])
            if cells != tuple(-(-int(side) // stride) for side in size):
                raise ValueError(
                    f"maps of {cells[0]}x{cells[1]} cells don't cover frames of "
                    f"{size[0]}x{size[1]} pixels with a stride of {stride}; correct {field}"
                )

    def losses(
        self,
        predictions: DensePredictions,
        mask_features: Tensor,
        batch_gt_instances: Sequence[InstanceData],
    ) -> dict[str, Tensor]:
        """Return the losses of raw outputs.

        Args:
            predictions: Of B frames.
            mask_features: ``(B, C, h, w)``.
            batch_gt_instances: As :meth:`loss` takes them.
        """
        targets = self.head.assign(predictions.locations, batch_gt_instances)
        losses = self.head.losses(predictions, targets)
        losses["loss_mask"] = self._mask_loss(
            predictions, mask_features, targets, batch_gt_instances
        )
        return losses

    def _mask_loss(
        self,
        predictions: DensePredictions,
        mask_features: Tensor,
        targets: DenseTargets,
        batch_gt_instances: Sequence[InstanceData],
    ) -> Tensor:
        image, point = targets.positive
        if len(point) == 0:
            # Distributed training wants every parameter in the graph of every process.
            return (mask_features.sum() + predictions.parameters.sum()) * 0
        logits = self.mask_logits(predictions, mask_features, image, point)
        masks = [self._sampled_masks(instances, logits) for instances in batch_gt_instances]
        starts = torch.tensor([0, *[len(mask) for mask in masks]]).cumsum(0)[:-1].to(image)
        wanted = torch.cat(masks)[starts[image] + targets.objects[image, point]]
        loss: Tensor = self.loss_mask(logits, wanted.float(), avg_factor=len(point))
        return loss

    def _sampled_masks(self, instances: InstanceData, logits: Tensor) -> Tensor:
        """Return the masks of objects at the size of the logits; beyond the frame they are 0."""
        first, step = self.target_stride // 2, self.target_stride
        masks = instances.masks.to_tensor(torch.bool, logits.device)[:, first::step, first::step]
        missing = [ours - theirs for ours, theirs in zip(logits.shape, masks.shape, strict=True)]
        return F.pad(masks, (0, missing[2], 0, missing[1]))

    def mask_logits(
        self, predictions: DensePredictions, mask_features: Tensor, image: Tensor, point: Tensor
    ) -> Tensor:
        """Return the mask logits of some locations at half the stride of the mask features.

        Args:
            predictions: Of B frames.
            mask_features: ``(B, C, h, w)``.
            image: ``(n,)`` frame of every location.
            point: ``(n,)`` index of every location.

        Returns:
            ``(n, 2h, 2w)``.
        """
        logits = self.mask_head(
            mask_features,
            predictions.parameters[image, point],
            predictions.locations.points[point],
            self.size_of_interest * predictions.locations.strides[point],
            image,
        )
        return upsample_logits(logits, LOGIT_UPSAMPLING)

    def detect(self, features: tuple[Tensor, ...], img_meta: dict, first_frame: bool) -> Detections:
        """Detect in one frame; see :class:`IdentitySegmenter`."""
        predictions, mask_features = self(features)
        self._check_strides(features, mask_features, img_meta["batch_input_shape"])
        return self.detections(predictions, mask_features, img_meta, first_frame)

    def detections(
        self,
        predictions: DensePredictions,
        mask_features: Tensor,
        img_meta: dict,
        first_frame: bool,
    ) -> Detections:
        """Return the detections in raw outputs of one frame.

        Args:
            predictions: Of one frame.
            mask_features: ``(1, C, h, w)``.
            img_meta: As :meth:`detect` takes it.
            first_frame: Whether the video begins with this frame.
        """
        classes = predictions.class_logits[0].float().sigmoid()
        centerness = predictions.centerness[0].float().sigmoid()
        point = self._candidates(classes.amax(dim=1), centerness, predictions.locations.level_sizes)
        ids = None
        if self.head.id_branch is not None and predictions.id_logits is not None:
            ids = self.head.id_branch.scores(predictions.id_logits[0].float())
            point = point[ids[point].amax(dim=1) > self.test_cfg["id_score_thr"]]
            ids = ids[point]
        classes, centerness = classes[point], centerness[point]
        scores = rank(classes, ids, first_frame, self.test_cfg["ranking"], centerness)
        boxes = self.head.bbox_coder.decode(
            predictions.locations.points[point],
            predictions.distances[0, point].float(),
            max_shape=img_meta["img_shape"],
        )
        kept = nms(boxes, scores, self.test_cfg["nms_iou"])[: self.test_cfg["max_per_frame"]]
        point = point[kept]
        logits = self.mask_logits(predictions, mask_features, torch.zeros_like(point), point)
        return Detections(
            boxes=boxes[kept],
            scores=scores[kept],
            class_scores=(classes * centerness[:, None])[kept],
            id_scores=None if ids is None else ids[kept],
            probabilities=mask_probabilities(logits, self.target_stride),
            threshold=self.test_cfg["mask_thr"],
        )

    def _candidates(
        self, probability: Tensor, centerness: Tensor, level_sizes: Sequence[int]
    ) -> Tensor:
        chosen, start = [], 0
        for quality in (probability * centerness).split(list(level_sizes)):
            best = quality.topk(min(self.test_cfg["nms_pre"], len(quality))).indices
            chosen.append(best + start)
            start += len(quality)
        point = torch.cat(chosen)
        return point[probability[point] > self.test_cfg["cls_score_thr"]]
