# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.datasets.converters import read_cvat, write_annotation_file
from visbench.evaluation.errors import InputError
from visbench.structures import decode_mask

HEIGHT, WIDTH = 10, 16
META = f"""<meta><task><size>{{size}}</size><start_frame>{{start}}</start_frame>
<frame_filter>{{filter}}</frame_filter><labels><label><name>car</name></label>
<label><name>dog</name></label></labels></task>
<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size></meta>"""
BOX = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="2" ytl="3" xbr="8" ybr="7"/>'
POLYGON = '<polygon frame="{}" outside="{}" points="2.0,3.0;8.0,3.0;8.0,7.0;2.0,7.0"/>'


def write(folder: Path, tracks: str, size: int = 3, start: int = 0, step: str = "") -> Path:
    path = folder / "clip.xml"
    meta = META.format(size=size, start=start, filter=step)
    path.write_text(f"<annotations><version>1.1</version>{meta}{tracks}</annotations>")
    return path


def track(*shapes: str, label: str = "dog") -> str:
    return f'<track id="0" label="{label}" source="manual">{"".join(shapes)}</track>'


def test_tracks_of_boxes(tmp_path: Path) -> None:
    path = write(tmp_path, track(BOX.format(0, 0), BOX.format(1, 0), BOX.format(2, 1)))
    file = read_cvat(path)
    write_annotation_file(file.content(), tmp_path / "out.json")
    assert file.videos[0]["file_names"][2] == "clip/frame_000002.png"
    assert file.tracks[0]["bboxes"] == [[2, 3, 6, 4], [2, 3, 6, 4], None]
    assert file.tracks[0]["category_id"] == 2  # labels in the order of the file's list
    assert read_cvat(path, boxes_as_masks=True).tracks[0]["areas"] == [24, 24, None]


