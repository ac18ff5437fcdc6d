# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from tool_modules import load_tool


@pytest.mark.parametrize(("kind", "words"), [("davis", []), ("mots", ["--classes", *"abcdefg"])])
def test_to_pngs_and_back(
    kind: str, words: list[str], tiny_youtube_vis: Path, tmp_path: Path
) -> None:
    source, back = tiny_youtube_vis / "train.json", tmp_path / "back.json"
    pngs = ["youtube-vis", str(source), "--to", kind, "--out", str(tmp_path / "png")]
    assert load_tool("convert_dataset").main(pngs) == 0
    images = ["--images", str(tiny_youtube_vis / "train" / "JPEGImages")]
    arguments = [kind, str(tmp_path / "png"), "--out", str(back), *images, *words]
    assert load_tool("convert_dataset").main(arguments) == 0
    known, found = json.loads(source.read_text()), json.loads(back.read_text())
    assert [v["file_names"] for v in found["videos"]] == [v["file_names"] for v in known["videos"]]
    assert [t["areas"] for t in found["annotations"]] == [t["areas"] for t in known["annotations"]]
    if kind == "mots":
        categories = [track["category_id"] for track in known["annotations"]]
        assert [track["category_id"] for track in found["annotations"]] == categories


@pytest.mark.parametrize("kind", ["davis", "mots", "coco-video", "cvat", "labelme"])
def test_a_missing_source_is_one_message_and_status_2(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [kind, str(tmp_path / "none"), "--out", str(tmp_path / "out.json")]
    assert load_tool("convert_dataset").main(arguments) == 2
    output = "".join(capsys.readouterr().err.split("\n"))
    assert output.startswith("error: ") and "none" in output
    assert not (tmp_path / "out.json").exists()


def test_without_annotations_there_is_nothing_to_draw(
    tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(tiny_youtube_vis / "test.json")
    arguments = ["youtube-vis", source, "--to", "davis", "--out", str(tmp_path / "png")]
    assert load_tool("convert_dataset").main(arguments) == 2
    assert "'annotations'" in "".join(capsys.readouterr().err.split("\n"))


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_tool("convert_dataset").main(["--help"])
    assert "python tools/convert_dataset.py cvat my_tasks/" in capsys.readouterr().out
