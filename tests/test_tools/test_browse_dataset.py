# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from tool_modules import load_tool


def test_an_annotation_file(
    tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, images = tiny_youtube_vis / "train.json", tiny_youtube_vis / "train/JPEGImages"
    out = tmp_path / "sheet.png"
    words = [str(source), str(images), "--out", str(out), "--video", "clip001"]
    assert load_tool("browse_dataset").main(words) == 0
    assert out.is_file() and "sheet.png: 1 videos" in capsys.readouterr().out


def test_the_training_clips_of_a_config(
    tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        f"""
load = [dict(type='visbench.LoadFrame'),
        dict(type='mmdet.LoadTrackAnnotations', with_mask=True)]
train_dataloader = dict(dataset=dict(
    type='visbench.VISDataset', data_root={str(tiny_youtube_vis)!r}, split='train',
    clip=dict(type='visbench.SampleClip', num_frames=3),
    pipeline=[dict(type='visbench.ClipBroadcaster', transforms=load),
              dict(type='visbench.PackClip')]))
"""
    )
    out = tmp_path / "clips.png"
    words = [str(config), "--out", str(out), "--number", "2"]
    assert load_tool("browse_dataset").main(words) == 0
    assert "clips.png: 2 clips" in capsys.readouterr().out
    assert load_tool("browse_dataset").main([str(config), "--split", "val"]) == 1
    assert "no field 'val_dataloader'" in capsys.readouterr().err


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_tool("browse_dataset").main([str(tmp_path / "x.json")]) == 1
    assert "IMAGES" in capsys.readouterr().err
    # As in other tools, a config may be given by its name.
    assert load_tool("browse_dataset").main(["idol_r50_youtubevis"]) == 1
    assert "did you mean idol_r50_youtubevis2021" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load_tool("browse_dataset").main(["x.json", "--number", "0"])
    with pytest.raises(SystemExit):
        load_tool("browse_dataset").main(["--help"])
    assert "python tools/browse_dataset.py train.json" in capsys.readouterr().out
