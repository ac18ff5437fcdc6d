# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import socket

import pytest

import visbench.registry  # noqa: F401  (sets up the operators)
from visbench.benchmark import environment as module
from visbench.benchmark.environment import as_text, environment, operators
from visbench.ops.extension import NativeExtension


def test_facts_are_those_of_this_machine() -> None:
    facts, problem = environment()
    assert problem == ""
    assert facts["versions"]["python"] == platform.python_version()
    assert "CPU threads" in facts["devices"] and "report" in facts["extras"]
    text = as_text(facts)
    assert socket.gethostname() not in text.replace("visbench", "")


def test_operators_say_which_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visbench.ops.extension.setup_operators", lambda: True)
    assert "roi_align" in operators()["native"]
    for name in operators()["native"].split(", "):
        names = vars(NativeExtension())
        assert name in names or f"{name}_forward" in names
    monkeypatch.setattr("visbench.ops.extension.setup_operators", lambda: False)
    assert operators()["mmcv._ext"].startswith("compiled")


def test_a_broken_installation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, str]:
        raise ImportError("two distributions overwrite each other")

    monkeypatch.setattr(module, "operators", broken)
    facts, problem = environment()
    assert "overwrite each other" in problem and "torch" in facts["versions"]
