# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visbench.datasets.converters import read_labelme, write_annotation_file
from visbench.evaluation.errors import InputError
from visbench.structures import decode_mask

HEIGHT, WIDTH = 12, 16
POLYGON = {
    "label": "cat",
    "points": [[2, 3], [8, 3], [8, 7], [2, 7]],
    "group_id": 4,
    "shape_type": "polygon",
}


def write(folder: Path, *frames: list[Any], **fields: Any) -> Path:
    (folder / "clip").mkdir(parents=True, exist_ok=True)
    for index, shapes in enumerate(frames):
        record = {
            "imagePath": f"{index}.png",
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
            "shapes": shapes,
            **fields,
        }
        (folder / "clip" / f"{index}.json").write_text(json.dumps(record))
    return folder


def bitmap(inside: np.ndarray, left: int, top: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(inside.astype(np.uint8) * 255).save(buffer, "PNG")
    corner = [left + inside.shape[1] - 1, top + inside.shape[0] - 1]
    return {
        **POLYGON,
        "shape_type": "mask",
        "points": [[left, top], corner],
        "mask": base64.b64encode(buffer.getvalue()).decode(),
    }


def test_groups_are_tracks_and_shapes_are_parts(tmp_path: Path) -> None:
    part = {**POLYGON, "points": [[10, 8], [14, 11]], "shape_type": "rectangle"}
    other = {**POLYGON, "group_id": 5, "label": "dog"}
    file = read_labelme(write(tmp_path, [POLYGON, part], [other], [POLYGON]))
    write_annotation_file(file.content(), tmp_path / "out.json")
    assert file.videos[0]["file_names"] == ["clip/0.png", "clip/1.png", "clip/2.png"]
    assert file.categories == {1: "cat", 2: "dog"}
    assert [track["areas"] for track in file.tracks] == [[36, None, 24], [None, 24, None]]


def test_circles(tmp_path: Path) -> None:
    circle = {**POLYGON, "shape_type": "circle", "points": [[8, 6], [12, 6]]}
    file = read_labelme(write(tmp_path, [circle]))
    rows, columns = np.mgrid[0.5:HEIGHT, 0.5:WIDTH]
    expected = (columns - 8) ** 2 + (rows - 6) ** 2 <= 16
    np.testing.assert_array_equal(decode_mask(file.tracks[0]["segmentations"][0]), expected)


def test_lines_and_points_are_left_out_and_counted(tmp_path: Path) -> None:
    line = {**POLYGON, "shape_type": "line", "points": [[1, 2], [3, 4]], "group_id": None}
    point = {**POLYGON, "shape_type": "point", "points": [[1, 2]]}
    file = read_labelme(write(tmp_path, [POLYGON, line, point], [line]))
    assert [track["areas"] for track in file.tracks] == [[24, None]]
    assert file.notes == [f"{tmp_path}: shapes without an area are left out: 2 line, 1 point"]


@settings(max_examples=25, deadline=None)
@given(left=st.integers(0, WIDTH - 3), top=st.integers(0, HEIGHT - 2), seed=st.integers(0, 999))
def test_bitmaps_are_placed_at_their_corner(
    left: int, top: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    inside = np.random.default_rng(seed).random((2, 3)) < 0.6
    inside[0, 0] = True
    file = read_labelme(write(tmp_path_factory.mktemp("labelme"), [bitmap(inside, left, top)]))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[top : top + 2, left : left + 3] = inside
    assert (decode_mask(file.tracks[0]["segmentations"][0]) == expected).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group_id": None}, ("shapes[0]", "group_id", "is null")),
        ({"group_id": [1]}, ("group_id", "found [1]")),
        ({"shape_type": "blob"}, ("shape_type", "'blob' is no known shape")),
        ({"shape_type": [1]}, ("shape_type", "[1] is no known shape")),
        ({"shape_type": "circle", "points": [[1, 2], [1, 2]]}, ("points", "has no area")),
        ({"points": [[1, 2], [3, 4]]}, ("points", "six finite numbers")),
        ({"points": [[1, 2, 3]]}, ("points", "is not [x, y]")),
        ({"points": [[1, "x"]]}, ("points", "two finite numbers")),
        ({"shape_type": "rectangle"}, ("points", "has 4 points, not 2")),
        ({**bitmap(np.ones((2, 2)), 15, 0)}, ("mask", "does not fit the frame of 16x12")),
        ({**bitmap(np.ones((2, 2)), 0, 0), "mask": "!!"}, ("mask", "no PNG in base64")),
    ],
)
def test_defects_name_file_shape_and_field(
    tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as error:
        read_labelme(write(tmp_path, [POLYGON], [{**POLYGON, **changes}]))
    for word in ("1.json", *words):
        assert word in str(error.value)


def test_defects_of_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_labelme(tmp_path / "none")
    folder = write(tmp_path, [POLYGON], [POLYGON])
    (folder / "clip" / "1.json").write_text("[]")
    with pytest.raises(InputError, match=r"1.json: field 'shapes': is missing"):
        read_labelme(folder)
    write(tmp_path, [POLYGON], [POLYGON], imageHeight="x")
    with pytest.raises(InputError, match="imageHeight"):
        read_labelme(folder)


def test_the_folder_that_one_is_in_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path, [POLYGON]) / "clip")
    assert read_labelme(".").videos[0]["file_names"] == ["clip/0.png"]


def test_frames_have_an_ending_where_the_files_state_none(tmp_path: Path) -> None:
    file = read_labelme(write(tmp_path, [POLYGON], imagePath=None))
    assert file.videos[0]["file_names"] == ["clip/0.jpg"]
