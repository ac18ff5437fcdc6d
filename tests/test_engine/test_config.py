# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_toy import toy_config
from mmengine.device import utils as mmengine_device

from visbench.engine import ConfigError, build_runner, load_config, select_device
from visbench.engine.commands import test_parser as make_test_parser
from visbench.engine.commands import train, train_parser
from visbench.engine.config import check_precision, use_amp, use_scaled_learning_rate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nb = dict(x=1 1)\n", "SyntaxError in line 2"),
        ("a = 1\nb = missing\n", "NameError in line 2: name 'missing' is not defined"),
        ("_base_ = './none.py'\n", "none.py.* does not exist"),
        ("custom_imports = dict(imports=['no_such_module'])\n", "no_such_module"),
    ],
)
def test_broken_configs_are_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"broken\.py cannot be read: (?s:.*){words}"):
        load_config(path)


def test_missing_config_and_bad_option_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.py does not exist"):
        load_config(tmp_path / "none.py")
    with pytest.raises(ConfigError, match="--cfg-options do not fit"):
        load_config(toy_config(tmp_path), {"custom_imports.imports.5": 1})


@pytest.mark.parametrize(
    ("given", "in_config", "expected"),
    [(None, None, "work_dirs/toy_config"), (None, "mine", "mine"), ("here", "mine", "here")],
)
def test_work_dir(tmp_path: Path, given: str | None, in_config: str | None, expected: str) -> None:
    changes = {"work_dir": in_config} if in_config else {}
    assert load_config(toy_config(tmp_path, **changes), work_dir=given).work_dir == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model.type": "ToyMethodd"}, "model.type is 'ToyMethodd'.*did you mean 'ToyMethod'"),
        ({"model.width": "a", "model.depth": 3}, "unexpected keyword argument 'depth'"),
        ({"model.type": "mmdet.NoSuch"}, "model.type is 'mmdet.NoSuch'.*custom_imports"),
    ],
)
def test_unbuildable_configs_are_told(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    config = load_config(toy_config(tmp_path), options, str(tmp_path / "work"))
    with pytest.raises(ConfigError, match=rf"toy_config\.py cannot be built: .*{words}"):
        build_runner(config)


def test_amp_needs_a_gpu_and_a_plain_wrapper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(toy_config(tmp_path))
    monkeypatch.setattr(mmengine_device, "DEVICE", "cpu")
    with pytest.raises(ConfigError, match="--amp needs a GPU"):
        use_amp(config)
    monkeypatch.setattr(mmengine_device, "DEVICE", "cuda")
    use_amp(config)
    assert config.optim_wrapper.type == "AmpOptimWrapper"
    assert config.optim_wrapper.loss_scale == "dynamic"
    config.optim_wrapper.type = "ApexOptimWrapper"
    with pytest.raises(ConfigError, match="ApexOptimWrapper"):
        use_amp(config)


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_a_config_in_mixed_precision_needs_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    config = load_config(toy_config(tmp_path), {"optim_wrapper.type": "AmpOptimWrapper"})
    monkeypatch.setattr(mmengine_device, "DEVICE", "cuda")
    check_precision(config)
    monkeypatch.setattr(mmengine_device, "DEVICE", device)
    with pytest.raises(ConfigError, match=r"--cfg-options optim_wrapper\.type=OptimWrapper"):
        check_precision(config)
    config.optim_wrapper.type = "OptimWrapper"
    check_precision(config)


def test_training_in_mixed_precision_on_the_cpu_does_not_start(tmp_path: Path) -> None:
    words = [toy_config(tmp_path), "--device", "cpu", "--work-dir", str(tmp_path / "work")]
    with pytest.raises(ConfigError, match="needs a GPU with CUDA"):
        train([*words, "--cfg-options", "optim_wrapper.type=AmpOptimWrapper"])
    assert not (tmp_path / "work").exists()


def test_scaled_learning_rate_needs_the_base(tmp_path: Path) -> None:
    config = load_config(toy_config(tmp_path))
    with pytest.raises(ConfigError, match="base_batch_size"):
        use_scaled_learning_rate(config)
    config.auto_scale_lr = {"base_batch_size": 16}
    use_scaled_learning_rate(config)
    assert config.auto_scale_lr.enable is True


@pytest.mark.parametrize("name", ["tpu", "cpu:1", "cuda:x", "mps:0"])
def test_unknown_devices_are_told(name: str) -> None:
    with pytest.raises(ConfigError, match="use cpu, cuda, cuda:N or mps"):
        select_device(name)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(mmengine_device, "DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"finds no CUDA device.*--device cpu"):
        select_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="there are 1 CUDA devices"):
        select_device("cuda:3")
    assert select_device("cuda") == mmengine_device.get_device() == "cuda"
    assert select_device("cpu") == mmengine_device.get_device() == "cpu"
    assert select_device(None) == "cpu"


@pytest.mark.parametrize("flag", ["--local-rank", "--local_rank"])
def test_arguments(flag: str) -> None:
    args = train_parser().parse_args(["c.py", "--resume", flag, "1", "--launcher", "slurm"])
    assert (args.config, args.resume, args.local_rank) == ("c.py", "auto", 1)
    args = train_parser().parse_args(
        ["c.py", "--resume", "x.pth", "--cfg-options", "a.b=1", "c=[1,2]"]
    )
    assert (args.resume, args.cfg_options) == ("x.pth", {"a.b": 1, "c": [1, 2]})
    args = make_test_parser().parse_args(
        ["c.py", "w.pth", "--out", "o", "--show-dir", "s", flag, "0"]
    )
    assert (args.checkpoint, args.out, args.show_dir) == ("w.pth", "o", "s")
    # mim passes --gpus to every script whose help mentions it.
    assert "--gpus" not in train_parser().format_help() + make_test_parser().format_help()


@pytest.mark.parametrize("option", ["nonsense", "a=[dict(x='1'),dict(y='2',z=3)]"])
def test_badly_written_options_are_told(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train_parser().parse_args(["c.py", "--cfg-options", option])
    assert "write FIELD=VALUE" in capsys.readouterr().err
