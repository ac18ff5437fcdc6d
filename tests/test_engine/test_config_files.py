# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from visbench.benchmark import config_hash
from visbench.engine import ConfigError, load_config
from visbench.engine.config_files import config_folder, find_config, shipped_configs

CONFIGS = Path(__file__).parents[2] / "configs"
DEMO = CONFIGS / "iai" / "iai_demo_movingshapes.py"


def test_configs_are_those_of_the_source_tree() -> None:
    assert config_folder() == CONFIGS
    files = [path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts]
    assert sorted(shipped_configs().values()) == sorted(files)


@pytest.mark.parametrize("name", ["iai_demo_movingshapes", "iai_demo_movingshapes.py"])
def test_a_bare_name_means_a_config_of_visbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == DEMO
    assert load_config(name).work_dir == "work_dirs/iai_demo_movingshapes"


def test_a_file_in_the_working_directory_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("iai_demo_movingshapes.py")
    own.write_text("")
    assert find_config(own) == own


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("iai_demo_movingshape.py", "did you mean iai_demo_movingshapes"),
        ("qqq", "neither a file nor the name of a config of visbench or a plugin; check the path"),
        ("default_runtime.py", "neither a file nor the name"),
        ("iai/iai_demo_movingshapes.py", "does not exist; check the path"),
        ("./iai_demo_movingshapes.py", "does not exist; check the path"),
    ],
)
def test_other_names_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        find_config(name)
    assert words in str(error.value)


def test_configs_elsewhere_inherit_by_package_name(tmp_path: Path) -> None:
    heirs = {"name": "visbench::iai/iai_demo_movingshapes.py", "path": str(DEMO)}
    for name, base in heirs.items():
        (tmp_path / f"{name}.py").write_text(f"_base_ = {base!r}\nbatch_size = 3\n")
    by_name, by_path = (load_config(tmp_path / f"{name}.py") for name in heirs)
    assert by_name.model.pop("_scope_") == "visbench"
    assert by_name.model == by_path.model == load_config(DEMO).model
    assert by_name.batch_size == 3


def test_the_hash_covers_a_base_by_package_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iai").mkdir()
    base, heir = tmp_path / "iai" / "base.py", tmp_path / "heir.py"
    heir.write_text("_base_ = 'visbench::iai/base.py'\n")
    monkeypatch.setattr("visbench.benchmark.identity.config_folder", lambda: tmp_path)
    base.write_text("a = 1\n")
    before = config_hash(heir)
    base.write_text("a = 2\n")
    assert config_hash(heir) != before
