# SPDX-License-Identifier: Apache-2.0
"""Counted memory against networks small enough to count by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from visbench.benchmark.training_memory import KeptTensors, mixed_precision, training_memory
from visbench.engine import ConfigError
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import CASES
from visbench.testing.conformance.training_checks import total_loss

SAMPLES, WIDTH, HIDDEN = 5, 4, 8
FLOAT, HALF = 4, 2


class SmallNetwork(BaseModel):
    """Two linear layers without biases and a ReLU between; a buffer of three values."""

    def __init__(self, again: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.second = nn.Linear(HIDDEN, 2, bias=False)
        self.register_buffer("steps", torch.zeros(3))
        self.again = again

    def hidden(self, inputs: Tensor) -> Tensor:
        return self.first(inputs).relu()

    def forward(self, inputs: Tensor, mode: str = "loss") -> dict[str, Tensor]:
        if self.again:
            hidden = checkpoint(self.hidden, inputs, use_reentrant=True)
        else:
            hidden = self.hidden(inputs)
        return {"loss": self.second(hidden).sum()}


def config(**optim_wrapper: Any) -> Config:
    optimizer = {"type": "SGD", "lr": 0.1, "momentum": 0.9}
    return Config(
        {"optim_wrapper": {"type": "OptimWrapper", "optimizer": optimizer, **optim_wrapper}}
    )


def batch(**options: Any) -> dict[str, Tensor]:
    return {"inputs": torch.ones(SAMPLES, WIDTH, **options)}


WEIGHTS = FLOAT * (WIDTH * HIDDEN + HIDDEN * 2)
INPUT, OUTPUT_OF_RELU = SAMPLES * WIDTH, SAMPLES * HIDDEN


def test_a_step_in_single_precision() -> None:
    memory = training_memory(config(), SmallNetwork(), batch())
    assert memory.weights == WEIGHTS + 3 * FLOAT
    assert memory.gradients == memory.optimizer_state == WEIGHTS
    # ReLU and the second layer keep the same tensor; weights are kept too but lie there anyway.
    assert memory.activations == FLOAT * (INPUT + OUTPUT_OF_RELU)
    assert memory.measured is None
    assert memory.total == 3 * WEIGHTS + 3 * FLOAT + memory.activations


def test_adam_keeps_two_values_per_weight() -> None:
    adam = {"type": "AdamW", "lr": 0.1}
    memory = training_memory(config(optimizer=adam), SmallNetwork(), batch())
    assert memory.optimizer_state == 2 * WEIGHTS + 2 * FLOAT


def test_frozen_layers_have_no_gradient() -> None:
    network = SmallNetwork()
    network.first.requires_grad_(False)
    memory = training_memory(config(), network, batch())
    assert memory.gradients == memory.optimizer_state == FLOAT * HIDDEN * 2
    assert memory.activations == FLOAT * OUTPUT_OF_RELU


def test_mixed_precision_keeps_halves_and_copies_of_weights() -> None:
    network = SmallNetwork()
    memory = training_memory(config(type="AmpOptimWrapper", loss_scale="dynamic"), network, batch())
    # The first layer needs no gradient of its input, so its weights are not kept.
    assert memory.activations == HALF * (INPUT + OUTPUT_OF_RELU + HIDDEN * 2)
    assert memory.gradients == WEIGHTS


def test_what_is_computed_again_counts_while_it_is_there() -> None:
    network = SmallNetwork(again=True)
    data = batch(requires_grad=True)
    kept = KeptTensors([*network.parameters(), *network.buffers()])
    with kept.counted():
        loss = network(**data)["loss"]
        forward = kept.now
        loss.backward()
    # First the input and the hidden values; backward then frees those and computes them again.
    assert forward == FLOAT * (INPUT + OUTPUT_OF_RELU)
    assert kept.peak == FLOAT * (INPUT + OUTPUT_OF_RELU)
    assert kept.now == 0


def test_storages_count_once_and_until_the_last_user_is_gone() -> None:
    values = torch.ones(6, requires_grad=True)
    kept = KeptTensors([])
    with kept.counted():
        base = values.exp()
        first, second = base[:3] ** 2, base[3:] ** 2
        whole = kept.now
        first.sum().backward(retain_graph=True)
        assert kept.now == whole == 6 * FLOAT
        (first.sum() + second.sum()).backward()
    del base, first, second
    assert (kept.now, kept.peak) == (0, 6 * FLOAT)


@pytest.mark.parametrize("amp", [False, True])
def test_layers_that_a_gpu_computes_in_single_precision(amp: bool) -> None:
    settings = config(type="AmpOptimWrapper" if amp else "OptimWrapper")
    half = torch.bfloat16 if amp else torch.float32
    with mixed_precision(settings, "cpu"):
        product = torch.ones(2, 3) @ torch.ones(3, 4)
        assert product.dtype == half
        assert product.softmax(-1).dtype == torch.float32
        assert nn.LayerNorm(4)(product).dtype == torch.float32
        assert product.relu().dtype == half


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_method_has_about_the_same_loss_in_mixed_precision(case: ConformanceCase) -> None:
    losses = []
    for wrapper in ("OptimWrapper", "AmpOptimWrapper"):
        model = case.build().train()
        with mixed_precision(config(type=wrapper), "cpu"):
            loss = total_loss(case, model)
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        losses.append(float(loss.detach()))
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1] != losses[0]


def test_a_config_without_optimizer_is_told() -> None:
    with pytest.raises(ConfigError, match="no field 'optim_wrapper'"):
        training_memory(Config({}), SmallNetwork(), batch())
