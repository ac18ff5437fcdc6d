# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visbench.benchmark.training_logs import plot_curves, read_log, smooth, summarise
from visbench.engine.errors import UserError


def session(folder: Path, time: str, *records: dict[str, Any], tail: str = "") -> Path:
    path = folder / time / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A training that was killed in the middle of a line at 30 and resumed at 20."""
    folder = tmp_path / "idol_demo"
    first = [{"loss": 9.0 - i, "lr": 0.1, "iter": 10 * i, "step": 10 * i} for i in (1, 2, 3)]
    session(folder, "20260101_000000", *first, tail='{"loss": 1.0, "st')
    again = [{"loss": 4.0, "lr": 0.1, "step": 30}, {"loss": 5.0, "lr": 0.1, "step": 40}]
    scores = {"youtube_vis/AP": 0.25, "youtube_vis/APl": -1.0, "step": 40}
    session(folder, "20260102_000000", *again, scores)
    return folder


def test_sessions_are_one_curve(run: Path) -> None:
    log = read_log(run)
    assert log.name == "idol_demo" and len(log.sessions) == 2
    assert log.curves["loss"] == {10: 8.0, 20: 7.0, 30: 4.0, 40: 5.0}
    assert log.curves["youtube_vis/AP"] == {40: 0.25}
    assert set(log.curves) == {"loss", "lr", "youtube_vis/AP"}
    one = read_log(run / "20260101_000000" / "vis_data" / "scalars.json")
    assert one.name == "idol_demo" and max(one.curves["loss"]) == 30


def test_the_best_metric_is_the_largest_and_the_best_loss_the_smallest(run: Path) -> None:
    loss, score = summarise([read_log(run)], ["loss", "*/AP"])
    assert (loss.best, loss.best_step, loss.last, loss.last_step) == (4.0, 30, 5.0, 40)
    assert (score.curve, score.best) == ("youtube_vis/AP", 0.25)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=12), st.integers(1, 5))
def test_smoothing_is_the_mean_of_the_last_values(values: list[float], width: int) -> None:
    found = smooth(dict(enumerate(values)), width)
    for index, value in found.items():
        assert value == pytest.approx(np.mean(values[max(0, index - width + 1) : index + 1]))


def test_curves_are_drawn(run: Path, tmp_path: Path) -> None:
    plot_curves([read_log(run, "a"), read_log(run, "b")], ["*"], tmp_path / "out" / "c.png", 2)
    assert (tmp_path / "out" / "c.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(UserError, match=r"c\.xyz"):
        plot_curves([read_log(run)], ["loss"], tmp_path / "c.xyz")


def test_errors_say_what_there_is(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no log"):
        read_log(tmp_path / "none")
    with pytest.raises(UserError, match="there are loss, lr, youtube_vis/AP"):
        summarise([read_log(run)], ["los"])
    (tmp_path / "other.json").write_text("[]\n")
    with pytest.raises(UserError, match="no record with a 'step'"):
        read_log(tmp_path / "other.json")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"visbench\[curves\]"):
        plot_curves([read_log(run)], ["loss"], tmp_path / "c.png")
