# SPDX-License-Identifier: Apache-2.0
"""The box and RoI conventions of the released checkpoints, as parts that a config selects.

The reference implementation rests on MMDetection 1: a box spans all pixels from its first to its
last, so its width is ``x2 - x1 + 1``. What MMDetection still offers is selected by settings in
``configs/_base_/models/seq_mask_rcnn_reference_r50.py`` (rounded anchors, ``offset=1`` of the
suppression, IoU with both end pixels); here is what it does not offer. No other file of the
library knows which conventions a model follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
import numpy.typing as npt
import torch
from mmcv.ops import RoIAlign, batched_nms
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.assigners import AssignResult
from mmdet.models.task_modules.coders import LegacyDeltaXYWHBBoxCoder
from mmdet.models.task_modules.samplers import RandomSampler, SamplingResult
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from visbench.models.propose_reduce.mask_head import SeqMaskHead
from visbench.registry import MODELS, TASK_UTILS


@TASK_UTILS.register_module()
class ReferenceBoxCoder(LegacyDeltaXYWHBBoxCoder):
    """Box coder that counts both end pixels in both directions.

    MMDetection's legacy coder encodes so, but decodes to corners half a pixel further out.
    """

    def decode(
        self,
        bboxes: Tensor,
        pred_bboxes: Tensor,
        max_shape: Sequence[int] | None = None,
        wh_ratio_clip: float = 16 / 1000,
    ) -> Tensor:
        """Return the boxes that deltas stand for.

        Args:
            bboxes: ``(n, 4)`` xyxy in pixels.
            pred_bboxes: ``(n, 4 * k)`` deltas dx, dy, dw, dh.
            max_shape: Height and width to clip to, corners at most ``size - 1``; None for no clip.
            wh_ratio_clip: Smallest factor of a side; its inverse is the largest.

        Returns:
            ``(n, 4 * k)`` xyxy in pixels.
        """
        decoded = super().decode(bboxes, pred_bboxes, None, wh_ratio_clip)
        corners = decoded.view(-1, 2, 2) + decoded.new_tensor([[0.5], [-0.5]])
        if max_shape is not None:
            last = corners.new_tensor([max_shape[1] - 1, max_shape[0] - 1])
            corners = corners.clamp(min=0).minimum(last)
        return corners.view_as(decoded)


def suppress_within_groups(
    boxes: Tensor, scores: Tensor, groups: Tensor, nms_cfg: ConfigDict
) -> Tensor:
    """Suppress boxes by others of their group.

    MMDetection moves the groups apart and treats them as one, which rounds the coordinates and
    loses the order of the groups.

    Args:
        boxes: ``(n, 4)`` xyxy in pixels.
        scores: ``(n,)``.
        groups: ``(n,)`` int64, for instance the class or the level of each box.
        nms_cfg: As of :func:`mmcv.ops.batched_nms`.

    Returns:
        Indices of what remains, ``(m,)`` int64: group by group in ascending order, inside a group
        by descending score.
    """
    kept = [groups.new_zeros(0)]
    for group in groups.unique():
        members = (groups == group).nonzero()[:, 0]
        _, order = batched_nms(
            boxes[members], scores[members], groups[members], nms_cfg, class_agnostic=True
        )
        kept.append(members[order])
    return torch.cat(kept)


@MODELS.register_module()
class ReferenceRPNHead(RPNHead):
    """Region proposals with suppression inside each level on unmoved boxes.

    The inclusive areas come from ``nms=dict(type="nms", offset=1, ...)`` of the settings. A
    ``min_bbox_size`` of 0 would drop proposals one pixel wide, for it measures ``x2 - x1``: the
    settings need -1.
    """

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict | None = None,
    ) -> InstanceData:
        kept = suppress_within_groups(results.bboxes, results.scores, results.level_ids, cfg.nms)
        # Without suppression of its own, MMDetection sorts by score and cuts.
        cfg = ConfigDict(cfg, nms=None)
        return super()._bbox_post_process(results[kept], cfg, rescale, with_nms, img_meta)


class InclusiveRoIAlign(RoIAlign):
    """RoIAlign over regions that end with the pixel ``(x2, y2)``, without a shift by half a cell.

    Args:
        spatial_scale: Cells per pixel.
        **kwargs: As of :class:`mmcv.ops.RoIAlign`, but ``aligned``.
    """

    def __init__(self, spatial_scale: float, **kwargs: Any) -> None:
        super().__init__(spatial_scale=spatial_scale, aligned=True, **kwargs)

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Return ``(n, C, *output_size)`` of features ``(B, C, H, W)``.

        Args:
            input: Features.
            rois: ``(n, 5)`` batch index and xyxy in pixels.
        """
        # The aligned operator subtracts half a cell, and it alone has no least width of a cell.
        half_cell = 0.5 / self.spatial_scale
        start = rois[:, 1:3] + half_cell
        end = torch.maximum(rois[:, 3:5] + (1 + half_cell), start)
        return super().forward(input, torch.cat([rois[:, :1], start, end], dim=1))


