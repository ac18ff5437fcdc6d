# SPDX-License-Identifier: Apache-2.0
"""Golden cases of Propose-Reduce: inference over whole clips, and a training step.

Class vectors are stored with the background first; it comes last in our model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.propose_reduce import SeqMaskRCNN
from visbench.models.propose_reduce.association import SequenceOverlaps, reduce_sequences
from visbench.models.propose_reduce.checkpoint import RELEASED_RULES
from visbench.models.propose_reduce.propagation import PropagationStep
from visbench.models.propose_reduce.proposals import KeyFrameRecorder
from visbench.structures import Frame, VideoInfo
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.propose_reduce.detector import seeded
from visbench.testing.goldens.propose_reduce.released import seeded_model
from visbench.testing.parity import EXACT, Comparison, GoldenCase, Tolerance

Results = dict[str, Any]
Masks = npt.NDArray[np.bool_]

WRONG_PIXELS = 3
"""So many pixels of a mask may differ; the kept sequences and their order may not."""

SOFT_NMS = {"sigma": 0.5, "score_threshold": 0.001}
REDUCTIONS = {
    "clip_main": [{"type": "visbench.SequenceNMS", "iou_threshold": 0.5, "score_threshold": 0.05}],
    "clip_cate": [
        {"type": "visbench.SequenceNMS", "iou_threshold": 0.9, "score_threshold": 0.05},
        {"type": "visbench.CategoryAwareReduction", "max_sequences": 100, **SOFT_NMS},
    ],
    "clip_davis": [{"type": "visbench.SequenceSoftNMS", "max_sequences": 20, **SOFT_NMS}],
}
"""Of the released configs, as the README of the goldens names them."""

UNLIMITED = 1_000_000
"""Samples so many anchors and boxes that all are used."""


def _clip_model(golden: GoldenCase, network: str) -> SeqMaskRCNN:
    arrays = golden.arrays
    settings: dict[str, Any] = {
        "key_frames": {
            "type": "visbench.EvenKeyFrames",
            "num_key_frames": int(golden["K"]),
            "repeat": True,
        },
        "propose": {
            "memory_interval": int(arrays["mem_step"]) if "mem_step" in arrays else None,
            "memory_count": int(arrays["mem_num"]) if "mem_num" in arrays else None,
        },
        "reduce": REDUCTIONS[golden.name],
    }
    if "max_per_img" in arrays:
        limit = {"max_per_img": int(golden["max_per_img"])}
        settings["detector"] = {"test_cfg": {"rcnn": limit}}
    model = seeded_model(network, golden, float(golden["pred2_bias_add"]), **settings)
    assert isinstance(model, SeqMaskRCNN)
    return model


def _clip(
    golden: GoldenCase, network: str, detections: Callable[[int], Masks] | None = None
) -> tuple[Results, list[npt.NDArray[np.float32]]]:
    """Run a clip.

    Args:
        golden: The case.
        network: Name of the released model.
        detections: Masks of the key frame at a position, in place of the detector's.

    Returns:
        What all clip cases store, and for every key frame its ``(O, T, H, W)`` soft masks.
    """
    model = _clip_model(golden, network)
    steps: list[PropagationStep] = []
    # Where the model looks at a step is where we look at it, too.
    observe = model.observe

    def watched(step: PropagationStep, recorder: KeyFrameRecorder) -> None:
        steps.append(step)
        observe(step, recorder)

    model.observe = watched  # type: ignore[method-assign]
    if detections is not None:
        found = iter(range(int(golden["K"])))
        model.detect = lambda *_: torch.from_numpy(  # type: ignore[method-assign]
            detections(next(found))
        )
    length, height, width = golden["frames"].shape[:3]
    store, layout = model.read(VideoInfo(0, golden.name, height, width), _frames(golden, model))
    assert layout is not None
    proposals = model.propose(store, layout.valid)
    overlaps = SequenceOverlaps(proposals.sequences)
    scores = np.stack(proposals.scores)
    kept, final_scores = reduce_sequences(model.reducers, overlaps, scores)
    masks = [[mask.unpack() for mask in proposals.sequences[index]] for index in kept]
    outputs = {
        "seq_scores": np.roll(scores, 1, axis=1),
        "final_masks": np.array(masks),
        "final_masks_shape": np.array((len(kept), length, *layout.padded)),
        "final_scores": np.roll(final_scores, 1, axis=1),
        "mem_slots": np.array([step.memory_frames for step in steps]),
    }
    return outputs, _soft_masks(steps, length)


def _frames(golden: GoldenCase, model: SeqMaskRCNN) -> list[Frame]:
    """Return the stored frames, prepared by the model from their part that is image."""
    height, width = (int(side) for side in golden["img_shape"])
    size = (height, width)
    images = golden["frames"][:, :height, :width, ::-1].transpose(0, 3, 1, 2)
    return [
        model.prepare(Frame(index, torch.from_numpy(image.copy()), size, size))
        for index, image in enumerate(images)
    ]


def _soft_masks(steps: Sequence[PropagationStep], length: int) -> list[npt.NDArray[np.float32]]:
    per_key_frame = []
    for start in range(0, len(steps), length):
        ordered = sorted(steps[start : start + length], key=lambda step: step.frame)
        per_key_frame.append(np.stack([step.masks.numpy() for step in ordered], axis=1))
    return per_key_frame


def _areas(soft: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return (soft >= 0.5).sum(axis=(2, 3))


@torch.no_grad()
def _clip_main(golden: GoldenCase) -> Results:
    last = int(golden["K"]) - 1
    stored = {0: golden["det0"].astype(bool), last: golden["det1"].astype(bool)}
    nothing = np.zeros((0, *golden["img_shape"]), dtype=bool)
    outputs, soft = _clip(golden, "r50", lambda position: stored.get(position, nothing))
    for index, masks in enumerate(soft):
        outputs[f"soft{index}_sub"] = masks[:, :, ::2, ::2]
        outputs[f"soft{index}_area"] = _areas(masks)
    return outputs


@torch.no_grad()
def _clip_cate(golden: GoldenCase) -> Results:
    outputs, soft = _clip(golden, "r50")
    return {**outputs, **_summary(soft), "n_per_key": np.array([len(masks) for masks in soft])}


@torch.no_grad()
def _clip_davis(golden: GoldenCase) -> Results:
    outputs, soft = _clip(golden, "r101_davis", lambda _: golden["det"].astype(bool))
    # The reference returns the score of the only class.
    return {**outputs, **_summary(soft), "final_scores": outputs["final_scores"][:, 1]}


def _summary(soft: Sequence[npt.NDArray[np.float32]]) -> Results:
    everything = np.concatenate(soft)
    return {"area": _areas(everything), "soft_mean": everything.mean(axis=(2, 3))}


def _compare_clip(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison
) -> Sequence[str]:
    """Compare areas and final masks by the number of pixels that differ."""
    done = ["final_masks"]
    width = int(golden["final_masks_shape"][-1])
    stored = np.unpackbits(golden["final_masks"], axis=-1, count=width).astype(bool)
    ours = outputs["final_masks"]
    if ours.shape == stored.shape:
        wrong = (stored != ours).sum(axis=(2, 3)).astype(np.float64)
        comparison.compare("final_masks", np.zeros_like(wrong), wrong, atol=WRONG_PIXELS)
    else:
        comparison.compare("final_masks", stored, ours)
    for name in outputs:
        if name.endswith("area"):
            done.append(name)
            pair = golden[name].astype(np.float64), outputs[name].astype(np.float64)
            comparison.compare(name, *pair, atol=WRONG_PIXELS)
    return done


def _train_losses(golden: GoldenCase) -> Results:
    everything = {"sampler": {"num": UNLIMITED}}
    model = seeded_model(
        "r50",
        golden,
        float(golden["pred2_bias_add"]),
        detector={"train_cfg": {"rpn": everything, "rcnn": everything}},
    ).train()
    assert isinstance(model, SeqMaskRCNN)
    outputs: Results = {}
    _watch(model, outputs)
    count = sum(name.startswith("gt_bboxes") for name in golden.arrays)
    frames = [
        seeded(golden, f"train/{name}", (count, 3, *golden["size"].tolist()), -2, 2)
        for name in ("img", "ref")
    ]
    samples = [_pair(golden, index) for index in range(count)]
    losses = model.loss(torch.stack(frames, dim=1), samples)
    total, _ = model.parse_losses(losses)
    total.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    ours = {_released_name(name): gradient for name, gradient in gradients.items()}
    return {
        **outputs,
        "loss_rpn_cls": torch.stack(losses["loss_rpn_cls"]),
        "loss_rpn_reg": torch.stack(losses["loss_rpn_bbox"]),
        "loss_cls": losses["loss_cls"].reshape(1),
        "loss_reg": losses["loss_bbox"].reshape(1),
        "loss_mask": losses["loss_mask"].reshape(1),
        "loss_prop": losses["loss_prop"],
        "acc": losses["acc"].reshape(1),
        "loss_total": total,
        "grad_keys": np.array([key for key in golden["grad_keys"] if key in ours]),
        "grad_norms": torch.stack([ours[key].norm() for key in golden["grad_keys"]]),
    }


def _released_name(name: str) -> str:
    matches = ((re.fullmatch(pattern, name), template) for pattern, template in RELEASED_RULES)
    return next(match.expand(template) for match, template in matches if match)


def _watch(model: SeqMaskRCNN, outputs: Results) -> None:
    """Record what goes into and comes out of the propagation of every pair."""
    guidance_masks = model.guidance_masks
    indices = iter(range(UNLIMITED))

    def watched(pyramid: Any, guidance: Any, targets: Any) -> Tensor:
        masks = guidance_masks(pyramid, guidance, targets)
        outputs[f"guidance{next(indices)}_sub"] = masks[:, ::2, ::2]
        return masks

    def before_loss(_: Any, arguments: Any) -> None:
        for index, logits in enumerate(arguments[0]):
            outputs[f"prop_logits{index}_sub"] = logits[:, :, ::4, ::4]

    model.guidance_masks = watched  # type: ignore[method-assign]
    model.propagation_losses["loss_prop"].register_forward_pre_hook(before_loss)


def _pair(golden: GoldenCase, index: int) -> TrackDataSample:
    """Return query and guidance frame of a pair; propagated objects carry their channel as id."""
    height, width = golden["size"].tolist()
    masks = np.unpackbits(golden[f"gt_masks{index}"], axis=-1, count=width)
    guided = torch.from_numpy(golden[f"ref_labels{index}"])
    query = InstanceData(
        bboxes=torch.from_numpy(golden[f"gt_bboxes{index}"]),
        labels=torch.from_numpy(golden[f"gt_labels{index}"]) - 1,
        masks=BitmapMasks(masks, height, width),
        instances_ids=torch.from_numpy(golden[f"prop_gt_pids{index}"]),
    )
    guidance = InstanceData(
        bboxes=torch.from_numpy(golden[f"ref_bboxes{index}"]),
        labels=guided - 1,
        instances_ids=torch.arange(len(guided)) + 1,
    )
    shape = tuple(golden["img_shape"].tolist())
    meta = {
        "img_shape": shape,
        "ori_shape": shape,
        "pad_shape": (height, width),
        "batch_input_shape": (height, width),
        "scale_factor": (1.0, 1.0),
    }
    sample = TrackDataSample(metainfo={"key_frames_inds": [0], "ref_frames_inds": [1]})
    sample.video_data_samples = [
        DetDataSample(metainfo=meta, gt_instances=known) for known in (query, guidance)
    ]
    return sample


_CLIP = {
    "soft*_sub": Tolerance(1e-3, 1e-4),
    "soft_mean": Tolerance(1e-3, 1e-4),
    "*area": Tolerance(WRONG_PIXELS),
    "final_masks": Tolerance(WRONG_PIXELS),
    "*_scores": Tolerance(5e-3, 1e-4),
    "*": EXACT,
}
_CLIP_INPUTS = ("frames", "img_shape", "K", "mem_step", "mem_num", "pred2_bias_add")

PART = GoldenPart(
    inputs={
        "clip_main": (*_CLIP_INPUTS, "det*"),
        "clip_cate": (*_CLIP_INPUTS, "max_per_img"),
        "clip_davis": (*_CLIP_INPUTS, "det"),
        "train_losses": (
            *("size", "img_shape", "pred2_bias_add", "gt_*", "ref_*"),
            "prop_gt_pids*",
        ),
    },
    tolerances={
        **dict.fromkeys(("clip_main", "clip_cate", "clip_davis"), _CLIP),
        "train_losses": {
            "grad_keys": EXACT,
            "grad_norms": Tolerance(0, 1e-3),
            "*": Tolerance(1e-4, 1e-4),
        },
    },
    computes={
        "clip_main": _clip_main,
        "clip_cate": _clip_cate,
        "clip_davis": _clip_davis,
        "train_losses": _train_losses,
    },
    compares=dict.fromkeys(("clip_main", "clip_cate", "clip_davis"), _compare_clip),
    whole_models=("clip_main", "clip_cate", "clip_davis", "train_losses"),
)
