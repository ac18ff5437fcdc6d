# SPDX-License-Identifier: Apache-2.0
"""One row per run: a JSON file that is written once and never changed."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from glob import escape
from itertools import count
from pathlib import Path
from typing import Any

from visbench.engine.errors import UserError

METRICS = ("AP", "AP50", "AP75", "AR1", "AR10")
"""Metrics of the table; in rows they are points, 0 to 100."""

FINISHED, FAILED = "finished", "failed"


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Args:
        method: Name of the method, or of the control.
        config: Path of the config; empty for a control.
        dataset: Name of the validation data.
        seed: Seed of the run.
        AP: Track AP in points; None if there is no number. The same for the other metrics.
        AP50: AP at an IoU of 0.5.
        AP75: AP at an IoU of 0.75.
        AR1: Recall with one prediction per video and class.
        AR10: Recall with ten predictions.
        parameters_m: Parameters in millions.
        gflops_per_frame: Multiplications and additions of the network on one frame, in 10^9.
        training_s: Seconds spent in training iterations.
        fps: Frames per second of inference, reading of frames included.
        host_memory_mb: Peak resident memory of the test process, MiB.
        device_memory_mb: Peak memory allocated on the GPU in the test, MiB; None on the CPU.
        training_memory_mb: Peak resident memory of the training process, MiB.
        kind: ``method``, ``control``, ``foreign`` (results that were made elsewhere) or ``speed``.
        status: ``finished`` or ``failed``.
        reason: Why it failed.
        log: Path of the log that says more.
        checkpoint: Path of the trained weights.
        overlay: Path of the overlay video.
        results: Path of the predictions, ``results.json``.
        annotations: Path of the annotation file that they were scored with.
        run_dir: Folder of the run: configs, training logs, checkpoints and tests.
        terms: What the training was given, see :mod:`visbench.benchmark.terms`.
        device: ``cpu``, ``cuda`` or ``mps``.
        machine: Processor, cores, memory, GPU and system.
        versions: Version by package.
        config_hash: See :func:`~visbench.benchmark.identity.config_hash`.
        details: Further numbers, e.g. all metrics as fractions; ``class_agnostic`` if all
            categories were put in one pool.
        date: Day and time of the end, UTC.
    """

    method: str
    config: str
    dataset: str
    seed: int
    AP: float | None = None
    AP50: float | None = None
    AP75: float | None = None
    AR1: float | None = None
    AR10: float | None = None
    parameters_m: float | None = None
    gflops_per_frame: float | None = None
    training_s: float | None = None
    fps: float | None = None
    host_memory_mb: float | None = None
    device_memory_mb: float | None = None
    training_memory_mb: float | None = None
    kind: str = "method"
    status: str = FINISHED
    reason: str = ""
    log: str = ""
    checkpoint: str = ""
    overlay: str = ""
    results: str = ""
    annotations: str = ""
    run_dir: str = ""
    terms: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    config_hash: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    date: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Row:
        """Build a row from a dictionary; fields of later versions are left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @property
    def config_name(self) -> str:
        """Name of the config without folder and ending; empty without a config."""
        return Path(self.config).stem if self.config else ""

    @property
    def class_agnostic(self) -> bool:
        """Whether the numbers are those of all categories in one pool."""
        return bool(self.details.get("class_agnostic"))

    @property
    def file_name(self) -> str:
        """Name of the row's file: config, data, seed, hash of the config."""
        return row_name(
            self.config_name or file_slug(self.method), self.dataset, self.seed, self.config_hash
        )


def row_name(stem: str, dataset: str, seed: int, digest: str) -> str:
    """Return the name of a run in the store.

    Args:
        stem: Name of the config without ending.
        dataset: Name of the data.
        seed: The seed.
        digest: Hash of the config; may be empty.
    """
    parts = (stem, file_slug(dataset) or "unknown", f"seed{seed}", digest)
    return "__".join(part for part in parts if part)


