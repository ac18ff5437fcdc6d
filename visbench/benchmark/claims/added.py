# SPDX-License-Identifier: Apache-2.0
"""Rows of trainings and tests that tools/train.py and tools/test.py did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from visbench.benchmark.claims.data import ClaimBook, ClaimData
from visbench.benchmark.claims.rows import UNKNOWN, run_digest
from visbench.benchmark.claims.training import (
    differing_field,
    resolve,
    training_key,
    training_part,
)
from visbench.benchmark.rows import Row, points
from visbench.benchmark.training_logs import LOG, read_records
from visbench.engine.errors import UserError
from visbench.engine.provenance import Provenance

_PLACES = ("data_root", "workers")
"""Fields of a data set that say where and how, not what."""


@dataclass(frozen=True)
class _Session:
    """One start of MMEngine's runner: a folder with the config, scalars and the log."""

    folder: Path

    @property
    def config_file(self) -> Path:
        return self.folder / "vis_data" / "config.py"

    @property
    def provenance(self) -> Provenance:
        return Provenance.read(self.folder / "vis_data")

    @property
    def scalars(self) -> list[dict[str, Any]]:
        path = self.folder / LOG
        return list(read_records(path)) if path.is_file() else []

    @property
    def losses(self) -> list[dict[str, Any]]:
        return [line for line in self.scalars if "loss" in line and "iter" in line]

    @property
    def environment(self) -> dict[str, str]:
        """Versions that MMEngine wrote at the beginning of the log."""
        names = {"Python": "python", "PyTorch": "torch", "TorchVision": "torchvision"}
        names |= {"MMEngine": "onedl-mmengine", "CUDA available": "cuda", "GPU 0": "gpu"}
        found: dict[str, str] = {}
        for log in sorted(self.folder.glob("*.log"))[:1]:
            for line in _head(log):
                matched = re.match(r"\s+([\w ,]+?): (.*)", line)
                if matched and matched[1].split(",")[0] in names:
                    # Python's line also names the build.
                    found[names[matched[1].split(",")[0]]] = matched[2].partition(" (")[0].strip()
        return found


def _head(log: Path) -> Iterator[str]:
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if "Config:" in line:
                return
            yield line


