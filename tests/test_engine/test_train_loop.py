# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from visbench.engine import ConfigError, load_checkpoint_file
from visbench.engine.train_loop import SeededIterTrainLoop

MakeRunner = Callable[..., Any]


class PowerCut(RuntimeError):
    """Ends a training."""


class CutHook(Hook):
    """Ends the training after an iteration, before anything is saved of it."""

    priority = "VERY_HIGH"

    def after_train_iter(self, runner: Any, batch_idx: int, *_: Any, **__: Any) -> None:
        if batch_idx + 1 == 5:
            raise PowerCut


def last(folder: str) -> dict[str, Any]:
    return load_checkpoint_file(Path(folder, "iter_8.pth"))


@pytest.mark.parametrize(
    ("workers", "batches", "random_states"),
    [(0, 1, True), (1, 1, True), (0, 1, False), (1, 3, True)],
)
def test_resumed_training_equals_uninterrupted_bit_for_bit(
    make_runner: MakeRunner, workers: int, batches: int, random_states: bool
) -> None:
    options = {
        "train_dataloader.num_workers": workers,
        "train_cfg.batches_per_update": batches,
    }
    if not random_states:
        options["custom_hooks"] = []
    whole = make_runner("whole", **options)
    whole.train()
    cut = make_runner("cut", **options)
    cut.register_hook(CutHook())
    with pytest.raises(PowerCut):
        cut.train()
    resumed = make_runner("cut", resume=True, **options)
    resumed.train()
    first, second = last(whole.work_dir), last(resumed.work_dir)
    equal = {k: torch.equal(v, second["state_dict"][k]) for k, v in first["state_dict"].items()}
    # The toy has dropout: without the generators' states the weights differ.
    assert all(equal.values()) == random_states
    assert first["optimizer"]["param_groups"] == second["optimizer"]["param_groups"]
    assert first["param_schedulers"] == second["param_schedulers"]


def trained_without_norm(make_runner: MakeRunner, name: str, **options: Any) -> Any:
    """Train a toy whose output for a sample does not depend on the rest of its batch."""
    runner = make_runner(name, **options)
    runner.model.norm = torch.nn.Identity()
    runner.model.drop = torch.nn.Identity()
    runner.train()
    return runner


def test_batches_of_an_update_train_as_one_batch_does(make_runner: MakeRunner) -> None:
    options = {"optim_wrapper.optimizer.type": "SGD", "optim_wrapper.clip_grad.max_norm": 0.3}
    options["auto_scale_lr"] = {"base_batch_size": 3, "enable": True}
    whole = trained_without_norm(make_runner, "whole", **options)
    parts = {"train_dataloader.batch_size": 1, "train_cfg.batches_per_update": 2}
    parted = trained_without_norm(make_runner, "parted", **options, **parts)
    other = trained_without_norm(make_runner, "other", **options, **{**parts, "randomness.seed": 1})
    first, second, third = (last(runner.work_dir) for runner in (whole, parted, other))
    for name, value in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][name], value, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(third["state_dict"][name], value, rtol=1e-4, atol=1e-6)
    assert first["param_schedulers"] == second["param_schedulers"]
    rates = [runner.optim_wrapper.param_groups[0]["initial_lr"] for runner in (whole, parted)]
    assert rates == pytest.approx([0.01 * 2 / 3] * 2)
    losses = [
        {name: log.data for name, log in runner.message_hub.log_scalars.items()}["train/loss"][0]
        for runner in (whole, parted)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


class Exchange:
    """Stands in for a distributed model: notes when gradients would be exchanged."""

    def __init__(self, model: Any) -> None:
        self.model, self.exchanges, self.waiting = model, [], False

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        self.waiting = True
        yield
        self.waiting = False

    def train(self) -> None:
        self.model.train()

    def train_step(self, data: Any, optim_wrapper: Any) -> Any:
        with optim_wrapper.optim_context(self):
            self.exchanges.append(not self.waiting)
        return self.model.train_step(data, optim_wrapper)


def test_processes_exchange_gradients_once_per_update(make_runner: MakeRunner) -> None:
    runner = make_runner(**{"train_cfg.batches_per_update": 3, "train_cfg.max_iters": 2})
    runner.train()
    runner.model = Exchange(runner.model)
    runner.train_loop._iter = 0
    runner.train_loop.run_iter(next(runner.train_loop.dataloader_iterator))
    assert runner.model.exchanges == [False, False, True]


@pytest.mark.parametrize("batches", [0, 1.5, "2"])
def test_batches_of_an_update_are_checked(make_runner: MakeRunner, batches: Any) -> None:
    with pytest.raises(ConfigError, match=r"batches_per_update is .*whole number"):
        make_runner(**{"train_cfg.batches_per_update": batches}).train()


def test_gradients_are_accumulated_in_one_way(make_runner: MakeRunner) -> None:
    options = {"train_cfg.batches_per_update": 2, "optim_wrapper.accumulative_counts": 2}
    with pytest.raises(ConfigError, match=r"both accumulate gradients"):
        make_runner(**options).train()


def test_resume_seeks_instead_of_replaying(make_runner: MakeRunner) -> None:
    runner = make_runner()
    loop = runner.train_loop
    assert isinstance(loop, SeededIterTrainLoop)
    loop.dataloader_iterator.skip_iter(3)
    assert loop.dataloader.sampler.start_draw == 3 * 2
    parted = make_runner("parted", **{"train_cfg.batches_per_update": 5}).train_loop
    parted.dataloader_iterator.skip_iter(3)
    assert parted.dataloader.sampler.start_draw == 3 * 2 * 5
    draws = iter(loop.dataloader.sampler)
    assert next(draws).number == 6


def test_starting_the_data_loader_draws_no_random_number(make_runner: MakeRunner) -> None:
    loop = make_runner().train_loop
    state = torch.get_rng_state()
    next(loop.dataloader_iterator)
    assert torch.equal(torch.get_rng_state(), state)


def test_samplers_without_a_start_are_skipped_by_mmengine(make_runner: MakeRunner) -> None:
    loop = make_runner(**{"train_dataloader.sampler.type": "InfiniteSampler"}).train_loop
    loop.dataloader_iterator.skip_iter(2)
    skipped = list(zip(range(2), loop.dataloader.sampler, strict=False))
    other = make_runner(**{"train_dataloader.sampler.type": "InfiniteSampler"}).train_loop
    expected = list(zip(range(6), other.dataloader.sampler, strict=False))[4:]
    assert [index for _, index in skipped] == [index for _, index in expected]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_end_with_the_training(make_runner: MakeRunner, persistent: bool) -> None:
    runner = make_runner(
        **{
            "train_dataloader.num_workers": 1,
            "train_dataloader.persistent_workers": persistent,
            "train_cfg.max_iters": 1,
        }
    )
    before = set(multiprocessing.active_children())
    runner.train()
    assert set(multiprocessing.active_children()) <= before
