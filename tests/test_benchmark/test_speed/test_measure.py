# SPDX-License-Identifier: Apache-2.0
"""Every method of the library, measured on a tiny clip: nothing about it changes."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from visbench.benchmark.speed.measure import Setting, measure
from visbench.benchmark.speed.seams import SEAMS, seams_of, timed
from visbench.benchmark.speed.stages import (
    ASSOCIATION,
    DECODE,
    ENCODING,
    NETWORK,
    PREPROCESS,
    STAGES,
    StageClock,
)
from visbench.models import VISModel
from visbench.registry import MODELS
from visbench.structures import VideoInfo, encode_masks
from visbench.testing.conformance import ConformanceCase
from visbench.testing.conformance.case import prepared, video_of
from visbench.testing.conformance.cases import CASES
from visbench.testing.conformance.result_checks import assert_same
from visbench.testing.conformance.scene import SIZE, Scene

FRAMES = 3


def _setting() -> Setting:
    scene = Scene(0, FRAMES)

    def read(index: int) -> Any:
        return scene.image(index).permute(1, 2, 0).numpy()

    return Setting(VideoInfo(0, "clip", *SIZE, FRAMES), read, [], warm_up=1)


def _named(model: VISModel) -> list[dict[str, Any]]:
    """Return what a measurement might leave behind on a model."""
    parts = [model, getattr(model, "association", None), getattr(model, "head", None)]
    return [dict(vars(part)) for part in parts if part is not None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stages_of_every_method(case: ConformanceCase) -> None:
    model = case.build()
    before = _named(model)
    done: list[tuple[int, int]] = []
    figures = measure(model, _setting(), "cpu", lambda *counts: done.append(counts))
    stages = figures["stages"]
    assert sum(values["share"] for values in stages.values()) == pytest.approx(1)
    total_ms = sum(values["mean_ms"] for values in stages.values()) * FRAMES
    assert total_ms == pytest.approx(1000 * figures["total_s"])
    for stage in (DECODE, PREPROCESS, NETWORK):
        assert stages[stage]["share"] > 0
    separable = any(seam.stage == ASSOCIATION for seam in seams_of(model).functions)
    # After the last frame of an online method its finish counts as association.
    assert (stages[ASSOCIATION]["share"] > 0) is (separable or case.online)
    assert (stages[ENCODING]["share"] > 0) is (case.name != "InsPro, boxes only")
    assert (figures["fps_online"] is not None) is case.online
    assert ("p50_ms" in stages[NETWORK]) is case.online
    assert ("p95_ms" in figures["frame"]) is case.online
    assert "p50_ms" in stages[DECODE]
    assert figures["fps_whole"] > 0
    assert figures["instances_per_frame"] > 0
    assert figures["note"]
    assert done == [(count, 2 * FRAMES) for count in range(1, 2 * FRAMES + 1)]
    assert _named(model) == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_method_under_the_clock_finds_the_same(case: ConformanceCase) -> None:
    model = case.build()
    frames = prepared(model, Scene(0, FRAMES))
    with torch.no_grad():
        expected = model.segment(video_of(frames), frames)
        clock = StageClock()
        with timed(model, clock), clock.running(NETWORK):
            found = model.segment(video_of(frames), frames)
    assert_same(expected, found, f"{case.name}: with and without clock")
    assert sum(clock.seconds(stage) for stage in STAGES) == pytest.approx(clock.total)


def test_every_method_says_what_is_separable() -> None:
    for case in CASES:
        assert any(kind.__name__ in SEAMS for kind in case.model_class.__mro__), case.name
    assert set(SEAMS) <= set(MODELS.module_dict), "an entry without a method"


def test_a_method_of_somebody_else_says_that_nothing_is_known() -> None:
    class Unknown:
        pass

    seams = seams_of(Unknown())
    assert seams.functions == ()
    assert "counted as network" in seams.note


def test_all_is_as_it_was_after_an_error() -> None:
    model = CASES[0].build()
    before = _named(model)
    module = sys.modules["visbench.models.baselines.masktrack_rcnn"]
    associate = module.associate
    with pytest.raises(RuntimeError, match="out of memory"), timed(model, StageClock()):
        assert module.encode_masks is not encode_masks
        assert module.associate is not associate
        raise RuntimeError("out of memory")
    assert module.encode_masks is encode_masks
    assert module.associate is associate
    assert _named(model) == before
