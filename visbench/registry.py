# SPDX-License-Identifier: Apache-2.0
"""Registries of visbench: children of MMDetection's, scope ``visbench``.

Importing this module sets up the operators, so it must come before the first import of ``mmdet``.
"""

from __future__ import annotations

import visbench.ops  # noqa: F401  (supplies mmcv._ext before mmdet is imported)

# isort: split
from mmdet import registry as mmdet_registry
from mmengine.registry import Registry


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope="visbench", locations=list(locations))


MODELS = _child("model", mmdet_registry.MODELS, "visbench.models")
DATASETS = _child("dataset", mmdet_registry.DATASETS, "visbench.datasets")
DATA_SAMPLERS = _child("data sampler", mmdet_registry.DATA_SAMPLERS, "visbench.datasets")
TRANSFORMS = _child("transform", mmdet_registry.TRANSFORMS, "visbench.datasets")
METRICS = _child("metric", mmdet_registry.METRICS, "visbench.engine")
LOOPS = _child("loop", mmdet_registry.LOOPS, "visbench.engine")
HOOKS = _child("hook", mmdet_registry.HOOKS, "visbench.engine")
TASK_UTILS = _child("task util", mmdet_registry.TASK_UTILS, "visbench.models")
VISUALIZERS = _child("visualizer", mmdet_registry.VISUALIZERS, "visbench.visualization")
