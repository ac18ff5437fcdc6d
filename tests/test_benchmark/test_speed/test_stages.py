# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visbench.benchmark.speed.stages import (
    ASSOCIATION,
    DECODE,
    ENCODING,
    MEANINGS,
    NETWORK,
    PREPROCESS,
    STAGES,
    StageClock,
    percentile,
    summary,
)


class FakeTime:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=40),
    st.one_of(st.sampled_from([0, 50, 95, 100]), st.floats(0, 100)),
)
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    expected = np.percentile(values, percent)
    assert percentile(values, percent) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_percentiles_that_are_not_defined(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="is not defined"):
        percentile(values, percent)


def test_summary_is_in_milliseconds() -> None:
    assert summary([0.001, 0.003]) == pytest.approx({"p50_ms": 2.0, "p95_ms": 2.9})
    assert summary([]) == {}


def test_an_inner_stage_interrupts_the_outer_one() -> None:
    time = FakeTime()
    clock = StageClock(time)
    time.sleep(100)
    with clock.running(NETWORK):
        for frame in range(2):
            with clock.stage(PREPROCESS):
                time.sleep(1)
                with clock.stage(DECODE):
                    time.sleep(5 + frame)
                time.sleep(2)
            time.sleep(10)
            clock.end_frame()
        with clock.stage(ASSOCIATION):
            time.sleep(4)
    time.sleep(100)
    expected = {DECODE: 11, PREPROCESS: 6, NETWORK: 20, ASSOCIATION: 4, ENCODING: 0}
    assert {stage: clock.seconds(stage) for stage in STAGES} == expected
    assert clock.total == 41
    assert clock.per_frame(DECODE) == [5, 6]
    assert clock.frames == [18, 19], "what comes after the last frame is of no frame"


_NESTED = st.recursive(
    st.lists(st.nothing()),
    lambda inner: st.lists(st.tuples(st.sampled_from(STAGES), st.integers(0, 9), inner)),
    max_leaves=12,
)


@given(_NESTED)
def test_stages_add_up_to_the_total(blocks: list) -> None:
    time = FakeTime()
    clock = StageClock(time)
    expected = dict.fromkeys(STAGES, 0)

    def run(nested: list) -> None:
        for stage, seconds, inner in nested:
            with clock.stage(stage):
                time.sleep(seconds)
                expected[stage] += seconds
                run(inner)

    with clock.running(NETWORK):
        run(blocks)
    assert {stage: clock.seconds(stage) for stage in STAGES} == expected
    assert clock.total == sum(expected.values())


def test_a_stage_ends_where_it_fails() -> None:
    time = FakeTime()
    clock = StageClock(time)

    def fail() -> None:
        time.sleep(3)
        raise KeyError("broken")

    with clock.running(NETWORK):
        with pytest.raises(KeyError, match="broken"):
            clock.timed(fail, ENCODING)()
        time.sleep(1)
    assert (clock.seconds(ENCODING), clock.seconds(NETWORK)) == (3, 1)


def test_a_clock_that_is_not_running_sees_nothing() -> None:
    time = FakeTime()
    clock = StageClock(time)
    clock.timed(time.sleep, ENCODING)(7)
    assert clock.seconds(ENCODING) == 0


def test_a_device_finishes_within_its_stage() -> None:
    time = FakeTime()
    pending = [0.0]

    def wait() -> None:
        time.sleep(pending[0])
        pending[0] = 0

    clock = StageClock(time, wait)
    with clock.running(PREPROCESS):
        with clock.stage(NETWORK):
            pending[0] = 5
        time.sleep(1)
    assert (clock.seconds(NETWORK), clock.seconds(PREPROCESS)) == (5, 1)


def test_every_stage_has_a_meaning() -> None:
    assert tuple(MEANINGS) == STAGES
