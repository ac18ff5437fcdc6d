# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from visbench.benchmark.data_choice import OWN, DataChoice
from visbench.engine.errors import ConfigError, UserError

SHAPES: dict[str, Any] = {
    "type": "visbench.MovingShapesDataset",
    "preset": "easy",
    "split": "val",
    "test_mode": True,
    "pipeline": ["method's own"],
}
YOUTUBE = {"type": "visbench.YouTubeVIS2019", "split": "valid", "pipeline": ["resize"]}


def test_a_preset_replaces_a_preset() -> None:
    choice = DataChoice.parse("occluded")
    assert choice.apply(SHAPES) == {**SHAPES, "preset": "occluded"}
    assert choice.name_of(SHAPES) == "movingshapes-v1-occluded-val"


def test_fields_have_the_types_of_python() -> None:
    choice = DataChoice.parse("preset=long,num_videos=4")
    assert choice.apply(SHAPES)["num_videos"] == 4
    assert choice.name_of(SHAPES) == "movingshapes-v1-long-val-first4"


def test_another_type_keeps_the_pipeline_only() -> None:
    choice = DataChoice.parse("name=mine,type=visbench.VISDataset,ann_file=a/b.json")
    assert choice.apply(SHAPES) == {
        "type": "visbench.VISDataset",
        "ann_file": "a/b.json",
        "test_mode": True,
        "pipeline": ["method's own"],
    }
    assert choice.name_of(SHAPES) == "mine"


@pytest.mark.parametrize("text", ["", "own"])
def test_own_data(text: str) -> None:
    assert DataChoice.parse(text) == OWN
    assert OWN.apply(YOUTUBE) == YOUTUBE
    assert OWN.name_of(YOUTUBE) == "youtubevis2019-valid"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset=long,4", "'4' is not FIELD=VALUE"),
        ("a b=3", "'a b=3' is not FIELD=VALUE"),
        ("preset=", "'preset=' is not FIELD=VALUE"),
        ("data_root=elsewhere", "add name=NAME"),
        ("ocluded", "'ocluded' is no preset of MovingShapes; there are easy, "),
        ("preset=ocluded,num_videos=2", "'ocluded' is no preset of MovingShapes"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataChoice.parse(text)


def test_a_preset_is_for_moving_shapes() -> None:
    with pytest.raises(ConfigError, match=r"occluded is a preset .* youtubevis2019-valid; give"):
        DataChoice.parse("occluded").name_of(YOUTUBE)
