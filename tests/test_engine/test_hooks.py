# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from visbench.engine import ConfigError
from visbench.engine.generators import generator_states
from visbench.engine.hooks import RandomStateHook

MakeRunner = Callable[..., Any]


class FakeRunner(SimpleNamespace):
    """As much of a runner as the hook looks at."""

    def __init__(self, iteration: int) -> None:
        self.warnings: list[str] = []
        super().__init__(iter=iteration, logger=SimpleNamespace(warning=self.warnings.append))


@pytest.mark.parametrize("iteration", [0, 5])
def test_states_are_restored_on_resume_only(iteration: int) -> None:
    hook, checkpoint = RandomStateHook(), {}
    hook.before_collect_checkpoint(None)
    hook.before_save_checkpoint(None, checkpoint)
    expected = torch.rand(2)
    torch.manual_seed(7)
    hook.after_load_checkpoint(None, checkpoint)
    hook.before_train(FakeRunner(iteration))
    assert torch.equal(torch.rand(2), expected) == (iteration > 0)


def test_another_number_of_processes_is_told() -> None:
    hook, runner = RandomStateHook(), FakeRunner(5)
    hook.after_load_checkpoint(runner, {"random_states": [generator_states()] * 3})
    state = torch.get_rng_state()
    hook.before_train(runner)
    assert torch.equal(torch.get_rng_state(), state)
    assert "3 processes, but 1 run now" in runner.warnings[0]


def _rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(rank)
    hook, checkpoint = RandomStateHook(), {}
    hook.before_collect_checkpoint(None)
    if rank == 0:
        hook.before_save_checkpoint(None, checkpoint)
        torch.save(checkpoint, f"{folder}/states.pth")
    dist.barrier()
    expected = torch.rand(2)
    hook.after_load_checkpoint(None, torch.load(f"{folder}/states.pth", weights_only=True))
    hook.before_train(FakeRunner(1))
    Path(folder, f"equal_{rank}").write_text(str(torch.equal(torch.rand(2), expected)))
    dist.destroy_process_group()


def test_every_rank_gets_its_own_states(tmp_path: Path) -> None:
    mp.start_processes(_rank, (str(tmp_path),), nprocs=2, start_method="fork")
    assert [(tmp_path / f"equal_{rank}").read_text() for rank in (0, 1)] == ["True", "True"]


def test_training_on_validation_videos_is_refused(make_runner: MakeRunner) -> None:
    runner = make_runner()
    shared = runner.cfg.val_dataloader.dataset.ann_file
    options = {"train_dataloader.dataset.ann_file": shared}
    with pytest.raises(ConfigError, match=r"share 4 videos \(v1, v2, v3, \.\.\.\).*_holdout"):
        make_runner("shared", **options).train()
    assert not list(Path(runner.work_dir).parent.glob("shared/*.pth"))
    allowed = [{"type": "SharedVideosHook", "allow": True}]
    make_runner("allowed", custom_hooks=allowed, **{**options, "train_cfg.max_iters": 1}).train()
