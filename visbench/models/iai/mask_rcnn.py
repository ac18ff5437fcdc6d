# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN as the image model of IAI (Table 6 of the paper)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.iai.association import rank
from visbench.models.iai.identification import FCIdentityBranch
from visbench.models.iai.segmenter import Detections, IdentitySegmenter
from visbench.models.iai.settings import read_test_cfg
from visbench.ops.nms import nms
from visbench.registry import MODELS


@MODELS.register_module()
class IAIMaskRCNN(IdentitySegmenter):
    """MMDetection's region proposal network and RoI heads with an id branch beside the box head.

    The paper gives no details of this variant and the reference implementation lacks it. Decided
    here: the id branch sees the features that the box head sees; as the class loss, the id loss
    is a cross-entropy over N + 1 outcomes on the sampled regions; a detection's class and id
    scores are the probabilities without background; its box is the one of its best class.

    Args:
        num_classes: Number of classes C.
        num_ids: Number of ids N.
        rpn_head: Config of a region proposal network.
        roi_head: Config of a ``StandardRoIHead`` with box and mask head, numbers of classes aside.
        train_cfg: ``rpn`` and ``rcnn`` as MMDetection's two-stage detectors take them.
        proposals: How proposals are chosen, in training and at test.
        id_branch: Arguments of a :class:`FCIdentityBranch`, numbers of ids and inputs aside.
        test_cfg: Changes to the values of :attr:`TEST`.
        identification: Whether there is an id branch.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If ``test_cfg`` has an unknown field or a value out of range.
    """

    TEST = {
        "cls_score_thr": 0.1,
        "id_score_thr": 0.1,
        "nms_iou": 0.5,
        "max_per_frame": 10,
        "mask_thr": 0.5,
        "ranking": "weighted",
    }
    """As in :class:`~visbench.models.iai.condinst.IAICondInst`."""

    def __init__(
        self,
        num_classes: int,
        num_ids: int,
        rpn_head: dict,
        roi_head: dict,
        train_cfg: dict,
        proposals: dict,
        id_branch: dict | None = None,
        test_cfg: dict | None = None,
        identification: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_classes, num_ids, identification, init_cfg)
        train, self.proposals = ConfigDict(train_cfg), ConfigDict(proposals)
        rpn = {"num_classes": 1, "train_cfg": train.rpn, "test_cfg": self.proposals}
        self.rpn_head = MODELS.build(ConfigDict({**rpn_head, **rpn}))
        roi_head = copy.deepcopy({**roi_head, "train_cfg": train.rcnn, "test_cfg": {}})
        for name in ("bbox_head", "mask_head"):
            roi_head[name]["num_classes"] = num_classes
        self.roi_head = MODELS.build(ConfigDict(roi_head))
        self.id_branch = None
        if identification:
            box_head = self.roi_head.bbox_head
            inputs = box_head.in_channels * box_head.roi_feat_area
            arguments = {"in_channels": inputs, "num_fcs": 2, **(id_branch or {})}
            self.id_branch = FCIdentityBranch(num_ids, **arguments)
        self.test_cfg = read_test_cfg(self.TEST, test_cfg)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return class logits, box deltas, mask logits and id logits of all proposals."""
        height, width = (side * self._finest_stride for side in features[0].shape[-2:])
        meta = {"img_shape": (height, width), "scale_factor": (1.0, 1.0)}
        samples = [DetDataSample(metainfo=meta) for _ in features[0]]
        proposals = self.rpn_head.predict(features, samples, rescale=False)
        rois = bbox2roi([each.bboxes for each in proposals])
        boxes = self.roi_head._bbox_forward(features, rois)
        masks = self.roi_head._mask_forward(features, rois)
        outputs = (boxes["cls_score"], boxes["bbox_pred"], masks["mask_preds"])
        ids = self._id_logits(boxes["bbox_feats"])
        return outputs if ids is None else (*outputs, ids)

    @property
    def _finest_stride(self) -> int:
        return int(self.rpn_head.prior_generator.strides[0][0])

    def _id_logits(self, region_features: Tensor) -> Tensor | None:
        return None if self.id_branch is None else self.id_branch(region_features.flatten(1))

    def loss(
        self,
        features: tuple[Tensor, ...],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
    ) -> dict[str, Tensor]:
        """Return losses of proposals, class, box, mask and id of one time step."""
        objects = [_without_classes(instances) for instances in batch_gt_instances]
        samples = [
            DetDataSample(metainfo=meta, gt_instances=instances)
            for meta, instances in zip(batch_img_metas, objects, strict=True)
        ]
        rpn_losses, proposals = self.rpn_head.loss_and_predict(
            features, samples, proposal_cfg=self.proposals
        )
        losses = {name: sum(levels) for name, levels in rpn_losses.items()}
        sampled = [
            self._sample(features, index, *pair)
            for index, pair in enumerate(zip(proposals, batch_gt_instances, strict=True))
        ]
        regions = self.roi_head.bbox_loss(features, sampled)
        losses.update(regions["loss_bbox"])
        masks = self.roi_head.mask_loss(
            features, sampled, regions["bbox_feats"], batch_gt_instances
        )
        losses.update(masks["loss_mask"])
        logits = self._id_logits(regions["bbox_feats"])
        if self.id_branch is not None and logits is not None:
            targets = self._id_targets(sampled, batch_gt_instances)
            losses["loss_id"] = self.id_branch.loss(logits, targets, max(len(targets), 1))
        return losses

    def _sample(
        self,
        features: Sequence[Tensor],
        index: int,
        proposals: InstanceData,
        instances: InstanceData,
    ) -> SamplingResult:
        proposals.priors = proposals.pop("bboxes")
        assigned = self.roi_head.bbox_assigner.assign(proposals, instances)
        return self.roi_head.bbox_sampler.sample(
            assigned, proposals, instances, feats=[level[index][None] for level in features]
        )

    def _id_targets(
        self, sampled: Sequence[SamplingResult], batch_gt_instances: Sequence[InstanceData]
    ) -> Tensor:
        targets = []
        for result, instances in zip(sampled, batch_gt_instances, strict=True):
            background = result.neg_inds.new_full((len(result.neg_inds),), self.num_ids)
            targets += [instances.id_targets[result.pos_assigned_gt_inds], background]
        return torch.cat(targets)

    def detect(self, features: tuple[Tensor, ...], img_meta: dict, first_frame: bool) -> Detections:
        """Detect in one frame; see :class:`IdentitySegmenter`."""
        sample = DetDataSample(metainfo=img_meta)
        (proposals,) = self.rpn_head.predict(features, [sample], rescale=False)
        rois = bbox2roi([proposals.bboxes])
        outputs = self.roi_head._bbox_forward(features, rois)
        classes = outputs["cls_score"].float().softmax(dim=1)[:, : self.num_classes]
        keep = classes.amax(dim=1) > self.test_cfg["cls_score_thr"]
        logits, ids = self._id_logits(outputs["bbox_feats"]), None
        if self.id_branch is not None and logits is not None:
            ids = self.id_branch.scores(logits.float())
            keep &= ids.amax(dim=1) > self.test_cfg["id_score_thr"]
            ids = ids[keep]
        classes = classes[keep]
        boxes = self._boxes(rois[keep], outputs["bbox_pred"][keep].float(), classes, img_meta)
        scores = rank(classes, ids, first_frame, self.test_cfg["ranking"])
        kept = nms(boxes, scores, self.test_cfg["nms_iou"])[: self.test_cfg["max_per_frame"]]
        return Detections(
            boxes=boxes[kept],
            scores=scores[kept],
            class_scores=classes[kept],
            id_scores=None if ids is None else ids[kept],
            probabilities=self._masks(features, boxes[kept], classes[kept], img_meta),
            threshold=self.test_cfg["mask_thr"],
        )

    def _boxes(self, rois: Tensor, deltas: Tensor, classes: Tensor, img_meta: dict) -> Tensor:
        head = self.roi_head.bbox_head
        best = classes.argmax(dim=1) * (not head.reg_class_agnostic)
        deltas = deltas.unflatten(1, (-1, 4))[torch.arange(len(best), device=best.device), best]
        decoded: Tensor = head.bbox_coder.decode(
            rois[:, 1:], deltas, max_shape=img_meta["img_shape"]
        )
        return decoded

    def _masks(
        self, features: Sequence[Tensor], boxes: Tensor, classes: Tensor, img_meta: dict
    ) -> Tensor:
        height, width = img_meta["batch_input_shape"]
        if len(boxes) == 0:
            return boxes.new_zeros(0, height, width)
        logits = self.roi_head._mask_forward(features, bbox2roi([boxes]))["mask_preds"]
        best = classes.argmax(dim=1) * (not self.roi_head.mask_head.class_agnostic)
        masks = logits[torch.arange(len(best), device=best.device), best].float().sigmoid()
        probabilities, _ = _do_paste_mask(masks[:, None], boxes, height, width, skip_empty=False)
        return probabilities


def _without_classes(instances: InstanceData) -> InstanceData:
    return InstanceData(bboxes=instances.bboxes, labels=torch.zeros_like(instances.labels))
