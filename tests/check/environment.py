# SPDX-License-Identifier: Apache-2.0
"""A virtual environment beside the one that runs the tests, for what users do after installing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_KEPT_LINES = 60


@dataclass(frozen=True)
class Environment:
    """A virtual environment that borrows the large packages of the running one."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Environment:
        """Make one.

        Args:
            folder: Where; a folder of links to what is borrowed appears beside it.
        """
        execute([sys.executable, "-m", "venv", str(folder)], folder.parent)
        links = folder.with_name(f"{folder.name}-borrowed")
        environment = cls(folder)
        borrow = [str(ROOT / ".ci" / "borrow.py"), str(environment.site_packages), str(links)]
        execute([sys.executable, *borrow, "visbench", "--without", "visbench"], ROOT)
        return environment

    @property
    def site_packages(self) -> Path:
        """Folder of the installed packages."""
        return next((self.folder / "lib").glob("python*/site-packages"))

    def install(self, *requirements: str) -> str:
        """Install with pip, from the registry if it must be.

        Args:
            requirements: Words for ``pip install``.
        """
        quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        return self.run("python", *quiet, *requirements, folder=self.folder)

    def run(self, program: str, *words: str, folder: Path, status: int = 0) -> str:
        """Run a program of the environment and return what it printed.

        Args:
            program: Name of a program in the environment: ``python``, ``mim``, ``jupyter``.
            words: Its arguments.
            folder: Working directory; nothing of the source tree can be imported there.
            status: The exit status that is right.

        Raises:
            AssertionError: If it ends otherwise; the message has the end of its output.
        """
        programs = self.folder / "bin"
        return execute([str(programs / program), *words], folder, status, programs)

    def shell(self, line: str, folder: Path) -> str:
        """Run a line of the shell with the environment active; as :meth:`run` does."""
        return execute(["bash", "-c", line], folder, programs=self.folder / "bin")


def execute(command: list[str], folder: Path, status: int = 0, programs: Path | None = None) -> str:
    """Run a command without the test run's own paths; see :meth:`Environment.run`.

    Args:
        command: The words.
        folder: Working directory.
        status: The exit status that is right.
        programs: Folder in which programs are looked for first.
    """
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    if programs is not None:
        variables["PATH"] = os.pathsep.join([str(programs), variables.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != status:
        end = "\n".join(done.stdout.splitlines()[-_KEPT_LINES:])
        raise AssertionError(
            f"{' '.join(command)}\nended with {done.returncode} instead of {status} "
            f"in {folder}:\n{end}"
        )
    return done.stdout
