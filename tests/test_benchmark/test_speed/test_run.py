# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from visbench.benchmark.rows import FAILED, RowStore
from visbench.benchmark.speed import plan as plan_module
from visbench.benchmark.speed.material import Material
from visbench.benchmark.speed.plan import Measurement, Place, SpeedRows, find_subjects, plan
from visbench.benchmark.speed.run import speed
from visbench.benchmark.speed.stages import STAGES
from visbench.benchmark.speed.tables import COLUMNS
from visbench.engine.errors import UserError

HERE = Place("cpu", 2, "two cores, 2 threads")


class Bench:
    """A folder with configs, measured by a stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work_dir = folder, folder / "work"
        self.material = Material("clip", folder / "frames", 48, 64)
        self.shown = ""

    def config(self, name: str, text: str = "") -> Path:
        path = self.folder / f"{name}.py"
        path.write_text(f"name = {name!r}\n{text}\n")
        return path

    def plan(self, *names: str, frames: tuple[int, ...] = (4,), place: Place = HERE) -> Any:
        subjects = find_subjects([self.folder / f"{name}.py" for name in names])
        return plan(subjects, self.material, frames, place)

    def run(self, measurements: list[Measurement], again: bool = False) -> int:
        console = Console(width=240)
        with console.capture() as capture:
            worker = "speed_worker"
            status = speed(measurements, self.work_dir, None, again, console, worker)
        self.shown = capture.get()
        return status

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.work_dir / "rows").iterdir())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    bench = Bench(tmp_path)
    bench.config("a")
    return bench


def test_a_row_per_length_is_kept_and_taken_over(bench: Bench) -> None:
    measurements = bench.plan("a", frames=(4, 8, 4))
    assert [measurement.frames for measurement in measurements] == [4, 8]
    assert bench.run(measurements) == 0
    assert bench.calls == [f"a, {frames} frames, 2 threads, initial" for frames in (4, 8)]
    digest = measurements[0].subject.digest
    name = "a__speed__clip_48x64_4_frames__cpu-2threads__initial"
    assert bench.files[0] == f"{name}__{digest}__1.json"
    before = [path.read_bytes() for path in sorted((bench.work_dir / "rows").iterdir())]
    assert bench.run(measurements) == 0
    assert len(bench.calls) == 2
    assert [p.read_bytes() for p in sorted((bench.work_dir / "rows").iterdir())] == before
    row = RowStore(bench.work_dir / "rows").read(bench.work_dir / "rows" / bench.files[0])
    assert (row.kind, row.method, row.fps, row.machine) == ("speed", "Fake", 12.5, HERE.machine)
    assert row.dataset == "clip 48x64, 4 frames"
    assert row.details["weights"] == "initial"
    assert sum(values["share"] for values in row.details["stages"].values()) == pytest.approx(1)


def test_what_is_missing_is_measured(bench: Bench) -> None:
    bench.config("b")
    assert bench.run(bench.plan("a")) == 0
    assert bench.run(bench.plan("a", "b", frames=(4, 8))) == 0
    assert [call.partition(" frames")[0] for call in bench.calls] == [
        "a, 4",
        "a, 8",
        "b, 4",
        "b, 8",
    ]


def test_once_more_gets_the_next_number(bench: Bench) -> None:
    measurements = bench.plan("a")
    for _ in range(2):
        assert bench.run(measurements, again=True) == 0
    assert [name.rpartition("__")[2] for name in bench.files] == ["1.json", "2.json"]
    assert bench.run(measurements) == 0
    assert len(bench.calls) == 2
    page = (bench.work_dir / "speed.md").read_text()
    assert [line.split("|")[-2].strip() for line in page.splitlines() if "Fake |" in line] == [
        "1",
        "2",
    ]


@pytest.mark.parametrize("other", ["machine", "threads", "code", "config", "weights"])
def test_what_is_not_the_same_is_measured_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    assert bench.run(bench.plan("a")) == 0
    place = HERE
    if other == "machine":
        place = Place("cpu", 2, "four cores, 2 threads")
    elif other == "threads":
        place = Place("cpu", 1, HERE.machine)
    elif other == "code":
        monkeypatch.setattr(plan_module, "versions", lambda: {"visbench": "2"})
    elif other == "config":
        bench.config("a", "changed = True")
    measurements = bench.plan("a", place=place)
    if other == "weights":
        (bench.folder / "a.pth").write_bytes(b"weights")
        files = {"a": str(bench.folder / "a.pth")}
        subjects = find_subjects([bench.folder / "a.py"], files)
        measurements = plan(subjects, bench.material, (4,), place)
        assert measurements[0].subject.weights in measurements[0].key
    assert bench.run(measurements) == 0
    assert len(bench.calls) == len(bench.files) == 2
    assert [row.machine for row in SpeedRows(bench.work_dir / "rows").of(measurements[0])] == [
        place.machine
    ]


def test_a_failure_has_a_row_and_is_tried_again(bench: Bench) -> None:
    bench.config("bad", "error = True")
    measurements = bench.plan("bad", "a")
    for attempt in (1, 2):
        assert bench.run(measurements) == 1
        assert len([name for name in bench.files if ".failed-" in name]) == attempt
    assert [call.partition(",")[0] for call in bench.calls] == ["bad", "a", "bad"]
    assert "failed: the video is too long; log: " in bench.shown
    page = (bench.work_dir / "speed.md").read_text()
    assert "## Failed" in page
    lines = list(csv.DictReader((bench.work_dir / "speed.csv").open()))
    assert [line["status"] for line in lines] == [FAILED, "finished"]
    assert lines[0]["reason"] == "the video is too long"
    log = next((bench.work_dir / "logs").glob("bad*.log")).read_text()
    assert log.count("an ordinary line of the log") == 2


def test_tables(bench: Bench) -> None:
    bench.config("offline", "offline = True")
    assert bench.run(bench.plan("a", "offline")) == 0
    page = (bench.work_dir / "speed.md").read_text().splitlines()
    titles = [cell.strip() for cell in page[2].strip("|").split("|")]
    assert titles == [column.title for column in COLUMNS]
    cells = [
        dict(zip(titles, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        for line in page
        if line.startswith("| Fake")
    ]
    assert cells[0]["network"] == "90.0 / 110.0 (60 %)"
    assert cells[1]["network"] == "60.0 (60 %)"
    assert [line["frames/s online"] for line in cells] == ["10.00", "-"]
    assert [line["ms/frame"] for line in cells] == ["90.0 / 110.0", "-"]
    assert cells[0]["host MiB"] == "504"
    text = "\n".join(page)
    for part in ("no checkpoint was given", "Fake: association is made up.", HERE.machine):
        assert part in text
        assert part in bench.shown
    for stage in STAGES:
        assert f"- {stage}: " in text
    lines = list(csv.DictReader((bench.work_dir / "speed.csv").open()))
    shares = [float(lines[0][f"{stage.replace(' ', '_')}_share"]) for stage in STAGES]
    assert sum(shares) == pytest.approx(1)
    assert (lines[0]["network_p95_ms"], lines[1]["network_p95_ms"]) == ("110.0000", "")
    assert lines[1]["frames"] == "4"


def test_other_work_on_the_machine_is_said(bench: Bench) -> None:
    bench.config("busy", "busy = True")
    assert bench.run(bench.plan("a", "busy")) == 0
    warning = "busy, 4 frames: other work was on the machine (load 9.5), so its times are too long."
    assert warning in bench.shown
    assert bench.shown.count("other work was on the machine") == 1


def test_a_measurement_travels_as_json(bench: Bench) -> None:
    (measurement,) = bench.plan("a")
    text = json.dumps(measurement.to_dict())
    assert Measurement.from_dict(json.loads(text)) == measurement


@pytest.mark.parametrize(
    ("configs", "checkpoints", "message"),
    [
        (["a.py", "other/a.py"], {}, "two configs share a file name: a, a"),
        (["a.py"], {"b": "a.py"}, "--checkpoint b=...: b is none of the configs (a)"),
        (["a.py"], {"a": "none.pth"}, "none.pth cannot be read (No such file or directory)"),
        (["none.py"], {}, "config none.py is neither a file nor the name"),
    ],
)
def test_errors_name_what_is_wrong(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    configs: list[str],
    checkpoints: dict[str, str],
    message: str,
) -> None:
    (bench.folder / "other").mkdir()
    (bench.folder / "other" / "a.py").write_text("name = 'a'\n")
    monkeypatch.chdir(bench.folder)
    with pytest.raises(UserError) as raised:
        find_subjects(configs, checkpoints)
    assert str(raised.value).startswith(message)
