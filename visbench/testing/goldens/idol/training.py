# SPDX-License-Identifier: Apache-2.0
"""The golden case of IDOL's whole training step: matching, losses and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from visbench.models.conversion import source_names
from visbench.models.idol.checkpoint import VNEXT_RULES
from visbench.models.idol.detector import IDOL
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.idol.model import build
from visbench.testing.parity import EXACT, GoldenCase, Tolerance
from visbench.testing.seeded_weights import seeded_input

# After visbench.models, which supplies mmcv's operators before mmdet is imported.
from mmdet.structures import DetDataSample, TrackDataSample  # isort: skip
from mmdet.structures.mask import BitmapMasks  # isort: skip
from mmengine.structures import InstanceData  # isort: skip

Results = dict[str, Any]


def _tensor(golden: GoldenCase, name: str) -> Tensor:
    return torch.from_numpy(golden[name])


def _frame(golden: GoldenCase, prefix: str, labels: Tensor) -> DetDataSample:
    """Return the annotation of a frame as the pipelines pack it: objects that are visible."""
    ids = golden[prefix + "_ids"]
    there = ids >= 0
    masks = golden[prefix + "_masks"]
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=_tensor(golden, prefix + "_boxes_xyxy")[there],
        labels=labels[there],
        masks=BitmapMasks(masks[there].astype(np.uint8), *masks.shape[1:]),
        instances_ids=torch.from_numpy(ids[there]),
    )
    return sample


def _training_batch(golden: GoldenCase) -> dict[str, Any]:
    names = golden["input_names"].reshape(-1, 2).tolist()
    samples, images = [], []
    for video, pair in enumerate(names):
        labels = _tensor(golden, f"v{video}_labels")
        sample = TrackDataSample(metainfo={"key_frames_inds": [0], "ref_frames_inds": [1]})
        sample.video_data_samples = [
            _frame(golden, f"v{video}f{frame}", labels) for frame in range(2)
        ]
        samples.append(sample)
        sizes = golden[f"v{video}_sizes"].tolist()
        images.append(
            [seeded_input(name, (3, *size), 0, 255) for name, size in zip(pair, sizes, strict=True)]
        )
    return {"inputs": [list(frame) for frame in zip(*images, strict=True)], "data_samples": samples}


def _train_losses(golden: GoldenCase) -> Results:
    identity = {"type": "visbench.ContrastiveIdentityLoss", "negative_sampling": "first"}
    model = build(golden, criterion={"type": "visbench.IDOLCriterion", "identity": identity})
    model.train()
    matches: list[Any] = []
    match = model.criterion.match

    def recorded(*args: Any) -> list[Any]:
        matches.extend(match(*args))
        return matches

    model.criterion.match = recorded
    data = model.data_preprocessor(_training_batch(golden), training=True)
    losses = model(**data, mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    results: Results = {f"loss/{name}": value for name, value in losses.items()}
    for name in losses:
        results[f"weight/{name}"] = np.float32(_weight(model, name))
    for layer, images in enumerate(matches):
        for image, found in enumerate(images):
            results |= {
                f"layer{layer}_img{image}_selected": found.queries,
                f"layer{layer}_img{image}_gt": found.objects,
                f"layer{layer}_img{image}_keyquery": found.key_queries,
            }
    return {**results, "total": total, **_gradient_norms(golden, model)}


def _weight(model: IDOL, name: str) -> float:
    of_identity = {
        "loss_reid": model.criterion.identity.reid_weight,
        "loss_reid_aux": model.criterion.identity.aux_weight,
    }
    weights = {**model.criterion.weights, **of_identity}
    return float(weights[name.rstrip("0123456789").rstrip("_")])


def _gradient_norms(golden: GoldenCase, model: IDOL) -> Results:
    parameters = dict(model.named_parameters())
    sources = source_names(model.state_dict(), VNEXT_RULES)
    ours = {source: name for name, source in sources.items()}
    names = golden["grad_names"].tolist()
    gradients = [parameters[ours[name]].grad for name in names]
    every = [value.grad for value in parameters.values() if value.grad is not None]
    return {
        "grad_norms": torch.stack([gradient.norm() for gradient in gradients]),
        "grad_global_norm": torch.nn.utils.get_total_norm(every),
    }


PART = GoldenPart(
    inputs={"train_losses": ("input_names", "v[0-9]*_*", "grad_names")},
    tolerances={
        "train_losses": {
            "grad_*": Tolerance(rtol=2e-3),
            "layer*": EXACT,
            "*": Tolerance(rtol=1e-4),
        },
    },
    computes={"train_losses": _train_losses},
    whole_models=("train_losses",),
)
