# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from visbench.benchmark import Row, terms
from visbench.benchmark.terms import TERMS, read_terms, term_notes
from visbench.engine.config_files import config_folder

CONFIG: dict[str, Any] = {
    "model": {
        "detector": {
            "backbone": {
                "type": "mmdet.ResNet",
                "depth": 50,
                "init_cfg": {"type": "Pretrained", "checkpoint": "torchvision://resnet50"},
            },
        },
        "head": {"init_cfg": {"type": "Kaiming", "layer": "Conv2d"}},
    },
    "train_cfg": {"max_iters": 100},
    "train_dataloader": {
        "batch_size": 4,
        "dataset": {
            "type": "visbench.OVIS",
            "split": "train",
            "clip": {"type": "visbench.SampleClip", "num_frames": 3},
            "pipeline": [
                {
                    "type": "visbench.ClipBroadcaster",
                    "transforms": [
                        {"type": "mmdet.RandomChoiceResize", "scales": [(640, 288), (640, 448)]}
                    ],
                }
            ],
        },
    },
    "val_dataloader": {
        "dataset": {
            "type": "visbench.OVIS",
            "split": "valid",
            "pipeline": [{"type": "mmdet.Resize", "scale": (640, 360)}],
        }
    },
}


def changed(**values: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    for path, value in values.items():
        *folders, name = path.split("__")
        place = config
        for folder in folders:
            place = place[folder]
        place[name] = value
    return config


def test_terms_are_read_from_the_config() -> None:
    assert read_terms(CONFIG) == {
        "backbone": "ResNet-50",
        "initialisation": "backbone from torchvision://resnet50",
        "training data": "ovis-train",
        "training resolution": "640x288 to 640x448",
        "test resolution": "640x360",
        "iterations": 100,
        "clips per iteration": 4,
        "frames seen": 1200,
    }


@pytest.mark.parametrize(
    ("path", "value", "term", "text"),
    [
        ("load_from", "a.pth", "initialisation", "all from a.pth"),
        (
            "model__init_cfg",
            {"type": "Pretrained", "checkpoint": "b.pth"},
            "initialisation",
            "weights from b.pth, torchvision://resnet50",
        ),
        ("model__detector__backbone__init_cfg", None, "initialisation", "from scratch"),
        (
            "model__detector__backbone__base_channels",
            32,
            "backbone",
            "ResNet-50 (base_channels 32)",
        ),
        ("val_dataloader__dataset__pipeline", [], "test resolution", "as in the data"),
        ("train_dataloader__batch_size", 2, "frames seen", 600),
        ("train_cfg__batches_per_update", 3, "clips per iteration", 12),
        ("train_cfg__batches_per_update", 3, "frames seen", 3600),
        (
            "train_dataloader__dataset",
            {"datasets": [{"type": "A", "split": "x"}, {"type": "B", "split": "y"}]},
            "training data",
            "a-x + b-y",
        ),
    ],
)
def test_each_term_follows_its_setting(path: str, value: Any, term: str, text: Any) -> None:
    assert read_terms(changed(**{path: value}))[term] == text
    assert read_terms(CONFIG)[term] != text


@pytest.mark.parametrize(
    ("clip", "frames"),
    [
        ({"type": "visbench.SampleKeyReference", "num_references": 2}, 1200),
        ({"type": "visbench.SampleKeyReference"}, 800),
        ({"type": "visbench.SampleGuidance"}, 800),
        ({"type": "of.SomebodyElse"}, None),
    ],
)
def test_frames_of_a_clip(clip: dict[str, Any], frames: int | None) -> None:
    assert read_terms(changed(train_dataloader__dataset__clip=clip)).get("frames seen") == frames


@pytest.mark.parametrize(("lengths", "frames"), [((3, 3), 1200), ((3, 2), None)])
def test_frames_of_a_mixture(lengths: tuple[int, int], frames: int | None) -> None:
    parts = [
        {"type": "visbench.CocoClips", "split": "x", "clip": {"num_frames": length}}
        for length in lengths
    ]
    config = changed(train_dataloader__dataset={"datasets": parts})
    assert read_terms(config).get("frames seen") == frames


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 5)), max_size=4),
    st.integers(1, 5),
    st.integers(1, 150),
)
def test_frames_of_growing_clips(steps: list[tuple[int, int]], first: int, draws: int) -> None:
    starts = np.cumsum([0, *(step for step, _ in steps)]).tolist()
    lengths = list(zip(starts, [first, *(length for _, length in steps)], strict=True))
    slow = sum([n for start, n in lengths if start <= draw][-1] for draw in range(draws))
    assert terms._frames({"lengths": lengths}, draws) == slow


@pytest.mark.parametrize("name", ["iai/iai_quick_movingshapes", "idol/idol_demo_movingshapes"])
def test_every_term_of_our_configs_is_known(name: str) -> None:
    config = Config.fromfile(config_folder() / f"{name}.py")
    found = read_terms(config)
    assert tuple(found) == TERMS
    if "quick" in name:
        assert found["frames seen"] == 4 * (2600 + 3 * 1400)
        assert found["training data"] == "movingshapes-v1-mixed-train"
        assert found["backbone"] == "ResNet-18 (base_channels 32, num_stages 3)"


def row(method: str, **values: Any) -> Row:
    return Row(method, f"{method}.py", "easy", 0, terms={**read_terms(CONFIG), **values})


def test_notes_tell_equal_terms_from_different_ones() -> None:
    rows = [row("A"), row("B", iterations=200), row("C", iterations=200)]
    equal, differs = term_notes(rows)
    assert equal.startswith("Equal for all: backbone ResNet-50; initialisation backbone from")
    assert "iterations" not in equal
    assert differs == "Differs: iterations: 100 (A); 200 (B, C)."


def test_notes_name_rows_whose_terms_are_not_known() -> None:
    old = Row("Old", "old.py", "easy", 0)
    foreign = Row("sam", "", "easy", 0, kind="foreign")
    control = Row("floor", "", "easy", 0, kind="control")
    notes = term_notes([row("A"), old, foreign, control])
    assert notes[1:] == [
        "Terms not recorded: Old.",
        "Made elsewhere, on terms that are not known here: sam.",
    ]


def test_methods_of_one_name_are_told_apart_by_their_configs() -> None:
    short, long = row("A"), Row("A", "long.py", "easy", 0, terms={"iterations": 7})
    assert "Differs: iterations: 100 (A (A)); 7 (A (long))." in term_notes([short, long])
