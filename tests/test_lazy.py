# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("package", ["apis", "datasets", "engine"])
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(f"visbench.{package}")
    assert module.__all__ == sorted(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name).__name__ == name


def test_an_unknown_name_is_named() -> None:
    module = importlib.import_module("visbench.datasets")
    with pytest.raises(AttributeError, match=r"'visbench\.datasets' has no attribute 'Nothing'"):
        module.Nothing  # noqa: B018
