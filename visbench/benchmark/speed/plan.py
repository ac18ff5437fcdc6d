# SPDX-License-Identifier: Apache-2.0
"""What is measured, and the rows that say what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from visbench.benchmark.identity import config_hash
from visbench.benchmark.machine import machine, versions
from visbench.benchmark.rows import FINISHED, Row, RowStore, file_slug
from visbench.benchmark.speed.material import Material, file_digest
from visbench.engine.config_files import find_config
from visbench.engine.errors import UserError

INITIAL = "initial"
"""What a row calls the weights of a model that was not given any."""


@dataclass(frozen=True)
class Subject:
    """A config and its weights.

    Args:
        config: Path of the config.
        digest: Hash of the config.
        checkpoint: Path of the weights; None for initial ones.
        weights: Hash of the weights' file, or :data:`INITIAL`.
    """

    config: str
    digest: str
    checkpoint: str | None = None
    weights: str = INITIAL


@dataclass(frozen=True)
class Place:
    """Where it is measured; times compare within one place.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: Threads of the processor.
        machine: Processor, threads and GPU in one line.
    """

    device: str
    threads: int
    machine: str


@dataclass(frozen=True)
class Measurement:
    """One config on one video in one place.

    Args:
        subject: The config.
        material: Where frames come from.
        frames: Length of the video.
        place: Device, threads and machine.
    """

    subject: Subject
    material: Material
    frames: int
    place: Place

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """Build what :meth:`to_dict` returned."""
        material = {**values["material"], "path": Path(values["material"]["path"])}
        subject, place = Subject(**values["subject"]), Place(**values["place"])
        return cls(subject, Material(**material), values["frames"], place)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        values = asdict(self)
        values["material"]["path"] = str(self.material.path)
        return values

    @property
    def name(self) -> str:
        """Name of the config."""
        return Path(self.subject.config).stem

    @property
    def dataset(self) -> str:
        """What the row calls the video: its name, size and length."""
        size = f"{self.material.height}x{self.material.width}"
        return f"{self.material.name} {size}, {self.frames} frames"

    @property
    def key(self) -> str:
        """Name of the rows' files without the number of the measurement."""
        parts = (
            *(self.name, "speed", file_slug(self.dataset)),
            f"{file_slug(self.place.device)}-{self.place.threads}threads",
            *(self.subject.weights, self.subject.digest),
        )
        return "__".join(parts)

    @property
    def title(self) -> str:
        """What to call it in a line."""
        return f"{self.name}, {self.frames} frames"

    def row(self, **fields: Any) -> Row:
        """Return the row with what came out.

        Args:
            **fields: Fields of the row; ``details`` are added to those known beforehand.
        """
        details = {
            "key": self.key,
            "weights": self.subject.weights,
            "video": self.material.name,
            "height": self.material.height,
            "width": self.material.width,
            "frames": self.frames,
            "threads": self.place.threads,
            **fields.pop("details", {}),
        }
        known = {
            "method": self.name,
            "config": self.subject.config,
            "dataset": self.dataset,
            "seed": 0,
            "kind": "speed",
            "checkpoint": self.subject.checkpoint or "",
            "device": self.place.device.partition(":")[0],
            "machine": self.place.machine,
            "versions": versions(),
            "config_hash": self.subject.digest,
        }
        return Row(**{**known, **fields, "details": details})


class SpeedRows(RowStore):
    """The store of measurements: a repeated one gets the next number."""

    def name(self, row: Row) -> str:
        """Return the name of a row's file, without ending."""
        return f"{row.details['key']}__{row.details['measurement']}"

    def numbered(self, row: Row) -> Row:
        """Return a row with the number of its measurement, 1 for the first of its key."""
        if row.status != FINISHED:
            return replace(row, details={**row.details, "measurement": "failed"})
        taken = [int(found.details["measurement"]) for found in self._rows(row.details["key"])]
        return replace(row, details={**row.details, "measurement": max(taken, default=0) + 1})

    def of(self, measurement: Measurement) -> list[Row]:
        """Return the finished rows of a measurement in this place with this code, oldest first.

        Args:
            measurement: What was measured.
        """
        now = versions()
        return [
            row
            for row in self._rows(measurement.key)
            if row.machine == measurement.place.machine and row.versions == now
        ]

    def _rows(self, key: str) -> list[Row]:
        rows = [self.read(path) for path in self.folder.glob(f"{key}__[0-9]*.json")]
        return sorted(rows, key=lambda row: int(row.details["measurement"]))


def default_threads() -> int:
    """Return the number of threads that PyTorch takes: ``OMP_NUM_THREADS``, else usable cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return usable or 1


def find_place(device: str | None, threads: int) -> Place:
    """Return the place that a wish means.

    Args:
        device: The wish; None for the best device there is.
        threads: Threads of the processor.

    Raises:
        UserError: If the device is not there.
    """
    here = f"{machine()}, {threads} threads"
    if device == "cpu":
        return Place(device, threads, here)
    # Importing torch takes seconds, which whoever names the CPU is spared.
    import torch

    from visbench.engine.device import select_device

    kind = select_device(device)
    if kind == "cuda":
        here += f", {torch.cuda.get_device_name()}"
    return Place(device or kind, threads, here)


def find_subjects(
    configs: Sequence[str | Path], checkpoints: Mapping[str, str] | None = None
) -> list[Subject]:
    """Return configs with their weights.

    Args:
        configs: Config files, or names of configs of visbench or a plugin.
        checkpoints: File of weights by config, written as in ``configs`` or by its file's name.

    Raises:
        UserError: If a config or checkpoint is missing, two configs share a file name, or a
            checkpoint belongs to none.
    """
    paths = {str(config): find_config(config) for config in configs}
    stems = [path.stem for path in paths.values()]
    if len(set(stems)) < len(stems):
        raise UserError(f"two configs share a file name: {', '.join(stems)}; rename one")
    files = {_config_of(name, paths): file for name, file in (checkpoints or {}).items()}
    return [
        Subject(str(path), config_hash(path), files[path], file_digest(files[path]))
        if path in files
        else Subject(str(path), config_hash(path))
        for path in paths.values()
    ]


def plan(
    subjects: Sequence[Subject], material: Material, lengths: Sequence[int], place: Place
) -> list[Measurement]:
    """Return the measurements, config by config.

    Args:
        subjects: The configs.
        material: Where frames come from.
        lengths: Numbers of frames.
        place: Where it is measured.
    """
    return [
        Measurement(subject, material, frames, place)
        for subject in subjects
        for frames in dict.fromkeys(lengths)
    ]


def _config_of(name: str, paths: Mapping[str, Path]) -> Path:
    for written, path in paths.items():
        if name in (written, path.stem, path.name):
            return path
    known = ", ".join(path.stem for path in paths.values())
    raise UserError(f"--checkpoint {name}=...: {name} is none of the configs ({known})")
