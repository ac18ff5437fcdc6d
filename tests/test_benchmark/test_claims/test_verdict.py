# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from visbench.benchmark.claims.data import Claim, ClaimData
from visbench.benchmark.claims.rows import run_digest
from visbench.benchmark.claims.table import csv_text, markdown, summary
from visbench.benchmark.claims.verdict import Pair, Verdict, t_interval, verdict
from visbench.benchmark.rows import Row

DATA = ClaimData("easy", "shapes-val")
SAMPLE = st.lists(st.floats(-50, 50), min_size=2, max_size=8)


def claim(
    a: Path = Path("a.py"), b: Path = Path("b.py"), sign: int = 1, metric: str = "AP"
) -> Claim:
    return Claim("one", "A beats B.", a, b, DATA, metric, sign, "Paper", "2a")


def judged(differences: list[float], sign: int = 1) -> Verdict:
    pairs = [Pair(seed, "v", value, 0.0) for seed, value in enumerate(differences)]
    return Verdict(claim(sign=sign), tuple(pairs))


@given(SAMPLE)
def test_intervals_are_scipys(values: list[float]) -> None:
    found = t_interval(values)
    scale = stats.sem(values)
    if scale == 0:
        assert found == (pytest.approx(values[0]), pytest.approx(values[0]))
        return
    wanted = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=scale)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, (4000, 3))
    covered = [low <= 3.0 <= high for low, high in map(t_interval, samples.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_below_two_values_there_is_no_interval() -> None:
    assert t_interval([]) is None
    assert t_interval([1.0]) is None


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [
        ([], "not run"),
        ([9.0], "undecided"),
        ([9.0, 9.5], "reproduced"),
        ([9.0, 1.0], "undecided"),
        ([-9.0, -9.5, -8.8], "not reproduced"),
        ([0.0, 0.0], "undecided"),
        ([0.5, 0.5], "reproduced"),
    ],
)
def test_outcomes(differences: list[float], outcome: str) -> None:
    assert judged(differences).outcome == outcome
    opposite = {"reproduced": "not reproduced", "not reproduced": "reproduced"}
    assert judged(differences, sign=-1).outcome == opposite.get(outcome, outcome)


@given(SAMPLE, st.sampled_from([1, -1]))
def test_outcomes_by_the_test_of_scipy(values: list[float], sign: int) -> None:
    if np.ptp(values) < 1e-6:
        return
    # The two-sided test at 5 % and the interval at 95 % are the same statement.
    found = stats.ttest_1samp(values, 0.0)
    if abs(found.pvalue - 0.05) < 1e-6:
        return
    wanted = "undecided"
    if found.pvalue < 0.05:
        wanted = "reproduced" if np.mean(values) * sign > 0 else "not reproduced"
    assert judged(values, sign).outcome == wanted


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.py" for name in "ab"}
    for name, path in paths.items():
        path.write_text(f"name = {name!r}")
    return paths


def row(config: Path, seed: int, ap: float, version: str = "1+a", **fields: object) -> Row:
    versions = {"visbench": version} if version else {}
    values = {"dataset": DATA.dataset, "config_hash": run_digest(config, DATA), **fields}
    return Row.from_dict(
        {"method": "M", "config": str(config), "seed": seed, "AP": ap, "versions": versions}
        | values
    )


def test_pairs_are_of_one_seed_and_one_version(configs: dict[str, Path]) -> None:
    a, b = configs["a"], configs["b"]
    rows = [
        row(a, 0, 10.0),
        row(b, 0, 4.0),
        row(a, 1, 11.0),
        row(b, 1, 9.0, version="1+b"),
        row(a, 2, 12.0, version="1+b"),
        row(b, 2, 5.0, version="1+b"),
    ]
    found = verdict(claim(a, b), rows)
    assert [(pair.seed, pair.difference) for pair in found.pairs] == [(0, 6.0), (2, 7.0)]
    assert found.versions == ("1+a", "1+b")
    only = verdict(claim(a, b), rows, only_version="1+b")
    assert [pair.seed for pair in only.pairs] == [2]


def test_of_several_versions_with_a_seed_the_newest_counts(configs: dict[str, Path]) -> None:
    rows = [
        row(config, 0, ap, version, date=date)
        for version, date, values in (
            ("1+a", "2026-02", (3.0, 1.0)),
            ("1+b", "2026-01", (9.0, 1.0)),
        )
        for config, ap in zip(configs.values(), values, strict=True)
    ]
    (pair,) = verdict(claim(**configs), rows).pairs
    assert (pair.version, pair.difference) == ("1+a", 2.0)


@pytest.mark.parametrize(
    "fields",
    [{"config_hash": ""}, {"config_hash": "0000aaaa"}, {"version": ""}],
)
def test_rows_of_unknown_config_or_code_count_when_asked(
    configs: dict[str, Path], fields: dict[str, str]
) -> None:
    rows = [row(config, 0, 1.0, **fields) for config in configs.values()]
    assert verdict(claim(**configs), rows).n == 0
    assert verdict(claim(**configs), rows, include_unversioned=True).n == 1


def test_other_rows_do_not_count(configs: dict[str, Path]) -> None:
    for fields in (
        {"status": "failed"},
        {"dataset": "other"},
        {"kind": "control"},
        {"AP": None},
    ):
        rows = [row(configs["a"], 0, 2.0), row(configs["b"], 0, 1.0)]
        assert verdict(claim(**configs), rows, True).n == 1
        rows[1] = Row.from_dict({**vars(rows[1]), **fields})
        assert verdict(claim(**configs), rows, True).n == 0, fields


def test_metrics_without_a_field_are_looked_up_in_the_details(configs: dict[str, Path]) -> None:
    rows = [
        row(config, 0, 1.0, details={"metrics": {"youtube_vis/AR100": fraction}})
        for config, fraction in zip(configs.values(), (0.5, 0.25), strict=True)
    ]
    (pair,) = verdict(claim(**configs, metric="AR100"), rows).pairs
    assert (pair.a, pair.b) == (50.0, 25.0)


def test_tables() -> None:
    verdicts = [judged([2.0, 3.0, 2.5]), judged([])]
    assert summary(verdicts) == ("2 claims: 1 reproduced, 0 not reproduced, 0 undecided, 1 not run")
    text = markdown(verdicts)
    assert (
        "| one | A beats B. | Paper, Table 2a | - | AP | + | 3 | 2.5, 0.0 | +2.5 "
        "| +1.3, +3.7 | **reproduced** |"
    ) in text
    assert "| 0 | - |  | - | **not run** |" in text
    lines = csv_text(verdicts).splitlines()
    assert lines[1].endswith(",3,0 1 2,2.5000,0.0000,+2.5000,+1.2579,+3.7421,reproduced,v")
    assert lines[2].endswith(",0,,,,,,,not run,")
