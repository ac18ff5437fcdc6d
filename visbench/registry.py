# SPDX-License-Identifier: Apache-2.0
"""Registries of visbench: children of MMDetection's, scope ``visbench``.

Importing this module sets up the operators and the safe loading of checkpoints, so it must come
before the first import of ``mmdet``.
"""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from time import time_ns

_OVERLAPPING = {
    "mmengine": "onedl-mmengine",
    "mmcv": "onedl-mmcv",
    "mmcv-lite": "onedl-mmcv",
    "mmcv-full": "onedl-mmcv",
    "mmdet": "onedl-mmdetection",
}


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def check_distributions() -> None:
    """Make sure that no two distributions overwrite each other's modules.

    Raises:
        ImportError: If a distribution of upstream OpenMMLab is installed beside its ``onedl-*``
            successor; the message says what to uninstall.
    """
    both = [
        (old, new) for old, new in _OVERLAPPING.items() if _is_installed(old) and _is_installed(new)
    ]
    if both:
        old, new = zip(*both, strict=True)
        successors = sorted(set(new))
        raise ImportError(
            f"{', '.join(old)} and {', '.join(successors)} are installed side by side and "
            f"overwrite each other's modules. Run: pip uninstall -y {' '.join(old)} && pip install "
            f"--force-reinstall --no-deps {' '.join(successors)}"
        )


check_distributions()

import visbench.ops  # noqa: E402, F401  (supplies mmcv._ext before mmdet is imported)


def _import_quietly(*modules: str) -> None:
    """Import modules of MMDetection without their remarks on optional parts visbench never uses."""
    output = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(output):
        warnings.filterwarnings("ignore", "faster_coco_eval is not installed", UserWarning)
        for module in modules:
            import_module(module)
    for line in output.getvalue().splitlines():
        if "Could not import OneDL" not in line:
            print(line)


_import_quietly("mmdet.datasets", "mmdet.evaluation")

# isort: split
from mmdet import registry as mmdet_registry  # noqa: E402
from mmengine.config.utils import MODULE2PACKAGE  # noqa: E402
from mmengine.registry import DefaultScope, Registry  # noqa: E402

_PARTS = (
    "visbench.models",
    "visbench.datasets.benchmarks",
    "visbench.datasets.imagenet.dataset",
    "visbench.datasets.coco",
    "visbench.datasets.davis",
    "visbench.datasets.mixed",
    "visbench.datasets.samplers",
    "visbench.datasets.transforms",
)
_ENGINE = tuple(
    f"visbench.engine.{module}"
    for module in (
        "checkpoint_hook",
        "coco_metric",
        "davis_metric",
        "hooks",
        "loops",
        "metric",
        "overlay_hook",
        "runner",
        "train_loop",
    )
)


_PLUGINS = "visbench.plugins.loaded"


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    places = [*locations, _PLUGINS]
    registry = Registry(name, parent=parent, scope="visbench", locations=places)
    # MMEngine looks up "visbench.X" only among the root's own children; without this line the
    # name would be known under default scopes visbench and mmdet alone.
    registry.root.children["visbench"] = registry
    return registry


# Lets configs inherit from installed ones: _base_ = "visbench::iai/iai_demo_movingshapes.py".
MODULE2PACKAGE["visbench"] = "visbench"

_P = mmdet_registry
RUNNERS = _child("runner", _P.RUNNERS, "visbench.engine.runner")
RUNNER_CONSTRUCTORS = _child("runner constructor", _P.RUNNER_CONSTRUCTORS)
LOOPS = _child("loop", _P.LOOPS, "visbench.engine.loops", "visbench.engine.train_loop")
HOOKS = _child(
    "hook",
    _P.HOOKS,
    "visbench.engine.checkpoint_hook",
    "visbench.engine.hooks",
    "visbench.engine.overlay_hook",
)
DATASETS = _child(
    "dataset",
    _P.DATASETS,
    "visbench.datasets.benchmarks",
    "visbench.datasets.imagenet.dataset",
    "visbench.datasets.coco",
    "visbench.datasets.davis",
    "visbench.datasets.mixed",
)
DATA_SAMPLERS = _child("data sampler", _P.DATA_SAMPLERS, "visbench.datasets.samplers")
TRANSFORMS = _child("transform", _P.TRANSFORMS, "visbench.datasets.transforms")
MODELS = _child("model", _P.MODELS, "visbench.models")
MODEL_WRAPPERS = _child("model wrapper", _P.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child("weight initializer", _P.WEIGHT_INITIALIZERS)
TASK_UTILS = _child("task util", _P.TASK_UTILS, "visbench.models")
OPTIMIZERS = _child("optimizer", _P.OPTIMIZERS)
OPTIM_WRAPPERS = _child("optim wrapper", _P.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child("optim wrapper constructor", _P.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child("parameter scheduler", _P.PARAM_SCHEDULERS)
METRICS = _child(
    "metric",
    _P.METRICS,
    "visbench.engine.metric",
    "visbench.engine.coco_metric",
    "visbench.engine.davis_metric",
)
EVALUATOR = _child("evaluator", _P.EVALUATOR)
VISUALIZERS = _child("visualizer", _P.VISUALIZERS)
VISBACKENDS = _child("visualizer backend", _P.VISBACKENDS)
LOG_PROCESSORS = _child("log processor", _P.LOG_PROCESSORS)

from visbench.engine.checkpoint import install_safe_loading  # noqa: E402

install_safe_loading()


def registries() -> list[Registry]:
    """Return visbench's registries, one of each kind."""
    return [value for value in globals().values() if isinstance(value, Registry)]


def register_own_modules() -> None:
    """Import all parts of visbench, but no plugin."""
    for location in (*_PARTS, *_ENGINE):
        import_module(location)


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all parts of visbench and all plugins, so that they are registered.

    Registries import their parts on first use anyway; this is for code that looks into them.

    Args:
        init_default_scope: Whether ``visbench`` becomes the scope in which names without a scope
            are looked up.
    """
    register_own_modules()
    import_module(_PLUGINS)
    if init_default_scope:
        current = DefaultScope.get_current_instance()
        if current is None or current.scope_name != "visbench":
            DefaultScope.get_instance(f"visbench-{time_ns()}", scope_name="visbench")
