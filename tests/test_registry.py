# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mmengine.registry
import pytest
from mmengine.registry import DefaultScope, Registry

from visbench import registry

ROOT = Path(__file__).parents[1]
KINDS = [value for value in vars(registry).values() if isinstance(value, Registry)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_registry_is_a_child_of_mmdetections(kind: Registry) -> None:
    assert kind.scope == "visbench"
    assert kind.parent.scope == "mmdet"
    assert kind.root.scope == "mmengine"


def test_no_kind_of_mmdetection_is_left_out() -> None:
    parents = {value for value in vars(registry.mmdet_registry).values() if _is_mmdet(value)}
    assert {id(kind.parent) for kind in KINDS} == {id(parent) for parent in parents}


def _is_mmdet(value: object) -> bool:
    return isinstance(value, Registry) and value.scope == "mmdet"


@pytest.mark.parametrize("scope", [None, "visbench", "mmdet", "mmengine"])
def test_names_with_scope_are_found_under_any_default_scope(scope: str | None) -> None:
    with DefaultScope.overwrite_default_scope(scope):
        for root in (mmengine.registry.LOOPS, registry.mmdet_registry.LOOPS, registry.LOOPS):
            assert root.get("visbench.VideoTestLoop").__name__ == "VideoTestLoop"


def test_register_all_modules_sets_the_scope() -> None:
    with DefaultScope.overwrite_default_scope("mmdet"):
        registry.register_all_modules(init_default_scope=False)
        assert DefaultScope.get_current_instance().scope_name == "mmdet"
    registry.register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == "visbench"
    assert "VISMetric" in registry.METRICS.module_dict
    assert "ClipPreprocessor" in registry.MODELS.module_dict


def test_overlapping_distributions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"mmcv", "onedl-mmcv", "mmdet", "onedl-mmdetection", "onedl-mmengine"}

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(registry, "version", version)
    with pytest.raises(ImportError, match=r"pip uninstall -y mmcv mmdet && .* onedl-mmcv onedl-mm"):
        registry.check_distributions()
    installed -= {"mmcv", "mmdet"}
    registry.check_distributions()


def test_importing_everything_prints_nothing() -> None:
    code = "import visbench.registry as r; r.register_all_modules()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        # Only against a hang: seconds of work take minutes where other processes have the cores.
        timeout=900,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
