# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings run, in a folder with a config, a checkpoint and videos."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from api_methods import write_checkpoint, write_config, write_folder, write_video

import visbench.apis
import visbench.structures
import visbench.visualization
from visbench.engine import config_files
from visbench.structures import FrameInstances, encode_masks

PACKAGES = (visbench.apis, visbench.structures, visbench.visualization)


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for item in pkgutil.iter_modules(package.__path__):
            yield importlib.import_module(f"{package.__name__}.{item.name}")
    yield config_files


def _examples() -> list[Any]:
    # Every example may use what the public packages offer, as after an import of them.
    public = {
        name: getattr(package, name) for package in PACKAGES for name in sorted(package.__all__)
    }
    tests = []
    for module in _modules():
        names = {**public, **vars(module), "np": np, "os": os}
        tests += doctest.DocTestFinder().find(module, extraglobs=names)
    return [test for test in tests if test.examples]


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example.name)
def test_example(example: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if "supervision" in example.name:
        pytest.importorskip("supervision")
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "config.py")
    write_checkpoint(tmp_path / "iter_1000.pth")
    write_folder(tmp_path / "frames")
    write_video(tmp_path / "video.mp4")
    example.globs.update(
        image=np.zeros((48, 64, 3), np.uint8),
        instances=FrameInstances([4], [0], [0.9], masks=encode_masks(np.ones((1, 48, 64)))),
    )
    capture = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda name: capture("video.mp4" if name == 0 else name)
    )
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.REPORT_NDIFF
    )
    report: list[str] = []
    assert runner.run(example, out=report.append).failed == 0, "".join(report)


CALLS = [
    *(f"visbench.apis.{name}" for name in visbench.apis.__all__),
    *(
        f"visbench.structures.{name}"
        for name in visbench.structures.__all__
        if name.startswith(("to_", "from_", "read_", "write_", "IdMask"))
    ),
]
WITHOUT = {"ImageSource", "InputError", "StreamedFrame"}
"""A base class, an error and a plain value: nobody calls them."""


@pytest.mark.parametrize("name", [n for n in CALLS if n.rpartition(".")[2] not in WITHOUT])
def test_every_public_call_has_an_example(name: str) -> None:
    package, _, attribute = name.rpartition(".")
    value = getattr(importlib.import_module(package), attribute)
    text = value.__doc__
    assert ">>> " in text
    assert "+SKIP" not in text
