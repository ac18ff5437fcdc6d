# SPDX-License-Identifier: Apache-2.0
"""Every path of docs/reference_keys.md exists in the config that its section names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import Registry

from visbench import registry
from visbench.engine.config import load_config

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "reference_keys.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (.+?)\n\nConfig: `(.+?)`\n(.+?)(?=^## |\Z)", TEXT, re.M | re.S)
PATH = re.compile(r"`([a-z_]+(?:\.[a-z_0-9]+)*)`")


def paths(body: str) -> list[str]:
    """Return what the middle column and remarks name as a field of ours."""
    rows = [line.split("|")[2:4] for line in body.splitlines() if line.startswith("| ")][1:]
    middle = [path for ours, _ in rows for path in PATH.findall(ours)]
    assert all(PATH.search(ours) or ours.strip() in ("-", "---") for ours, _ in rows)
    # In remarks only what starts like a path of a config is one.
    return middle + [path for _, remark in rows for path in PATH.findall(remark) if "." in path]


def accepts(parent: Any, name: str) -> bool:
    """Return whether the component of a config takes a parameter."""
    kind = parent.get("type") if isinstance(parent, Mapping) else None
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    for item in registries:
        found = item.get(kind) if isinstance(kind, str) else None
        if found is not None:
            return name in inspect.signature(found).parameters
    return False


def exists(config: Any, path: str) -> bool:
    value = config
    *parents, last = path.split(".")
    for word in parents:
        value = value[int(word)] if word.isdigit() else value[word]
    if last.isdigit():
        return int(last) < len(value)
    return last in value or accepts(value, last)


def test_every_method_has_a_section() -> None:
    assert [name.partition(":")[0] for name, *_ in SECTIONS] == [
        "IDOL",
        "IAI",
        "Propose-Reduce",
        "InsPro",
    ]


@pytest.mark.parametrize(("name", "file", "body"), SECTIONS, ids=[s[0] for s in SECTIONS])
def test_paths_exist(name: str, file: str, body: str) -> None:
    registry.register_all_modules(init_default_scope=True)
    config = load_config(ROOT / file)
    found = paths(body)
    assert len(found) >= 15
    missing = []
    for path in found:
        try:
            missing += [] if exists(config, path) else [path]
        except (KeyError, IndexError, TypeError, AttributeError):
            missing.append(path)
    assert not missing


def test_a_wrong_path_is_found() -> None:
    registry.register_all_modules(init_default_scope=True)
    config = load_config(ROOT / SECTIONS[0][1])
    assert exists(config, "model.association.select_threshold")
    assert not exists(config, "model.association.select_threshhold")
