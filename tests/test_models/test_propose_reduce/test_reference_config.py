# SPDX-License-Identifier: Apache-2.0
"""The reference conventions as a config selects them, on the tiny model of the conformance kit."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from visbench.testing.conformance import CHECKS, ConformanceCase
from visbench.testing.conformance.cases.propose_reduce import CASE, MODEL
from visbench.testing.conformance.scene import Scene

BASE = Path(__file__).parents[3] / "configs" / "_base_" / "models"
CONVENTIONS = runpy.run_path(str(BASE / "seq_mask_rcnn_reference_r50.py"))["model"]


def reference_case(conventions: dict[str, Any]) -> ConformanceCase:
    config = Config({"model": copy.deepcopy(MODEL)})
    config.merge_from_dict({"model": copy.deepcopy(conventions)})
    return replace(CASE, name="SeqMaskRCNN, reference", model=config.model.to_dict())


REFERENCE = reference_case(CONVENTIONS)


# The case of the modern conventions checks propagation, which is the same, with tracks in it.
NETWORK_CHECKS = [check for check in CHECKS if check.__name__ != "check_something_is_found"]


@pytest.mark.parametrize("check", NETWORK_CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Callable[[ConformanceCase], None]) -> None:
    check(REFERENCE)


def without(*path: str) -> dict[str, Any]:
    """Return the conventions without one of them."""
    conventions = copy.deepcopy(CONVENTIONS)
    part = conventions["detector"]
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return conventions


def fingerprint(case: ConformanceCase) -> list[Tensor]:
    """Return losses and detections."""
    model = case.build()
    torch.manual_seed(0)
    losses = model.loss(*case.clips(model))
    values = [torch.stack([x.reshape(()) for x in _flat(loss)]) for loss in losses.values()]
    with torch.no_grad():
        (frame,) = [model.prepare(frame) for frame in Scene(0, 1).frames()]
        found = model.detect(model.extract(frame.image[None]), frame.valid_size)
    return [value.detach() for value in values] + [torch.as_tensor(found)]


def _flat(loss: Any) -> list[Tensor]:
    return loss if isinstance(loss, list) else [loss]


def differ(ours: list[Tensor], other: list[Tensor]) -> bool:
    return any(
        one.shape != two.shape or not torch.equal(one, two)
        for one, two in zip(ours, other, strict=True)
    )


@pytest.fixture(scope="module")
def reference() -> list[Tensor]:
    return fingerprint(REFERENCE)


def test_a_run_finds_masks_and_repeats(reference: list[Tensor]) -> None:
    assert reference[-1].flatten(1).any(dim=1).sum() >= 2
    assert not differ(reference, fingerprint(REFERENCE))


@pytest.mark.parametrize(
    "path",
    [
        ("rpn_head", "anchor_generator"),
        ("rpn_head", "bbox_coder"),
        ("roi_head", "bbox_roi_extractor"),
        ("roi_head", "mask_roi_extractor"),
        ("roi_head", "mask_head"),
    ],
    ids=".".join,
)
def test_every_convention_changes_the_result(path: tuple[str, ...], reference: Any) -> None:
    assert differ(reference, fingerprint(reference_case(without(*path))))
