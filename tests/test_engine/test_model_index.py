# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from visbench.engine import ConfigError, config_files, load_config
from visbench.engine.config_files import ConfigFolder, find_config, find_model, model_entries


def test_every_model_is_found_by_each_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entries = model_entries()
    assert len(entries) > 100
    counts = Counter(name.lower() for entry in entries for name in entry.names)
    assert [name for name, count in counts.items() if count > 1] == []
    monkeypatch.setattr(config_files, "model_entries", lambda: entries)
    for entry in entries:
        assert entry.config.is_file()
        for name in (*entry.names, f"{entry.name}.py", entry.name.upper()):
            assert find_config(name) == entry.config


def test_aliases_leave_the_schedule_out() -> None:
    entry = find_model("mask2former_vis_r50_youtubevis2021")
    assert entry is not None
    assert entry.name == "mask2former_vis_r50_8xb2-8k_youtubevis2021"
    assert entry.package == "visbench"
    assert find_model("idol") is None


def test_a_file_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("idol_demo_movingshapes.py").write_text("mine = 1\n")
    assert load_config("idol_demo_movingshapes.py").mine == 1
    assert "mine" not in load_config("idol_demo_movingshapes")


def test_unknown_names_have_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"iai_r50_ovis is neither .*; did you mean .*ovis"):
        find_config("iai_r50_ovis")
    with pytest.raises(ConfigError, match=r"qqqqqqqq is neither .*; check the path"):
        find_config("qqqqqqqq")
    with pytest.raises(ConfigError, match=r"configs/none\.py does not exist; check the path"):
        find_config("configs/none.py")


def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, *configs: str) -> Path:
    """Let all configs be those of a folder with one metafile."""
    folder = tmp_path / ".mim" / "configs" / "method"
    folder.mkdir(parents=True)
    (folder / "metafile.yml").write_text(text)
    for name in configs:
        (folder / f"{name}.py").write_text("")
    places = [ConfigFolder("visbench", folder.parent)]
    monkeypatch.setattr(config_files, "config_folders", lambda: places)
    return folder


def test_metafiles_may_list_aliases_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(
        tmp_path,
        monkeypatch,
        "Models:\n"
        "  - {Name: a_8xb1-2k_x, Alias: first, Weights: [w.pth, v.pth]}\n"
        "  - {Name: b, Alias: [second, shared], Weights: https://b.pth}\n"
        "  - {Name: c, Alias: [shared, b]}\n",
        *("a_8xb1-2k_x", "b", "c", "unlisted"),
    )
    first, second, third, fourth = model_entries()
    assert (first.names, first.weights) == (("a_8xb1-2k_x", "first", "a_x"), "w.pth")
    assert (second.names, second.weights) == (("b", "second", "shared"), "https://b.pth")
    assert (third.aliases, third.weights) == (("shared", "b"), None)
    assert fourth.names == ("unlisted",)
    assert find_config("First") == folder / "a_8xb1-2k_x.py"
    assert find_config("b") == folder / "b.py", "a name comes before an alias"
    with pytest.raises(ConfigError, match=r"config shared is the name of .*b\.py .*c\.py"):
        find_config("shared")


@pytest.mark.parametrize("text", ["Models: [{Alias: a}]", "Models: 3", "a: [", "- 1", ""])
def test_broken_metafiles_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    _folder(tmp_path, monkeypatch, text)
    with pytest.raises(ConfigError, match=r"metafile\.yml cannot be read"):
        model_entries()
