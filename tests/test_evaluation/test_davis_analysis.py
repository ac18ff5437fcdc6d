# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from visbench.evaluation import InputError, evaluate, evaluate_davis
from visbench.evaluation.analysis import resamples
from visbench.evaluation.davis import summarize_sequences

sys.path.insert(0, str(Path(__file__).parent))

from test_davis import labels_of, save

NAMES = ["bear", "dance", "night"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(4)
    for index, name in enumerate(NAMES):
        for side in ("truth", "found"):
            save(tmp_path / side / name, np.stack([labels_of(rng, index + 1) for _ in range(3)]))
    return tmp_path / "truth", tmp_path / "found"


def test_numbers_of_each_sequence(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders, "davis", per_video=True)
    assert result.per_video is not None
    assert list(result.per_video) == NAMES
    for sequence in result.details["davis"]:
        expected = summarize_sequences([sequence])
        assert result.per_video[Path(sequence.name).name] == {"davis": expected}
    assert "davis per video" in result.summary()


def test_intervals_are_those_of_explicit_resamples(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders, "davis", bootstrap=9, seed=2)
    sequences = result.details["davis"]
    samples = [
        summarize_sequences(
            [s for s, weight in zip(sequences, weights, strict=True) for _ in range(int(weight))]
        )
        for weights in resamples(len(NAMES), 9, 2)
    ]
    assert result.bootstrap is not None
    for name, limits in result.bootstrap.intervals["davis"].items():
        expected = np.quantile([sample[name] for sample in samples], [0.025, 0.975])
        assert limits == pytest.approx(expected), name
    assert result.metrics == evaluate_davis(*folders).metrics


def test_what_label_maps_do_not_allow(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders, "davis", breakdown=True)
    assert result.breakdown is None
    assert any("no breakdown" in warning for warning in result.warnings)
    with pytest.raises(InputError, match="not for label maps"):
        evaluate(*folders, "all", oracle="ids")


def test_figure(folders: tuple[Path, Path]) -> None:
    pytest.importorskip("plotly")
    figure = evaluate(*folders, "davis").plot()
    assert [bar.name for bar in figure.data] == ["J", "F"]