@MODELS.register_module()
class ReferenceRoIExtractor(SingleRoIExtractor):
    """RoI features of inclusive boxes from the level that fits their inclusive size.

    The RoI layer of the settings takes every argument but its type and ``aligned``.
    """

    def build_roi_layers(self, layer_cfg: dict, featmap_strides: list[int]) -> nn.ModuleList:
        """Return the layer of each level; see :meth:`SingleRoIExtractor.build_roi_layers`."""
        return super().build_roi_layers({**layer_cfg, "type": InclusiveRoIAlign}, featmap_strides)

    def map_roi_levels(self, rois: Tensor, num_levels: int) -> Tensor:
        """Return the level of each region, ``(n,)`` int64.

        Args:
            rois: ``(n, 5)`` batch index and xyxy in pixels.
            num_levels: Number of levels, the finest first.
        """
        extent = (rois[:, 3:5] - rois[:, 1:3] + 1).clamp(min=0)
        scale = extent.prod(dim=1).sqrt()
        levels = torch.log2(scale / self.finest_scale + 1e-6).floor()
        return levels.clamp(min=0, max=num_levels - 1).long()


@MODELS.register_module()
class ReferenceBBoxHead(Shared2FCBBoxHead):
    """Box head whose detections stay in the order of their classes if they are few.

    Only when more than ``max_per_img`` boxes are left, they are sorted by score and cut. The order
    matters where masks are deduplicated: the first of two alike stays.
    """

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_meta: dict,
        rescale: bool = False,
        rcnn_test_cfg: ConfigDict | None = None,
    ) -> InstanceData:
        results = super()._predict_by_feat_single(roi, cls_score, bbox_pred, img_meta, rescale)
        if rcnn_test_cfg is None:
            return results
        all_scores = results.scores[:, :-1].T
        labels, index = (all_scores > rcnn_test_cfg.score_thr).nonzero(as_tuple=True)
        scores = all_scores[labels, index]
        regressed = 1 if self.reg_class_agnostic else self.num_classes
        boxes = results.bboxes.reshape(len(roi), regressed, 4)[index, labels % regressed]
        kept = suppress_within_groups(boxes, scores, labels, rcnn_test_cfg.nms)
        if 0 < rcnn_test_cfg.max_per_img < len(kept):
            kept = kept[scores[kept].argsort(descending=True)[: rcnn_test_cfg.max_per_img]]
        return InstanceData(bboxes=boxes[kept], scores=scores[kept], labels=labels[kept])


