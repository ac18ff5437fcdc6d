# SPDX-License-Identifier: Apache-2.0
"""The work folder of a comparison: trains and tests what its rows lack."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from visbench.benchmark.controls import CONTROLS, CONTROLS_VERSION, has_controls
from visbench.benchmark.data_choice import OWN, DataChoice
from visbench.benchmark.identity import code_version
from visbench.benchmark.live import LiveProgress
from visbench.benchmark.processes import Outcome, run_worker
from visbench.benchmark.rows import FAILED, Row, RowStore, file_slug
from visbench.benchmark.tables import failures
from visbench.engine.errors import UserError
from visbench.files import write_json


@dataclass(frozen=True)
class Run:
    """One training and one test of it.

    Args:
        config: The config.
        seed: Seed of the training.
        digest: Hash of the config that tells changed ones apart.
        choice: The data of the test.
    """

    config: Path
    seed: int
    digest: str
    choice: DataChoice = OWN

    @property
    def name(self) -> str:
        """Name of the training's folder, which all its tests share."""
        return f"{self.config.stem}__seed{self.seed}__{self.digest}"


class Comparison:
    """The work folder: ``rows/``, ``runs/``, ``overlays/`` and ``datasets/``.

    Args:
        work_dir: The folder.
        device: Device of the workers; the best one if None.
        console: Where progress is shown.
        worker: Python module that runs one phase.
    """

    def __init__(self, work_dir: Path, device: str | None, console: Console, worker: str) -> None:
        self.work_dir = work_dir
        self.device = device
        self.console = console
        self.worker = worker
        self.store = RowStore(work_dir / "rows")
        self._failed_trainings: dict[str, Outcome] = {}

    def finished(self, run: Run) -> Row | None:
        """Return the row of a run if it is there already."""
        dataset = self._dataset(run)
        if dataset is None:
            return None
        return self.store.finished(run.config, run.seed, run.digest, dataset)

    def _datasets(self, run: Run) -> Path:
        return self.work_dir / "datasets" / f"{run.config.stem}__{run.digest}.json"

    def _names(self, run: Run) -> dict[str, str]:
        """Return the names of data by choice, as far as they are known for the config."""
        path = self._datasets(run)
        names: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return names

    def _dataset(self, run: Run) -> str | None:
        return self._names(run).get(run.choice.text)

    def check_names(self, choices: Sequence[DataChoice]) -> None:
        """Refuse names of data that stand for other data in the rows, or twice for different ones.

        Args:
            choices: The data that are asked for.

        Raises:
            UserError: If there is such a name.
        """
        known = [(choice.name, choice) for choice in choices if choice.name]
        for path in sorted((self.work_dir / "datasets").glob("*.json")):
            named: dict[str, str] = json.loads(path.read_text("utf-8"))
            known += [(name, DataChoice.parse(text)) for text, name in named.items()]
        for choice in choices:
            for name, other in known if choice.name else ():
                if file_slug(name) == file_slug(choice.name) and other.fields != choice.fields:
                    raise UserError(
                        f"--dataset {choice.text}: the name {name!r} stands for "
                        f"'{other.text or 'own'}' in {self.work_dir}, and rows are kept by name; "
                        "give another name=NAME, or another --work-dir"
                    )

    def make_data(self, runs: Sequence[Run]) -> None:
        """Name the data of runs and write procedural ones, with a progress bar of their own.

        Errors show up in the runs.
        """
        by_config = {str(run.config): run for run in runs}
        choices = dict.fromkeys(run.choice.text for run in runs)
        self.console.print(f"{len(runs)} runs to do; preparing the data")

        def on_event(event: dict[str, Any]) -> None:
            if event.get("config") in by_config and "datasets" in event:
                self._learn(by_config[event["config"]], event["datasets"])

        words = [*by_config, *_dataset_words(choices)]
        run_worker(["data", *words], self.work_dir / "data.log", on_event, self.worker, True)

    def _learn(self, run: Run, names: Mapping[str, str]) -> None:
        write_json(self._datasets(run), {**self._names(run), **names}, indent=True)

    def row(self, run: Run) -> Row:
        """Return the row of a run: taken over, or trained and tested now."""
        row = self.finished(run)
        if row is not None:
            text = f"{_title(run)}: finished before{_other_code(row)}"
            self.console.print(text, style="dim", markup=False)
            return row
        folder = self.work_dir / "runs" / run.name
        facts: dict[str, Any] = {"method": run.config.stem, "dataset": self._dataset(run) or ""}
        test = self._test_name(run)
        for phase, result in (("train", "train.json"), ("test", f"{test}.json")):
            if (folder / result).is_file():
                continue
            outcome = self._phase(phase, run, folder, test, facts)
            if outcome.error:
                return self._failed(run, facts, phase, outcome)
        return self._add(run, folder, test)

    def _test_name(self, run: Run) -> str:
        """Return what the files of a test are called: ``test`` for the config's own data."""
        names = self._names(run)
        dataset = names.get(run.choice.text)
        if run.choice == OWN or dataset == names.get(OWN.text):
            return "test"
        return f"test_{re.sub('[^a-zA-Z0-9.-]+', '_', dataset or run.choice.text)}"

    def _phase(
        self, phase: str, run: Run, folder: Path, test: str, facts: dict[str, Any]
    ) -> Outcome:
        if phase == "train" and run.name in self._failed_trainings:
            return self._failed_trainings[run.name]
        words = [str(run.config), "--run-dir", str(folder), "--seed", str(run.seed)]
        if self.device is not None:
            words += ["--device", self.device]
        if phase == "test":
            words += [*_dataset_words([run.choice.text]), "--test", test]
        log = folder / f"{test if phase == 'test' else phase}.log"
        with LiveProgress(self.console) as live:
            outcome = self._work(phase, words, log, live, f"{_title(run, phase)}: {phase}", facts)
        if phase == "train":
            # All tests of a training fail with it; it is tried once per call.
            facts["dataset"] = self._dataset(run) or facts["dataset"]
            if outcome.error:
                self._failed_trainings[run.name] = outcome
        return outcome

    def _work(
        self,
        phase: str,
        words: Sequence[str],
        log: Path,
        live: LiveProgress,
        title: str,
        facts: dict[str, Any] | None = None,
    ) -> Outcome:
        live.start(title)

        def on_event(event: dict[str, Any]) -> None:
            if "stage" in event:
                live.update(event)
            elif facts is not None:
                facts.update(event)

        return run_worker([phase, *words], log, on_event, self.worker)

    def _failed(self, run: Run, facts: dict[str, Any], phase: str, outcome: Outcome) -> Row:
        row = Row(
            method=facts["method"],
            config=str(run.config),
            dataset=facts["dataset"],
            seed=run.seed,
            status=FAILED,
            reason=f"{phase}: {outcome.error}",
            log=str(outcome.log),
            config_hash=run.digest,
            device=self.device or "",
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        self.store.add(row)
        self.console.print(failures([row])[0], style="red", markup=False, soft_wrap=True)
        return row

    def _add(self, run: Run, folder: Path, test: str) -> Row:
        facts = json.loads((folder / f"{test}.json").read_text(encoding="utf-8"))
        row = Row.from_dict(
            {
                **facts,
                "config": str(run.config),
                "seed": run.seed,
                "config_hash": run.digest,
                "log": str(folder / f"{test}.log"),
            }
        )
        known = self.store.finished(run.config, run.seed, run.digest, row.dataset)
        if known is not None:
            return known
        if row.overlay:
            data = test.removeprefix("test")
            name = f"{run.config.stem}__seed{run.seed}{data}__{run.digest}.mp4"
            target = self.work_dir / "overlays" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(row.overlay, target)
            row = replace(row, overlay=str(target))
        self.store.add(row)
        return row

    def controls(self, rows: Sequence[Row], runs: Sequence[Run]) -> list[Row]:
        """Return the floors and the control of every data set of the rows that has them."""
        datasets: dict[str, Run] = {}
        for row, run in zip(rows, runs, strict=True):
            if has_controls(row.dataset):
                datasets.setdefault(row.dataset, run)
        found: list[Row] = []
        for dataset, run in datasets.items():
            missing = [name for name in CONTROLS if self._control(name, dataset) is None]
            outcome = self._make_controls(dataset, run) if missing else None
            for name in CONTROLS:
                control = self._control(name, dataset)
                found.append(control or _failed_control(name, dataset, outcome))
        return found

    def _control(self, name: str, dataset: str) -> Row | None:
        return self.store.control(name, dataset, CONTROLS_VERSION)

    def _make_controls(self, dataset: str, run: Run) -> Outcome:
        log = self.work_dir / "runs" / f"controls__{dataset}.log"
        words = [str(run.config), "--rows", str(self.store.folder)]
        words += _dataset_words([run.choice.text])
        with LiveProgress(self.console) as live:
            return self._work("controls", words, log, live, f"controls of {dataset}")


def _dataset_words(texts: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Return the words that give choices of data to a worker; none for own data alone."""
    texts = list(texts)
    if texts == [OWN.text]:
        return []
    return [f"--dataset={text}" for text in texts]


def _title(run: Run, phase: str = "test") -> str:
    title = f"{run.config.stem} seed {run.seed}"
    return title if phase == "train" or run.choice == OWN else f"{title} on {run.choice.text}"


def _other_code(row: Row) -> str:
    made, now = row.versions.get("visbench"), code_version()
    if made in (None, now):
        return ""
    return f", by visbench {made} (this is {now}; another --work-dir runs it again)"


def _failed_control(name: str, dataset: str, outcome: Outcome | None) -> Row:
    return Row(
        name,
        "",
        dataset,
        0,
        kind="control",
        status=FAILED,
        reason=outcome.error if outcome else "no result",
        log=str(outcome.log) if outcome else "",
        config_hash=CONTROLS_VERSION,
    )
