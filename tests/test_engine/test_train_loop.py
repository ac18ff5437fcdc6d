# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from visbench.engine import load_checkpoint_file
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


@pytest.mark.parametrize(("workers", "random_states"), [(0, True), (1, True), (0, False)])
def test_resumed_training_equals_uninterrupted_bit_for_bit(
    make_runner: MakeRunner, workers: int, random_states: bool
) -> None:
    options = {"train_dataloader.num_workers": workers}
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


def test_resume_seeks_instead_of_replaying(make_runner: MakeRunner) -> None:
    runner = make_runner()
    loop = runner.train_loop
    assert isinstance(loop, SeededIterTrainLoop)
    loop.dataloader_iterator.skip_iter(3)
    assert loop.dataloader.sampler.start_draw == 3 * 2
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
