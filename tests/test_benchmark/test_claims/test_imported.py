# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from claims_bench import DATASET, ClaimsBench

from visbench.benchmark.claims.imported import import_rows
from visbench.benchmark.claims.rows import ClaimRows
from visbench.benchmark.claims.verdict import verdict
from visbench.benchmark.csv_files import csv_text
from visbench.benchmark.rows import Row, RowStore
from visbench.engine.errors import UserError

TABLE = f"""method,config,dataset,seed,AP,AP50,AR100,training_s,versions,date,status
M,x/a.py,{DATASET},0,50.0,60.0,70.0,9.5,"python 3.11.7, torch 2.11.0",2026-11-25,
M,x/b.py,{DATASET},0,40.0,,65.0,,"python 3.11.7, torch 2.11.0",2026-11-25,finished
M,x/a.py,{DATASET},1,50.0,60.0,,,,,failed
M,x/a.py,other-data,1,50.0,60.0,,,,,
M,x/c.py,{DATASET},0,50.0,60.0,,,,,
"""


@pytest.fixture
def bench(tmp_path: Path) -> ClaimsBench:
    bench = ClaimsBench(tmp_path)
    bench.config("a", [0.0])
    bench.config("b", [0.0])
    return bench


def test_lines_of_claims_become_rows(bench: ClaimsBench) -> None:
    book, store = bench.claims(("a", "b")), ClaimRows(bench.rows)
    table = bench.folder / "table.csv"
    table.write_text(TABLE)
    assert import_rows(table, book, store) == (2, 0)
    assert import_rows(table, book, store) == (0, 2)
    assert [path.name for path in sorted(bench.rows.iterdir())] == [
        f"{name}__{DATASET}__seed0__unknown.json" for name in "ab"
    ]
    first = store.all()[0]
    assert (first.AP, first.training_s, first.versions["torch"]) == (50.0, 9.5, "2.11.0")
    (claim,) = book.claims
    assert verdict(claim, store.all()).n == 0
    found = verdict(claim, store.all(), include_unversioned=True)
    assert [pair.difference for pair in found.pairs] == [10.0]


def test_a_table_with_a_mistake_adds_nothing(bench: ClaimsBench) -> None:
    book, store = bench.claims(("a", "b")), ClaimRows(bench.rows)
    table = bench.folder / "table.csv"
    table.write_text(TABLE.replace(",40.0,", ",forty,"))
    with pytest.raises(UserError, match=r"table\.csv, line 3: .*forty"):
        import_rows(table, book, store)
    assert store.all() == []


def test_rows_and_reports_of_compare(bench: ClaimsBench) -> None:
    book, store = bench.claims(("a", "b")), ClaimRows(bench.rows)
    row = Row("M", "x/a.py", DATASET, 0, AP=1.0, config_hash="0123abcd", log="here.log")
    compared = RowStore(bench.folder / "compared")
    compared.add(Row(**{**vars(row), "versions": {"visbench": "0.1.0+1"}}))
    compared.add(Row(**{**vars(row), "status": "failed"}))
    assert import_rows(bench.folder / "compared", book, store) == (1, 0)
    (found,) = store.all()
    assert (found.AP, found.log, found.config_hash) == (1.0, "", "0123abcd")
    report = bench.folder / "report.csv"
    report.write_text(csv_text([row]))
    assert import_rows(report, book, store) == (1, 0)


def test_what_is_no_table(bench: ClaimsBench) -> None:
    book, store = bench.claims(("a", "b")), ClaimRows(bench.rows)
    with pytest.raises(UserError, match="does not exist"):
        import_rows(bench.folder / "none.csv", book, store)
    table = bench.folder / "table.csv"
    table.write_text("method,config\nM,x/a.py\n")
    with pytest.raises(UserError, match=r"table\.csv, line 2: KeyError\('seed'\)"):
        import_rows(table, book, store)