def points(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return the table's metrics in points from fractions; -1 (undefined) becomes None.

    Args:
        metrics: Fractions by name (``youtube_vis/AP``, ``imagenet_vid/AP50``, ...); of several
            kinds the one whose AP comes first is taken.
    """
    names = [name.rpartition("/") for name in metrics]
    first = next((kind for kind, _, name in names if name == "AP"), "")
    values = {name: metrics[f"{kind}{slash}{name}"] for kind, slash, name in names if kind == first}
    return {
        name: 100 * values[name] if values.get(name, -1) >= 0 else None
        for name in METRICS
        if name in values
    }


class RowExistsError(UserError):
    """A row of that run is in the store already."""


class RowStore:
    """Rows in a folder, one JSON file each. A file is never overwritten.

    Finished rows are ``<config>__<data>__seed<seed>__<hash>.json``; failures get
    ``.failed-<n>`` before the ending and do not stand in the way of another attempt.

    Args:
        folder: The folder; made when the first row is added.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def finished(
        self, config: str | Path, seed: int, digest: str, dataset: str | None = None
    ) -> Row | None:
        """Return the finished row of a run, if there is one.

        Args:
            config: Path of the config; only its name counts.
            seed: Seed of the run.
            digest: Hash of the config.
            dataset: Name of the data; any if None.
        """
        stem, data = escape(Path(config).stem), "*" if dataset is None else file_slug(dataset)
        return self._find(f"{stem}__{data}__seed{seed}__{digest}.json")

    def foreign(self, method: str, digest: str) -> Row | None:
        """Return the row of results that were made elsewhere, if there is one."""
        return self._find(f"{file_slug(method)}__*__seed0__{digest}.json")

    def control(self, method: str, dataset: str, digest: str) -> Row | None:
        """Return the row of a control on some data, if there is one."""
        name = Row(method, "", dataset, 0, config_hash=digest).file_name
        return self._find(f"{name}.json")

    def _find(self, pattern: str) -> Row | None:
        paths = sorted(self.folder.glob(pattern))
        return self.read(paths[0]) if paths else None

    def name(self, row: Row) -> str:
        """Return the name of a row's file, without ending."""
        return row.file_name

    def add(self, row: Row) -> Path:
        """Write a row.

        Returns:
            The file.

        Raises:
            RowExistsError: If a finished row of that run is there already, maybe since a moment
                ago and by another process.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        text = _text(row)
        for path in self._places(row):
            try:
                _create(path, text)
            except FileExistsError:
                continue
            return path
        raise RowExistsError(f"{path} is there already; rows are never overwritten")

    def _places(self, row: Row) -> Iterator[Path]:
        """Yield the files that a row may take, the first free one."""
        name = self.name(row)
        if row.status == FINISHED:
            yield self.folder / f"{name}.json"
        else:
            yield from (self.folder / f"{name}.failed-{number}.json" for number in count(1))

    def read(self, path: str | Path) -> Row:
        """Read a row.

        Raises:
            UserError: If the file is damaged; the message says what to do.
        """
        try:
            return Row.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"row {path} cannot be read ({error}); move it away, and the run is done again"
            ) from error


def _text(row: Row) -> str:
    """Return a row as JSON with a line per field: some hold a thousand numbers."""
    fields = dataclasses.asdict(row).items()
    lines = (
        f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _create(path: Path, text: str) -> None:
    """Write a file that must not be there yet; it appears complete or not at all.

    Raises:
        FileExistsError: If it is there.
    """
    # A name of its own: several processes may be at it.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    partial.write_text(text, encoding="utf-8")
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    finally:
        partial.unlink()


def file_slug(text: str) -> str:
    """Return a text as part of a file name: lower-case letters, digits, ``.``, ``-`` and ``_``."""
    return re.sub(r"[^a-z0-9.-]+", "_", text.lower())