def added_row(
    config: str | Path,
    seed: int,
    run_dir: str | Path,
    book: ClaimBook,
    training_dir: str | Path | None = None,
) -> Row:
    """Return the row of a run that is already done.

    Versions and machine are those that the run recorded. The version of the code is unknown if one
    of its sessions did not record it, or training and test were made by different ones.

    Args:
        config: The config of the row.
        seed: Its seed.
        run_dir: Work folder of the test (``metrics.json``), or of the training if its last
            validation is the test.
        book: The claims; their data and what acts at test are used.
        training_dir: Work folder of the training; ``run_dir`` by default.

    Raises:
        UserError: If the folders lack something, or were made with another config, seed, data or
            number of iterations than ``config`` says now; the message names field and values.
    """
    run_dir, training_dir = Path(run_dir), Path(training_dir or run_dir)
    sessions = [session for session in _sessions(training_dir) if session.losses]
    if not sessions:
        raise UserError(
            f"{training_dir} holds no training (no */vis_data/scalars.json with losses); name the "
            "--work-dir of tools/train.py"
        )
    trained = sessions[-1]
    metrics, tested, loader = _metrics(run_dir, trained)
    data = _claim_data(tested, loader, book)
    _check(Path(config), seed, trained, tested, loader, data, book)
    wanted = resolve(config, data.options)
    environment, made_by = trained.environment, trained.provenance
    fractions = {name: float(value) for name, value in metrics.items()}
    key = training_key(training_part(wanted, book.acts_at_test))
    return Row.from_dict(
        {
            "method": str(wanted.get("method_name") or wanted["model"]["type"].split(".")[-1]),
            "config": str(config),
            "dataset": data.dataset,
            "seed": seed,
            **points(fractions),
            "training_s": _seconds(sessions),
            "device": "cuda" if environment.pop("cuda", "False") == "True" else "cpu",
            "machine": ", ".join(filter(None, [made_by.machine, environment.pop("gpu", "")])),
            "versions": {**made_by.versions, **environment, **_code([*sessions, tested])},
            "config_hash": run_digest(Path(config), data),
            "details": {"metrics": fractions, "training": key, "added": True},
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
    )


def _code(sessions: list[_Session]) -> dict[str, str]:
    """Return the version of the code if all sessions recorded it and had the same one."""
    found = {session.provenance.versions.get("visbench", UNKNOWN) for session in sessions}
    return {"visbench": found.pop() if len(found) == 1 else UNKNOWN}


def _sessions(folder: Path) -> list[_Session]:
    configs = sorted(folder.glob("*/vis_data/config.py"))
    return [_Session(path.parents[1]) for path in configs]


def _metrics(run_dir: Path, trained: _Session) -> tuple[dict[str, Any], _Session, str]:
    """Return metrics, the session that measured them, and the loader of its data."""
    path = run_dir / "metrics.json"
    if path.is_file():
        sessions = _sessions(run_dir)
        if not sessions:
            raise UserError(f"{run_dir} has metrics.json but no */vis_data/config.py beside it")
        return json.loads(path.read_text(encoding="utf-8")), sessions[-1], "test_dataloader"
    if run_dir.resolve() != trained.folder.parent.resolve():
        raise UserError(f"{run_dir} has no metrics.json; name the --work-dir of tools/test.py")
    last = trained.losses[-1]["iter"]
    for line in reversed(trained.scalars):
        found = {name: value for name, value in line.items() if "/" in name}
        if line.get("step") == last and any(name.endswith("/AP") for name in found):
            return found, trained, "val_dataloader"
    raise UserError(
        f"{run_dir} has neither metrics.json nor a validation after the last iteration; run "
        "tools/test.py with --work-dir and name its folder first, then that of the training"
    )


def _claim_data(tested: _Session, loader: str, book: ClaimBook) -> ClaimData:
    from visbench.benchmark.data_choice import dataset_name

    name = dataset_name(resolve(tested.config_file)[loader]["dataset"])
    for data in book.data.values():
        if data.dataset == name:
            return data
    known = ", ".join(data.dataset for data in book.data.values())
    raise UserError(f"{tested.folder} was tested on {name}; claims are checked on {known}")


def _check(
    config: Path,
    seed: int,
    trained: _Session,
    tested: _Session,
    loader: str,
    data: ClaimData,
    book: ClaimBook,
) -> None:
    wanted, done = resolve(config, data.options), resolve(trained.config_file)
    measured = resolve(tested.config_file)
    found_seed = (done.get("randomness") or {}).get("seed")
    if found_seed != seed:
        raise UserError(f"{trained.folder} has the seed {found_seed}, not {seed}")
    parts = [training_part(part, book.acts_at_test) for part in (wanted, done)]
    tests = [_test_part(wanted, "val_dataloader"), _test_part(measured, loader)]
    for what, (one, other), folder in (
        ("trained", parts, trained.folder),
        ("tested", tests, tested.folder),
    ):
        difference = differing_field(one, other)
        if difference:
            raise UserError(
                f"{folder} was not {what} with {config} on {data.name} as it is now; config and "
                f"run differ in {difference}; add it with the files that it was run with"
            )
    iterations = (wanted.get("train_cfg") or {}).get("max_iters")
    if iterations and trained.losses[-1]["iter"] != iterations:
        raise UserError(
            f"{trained.folder} has {trained.losses[-1]['iter']} of {iterations} iterations; "
            "finish the training with --resume"
        )


def _test_part(config: Mapping[str, Any], loader: str) -> dict[str, Any]:
    dataset = {
        name: value for name, value in config[loader]["dataset"].items() if name not in _PLACES
    }
    part: dict[str, Any] = json.loads(
        json.dumps({"model": config["model"], "dataset": dataset}, default=str)
    )
    return part


def _seconds(sessions: list[_Session]) -> float:
    """Return seconds of training; iterations that were lost and done again count once."""
    total, done = 0.0, 0
    for session in sessions:
        for line in session.losses:
            total += float(line.get("time", 0)) * max(0, line["iter"] - done)
            done = max(done, line["iter"])
    return total
