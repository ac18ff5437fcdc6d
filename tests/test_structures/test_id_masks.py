# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visbench.structures import (
    FrameInstances,
    IdMaskWriter,
    VideoInfo,
    encode_masks,
    frames_to_tracks,
    read_id_masks,
    write_id_masks,
)
from visbench.structures.label_maps import voc_palette

SIZE = (3, 4)


def _frame(ids: list[int], labels: list[int], scores: list[float], *masks: list) -> FrameInstances:
    shaped = np.array(masks).reshape(-1, *SIZE)
    return FrameInstances(ids, labels, scores, None, encode_masks(shaped))


def _columns(*columns: int) -> np.ndarray:
    mask = np.zeros(SIZE, int)
    mask[:, columns] = 1
    return mask


FRAMES = [
    _frame([40, 7], [1, 0], [0.5, 0.75], _columns(0, 1), _columns(1, 2)),
    _frame([], [], []),
    _frame([7, 90], [0, 2], [0.75, 0.5], _columns(3), _columns(0)),
]


def test_pixels_count_tracks_and_the_best_score_wins(tmp_path: Path) -> None:
    write_id_masks(tmp_path / "a" / "b", frames_to_tracks(VideoInfo(0, "v", *SIZE), FRAMES))
    images = [Image.open(tmp_path / "a" / "b" / f"{index:05d}.png") for index in range(3)]
    assert [image.mode for image in images] == ["P"] * 3
    rows = [np.asarray(image)[0].tolist() for image in images]
    assert rows == [[1, 2, 2, 0], [0, 0, 0, 0], [3, 0, 0, 2]]
    colours = np.asarray(images[0].convert("RGB"))[0]
    np.testing.assert_array_equal(colours, voc_palette()[[1, 2, 2, 0]])
    legend = json.loads((tmp_path / "a" / "b" / "ids.json").read_text())
    assert legend == {
        "1": {"track_id": 40, "label": 1},
        "2": {"track_id": 7, "label": 0},
        "3": {"track_id": 90, "label": 2},
    }


def test_ids_and_labels_come_back(tmp_path: Path) -> None:
    write_id_masks(tmp_path, frames_to_tracks(VideoInfo(0, "v", *SIZE), FRAMES))
    result = read_id_masks(tmp_path)
    assert result.video == VideoInfo(0, tmp_path.name, *SIZE, 3)
    assert [track.id for track in result.tracks] == [40, 7, 90]
    assert [entry.label for entry in result.predictions] == [1, 0, 2]
    expected = encode_masks(np.stack([_columns(0), _columns(1, 2), _columns(3)]))
    masks = [track.masks for track in result.tracks]
    assert masks[0] == [expected[0], None, None]
    assert masks[1] == [expected[1], None, expected[2]]


def test_a_folder_of_davis_needs_no_legend(tmp_path: Path) -> None:
    for index, values in enumerate(([0, 3, 3, 255], [5, 3, 0, 255])):
        image = Image.fromarray(np.array([values, values], np.uint8))
        image.putpalette(voc_palette().tobytes())
        image.save(tmp_path / f"{9 + index}.png")
    result = read_id_masks(tmp_path, void=255)
    assert [track.id for track in result.tracks] == [3, 5]
    assert {entry.label for entry in result.predictions} == {0}
    assert result.tracks[0].masks == encode_masks(
        np.array([[[0, 1, 1, 0]] * 2, [[0, 1, 0, 0]] * 2])
    ), "9.png comes before 10.png"
    assert 255 in [track.id for track in read_id_masks(tmp_path).tracks]


def test_the_256th_track_makes_deeper_images(tmp_path: Path) -> None:
    writer = IdMaskWriter(tmp_path, SIZE)
    for index in range(257):
        writer.write(f"{index:05d}", _frame([index], [0], [0.5], _columns(index % 4)))
    modes = [Image.open(tmp_path / f"{index:05d}.png").mode for index in (0, 254, 255, 256)]
    assert modes == ["P", "P", "I;16", "I;16"]
    result = read_id_masks(tmp_path)
    assert [track.id for track in result.tracks] == list(range(257))


def test_low_scores_are_left_out(tmp_path: Path) -> None:
    result = frames_to_tracks(VideoInfo(0, "v", *SIZE), FRAMES)
    write_id_masks(tmp_path, result, score_threshold=0.6)
    assert [track.id for track in read_id_masks(tmp_path).tracks] == [7]


def test_boxes_alone_have_no_masks_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boxes only"):
        IdMaskWriter(tmp_path, SIZE).write("0", FrameInstances.empty(masks=False))


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no PNG"):
        read_id_masks(tmp_path)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "0.png")
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"1\.png is \(2, 3\), but the first image is \(2, 2\)"):
        read_id_masks(tmp_path)
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"1\.png cannot be read \(it is a RGB image"):
        read_id_masks(tmp_path)
    (tmp_path / "1.png").write_bytes(b"\x89PNG cut off")
    with pytest.raises(ValueError, match=r"1\.png cannot be read"):
        read_id_masks(tmp_path)
    (tmp_path / "ids.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"ids\.json is no legend"):
        read_id_masks(tmp_path)


def test_a_run_without_objects_can_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        IdMaskWriter(tmp_path, SIZE).write("00000", FRAMES[1])
        assert read_id_masks(tmp_path).tracks == []
