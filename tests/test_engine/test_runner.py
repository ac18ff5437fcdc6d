# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from visbench.engine import CheckpointError, ConfigError, load_checkpoint_file
from visbench.engine import runner as runner_module
from visbench.engine.checkpoint_hook import remove_partial_files
from visbench.engine.provenance import RECORD, Provenance, code_version

MakeRunner = Callable[..., Any]


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).glob("*.pth"))


def test_checkpoints_and_best_of_a_training(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.train()
    assert names(runner.work_dir) == ["best_youtube_vis_AP_iter_4.pth", "iter_6.pth", "iter_8.pth"]
    assert not list(Path(runner.work_dir).glob(".*.partial"))
    hub = load_checkpoint_file(Path(runner.work_dir, "iter_8.pth"))["message_hub"]
    assert hub["runtime_info"]["best_score"] == 1.0


def test_a_kill_while_saving_leaves_the_earlier_checkpoint(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(partial: Path, final: Path) -> None:
        if final.name == "iter_4.pth":
            raise KeyboardInterrupt
        original(partial, final)

    original = runner_module.publish
    monkeypatch.setattr(runner_module, "publish", killed)
    runner = make_runner(**{"default_hooks.checkpoint.max_keep_ckpts": 1})
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert names(runner.work_dir) == ["iter_2.pth"]
    assert Path(runner.work_dir, ".iter_4.pth.partial").exists()
    monkeypatch.setattr(runner_module, "publish", original)
    remove_partial_files(runner.work_dir)
    assert not Path(runner.work_dir, ".iter_4.pth.partial").exists()
    resumed = make_runner(resume=True)
    resumed.load_or_resume()
    assert resumed.iter == 2


def test_resume_without_checkpoint_starts_anew(make_runner: MakeRunner) -> None:
    runner = make_runner(resume=True, **{"train_cfg.max_iters": 1})
    runner.train()
    assert names(runner.work_dir)[-1] == "iter_1.pth"


def save(path: Path, weights: dict[str, Any]) -> str:
    torch.save({"state_dict": weights, "meta": {"epoch": 0, "iter": 1}}, path)
    return str(path)


def test_foreign_weights_are_refused(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner = make_runner()
    foreign = save(tmp_path / "foreign.pth", {"foreign": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="of another model"):
        runner.load_checkpoint(foreign)
    almost = dict(runner.model.state_dict())
    del almost["head.bias"]
    runner.load_checkpoint(save(tmp_path / "almost.pth", almost))
    with pytest.raises(CheckpointError, match=r"7 of 8.*missing: head\.bias"):
        runner.resume(str(tmp_path / "almost.pth"))
    with pytest.raises(CheckpointError, match=r"7 of 8"):
        runner.load_checkpoint(str(tmp_path / "almost.pth"), strict=True)


def test_names_may_be_revised(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner = make_runner()
    weights = {f"net.{k}": torch.zeros_like(v) for k, v in runner.model.state_dict().items()}
    runner.load_checkpoint(save(tmp_path / "w.pth", weights), revise_keys=[(r"^net\.", "")])
    assert not any(bool(value.any()) for value in runner.model.parameters())


def test_checkpoints_between_optimizer_steps_are_refused(make_runner: MakeRunner) -> None:
    options = {"optim_wrapper.accumulative_counts": 2, "default_hooks.checkpoint.interval": 3}
    with pytest.raises(ConfigError, match=r"interval is 3.*use a multiple of 2"):
        make_runner(**options).train()


def test_a_session_records_by_what_it_is_made(make_runner: MakeRunner) -> None:
    runner = make_runner()
    (path,) = Path(runner.work_dir).rglob(RECORD)
    assert path.parent == Path(runner.log_dir, "vis_data")
    found = Provenance.read(path.parent)
    assert found == Provenance.here() and found.versions["visbench"] == code_version()
    path.write_text('{"versions": []}')
    assert Provenance.read(path.parent) == Provenance({}, "")
