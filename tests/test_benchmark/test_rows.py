# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from visbench.benchmark import Row, RowStore, config_hash
from visbench.benchmark.rows import RowExistsError, points
from visbench.benchmark.suites import SUITES, suite_configs
from visbench.engine.config_files import config_folder
from visbench.engine.errors import ConfigError, UserError

ROW = Row("InsPro", "configs/inspro/a_b.py", "movingshapes-v1-easy-val", 3, config_hash="12345678")


def test_a_row_is_written_once(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "rows")
    path = store.add(ROW)
    assert path.name == "a_b__movingshapes-v1-easy-val__seed3__12345678.json"
    assert store.read(path) == ROW
    content = path.read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        store.add(ROW)
    assert path.read_bytes() == content


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_two_processes_that_add_a_row_the_second_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    store, other = RowStore(tmp_path), replace(ROW, AP=1.0)
    as_text, adding = json.dumps, [other]

    def another_process_is_faster(*args: Any, **options: Any) -> str:
        text = as_text(*args, **options)
        while adding:
            store.add(adding.pop())
        return text

    def no_links(*args: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(json, "dumps", another_process_is_faster)
    if not hard_links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(RowExistsError, match="never overwritten"):
        store.add(ROW)
    (path,) = tmp_path.iterdir()
    assert store.read(path) == other


def test_lookup_by_config_seed_and_hash(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    assert store.finished("a_b.py", 3, "12345678") is None
    store.add(ROW)
    assert store.finished("elsewhere/a_b.py", 3, "12345678") == ROW
    assert store.finished("a_b.py", 30, "12345678") is None
    assert store.finished("a_b.py", 3, "87654321") is None
    assert store.finished("b.py", 3, "12345678") is None


def test_failures_are_counted_and_do_not_count_as_finished(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    failed = Row(**{**vars(ROW), "status": "failed"})
    names = [store.add(failed).name for _ in range(2)]
    assert [name.split(".", 1)[1] for name in names] == ["failed-1.json", "failed-2.json"]
    assert store.finished("a_b.py", 3, "12345678") is None


def test_brackets_in_the_name_of_a_config(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    row = Row(**{**vars(ROW), "config": "a[1].py"})
    failed = Row(**{**vars(row), "status": "failed"})
    store.add(row)
    assert store.finished("a[1].py", 3, "12345678") == row
    assert [store.add(failed).name[-13:] for _ in range(2)] == ["failed-1.json", "failed-2.json"]


def test_a_row_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text("[]")
    with pytest.raises(UserError, match=r"row\.json cannot be read"):
        RowStore(tmp_path).read(path)


def test_fields_of_a_later_version_are_left_out() -> None:
    values = {**vars(ROW), "energy_kwh": 3}
    assert Row.from_dict(values) == ROW


def test_points_come_from_fractions() -> None:
    metrics = {"youtube_vis/AP": 0.4125, "youtube_vis/AP50": -1.0, "youtube_vis/APs": 0.5}
    assert points(metrics) == {"AP": pytest.approx(41.25), "AP50": None}
    assert points({"AP": 0.5}) == {"AP": 50.0}
    assert points({}) == {}


def test_points_are_those_of_the_first_kind() -> None:
    boxes = {"imagenet_vid/AP": 0.25, "imagenet_vid/AP75": 0.125}
    assert points(boxes) == {"AP": 25.0, "AP75": 12.5}
    still = {"time": 3.0, "coco_segm/AP": 0.375, "coco_bbox/AP": 0.5, "coco_bbox/AP50": 0.75}
    assert points(still) == {"AP": 37.5}
    assert points({**boxes, "youtube_vis/AP50": 0.5}) == points(boxes)


def test_the_hash_follows_the_bases_but_not_comments(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("a = 1\n")
    config = tmp_path / "config.py"
    config.write_text("_base_ = ['base.py', 'mmdet::x.py']\nb = 2\n")
    first = config_hash(config)
    config.write_text("# a remark\n_base_ = ['base.py', 'mmdet::x.py']\nb   =  2\n")
    assert config_hash(config) == first
    (tmp_path / "base.py").write_text("a = 3\n")
    assert config_hash(config) != first


EVERY_SYNTAX = """
_base_ = ['base.py']
seed: int = None
x = u'a' + f'{seed!r:>3} text'
def square(a, /, b=(), *c, d, e=None, **f) -> None:
    return a[0], a[1:], {**f}, [], lambda: None
class Empty: ...
value = dict(type='A', empty=[], none=None, big=1e-05, yes=True, bytes=b'', call=square())
"""


def test_the_hash_is_the_same_in_every_version_of_python(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("a = dict()\n")
    (tmp_path / "config.py").write_text(EVERY_SYNTAX)
    # From ast.dump of Python 3.11; 3.12 and 3.13 write some of this syntax otherwise.
    assert config_hash(tmp_path / "config.py") == "bba3eead"


def test_a_base_that_is_computed_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("import os\n_base_ = os.path.join('a', 'b.py')\n")
    with pytest.raises(ConfigError, match=r"config\.py, line 2: '_base_' must be written out"):
        config_hash(config)


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("_base_ = 'gone.py'\n")
    with pytest.raises(UserError, match=r"gone\.py cannot be read"):
        config_hash(config)


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_configs_of_suites_exist_and_have_unique_names(suite: str) -> None:
    paths = suite_configs(suite)
    assert all(path.is_file() for path in paths)
    assert len({path.stem for path in paths}) == len(paths)
    assert all(len(config_hash(path)) == 8 for path in paths)


def test_suites_have_every_method() -> None:
    methods = {path.parent.name for path in config_folder().glob("*/metafile.yml")}
    assert {path.parent.name for path in suite_configs("demo")} == methods
    quick = {path.name for path in config_folder().glob("*/*_quick_movingshapes.py")}
    assert quick <= {path.name for path in suite_configs("quick")}


def test_an_unknown_suite_lists_the_others() -> None:
    with pytest.raises(UserError, match="use one of demo, quick"):
        suite_configs("slow")
