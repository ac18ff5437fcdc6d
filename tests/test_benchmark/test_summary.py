# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from visbench.benchmark import Row
from visbench.benchmark.csv_files import SUMMARY_COLUMNS, csv_text, summary_csv
from visbench.benchmark.summary import leads, lines
from visbench.benchmark.tables import markdown, terminal_tables

RANDOM = np.random.default_rng(0)


def run(seed: int, ap: float, dataset: str = "easy", **values: Any) -> Row:
    samples = [round(float(value), 2) for value in ap + RANDOM.normal(0, 2, 1000)]
    low, high = np.quantile(samples, [0.025, 0.975])
    details = {"interval": {"AP": [low, high]}, "resampled": {"AP": samples}}
    config = "configs/inspro/inspro_demo_movingshapes.py"
    return Row("InsPro", config, dataset, seed, AP=ap, details=details, fps=10.0 + seed, **values)


ROWS = [run(0, 40.0), run(1, 44.0), run(2, 45.0), run(0, 20.0, "occluded")]


def test_seeds_of_one_config_are_one_line() -> None:
    easy, occluded = lines(ROWS)
    assert easy.seeds == [0, 1, 2]
    assert easy.mean("AP") == pytest.approx(43)
    assert easy.deviation("AP") == pytest.approx(np.std([40, 44, 45], ddof=1))
    assert (occluded.seeds, occluded.mean("AP"), occluded.deviation("AP")) == ([0], 20.0, None)
    assert easy.mean("AP50") is None


@pytest.mark.parametrize(
    "other",
    [
        replace(ROWS[0], seed=5, config_hash="changed"),
        replace(ROWS[0], seed=5, config="configs/inspro/another.py"),
        replace(ROWS[0], seed=5, machine="another"),
        replace(ROWS[0], seed=5, status="failed"),
        replace(ROWS[0], seed=5, kind="foreign"),
        replace(ROWS[0], seed=5, config="b.py"),
    ],
)
def test_what_differs_in_more_than_the_seed_stays_apart(other: Row) -> None:
    assert len(lines([ROWS[0], other])) == 2


def test_the_interval_of_several_seeds_is_that_of_their_mean() -> None:
    easy, occluded = lines(ROWS)
    samples = np.array([row.details["resampled"]["AP"] for row in ROWS[:3]])
    expected = np.quantile(samples.mean(axis=0), [0.025, 0.975])
    assert easy.interval == pytest.approx(tuple(expected))
    assert occluded.interval == tuple(ROWS[3].details["interval"]["AP"])
    without = replace(ROWS[0], seed=9, details={})
    assert lines([ROWS[0], without])[0].interval is None
    assert lines([without])[0].interval is None


def test_an_undefined_resample_takes_no_part() -> None:
    rows = [
        replace(row, details={"resampled": {"AP": [None, 10.0 + row.seed, 10.0 + row.seed]}})
        for row in ROWS[:2]
    ]
    assert lines(rows)[0].interval == pytest.approx((10.5, 10.5))


def test_published_figures_stand_apart() -> None:
    (published,) = {found.metrics["AP"] for line in lines(ROWS) for found in line.published}
    assert published == 40.2
    first = next(csv.DictReader(io.StringIO(csv_text(ROWS))))
    assert (first["AP"], first["published_AP"]) == ("40.0000", "40.2")
    assert first["published_dataset"] == "youtube-vis-2019-val"
    assert first["published_source"] == "InsPro, table 1"
    text = markdown(ROWS)
    assert "InsPro: 40.2 on youtube-vis-2019-val (InsPro, table 1)" in text
    assert "Not measured here" in text
    control = Row("floor", "configs/inspro/inspro_demo_movingshapes.py", "easy", 0, kind="control")
    assert lines([control])[0].published == []


def test_the_table_shows_mean_spread_and_number() -> None:
    text = markdown(ROWS)
    assert "| InsPro | inspro_demo_movingshapes | easy | n=3 | 43.0 ± 2.6 | - |" in text
    assert "| InsPro | inspro_demo_movingshapes | occluded | 0 | 20.0 | - |" in text
    assert "InsPro on easy: seed 0 40.0, seed 1 44.0, seed 2 45.0" in text
    assert "sample standard deviation" in text
    titles = [str(table.title) for table in terminal_tables(ROWS)]
    assert [title.split()[-1] for title in titles] == ["easy", "occluded"]


def test_the_summary_file_has_a_line_per_data_set() -> None:
    first, second = csv.DictReader(io.StringIO(summary_csv(ROWS)))
    assert tuple(first) == SUMMARY_COLUMNS
    assert (first["n"], first["seeds"], first["AP_mean"]) == ("3", "0 1 2", "43.0000")
    assert first["AP_std"] == f"{np.std([40, 44, 45], ddof=1):.4f}"
    assert (first["fps_mean"], second["fps_mean"]) == ("11.0000", "10.0000")
    assert (second["n"], second["AP_std"]) == ("1", "")


def test_leads_are_over_the_same_videos() -> None:
    best = run(0, 50.0)
    samples = best.details["resampled"]["AP"]
    # On every resample of the videos 1 to 3 points less, whatever the resample.
    less = [value - 1 - 2 * (position % 2) for position, value in enumerate(samples)]
    close = replace(best, config="b.py", method="B", AP=48.0, details={"resampled": {"AP": less}})
    even = [value + (-1) ** position for position, value in enumerate(samples)]
    equal = replace(best, config="c.py", method="C", AP=49.9, details={"resampled": {"AP": even}})
    control = replace(best, kind="control", AP=90.0)
    rows = [close, best, equal, control, ROWS[3]]
    found = {other.row.method: lead for _, other, lead in leads(lines(rows))}
    assert found["B"] == pytest.approx((2.0, 1.0, 3.0))
    assert found["C"] == pytest.approx((0.1, -1.0, 1.0))
    assert len(found) == 2
    text = markdown(rows)
    assert (
        "2.0 points of AP ahead of B (b); 95 % of the resamples of the videos: 1.0 to 3.0" in text
    )
    assert (
        "0.1 points of AP ahead of C (c); 95 % of the resamples of the videos: -1.0 to 1.0 (u"
        in text
    )


def test_class_agnostic_rows_have_no_published_figures() -> None:
    (line,) = lines(ROWS[:3])
    pooled = [replace(row, details={**row.details, "class_agnostic": True}) for row in ROWS[:3]]
    assert line.published
    assert lines(pooled)[0].published == []


def test_a_config_is_the_same_from_another_folder() -> None:
    elsewhere = "/home/me/visbench/configs/inspro/inspro_demo_movingshapes.py"
    (line,) = lines([ROWS[0], replace(ROWS[1], config=elsewhere)])
    assert line.seeds == [0, 1]
