# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from tool_modules import load_tool


def test_sound_data_set(tiny_youtube_vis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = tiny_youtube_vis / "train/JPEGImages"
    assert load_tool("check_dataset").main([str(tiny_youtube_vis / "train.json"), str(frames)]) == 0
    assert "no defect found" in capsys.readouterr().out


def test_every_defect_is_printed(
    tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((tiny_youtube_vis / "train.json").read_text())
    data["annotations"][0]["category_id"] = 55
    data["annotations"][1]["bboxes"][2] = None
    data["videos"][2]["length"] = 77
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    assert load_tool("check_dataset").main([str(path)]) == 1
    printed = capsys.readouterr().out
    for word in ("3 defects", "category_id", "55 is no", "bboxes", "length", "77 is not"):
        assert word in printed


@pytest.mark.parametrize("name", ["check_dataset", "split_dataset"])
def test_missing_file_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_tool(name).main([str(tmp_path / "none.json")]) == 2
    message = "".join(capsys.readouterr().err.split("\n"))
    assert message.startswith("error: no annotation file")
    assert "none.json" in message


def test_split_beside_the_file(
    tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "train.json"
    source.write_bytes((tiny_youtube_vis / "train.json").read_bytes())
    assert load_tool("split_dataset").main([str(source), "--fraction", "0.5"]) == 0
    expected = [tmp_path / f"train_holdout-{part}.json" for part in ("train", "val", "v1")]
    assert capsys.readouterr().out.split() == [str(path) for path in expected]
    assert all(path.is_file() for path in expected)


def test_xml_files_are_converted_and_evaluated(
    tiny_imagenet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ["--parts", "vid:val", "det:train"]
    assert load_tool("convert_imagenet").main([str(tiny_imagenet), *parts]) == 0
    video_file, image_file = map(Path, capsys.readouterr().out.split())
    assert load_tool("check_dataset").main([str(image_file), str(tiny_imagenet / "Data/DET")]) == 0
    capsys.readouterr()
    keys = ("video_id", "category_id", "bboxes")
    tracks = json.loads(video_file.read_text())["annotations"]
    results = [{"score": 0.5, **{key: track[key] for key in keys}} for track in tracks]
    (tmp_path / "results.json").write_text(json.dumps(results))
    arguments = [str(video_file), str(tmp_path / "results.json"), "--metric", "imagenet_vid"]
    assert load_tool("evaluate").main([*arguments, "--out", str(tmp_path / "numbers.json")]) == 0
    assert "100.0" in capsys.readouterr().out


def test_a_defect_of_an_xml_file_is_one_line(
    tiny_imagenet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next((tiny_imagenet / "Annotations" / "VID" / "val").rglob("*.xml")).write_text("<a>")
    arguments = [str(tiny_imagenet), "--parts", "vid:val"]
    assert load_tool("convert_imagenet").main(arguments) == 2
    message = "".join(capsys.readouterr().err.split("\n"))
    assert message.startswith("error: ") and "is no XML file" in message
