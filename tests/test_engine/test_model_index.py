# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from visbench.engine import ConfigError, load_config, model_index
from visbench.engine.model_index import find_config, find_model, model_entries


def test_every_model_is_found_by_each_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = model_entries()
    assert len(entries) > 100
    assert all(entry.config.is_file() for entry in entries)
    counts = Counter(name.lower() for entry in entries for name in entry.names)
    assert [name for name, count in counts.items() if count > 1] == []
    monkeypatch.setattr(model_index, "model_entries", lambda: entries)
    for entry in entries:
        for name in (*entry.names, f"{entry.name}.py", entry.name.upper()):
            assert find_config(name) == entry.config


def test_aliases_leave_the_schedule_out() -> None:
    entry = find_model("mask2former_vis_r50_youtubevis2021")
    assert entry is not None
    assert entry.name == "mask2former_vis_r50_8xb2-8k_youtubevis2021"
    assert find_model("idol") is None


def test_a_base_config_is_found_by_its_file_name() -> None:
    assert find_config("default_runtime.py").parent.name == "_base_"


def test_a_file_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("idol_demo_movingshapes.py").write_text("mine = 1\n")
    assert load_config("idol_demo_movingshapes.py").mine == 1
    assert "mine" not in load_config("idol_demo_movingshapes")


def test_unknown_names_have_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"iai_r50_ovis does not exist.*iai_r50-ms_ovis"):
        find_config("iai_r50_ovis")
    with pytest.raises(ConfigError, match=r"list_models\(\) lists them all"):
        find_config("qqqqqqqq")
    with pytest.raises(ConfigError, match=r"configs/none\.py does not exist; check the path"):
        find_config("configs/none.py")


def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Let the library's configs be a folder with one metafile."""
    folder = tmp_path / ".mim" / "configs" / "method"
    folder.mkdir(parents=True)
    (folder / "metafile.yml").write_text(text)
    monkeypatch.setattr(model_index, "config_folder", lambda: folder.parent)
    return folder


def test_metafiles_may_list_aliases_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(
        tmp_path,
        monkeypatch,
        "Models:\n"
        "  - {Name: a_8xb1-2k_x, Config: configs/method/a.py, Alias: first, Weights: [w.pth]}\n"
        "  - {Name: b, Config: configs/method/b.py, Alias: [second, shared]}\n"
        "  - {Name: c, Config: configs/method/c.py, Alias: [shared, b]}\n",
    )
    first = find_model("First")
    assert first is not None
    assert first.names == ("a_8xb1-2k_x", "first", "a_x")
    assert (first.config, first.weights) == (folder / "a.py", "w.pth")
    assert find_config("b") == folder / "b.py", "a name comes before an alias"
    with pytest.raises(ConfigError, match="'shared' may be b or c"):
        find_model("shared")
    for parent in ("x", "y"):
        (folder / parent).mkdir()
        (folder / parent / "same.py").write_text("")
    with pytest.raises(ConfigError, match=r"same\.py is there twice"):
        find_config("same.py")


@pytest.mark.parametrize("text", ["Models: [{Name: a}]", "Models: 3", "a: [", "- 1"])
def test_broken_metafiles_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    _folder(tmp_path, monkeypatch, text)
    with pytest.raises(ConfigError, match=r"metafile\.yml cannot be read"):
        model_entries()
