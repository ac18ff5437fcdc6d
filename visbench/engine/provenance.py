# SPDX-License-Identifier: Apache-2.0
"""By what a run was made: version of the code, packages and machine. Every run records it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from visbench.files import write_json
from visbench.version import __version__

CODE = ("datasets", "engine", "evaluation", "models", "ops", "structures")
"""Parts of the package that results depend on."""

PACKAGES = (
    "torch",
    "torchvision",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmdetection",
    "numpy",
    "pycocotools",
)

RECORD = "provenance.json"
"""File of a session, beside the dumped config and the scalars."""


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the version of the package and eight hexadecimal digits of the code of results.

    A commit would change with every page of documentation, and an installed package has none;
    the text of :data:`CODE` changes only with what results depend on.

    Examples:
        >>> code_version()  # doctest: +SKIP
        '0.1.0+1a2b3c4d'
    """
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for part in CODE:
        for path in sorted((package / part).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return f"{__version__}+{digest.hexdigest()[:8]}"


def versions() -> dict[str, str]:
    """Return the versions of Python, visbench (its code, too) and what it rests on."""
    found = {"python": platform.python_version(), "visbench": code_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Return processor, usable cores, memory and system in one line, without the host's name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}"
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {system}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Provenance:
    """By what a session of training or test was made.

    Args:
        versions: Version by package, see :func:`versions`; empty if it is not known.
        machine: See :func:`machine`; empty if it is not known.
    """

    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""

    @classmethod
    def here(cls) -> Provenance:
        """Return that of this process."""
        return cls(versions(), machine())

    @classmethod
    def read(cls, folder: Path) -> Provenance:
        """Return what was recorded in a folder; nothing is known if there is no sound record."""
        try:
            content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            found = {str(name): str(value) for name, value in content["versions"].items()}
            return cls(found, str(content["machine"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Record it in a folder, which is made if it is missing."""
        write_json(folder / RECORD, asdict(self), indent=True)
