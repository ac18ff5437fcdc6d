# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from visbench.benchmark.claims.data import ClaimBook, ClaimData
from visbench.benchmark.claims.training import (
    differing_field,
    key_of,
    resolve,
    write_derived,
)
from visbench.engine.errors import ConfigError, UserError

BASE = """
model = dict(type="visbench.Toy", width={width}, bank={bank}, tracker=dict(top_k={top_k}))
train_dataloader = dict(batch_size=4, num_workers={workers}, dataset=dict(preset="easy"))
val_dataloader = dict(dataset=dict(preset="easy"))
train_cfg = dict(max_iters=9, val_interval={val})
"""
BOOK = ClaimBook((), {}, {"Toy": {"tracker.top_k": "any", "bank": 4}})
DATA = ClaimData("easy", "d")


def config(folder: Path, name: str = "one", **values: int) -> Path:
    path = folder / f"{name}.py"
    defaults = {"width": 1, "bank": 4, "top_k": 1, "workers": 1, "val": 3}
    path.write_text(BASE.format(**defaults | values))
    return path


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ({}, True),
        ({"top_k": 5}, True),
        ({"bank": 9}, True),
        ({"workers": 4, "val": 9}, True),
        ({"bank": 3}, False),
        ({"width": 2}, False),
    ],
)
def test_only_what_acts_in_training_counts(
    tmp_path: Path, values: dict[str, int], same: bool
) -> None:
    one, other = config(tmp_path), config(tmp_path, "other", **values)
    assert (key_of(one, DATA, BOOK) == key_of(other, DATA, BOOK)) is same


def test_a_field_that_is_not_set_acts_at_test_too(tmp_path: Path) -> None:
    one, other = config(tmp_path), config(tmp_path, "other")
    other.write_text(other.read_text().replace("top_k=1", ""))
    assert key_of(one, DATA, BOOK) == key_of(other, DATA, BOOK)


def test_data_count(tmp_path: Path) -> None:
    options = {"train_dataloader.dataset.preset": "occluded"}
    assert key_of(config(tmp_path), DATA, BOOK) != key_of(
        config(tmp_path), ClaimData("o", "d", options), BOOK
    )


def test_derived_configs(tmp_path: Path) -> None:
    base = config(tmp_path)
    assert write_derived(tmp_path / "new.py", base, {}) == base
    options = {"train_dataloader.dataset.preset": "hard", "val_dataloader.dataset.preset": "hard"}
    derived = write_derived(tmp_path / "sub" / "new.py", base, options, devices=2)
    wanted = resolve(base, {**options, "train_dataloader.batch_size": 2})
    assert resolve(derived) == wanted
    with pytest.raises(UserError, match="a batch of 4 cannot be shared by 3 devices"):
        write_derived(tmp_path / "new.py", base, {}, devices=3)


def test_broken_configs(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("a = (")
    with pytest.raises(ConfigError, match=r"bad\.py cannot be read"):
        resolve(path)


def test_the_first_difference_is_named() -> None:
    one = {"model": {"width": 1, "stages": [1, 2]}, "x": 1}
    assert differing_field(one, {"model": {"width": 1, "stages": [1, 2]}, "x": 1}) is None
    assert differing_field(one, {"model": {"width": 1, "stages": [2]}, "x": 2}) == (
        "model.stages: [1, 2] and [2]"
    )
    assert differing_field(one, {"model": one["model"]}) == "x: 1 and None"
