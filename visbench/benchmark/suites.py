# SPDX-License-Identifier: Apache-2.0
"""Suites: explicit lists of configs that are compared with one word."""

from __future__ import annotations

import argparse
from pathlib import Path

from visbench.engine.config_files import config_folder
from visbench.engine.errors import UserError

SUITES: dict[str, tuple[str, ...]] = {
    "demo": (
        "baselines/masktrack_rcnn_demo_movingshapes.py",
        "inspro/inspro_demo_movingshapes.py",
        "propose_reduce/propose_reduce_demo_movingshapes.py",
        "iai/iai_demo_movingshapes.py",
        "idol/idol_demo_movingshapes.py",
    ),
    "quick": (
        "baselines/masktrack_rcnn_quick_movingshapes.py",
        "inspro/inspro_quick_movingshapes.py",
        "propose_reduce/propose_reduce_quick_movingshapes.py",
        "iai/iai_quick_movingshapes.py",
        "idol/idol_quick_movingshapes.py",
    ),
}
"""Configs of each suite, relative to the folder of configs.

``demo`` trains every method for about 4 minutes on two cores, ``quick`` for 15 to 20.
"""


def suite_configs(name: str) -> list[Path]:
    """Return the config files of a suite.

    Args:
        name: A key of :data:`SUITES`.

    Raises:
        UserError: If there is no such suite.
    """
    if name not in SUITES:
        raise UserError(f"suite {name!r} does not exist; use one of {', '.join(SUITES)}")
    folder = config_folder()
    if folder.parent == Path.cwd():
        folder = Path(folder.name)
    return [folder / relative for relative in SUITES[name]]


def add_config_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments by which subcommands take configs; see :func:`chosen_configs`."""
    command.add_argument(
        "configs",
        nargs="*",
        metavar="CONFIG",
        help="config files, or names of configs of visbench or a plugin",
    )
    command.add_argument("--suite", choices=sorted(SUITES), help="a list of configs by its name")


def chosen_configs(args: argparse.Namespace) -> list[str | Path]:
    """Return the configs of the suite, then those named one by one.

    Args:
        args: With what :func:`add_config_arguments` adds.
    """
    return [*(suite_configs(args.suite) if args.suite else []), *args.configs]
