# SPDX-License-Identifier: Apache-2.0
"""Checks of the loss."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase, seed_all


def check_loss_reaches_parameters(case: ConformanceCase) -> None:
    """The loss on the standard clip is finite and reaches every trainable parameter.

    Exceptions are what the class lists in ``parameters_without_gradient``; an entry that matches
    no parameter, or one that does have a gradient, is stale and fails too.
    """
    model = case.build().train()
    _leave_zero_initialisation(model)
    total_loss(case, model).backward()
    listed = case.model_class.parameters_without_gradient(case.model)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    reached = {name for name, p in trainable.items() if p.grad is not None and p.grad.any()}
    for name in sorted(set(trainable) - reached):
        if not any(fnmatchcase(name, pattern) for pattern in listed):
            raise AssertionError(
                f"{case.name}: the loss does not reach {name}; connect it, set requires_grad to "
                "False, or list it with a reason in parameters_without_gradient"
            )
    for pattern, reason in listed.items():
        matches = {name for name in trainable if fnmatchcase(name, pattern)}
        assert reason.strip(), f"{case.name}: {pattern} is listed without a reason"
        assert matches, f"{case.name}: {pattern} is listed, but no trainable parameter matches"
        assert not matches & reached, (
            f"{case.name}: {sorted(matches & reached)} have gradients, but "
            f"parameters_without_gradient lists {pattern}"
        )
    for name in sorted(reached):
        assert torch.isfinite(trainable[name].grad).all(), f"{case.name}: gradient of {name}"


def check_loss_without_objects(case: ConformanceCase) -> None:
    """Clips without any object, or with objects in one clip of two, have a finite loss."""
    for objects in ((False, False), (True, False)):
        model = case.build().train()
        total_loss(case, model, objects).backward()
        for name, parameter in model.named_parameters():
            finite = parameter.grad is None or torch.isfinite(parameter.grad).all()
            assert finite, f"{case.name}: gradient of {name} with objects in clips {objects}"


def check_loss_is_deterministic(case: ConformanceCase) -> None:
    """The same seed gives the same loss and gradients, bit for bit on the CPU."""
    gradients = []
    for _ in range(2):
        model = case.build().train()
        total_loss(case, model).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, first in gradients[0].items():
        second = gradients[1][name]
        same = first is second is None or (second is not None and torch.equal(first, second))
        assert same, f"{case.name}: the gradient of {name} differs between two equal runs"


def total_loss(
    case: ConformanceCase, model: VISModel, objects: tuple[bool, bool] = (True, True)
) -> torch.Tensor:
    """Return the summed loss on the standard clips.

    Raises:
        AssertionError: If a term is not finite.
    """
    inputs, samples = case.clips(model, objects)
    seed_all(case.seed)
    losses = model(inputs, samples, mode="loss")
    total, terms = model.parse_losses(losses)
    for name, value in terms.items():
        assert torch.isfinite(torch.as_tensor(value)).all(), f"{case.name}: {name} is {value}"
    return total


def _leave_zero_initialisation(model: VISModel) -> None:
    """Add noise: a layer that starts at zero passes no gradient on, in the very first step only."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.02)


TRAINING_CHECKS = (
    check_loss_reaches_parameters,
    check_loss_without_objects,
    check_loss_is_deterministic,
)
