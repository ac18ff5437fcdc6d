# SPDX-License-Identifier: Apache-2.0
"""The contract of every method, for all registered methods."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import visbench.models
from visbench.models import VISModel
from visbench.registry import MODELS
from visbench.testing import conformance_tests
from visbench.testing.conformance.cases import CASES

test_conformance = conformance_tests(*CASES)


def test_every_registered_method_has_a_case() -> None:
    for module in pkgutil.walk_packages(visbench.models.__path__, "visbench.models."):
        importlib.import_module(module.name)
    registered = {
        name
        for name, cls in MODELS.module_dict.items()
        if inspect.isclass(cls)
        and issubclass(cls, VISModel)
        and cls.__module__.startswith("visbench.")
    }
    assert registered
    assert registered == {case.model["type"] for case in CASES}
