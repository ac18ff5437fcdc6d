# SPDX-License-Identifier: Apache-2.0
"""Golden cases of the operators: what the compiled operators of MMCV gave.

The cases go through ``mmcv.ops``, as MMDetection does, and for deformable attention through
``visbench.ops``. Settings come from the ``meta`` of each file, shapes from its arrays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from visbench.ops import ms_deform_attn
from visbench.testing.parity import EXACT, GoldenCase, GoldenError, GoldenGroup, Tolerance

# After visbench.ops, which makes this import work without compiled operators.
import mmcv.ops  # isort: skip

OUTPUT = Tolerance(atol=1e-5)
GRADIENT = Tolerance(atol=1e-4)

Results = dict[str, Any]


class OpsGroup(GoldenGroup):
    """Runner of the group ``ops``."""

    name = "ops"
    inputs = {
        "nms": ("boxes", "scores", "labels"),
        "roi_align": ("feat", "rois", "gradout_*"),
        "deform_conv": ("x", "offset", "weight", "mask", "bias", "dcn_gradout"),
        "ms_deform_attn": ("value", "spatial_shapes", "locations", "weights", "gradout"),
        "sigmoid_focal": ("logits", "target"),
    }
    tolerances = {
        "nms": {"*_keep": EXACT, "*_dets": OUTPUT},
        "roi_align": {"out_*": OUTPUT, "gradfeat_*": GRADIENT},
        "deform_conv": {"*dcn_out": OUTPUT, "*dcn_g*": GRADIENT},
        "ms_deform_attn": {"out": OUTPUT, "g*": GRADIENT},
        "sigmoid_focal": {"loss": OUTPUT, "gradlogits": GRADIENT},
    }

    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Return the outputs of the operators for the inputs of a case."""
        return _CASES[golden.name](golden)


def _tensor(golden: GoldenCase, name: str, grad: bool = False) -> Tensor:
    return torch.from_numpy(golden[name]).requires_grad_(grad)


def _nms(golden: GoldenCase) -> Results:
    boxes, scores, labels = (_tensor(golden, name) for name in ("boxes", "scores", "labels"))
    iou = golden.setting("nms_iou")
    limits = golden.setting("thr03")
    settings: dict[str, Any] = {"type": "nms", "iou_threshold": iou}
    results: Results = {}
    results["nms_dets"], results["nms_keep"] = mmcv.ops.nms(boxes, scores, iou)
    _, results["nms_offset1_keep"] = mmcv.ops.nms(
        boxes, scores, iou, offset=golden.setting("offset")
    )
    results["nms_thr03_top20_dets"], results["nms_thr03_top20_keep"] = mmcv.ops.nms(
        boxes,
        scores,
        limits["iou"],
        score_threshold=limits["score_threshold"],
        max_num=limits["max_num"],
    )
    results["batched_dets"], results["batched_keep"] = mmcv.ops.batched_nms(
        boxes, scores, labels, settings
    )
    _, results["batched_agnostic_keep"] = mmcv.ops.batched_nms(
        boxes, scores, labels, settings, class_agnostic=True
    )
    for method in ("linear", "gaussian"):
        dets, keep = mmcv.ops.soft_nms(
            boxes,
            scores,
            iou_threshold=golden.setting("soft_nms", "iou"),
            sigma=golden.setting("soft_nms", "sigma"),
            min_score=golden.setting("soft_nms", f"min_score_{method}"),
            method=method,
        )
        results[f"softnms_{method}_dets"], results[f"softnms_{method}_keep"] = dets, keep
    return results


def _roi_align(golden: GoldenCase) -> Results:
    results: Results = {}
    for name in golden.arrays:
        if not name.startswith("out_"):
            continue
        match = re.fullmatch(r"out_(aligned([01])_sr(\d+)_(avg|max))", name)
        if match is None:
            raise GoldenError(f"{golden.path}: array {name!r} names no known setting of roi_align")
        variant, aligned, sampling_ratio, mode = match.groups()
        features = _tensor(golden, "feat", grad=True)
        output = mmcv.ops.roi_align(
            features,
            _tensor(golden, "rois"),
            tuple(golden.setting("output_hw")),
            golden.setting("spatial_scale"),
            int(sampling_ratio),
            mode,
            aligned == "1",
        )
        gradient = _tensor(golden, f"gradout_{variant}")
        results[name] = output
        (results[f"gradfeat_{variant}"],) = torch.autograd.grad(output, features, gradient)
    return results


def _deform_conv(golden: GoldenCase) -> Results:
    settings = ("stride", "padding", "dilation", "groups", "deform_groups")
    geometry = [golden.setting(name) for name in settings]
    gradient = _tensor(golden, "dcn_gradout")
    x, offset, weight, mask, bias = (
        _tensor(golden, name, grad=True) for name in ("x", "offset", "weight", "mask", "bias")
    )
    plain = mmcv.ops.deform_conv2d(x, offset, weight, *geometry)
    modulated = mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, bias, *geometry)
    results: Results = {"dcn_out": plain, "mdcn_out": modulated}
    for prefix, output, inputs in (
        ("dcn", plain, {"x": x, "off": offset, "w": weight}),
        ("mdcn", modulated, {"x": x, "off": offset, "mask": mask, "w": weight, "b": bias}),
    ):
        gradients = torch.autograd.grad(output, list(inputs.values()), gradient)
        results |= {f"{prefix}_g{n}": g for n, g in zip(inputs, gradients, strict=True)}
    return results


def _ms_deform_attn(golden: GoldenCase) -> Results:
    inputs = {name: _tensor(golden, name, grad=True) for name in ("value", "locations", "weights")}
    output = ms_deform_attn(
        inputs["value"], _tensor(golden, "spatial_shapes"), inputs["locations"], inputs["weights"]
    )
    gradients = torch.autograd.grad(output, list(inputs.values()), _tensor(golden, "gradout"))
    names = ("gvalue", "gloc", "gweights")
    return {"out": output, **dict(zip(names, gradients, strict=True))}


def _sigmoid_focal(golden: GoldenCase) -> Results:
    logits = _tensor(golden, "logits", grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(
        logits,
        _tensor(golden, "target"),
        golden.meta.get("gamma", 2.0),
        golden.meta.get("alpha", 0.25),
        None,
        "none",
    )
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return {"loss": loss, "gradlogits": gradient}


_CASES: dict[str, Callable[[GoldenCase], Results]] = {
    "nms": _nms,
    "roi_align": _roi_align,
    "deform_conv": _deform_conv,
    "ms_deform_attn": _ms_deform_attn,
    "sigmoid_focal": _sigmoid_focal,
}

GROUP = OpsGroup()