@MODELS.register_module()
class ReferenceMaskHead(SeqMaskHead):
    """Mask head that crops targets and pastes predictions in whole pixels, by OpenCV's resizing.

    Box corners are cut to integers. A box that leaves the image is clipped to it first; the
    reference implementation aborts there.
    """

    def get_targets(
        self,
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
        rcnn_train_cfg: ConfigDict,
    ) -> Tensor:
        """Return the targets of the positive samples of all images, ``(n, h, w)`` of 0 and 1.

        Args:
            sampling_results: Samples of each image.
            batch_gt_instances: Ground truth of each image with ``masks`` at the padded size.
            rcnn_train_cfg: Its ``mask_size`` is the size of the targets.
        """
        height, width = _pair(rcnn_train_cfg.mask_size)
        targets = []
        for samples, truth in zip(sampling_results, batch_gt_instances, strict=True):
            masks = truth.masks.to_ndarray()
            boxes = pixel_boxes(samples.pos_priors, masks.shape[1:])
            for (x1, y1, x2, y2), instance in zip(
                boxes, samples.pos_assigned_gt_inds.tolist(), strict=True
            ):
                crop = masks[instance, y1 : y2 + 1, x1 : x2 + 1]
                targets.append(mmcv.imresize(crop.astype(np.uint8), (width, height)))
        stacked = np.stack(targets) if targets else np.zeros((0, height, width))
        return torch.from_numpy(stacked).to(sampling_results[0].pos_priors)

    def paste_soft(
        self, probabilities: Tensor, bboxes: Tensor, labels: Tensor, img_shape: tuple[int, int]
    ) -> Tensor:
        """See :meth:`SeqMaskHead.paste_soft`; the result carries no gradient."""
        chosen = self.of_labels(probabilities.detach(), labels).cpu().numpy()
        canvas = np.zeros((len(chosen), *img_shape), dtype=np.float32)
        for target, mask, (x1, y1, x2, y2) in zip(
            canvas, chosen, pixel_boxes(bboxes, img_shape), strict=True
        ):
            target[y1 : y2 + 1, x1 : x2 + 1] = mmcv.imresize(mask, (x2 - x1 + 1, y2 - y1 + 1))
        return torch.from_numpy(canvas).to(probabilities.device)

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        labels: Tensor,
        img_meta: dict,
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> Tensor:
        size = img_meta["img_shape"]
        if rescale:
            size = img_meta["ori_shape"]
            bboxes /= bboxes.new_tensor(img_meta["scale_factor"]).repeat(2)  # as MMDetection does
        probabilities = mask_preds if activate_map else mask_preds.sigmoid()
        pasted = self.paste_soft(probabilities, bboxes, labels, (int(size[0]), int(size[1])))
        return pasted > rcnn_test_cfg.mask_thr_binary


def pixel_boxes(boxes: Tensor, size: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return first and last pixels of boxes inside an image.

    Args:
        boxes: ``(n, 4)`` xyxy in pixels.
        size: Height and width of the image.

    Returns:
        ``(n, 4)`` whole numbers x1, y1, x2, y2 with ``0 <= x1 <= x2 < width``, and so for y.
    """
    corners = boxes.detach().cpu().numpy().reshape(-1, 2, 2)
    first, last = np.moveaxis(
        np.clip(corners, 0, (size[1] - 1, size[0] - 1)).astype(np.int64), 1, 0
    )
    return np.concatenate([first, np.maximum(first, last)], axis=1)


@TASK_UTILS.register_module()
class ReferenceSampler(RandomSampler):
    """Random sampler that has every ground-truth box among the positives, drawn or not.

    So the positives may be more than ``num * pos_fraction``; negatives fill up to ``num``.

    Args:
        num: Number of samples.
        pos_fraction: Largest part of the positives that are drawn.
        add_gt_as_proposals: Must be True: what is always sampled has to be among the candidates.
        **kwargs: As of :class:`RandomSampler`.

    Raises:
        ValueError: If ``add_gt_as_proposals`` is False.
    """

    def __init__(
        self, num: int, pos_fraction: float, add_gt_as_proposals: bool = True, **kwargs: Any
    ) -> None:
        if not add_gt_as_proposals:
            raise ValueError(
                "sampler.add_gt_as_proposals: ReferenceSampler always samples the ground truth; "
                "leave it True, or use mmdet.RandomSampler"
            )
        super().__init__(num, pos_fraction, add_gt_as_proposals=True, **kwargs)

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        drawn = super()._sample_pos(assign_result, num_expected, **kwargs)
        truth = torch.arange(assign_result.num_gts, device=assign_result.gt_inds.device)
        return torch.cat([truth, drawn.flatten()])
