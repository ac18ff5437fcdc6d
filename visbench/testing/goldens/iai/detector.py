# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IAI: the detector, its targets and its losses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from visbench.models.iai.condinst_head import DensePredictions, Locations
from visbench.models.iai.detector import IAI
from visbench.models.iai.segmenter import Detections
from visbench.models.iai.targets import clip_targets
from visbench.models.layers.dynamic_masks import mask_probabilities
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.iai.model import (
    BACKBONE_CHANNELS,
    build_model,
    clip_samples,
    fill_model,
    reference_name,
)
from visbench.testing.goldens.iai.reference import (
    CHANNELS,
    STRIDES,
    build_segmenter,
    ground_truth,
    seeded,
)
from visbench.testing.parity import EXACT, Comparison, GoldenCase, Tolerance

Results = dict[str, Any]

CLOSE = Tolerance(1e-4, 1e-4)
SPATIAL = Tolerance(1e-3, 1e-4)
GROUND_TRUTH = ["gt_count", "gt_bboxes", "gt_labels", "gt_ids", "gt_masks"]
WRONG_PIXELS = 2
"""So many pixels of a mask may differ."""


def _level_shapes(golden: GoldenCase) -> list[tuple[int, int]]:
    height, width = golden.setting("image_hw")
    return [(-(-height // stride), -(-width // stride)) for stride in STRIDES]


@torch.no_grad()
def _dynamic_mask(golden: GoldenCase) -> Results:
    segmenter = build_segmenter(golden)
    head, channels = segmenter.mask_head, segmenter.mask_features.out_channels
    points, strides = (torch.from_numpy(golden[name]) for name in ("points", "strides"))
    number = len(points)
    features = seeded(golden, "dynamic_mask/feat", (channels, *golden.setting("feat_hw")))[None]
    size = (number, head.num_parameters)
    parameters = seeded(golden, "dynamic_mask/params", size, -0.6, 0.6)
    # One location for each instance; their classes and boxes play no part.
    nothing = torch.zeros(1, number, 4)
    predictions = DensePredictions(
        class_logits=nothing,
        id_logits=None,
        distances=nothing,
        centerness=nothing[..., 0],
        parameters=parameters[None],
        locations=Locations(points, strides, (number,)),
    )
    rows = (torch.zeros(number, dtype=torch.long), torch.arange(number))
    fine = segmenter.mask_logits(predictions, features, *rows)
    probabilities = mask_probabilities(fine, segmenter.target_stride)
    detections = Detections(nothing[0], strides, nothing[0], None, probabilities)
    divisors = segmenter.size_of_interest * strides
    return {
        "head_input": head.relative_coordinates(features, points, divisors),
        "logits": head(features, parameters, points, divisors, rows[0]),
        "logits_x2": fine,
        "prob_full": probabilities[: len(golden["prob_full"])],
        "mask_input": detections.masks,
        "mask_ori": detections.masks_at_original_size(
            golden["img_hw"].tolist(), golden["ori_hw"].tolist()
        ),
    }


def _compare_masks(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison
) -> list[str]:
    """Count the pixels that differ; see the group's README."""
    for name in ("mask_input", "mask_ori"):
        ours, theirs = outputs[name].numpy(), golden[name]
        wrong = (ours != theirs).sum(axis=(1, 2)) if ours.shape == theirs.shape else ours
        # Few enough wrong pixels count as none, so that the comparison stays exact.
        forgiven = np.where((wrong <= WRONG_PIXELS)[:, None, None], theirs, ours)
        comparison.compare(name, theirs, forgiven)
    return ["mask_input", "mask_ori"]


@torch.no_grad()
def _assign_targets(golden: GoldenCase) -> Results:
    head = build_segmenter(golden).head
    locations = head.locations(_level_shapes(golden))
    instances = ground_truth(golden)
    targets = head.assign(locations, instances)
    results: Results = {"points": locations.points, "strides": locations.strides}
    for image in range(len(instances)):
        positive = targets.objects[image] >= 0
        distances = targets.distances[image, positive]
        results |= {
            f"labels_{image}": targets.labels[image],
            f"ids_{image}": targets.ids[image],
            f"bbox_targets_pos_{image}": distances,
            f"gt_inds_pos_{image}": targets.objects[image, positive],
            f"centerness_pos_{image}": head.centerness_target(distances),
        }
    return results


@torch.no_grad()
def _head_losses(golden: GoldenCase) -> Results:
    segmenter = build_segmenter(golden)
    instances = ground_truth(golden, "id_targets")
    batch, shapes = len(instances), _level_shapes(golden)
    outputs = {
        "classes": ("cls", segmenter.num_classes, -4, 1),
        "ids": ("id", segmenter.num_ids, -4, 1),
        "distances": ("bbox", 4, 2, 60),
        "centerness": ("centerness", 1, -2, 2),
        "parameters": ("controller", segmenter.mask_head.num_parameters, -0.5, 0.5),
    }
    predictions = segmenter.head.flatten_levels(
        **{
            key: [
                seeded(golden, f"head_losses/{name}{level}", (batch, channels, *shape), low, high)
                for level, shape in enumerate(shapes)
            ]
            for key, (name, channels, low, high) in outputs.items()
        }
    )
    features = seeded(
        golden, "head_losses/mask_feat", (batch, segmenter.mask_features.out_channels, *shapes[0])
    )
    scenes = {
        "losses": instances,
        "losses_second_image_empty": [
            each[:0] if index == 1 else each for index, each in enumerate(instances)
        ],
        "losses_both_empty": [each[:0] for each in instances],
    }
    results: Results = {}
    for name, scene in scenes.items():
        losses = segmenter.losses(predictions, features, scene)
        results[name] = torch.stack([losses[key] for key in golden["loss_names"]])
    return results


@torch.no_grad()
def _first_frame(golden: GoldenCase) -> Results:
    model = build_model(golden)
    fill_model(golden, model)
    image = seeded(golden, "first_frame/img", (1, 3, *golden.setting("image_hw")))
    _, c3, c4, c5 = levels = model.backbone(image)
    assert model.association is not None
    fused, _ = model.association.read(c5, model.new_memory())
    pyramid, _ = model.pyramid(levels, model.new_memory())
    predictions, mask_features = model.segmenter(pyramid)
    channels = golden["enc"].shape[1]
    return {
        "c5": c5,
        "c3_mean": c3.mean(dim=(2, 3)),
        "c4_mean": c4.mean(dim=(2, 3)),
        "enc": fused[:, :channels],
        "assoc": fused[:, channels : 2 * channels],
        "fused_sum": fused.sum(dim=(2, 3)),
        "p3": pyramid[0][:, : golden["p3"].shape[1]],
        **{f"p{level}": pyramid[level - 3] for level in (5, 6, 7)},
        "cls": predictions.class_logits[0],
        "id": predictions.id_logits[0],
        "bbox": predictions.distances[0],
        "centerness": predictions.centerness[0, :, None],
        "controller": predictions.parameters[0],
        "mask_feat": mask_features,
    }


def _train_losses(golden: GoldenCase) -> Results:
    results: Results = {}
    for mode in ("eval", "train"):
        model = build_model(
            golden,
            association={
                "in_channels": BACKBONE_CHANNELS[-1],
                "stride": 32,
                "channels": CHANNELS,
                "block": {"drop_path": 0.0},
            },
        )
        fill_model(golden, model)
        model.train(mode == "train")
        for name, value in _training_pass(golden, model).items():
            results[f"{name}_{mode}"] = value
    state = {reference_name(name): value for name, value in model.state_dict().items()}
    norm = "bbox_head.mask_refine.0.1."
    results["bn_running_mean_after"] = state[norm + "running_mean"]
    results["bn_num_batches_after"] = state[norm + "num_batches_tracked"]
    return results


def _training_pass(golden: GoldenCase, model: IAI) -> Results:
    clips, frames = (int(golden.setting(name)) for name in ("num_clips", "num_frames"))
    size = (clips * frames, 3, *golden.setting("image_hw"))
    images = seeded(golden, "train_losses/img", size).unflatten(0, (frames, clips)).transpose(0, 1)
    samples = clip_samples(golden)
    losses = model(images, samples, mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    gradients = {
        reference_name(name): parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    names = golden["loss_names"].tolist()
    model_again = copy.deepcopy(model)
    targets = clip_targets(samples, model.num_ids, images.device, model.overflow, model.padding_id)
    with torch.no_grad():
        steps = model_again.step_losses(images, targets)
    return {
        "losses": torch.stack([losses[name] for name in names]),
        "losses_per_step": torch.stack([torch.stack([step[n] for n in names]) for step in steps]),
        "total": total,
        "grad_norms": torch.stack([gradients[key].norm() for key in golden["grad_keys"].tolist()]),
        "grad_conv_id_bias": gradients["bbox_head.conv_id.bias"],
    }


PART = GoldenPart(
    inputs={
        "first_frame": [],
        "train_losses": [*GROUND_TRUTH, "loss_names", "grad_keys"],
        "dynamic_mask": ["points", "strides", "img_hw", "ori_hw", "min_margin"],
        "assign_targets": GROUND_TRUTH,
        "head_losses": [*GROUND_TRUTH, "id_targets", "loss_names"],
    },
    tolerances={
        # Sums over the map and distances in pixels have an absolute tolerance of their own.
        "first_frame": {"fused_sum": SPATIAL, "bbox": SPATIAL, "*": CLOSE},
        "train_losses": {
            "losses*": Tolerance(rtol=1e-4),
            "total*": Tolerance(rtol=1e-4),
            "grad_norms*": Tolerance(rtol=1e-3),
            "grad_conv_id_bias*": Tolerance(1e-4, 1e-3),
            "bn_running_mean_after": CLOSE,
            "bn_num_batches_after": EXACT,
        },
        "dynamic_mask": {"mask_*": EXACT, "*": CLOSE},
        "assign_targets": {
            "bbox_targets_pos_*": Tolerance(1e-3),
            "centerness_pos_*": CLOSE,
            "*": EXACT,
        },
        "head_losses": {"*": Tolerance(rtol=1e-4)},
    },
    computes={
        "first_frame": _first_frame,
        "train_losses": _train_losses,
        "dynamic_mask": _dynamic_mask,
        "assign_targets": _assign_targets,
        "head_losses": _head_losses,
    },
    compares={"dynamic_mask": _compare_masks},
    whole_models=("first_frame", "train_losses"),
)
