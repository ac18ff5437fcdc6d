# SPDX-License-Identifier: Apache-2.0
"""What video methods on top of a two-stage detector of MMDetection share."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from visbench.registry import MODELS


def build_mask_detector(config: dict, method: str) -> TwoStageDetector:
    """Build a two-stage detector with masks.

    Args:
        config: Config of the detector.
        method: Name of the model it is for, for the message.

    Raises:
        ValueError: If the detector has no RoI head with masks.
    """
    detector = MODELS.build(ConfigDict(config))
    if not getattr(getattr(detector, "roi_head", None), "with_mask", False):
        raise ValueError(
            f"model.detector is a {type(detector).__name__} without a mask head; "
            f"{method} needs a two-stage detector with masks, such as MaskRCNN"
        )
    return detector


def detection_losses(
    detector: TwoStageDetector, feats: Sequence[Tensor], samples: list[DetDataSample]
) -> tuple[dict, list]:
    """Return a detector's losses for features that are there already.

    Args:
        detector: The detector.
        feats: ``(N, C, h, w)`` pyramid levels of N images.
        samples: Their N samples; left unchanged.

    Returns:
        Losses of RPN (names start with ``rpn_`` or ``loss_rpn_``), box, class and mask head, and
        the N images' proposals.
    """
    proposal_cfg = detector.train_cfg.get("rpn_proposal", detector.test_cfg.rpn)
    losses, proposals = detector.rpn_head.loss_and_predict(
        feats, _without_classes(samples), proposal_cfg=proposal_cfg
    )
    losses = {name if "rpn" in name else f"rpn_{name}": loss for name, loss in losses.items()}
    losses.update(detector.roi_head.loss(feats, proposals, samples))
    return losses, proposals


def pair_indices(
    inputs: Tensor, data_samples: list[TrackDataSample], method: str
) -> tuple[list[int], list[int]]:
    """Return clip and position of all key frames, then of all reference frames.

    Args:
        inputs: ``(B, 2, 3, H, W)`` clips.
        data_samples: B samples with ``key_frames_inds`` and ``ref_frames_inds``.
        method: Name of the model, for the message.

    Raises:
        ValueError: If a clip is not a pair of one key and one reference frame.
    """
    pairs = []
    for sample in data_samples:
        key = list(sample.metainfo.get("key_frames_inds", ()))
        reference = list(sample.metainfo.get("ref_frames_inds", ()))
        if inputs.size(1) != 2 or len(key) != 1 or sorted(key + reference) != [0, 1]:
            raise ValueError(
                f"{method} trains on pairs of a key and a reference frame, got "
                f"{inputs.size(1)} frames, key_frames_inds {key} and ref_frames_inds "
                f"{reference}; sample clips with SampleKeyReference and num_references=1"
            )
        pairs.append((key[0], reference[0]))
    keys, references = zip(*pairs, strict=True)
    return [*range(len(pairs))] * 2, [*keys, *references]


def bare_samples(images: Tensor) -> list[DetDataSample]:
    """Return samples of which nothing is known but that images fill their ``(N, 3, H, W)``."""
    size = tuple(images.shape[-2:])
    meta = {"img_shape": size, "batch_input_shape": size, "scale_factor": (1.0, 1.0)}
    return [DetDataSample(metainfo={**meta, "ori_shape": size}) for _ in images]


def _without_classes(samples: list[DetDataSample]) -> list[DetDataSample]:
    # The region proposal network knows one class; MMDetection's own loop clears the labels, too.
    agnostic = copy.copy(samples)
    for index, sample in enumerate(samples):
        instances = sample.gt_instances.new()
        instances.labels = torch.zeros_like(instances.labels)
        agnostic[index] = sample.new()
        agnostic[index].gt_instances = instances
    return agnostic
