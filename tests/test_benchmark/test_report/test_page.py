# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from visbench.benchmark import Row, RowStore
from visbench.benchmark.commands import benchmark
from visbench.benchmark.foreign import ForeignResults
from visbench.benchmark.report import ReportOptions, write_html_report
from visbench.benchmark.report.collect import collect, slug
from visbench.benchmark.report.gallery import GalleryOptions
from visbench.benchmark.report.tables import speed_table
from visbench.benchmark.speed.plan import SpeedRows
from visbench.benchmark.speed.stages import STAGES
from visbench.engine.errors import UserError
from visbench.evaluation import evaluate


class _Reader(HTMLParser):
    """Collects tags, ids, links, cells and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[tuple[str, str]]]] = []
        self.text: list[str] = []
        self.figures: dict[str, Any] = {}
        self._inside = ""
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.tags.append((tag, values))
        if tag in ("script", "style"):
            self._inside = values.get("type") or tag
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append(("", ""))
            self._cell = True
        if tag == "a" and self._cell:
            text, _ = self.tables[-1][-1][-1]
            self.tables[-1][-1][-1] = text, values.get("href", "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""
        if tag in ("th", "td"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._inside == "application/json":
            self.figures = json.loads(data)
        if self._inside:
            return
        self.text.append(data)
        if self._cell:
            text, href = self.tables[-1][-1][-1]
            self.tables[-1][-1][-1] = text + data.strip(), href

    def values(self, *names: str) -> list[str]:
        return [values[name] for _, values in self.tags for name in names if name in values]

    def row(self, table: int, *words: str) -> list[str]:
        rows = [[text for text, _ in row] for row in self.tables[table]]
        return next(row for row in rows if row[: len(words)] == list(words))


@pytest.fixture(scope="module")
def read(page: str) -> _Reader:
    return _Reader(page)


def test_nothing_is_loaded_from_elsewhere(page: str, read: _Reader) -> None:
    places = read.values("src", "href", "srcset", "action", "data", "poster")
    assert len(places) > 50
    assert all(place.startswith(("#", "data:")) for place in places)
    policy = read.values("content")[1]
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*", policy)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert styles
    assert not any("url(" in style or "@import" in style for style in styles)
    assert sum(tag == "script" for tag, _ in read.tags) == 3


def test_every_link_has_its_target(read: _Reader) -> None:
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    links = [href for tag, values in read.tags if tag == "a" for href in [values["href"]]]
    assert {href[1:] for href in links} <= set(ids)


def test_every_cell_of_a_comparison_leads_to_frames(read: _Reader) -> None:
    rows = read.tables[0][1:]
    assert len(rows) == 4
    assert all(href for row in rows for _, href in row)
    for row in rows:
        to_frames = row[0][0] not in ("Gone", "floor: <i>")
        assert all(href.startswith("#video-" if to_frames else "#run-") for _, href in row)


def test_a_cell_of_a_part_leads_to_a_video_with_such_an_object(read: _Reader) -> None:
    by_class = next(table for table in read.tables if table[0][0][0].startswith("class"))
    ring = next(row for row in by_class if row[0][0] == "<b>ring</b>")
    assert ring[1][0] == "1"
    assert all(href.startswith("#video-tiny-3--") for _, href in ring[2:])


def test_names_from_files_stay_text(read: _Reader) -> None:
    text = "".join(read.text)
    for hostile in (
        "<script>alert('x')</script> & \"co\"",
        "<b>ring</b>",
        "floor: <i>",
        "A <title>",
    ):
        assert hostile in text
    assert not {"b", "i"} & {tag for tag, _ in read.tags}
    names = [trace["name"] for trace in read.figures["plot-speed"]["data"]]
    assert any(name.startswith("&lt;script&gt;") for name in names)


def test_numbers_are_those_of_the_evaluator(read: _Reader, store: Any) -> None:
    found = evaluate(
        store.annotations,
        store.results["Other", 0],
        ["youtube_vis", "errors"],
        breakdown=True,
        per_video=True,
    )
    row = read.row(0, "Other", "tiny")
    heads = [text.rstrip("↕") for text, _ in read.tables[0][0]]
    for name in ("AP", "AP50", "AP75", "AR1", "AR10"):
        assert row[heads.index(name)] == f"{100 * found.metrics['youtube_vis'][name]:.1f}"
    assert found.breakdown is not None
    for split, groups in found.breakdown["youtube_vis"].items():
        table = next(t for t in read.tables if t[0][0][0].startswith(split.replace("_", " ")))
        column = [text for text, _ in table[0]].index("Other")
        values = {row[0][0]: row[column][0] for row in table[1:]}
        assert values == {name: f"{100 * v['AP']:.1f}" for name, v in groups.items()}
    errors = next(table for table in read.tables if table[0][0][0].startswith("kind"))
    column = [text for text, _ in errors[0]].index("Other")
    steps = found.details["errors"].steps
    assert [row[column][0] for row in errors[1:]] == [f"{100 * v:.1f}" for v in steps.values()]
    assert found.per_video is not None
    text = " ".join("".join(read.text).split())
    assert f"AP {100 * found.per_video['2']['youtube_vis']['AP']:.1f}" in text


def test_seeds_are_averaged(read: _Reader, store: Any) -> None:
    rows = [RowStore(store.work_dir / "rows").read(p) for p in store.work_dir.glob("rows/hostile*")]
    first, second = (row.AP or 0.0 for row in rows)
    row = read.tables[0][1:][
        [r[0][0].startswith("<script>") for r in read.tables[0][1:]].index(True)
    ]
    deviation = abs(first - second) / 2**0.5
    assert row[2][0] == f"{(first + second) / 2:.1f} ± {deviation:.1f}"
    assert row[9][0] == "2"


def test_what_is_missing_is_said(read: _Reader) -> None:
    text = " ".join("".join(read.text).split())
    assert "no predictions: gone/results.json is not there" in text
    assert "no annotations: gone.json is not there; give --annotations far=FILE" in text
    assert "failed: the <loss> is infinite" in text
    assert "Other, seed 0, failed" not in text, "it finished later"
    assert "damaged.json cannot be read" in text


def test_switches_are_told(read: _Reader) -> None:
    text = " ".join("".join(read.text).split())
    assert "at frame 2" in text
    assert sum(values.get("class") == "switch" for _, values in read.tags) >= 2


def test_pictures_are_embedded_and_described(read: _Reader) -> None:
    pictures = [values for tag, values in read.tags if tag == "img" and values.get("src")]
    videos = sum(tag == "article" for tag, _ in read.tags)
    assert len(pictures) == videos * 2 * 3
    assert all(picture["src"].startswith("data:image/jpeg;base64,") for picture in pictures)
    assert any(
        "Other, frame" in picture["alt"] and "disc" in picture["alt"] for picture in pictures
    )


def test_the_size_is_kept(write: Callable[..., str], page: str) -> None:
    pictures = sum(map(len, re.findall(r"data:image/jpeg[^\"]*", page)))
    limit = len(page.encode()) - pictures + 500
    small = write("small.html", title="A <title>", max_mb=limit / 1e6)
    assert len(small.encode()) <= limit
    assert "is left out: the file would be too large" in small
    read = _Reader(small)
    assert {v[1:] for v in read.values("href") if v.startswith("#")} <= set(read.values("id"))


def test_a_size_without_room_for_the_text_is_refused(store: Any) -> None:
    out = store.work_dir / "none.html"
    with pytest.raises(UserError, match=r"--max-mb 0\.1 is too small"):
        write_html_report(store.work_dir, out, ReportOptions(max_mb=0.1))
    assert not out.exists()


def test_frames_elsewhere_are_said_to_be_missing(write: Callable[..., str], tmp_path: Any) -> None:
    text = write("grey.html", gallery={"image_folders": {"tiny": tmp_path}})
    assert f"frame video1/0.png is not in {tmp_path}; give --image-folder" in text
    assert "data:image/jpeg" in text


def test_changed_results_are_told(fresh_store: Any) -> None:
    fresh_store.results["Other", 0].write_text("[]")
    text = write_html_report(fresh_store.work_dir).read_text()
    assert "its results.json gives 0.00" in text


def test_command(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out = store.work_dir / "command.html"
    words = ["report", str(store.work_dir), "--out", str(out), "--videos", "0", "--frames", "1"]
    assert benchmark(words) == 0
    assert f"report: {out}" in capsys.readouterr().out
    assert "<article" not in out.read_text()
    assert benchmark([*words, "--annotations", "tiny"]) == 2
    assert "give --annotations DATA=PATH" in capsys.readouterr().err
    assert benchmark([*words, "--image-folder", f"tyni={out.parent}"]) == 2
    message = "--image-folder tyni: no row is of that data set; there are far, tiny"
    assert message in capsys.readouterr().err


def test_a_folder_without_rows_is_named(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="no rows in"):
        write_html_report(tmp_path)


def test_rows_without_any_files_make_a_page(tmp_path: Any) -> None:
    RowStore(tmp_path / "rows").add(Row("A", "a.py", "far", 0, AP=1.0))
    text = write_html_report(tmp_path).read_text()
    assert "No run has its predictions and annotations" in text


def test_class_agnostic_rows_are_evaluated_as_such(fresh_store: Any) -> None:
    records = json.loads(fresh_store.results["Other", 0].read_text())
    for record in records:
        del record["category_id"]
    path = fresh_store.work_dir / "masks.json"
    path.write_text(json.dumps(records))
    foreign = ForeignResults(
        {"masks": path}, fresh_store.annotations, dataset="tiny", class_agnostic=True
    )
    store = RowStore(fresh_store.work_dir / "rows")
    foreign.score(store, Console(quiet=True))
    (row,) = foreign.rows(store, [])
    text = write_html_report(fresh_store.work_dir, None, None, Console(quiet=True)).read_text()
    _, _, part = text.partition(f'<section id="data-{slug(row.dataset)}"')
    part, _, _ = part.partition("</section>")
    assert "AP by occlusion" in part
    assert "AP by class" not in part.replace("AP by class-agnostic", "")
    assert 'alt="masks, frame' in part
    assert "(object)" in part
    assert row.AP is not None
    assert "have changed since" not in text
    assert "cannot be evaluated" not in text


def _speed_row(frames: int, status: str = "finished", key: str = "other") -> Row:
    figures = {"mean_ms": 20.0, "share": 0.2, "p50_ms": 19.5, "p95_ms": 24.0}
    details = {
        "key": f"{key}__speed",
        "measurement": frames,
        "weights": "initial",
        "height": 24,
        "width": 32,
        "frames": frames,
        "threads": 2,
        "fps_online": 9.75,
        "fps_whole": 11.5,
        "stages": dict.fromkeys(STAGES, figures),
        "note": "association is <made> up",
    }
    return Row(
        "Other", "other.py", f"clip, {frames} frames", 0, kind="speed", status=status,
        reason="out of memory", config_hash="12345678", details=details,
    )  # fmt: skip


def test_measurements_of_speed_have_a_table_of_their_own(fresh_store: Any) -> None:
    rows = SpeedRows(fresh_store.work_dir / "rows")
    for frames in (100, 36):
        rows.add(_speed_row(frames))
    rows.add(_speed_row(36, "failed"))
    rows.add(_speed_row(200, "failed", "long"))
    found = collect(fresh_store.work_dir)
    assert found.problems[1:] == ("speed of Other on clip, 200 frames: failed: out of memory",)
    assert [row.details["frames"] for row in found.speeds] == [36, 100]
    assert all(group.row.kind != "speed" for group in found.groups)
    assert "clip, 36 frames" not in found.datasets
    table = speed_table(found)
    assert table is not None
    place = table.columns.index("network")
    assert [row[place].text for row in table.rows] == ["19.5 / 24.0 (20 %)"] * 2
    assert table.rows[0][place].value == 19.5
    out = fresh_store.work_dir / "speed.html"
    options = ReportOptions(gallery=GalleryOptions(videos=1, frames=1))
    write_html_report(fresh_store.work_dir, out, options, Console(quiet=True))
    text = out.read_text(encoding="utf-8")
    assert 'href="#stages"' in text
    assert "leads to frames, or to the run where none" in text
    assert "the table of speed by stage has no links." in text
    stages = text.partition('<section id="stages"')[2].partition("</section>")[0]
    assert "<td" in stages and "href" not in stages
    assert "19.5 / 24.0 (20 %)" in text
    assert "Other: association is &lt;made&gt; up." in text


def test_a_page_without_measurements_of_speed_has_no_section_for_them(page: str) -> None:
    assert 'id="stages"' not in page and "by stage" not in page


def test_measurements_of_speed_alone_make_a_page(tmp_path: Path) -> None:
    SpeedRows(tmp_path / "rows").add(_speed_row(36))
    out = tmp_path / "speed.html"
    write_html_report(tmp_path, out, ReportOptions(), Console(quiet=True))
    assert "19.5 / 24.0 (20 %)" in out.read_text(encoding="utf-8")
