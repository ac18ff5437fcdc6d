# SPDX-License-Identifier: Apache-2.0
"""The example plugin and the template, installed beside the wheel and used from an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from environment import ROOT, Environment

NAMES = ("visbench_minvis", "visbench_template")
TWO_STEPS = (
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "train_dataloader.dataset.num_videos=2",
    "val_dataloader.dataset.num_videos=1",
    "test_dataloader.dataset.num_videos=1",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
)


@pytest.fixture(scope="module")
def with_plugins(second_environment: Environment) -> Environment:
    """The environment with both plugins; hatchling comes from the registry to build them."""
    second_environment.install("--no-deps", *(str(ROOT / "examples" / name) for name in NAMES))
    second_environment.install("pytest>=8")
    return second_environment


def test_plugins_are_listed(with_plugins: Environment, tmp_path: Path) -> None:
    plugins = with_plugins.run("mim", "run", "visbench", "list", "plugins", folder=tmp_path)
    assert "MinVIS (model)" in plugins
    assert "ClassIsIdentity (model)" in plugins
    configs = with_plugins.run("mim", "run", "visbench", "list", "configs", folder=tmp_path)
    assert "minvis_demo_movingshapes" in configs


@pytest.mark.parametrize("config", ["minvis_demo_movingshapes", "template_movingshapes"])
def test_plugins_are_trained_and_tested_by_name(
    with_plugins: Environment, tmp_path: Path, config: str
) -> None:
    options = ("--work-dir", "run", "--cfg-options", *TWO_STEPS)
    with_plugins.run("mim", "run", "visbench", "train", config, *options, folder=tmp_path)
    words = ("test", config, "run/iter_2.pth", "--out", "out", *options)
    with_plugins.run("mim", "run", "visbench", *words, folder=tmp_path)
    assert (tmp_path / "out" / "results.json").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_plugins_pass_their_own_tests(with_plugins: Environment, tmp_path: Path, name: str) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = ("-m", "pytest", "-q", "-c", str(tmp_path / "pytest.ini"))
    tests = str(ROOT / "examples" / name / "tests")
    with_plugins.run("python", *words, "-p", "no:cacheprovider", tests, folder=tmp_path)
