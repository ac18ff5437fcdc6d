# SPDX-License-Identifier: Apache-2.0
"""What ``make check`` runs: the built wheel in an environment of its own.

Everything in this folder carries the marker ``check``, which plain ``pytest`` leaves out. It needs
the package registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from environment import ROOT, Environment, execute


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.check)


@dataclass(frozen=True)
class Builder:
    """Builds distributions; hatchling is installed apart so that nothing else finds it."""

    python: str
    tools: Path

    def build(self, source: Path, target: str, out: Path) -> Path:
        """Build a ``wheel`` or ``sdist`` of a source tree into an empty folder."""
        code = f"import sys; sys.path.insert(0, {str(self.tools)!r}); "
        code += "from hatchling.build import build_wheel, build_sdist; "
        code += f"build_{target}({str(out)!r})"
        out.mkdir(parents=True)
        execute([self.python, "-c", code], source)
        (built,) = out.iterdir()
        return built


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment without visbench."""
    return Environment.create(tmp_path_factory.mktemp("second") / "venv")


@pytest.fixture(scope="session")
def builder(bare_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    tools = tmp_path_factory.mktemp("tools")
    bare_environment.install("--target", str(tools), "hatchling>=1.24", "editables>=0.3")
    return Builder(str(bare_environment.folder / "bin" / "python"), tools)


@pytest.fixture(scope="session")
def wheel(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this source tree."""
    return builder.build(ROOT, "wheel", tmp_path_factory.mktemp("wheel") / "dist")


@pytest.fixture(scope="session")
def second_environment(bare_environment: Environment, wheel: Path) -> Environment:
    """The environment that all steps share: the wheel is installed with mim, as a user would."""
    bare_environment.install(f"visbench[mim] @ {wheel.as_uri()}")
    return bare_environment
