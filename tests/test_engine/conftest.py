# SPDX-License-Identifier: Apache-2.0
"""Runners of the toy method, built in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_toy import toy_config

from visbench.engine import build_runner, load_config

_NUMBERS = itertools.count()


@pytest.fixture
def make_runner(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that builds a runner with its work folder ``tmp_path/<name>``."""

    def build(name: str = "run", **options: Any) -> Any:
        config = load_config(toy_config(tmp_path), options, str(tmp_path / name))
        # MMEngine shares state between runners of one name.
        config.experiment_name = f"test_{next(_NUMBERS)}"
        return build_runner(config)

    return build