def test_polygons_and_frames_in_steps(tmp_path: Path) -> None:
    tracks = track(POLYGON.format(20, 0), POLYGON.format(25, 1))
    file = read_cvat(write(tmp_path, tracks, 2, start=20, step="step=5"))
    assert file.tracks[0]["areas"] == [24, None]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_masks_are_the_runs_of_their_box(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    left, top = data.draw(st.integers(0, WIDTH - 2)), data.draw(st.integers(0, HEIGHT - 2))
    width, height = (
        data.draw(st.integers(1, WIDTH - left)),
        data.draw(st.integers(1, HEIGHT - top)),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    inside = rng.random((height, width)) < 0.5
    inside[0, 0] = True
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[top : top + height, left : left + width] = inside
    runs, value = [0], False
    for pixel in inside.ravel():
        if pixel != value:
            runs, value = [*runs, 0], pixel
        runs[-1] += 1
    shape = (
        f'<mask frame="0" outside="0" rle="{", ".join(map(str, runs))}" left="{left}" '
        f'top="{top}" width="{width}" height="{height}"/>'
    )
    file = read_cvat(write(tmp_path_factory.mktemp("cvat"), track(shape), 1))
    assert (decode_mask(file.tracks[0]["segmentations"][0]) == expected).all()


ELLIPSE = '<ellipse frame="0" outside="0" cx="{}" cy="{}" rx="{}" ry="{}" rotation="{}"/>'


@settings(max_examples=25, deadline=None)
@given(
    centre=st.tuples(st.floats(1, WIDTH - 1), st.floats(1, HEIGHT - 1)),
    radii=st.tuples(st.floats(0.8, 9), st.floats(0.8, 9)),
    degrees=st.integers(-360, 360),
)
def test_ellipses_become_masks(
    centre: tuple[float, float],
    radii: tuple[float, float],
    degrees: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shape = ELLIPSE.format(*centre, *radii, degrees)
    file = read_cvat(write(tmp_path_factory.mktemp("cvat"), track(shape), 1))
    found = decode_mask(file.tracks[0]["segmentations"][0])
    # OpenCV turns as CVAT does; enlarged, so that its whole pixels do not matter.
    scale = 32
    drawn = np.zeros((HEIGHT * scale, WIDTH * scale), np.uint8)
    cv2.ellipse(
        drawn,
        [round(scale * side) for side in centre],
        [round(scale * radius) for radius in radii],
        *(degrees, 0, 360, 1, -1),
    )
    shares = drawn.reshape(HEIGHT, scale, WIDTH, scale).mean((1, 3))
    assert (found[shares > 0.98] == 1).all() and (found[shares < 0.02] == 0).all()


def test_turned_by_a_quarter_the_radii_change_places(tmp_path: Path) -> None:
    wide, high = (
        read_cvat(write(tmp_path, track(ELLIPSE.format(8, 5, *radii, angle)))).tracks
        for radii, angle in (((2, 4), 90), ((4, 2), 0))
    )
    assert wide == high and high[0]["bboxes"][0] == [4, 3, 8, 4]


def test_tracks_without_area_are_left_out_and_counted(tmp_path: Path) -> None:
    line = track('<polyline frame="0" outside="0" points="1,2;3,4"/>')
    skeleton = track('<skeleton frame="0"><points frame="0" points="1,2"/></skeleton>')
    points = track('<points frame="1" outside="0" points="1,2"/>')
    path = write(tmp_path, track(POLYGON.format(0, 0), POLYGON.format(1, 1)) + line)
    assert read_cvat(path).notes == [f"{path}: tracks without an area are left out: 1 polyline"]
    file = read_cvat(write(tmp_path, line + points + line + skeleton))
    assert file.tracks == []
    assert [note.partition("left out: ")[2] for note in file.notes] == [
        "1 points, 2 polyline, 1 skeleton"
    ]


@pytest.mark.parametrize(
    ("tracks", "words"),
    [
        (track(BOX.format(0, 0), BOX.format(2, 0)), ("track 0", "frame", "between 0 and 2")),
        (track(BOX.format(9, 0)), ("track 0", "frame", "9 is none of the 3 frames")),
        (track(BOX.format(0, 0).replace('"8"', '"x"')), ("frame 0", "xbr", "is not a number")),
        (track(BOX.format(0, 0).replace('xbr="8"', "")), ("frame 0", "xbr", "is missing")),
        (track(BOX.format(0, 0).replace('"8"', '"2"')), ("frame 0", "box", "no area")),
        (track(POLYGON.format(0, 0).replace(";8.0,3.0;8.0,7.0", "")), ("frame 0", "points")),
        (track('<blob frame="0" points="1,2"/>'), ("blob", "is no known shape", "polygon")),
        (track(ELLIPSE.format(3, 3, 0, 2, 0)), ("frame 0", "rx", "has no area")),
        (track(ELLIPSE.format(3, 3, 1, "", 0)), ("frame 0", "ry", "is not a number")),
        (track(BOX.format(0, 0), label=""), ("track 0", "label")),
        (
            track('<mask frame="0" rle="1, 2" left="0" top="0" width="2" height="2"/>'),
            ("frame 0", "rle", "covers 3 pixels, not 2x2"),
        ),
        (
            track('<mask frame="0" rle="4" left="15" top="0" width="2" height="2"/>'),
            ("frame 0", "does not fit the frame of 16x10"),
        ),
        ("<image id='0'/>", ("image", "no tracks")),
    ],
)
def test_defects_name_file_track_and_field(
    tmp_path: Path, tracks: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as error:
        read_cvat(write(tmp_path, tracks))
    for word in ("clip.xml", *words):
        assert word in str(error.value)


def test_entities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.xml"
    bomb = "<!DOCTYPE a [<!ENTITY b 'xxxx'><!ENTITY c '&b;&b;&b;'>]><annotations>&c;</annotations>"
    path.write_text(bomb)
    with pytest.raises(ValueError, match="document type 'a' is refused"):
        read_cvat(path)
    path.write_text("<annotations>")
    with pytest.raises(ValueError, match="no XML file"):
        read_cvat(path)


def test_frames_are_taken_from_a_folder(tmp_path: Path) -> None:
    from PIL import Image

    path = write(tmp_path, track(BOX.format(0, 0)))
    (tmp_path / "frames" / "clip").mkdir(parents=True)
    for number in (2, 10, 1):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"frames/clip/f{number}.jpg")
    file = read_cvat(path, tmp_path / "frames")
    assert file.videos[0]["file_names"] == ["clip/f1.jpg", "clip/f2.jpg", "clip/f10.jpg"]
    write_annotation_file(file.content(), tmp_path / "out.json", tmp_path / "frames")
    (tmp_path / "frames/clip/f10.jpg").unlink()
    with pytest.raises(InputError, match="3 frames, but 2 images"):
        read_cvat(path, tmp_path / "frames")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('outside="0"', 'outside="0" rotation="left"', r"track 0, frame 0: .*rotation.*'left'"),
        ("<size>3</size>", "<size>3000000000</size>", "3000000000 frames of .* are no video"),
        (f"<width>{WIDTH}</width>", "<width>9999999999</width>", "x.* are no video"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, before: str, after: str, words: str) -> None:
    path = write(tmp_path, track(BOX.format(0, 0)))
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(InputError, match=words):
        read_cvat(path)
