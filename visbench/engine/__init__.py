# SPDX-License-Identifier: Apache-2.0
"""The runner's parts: loops, metric, hooks, safe checkpoints and the train and test commands.

The package itself imports nothing: ``visbench.registry`` needs :mod:`visbench.engine.checkpoint`
before the registered parts can be imported. Names below are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_ORIGINS = {
    "AtomicCheckpointHook": "visbench.engine.checkpoint_hook",
    "CheckpointError": "visbench.engine.errors",
    "ConfigError": "visbench.engine.errors",
    "RandomStateHook": "visbench.engine.hooks",
    "SeededIterTrainLoop": "visbench.engine.train_loop",
    "SharedVideosHook": "visbench.engine.hooks",
    "UserError": "visbench.engine.errors",
    "VISMetric": "visbench.engine.metric",
    "VISRunner": "visbench.engine.runner",
    "VideoTestLoop": "visbench.engine.loops",
    "VideoValLoop": "visbench.engine.loops",
    "build_runner": "visbench.engine.commands",
    "latest_checkpoint": "visbench.engine.checkpoint",
    "load_checkpoint_file": "visbench.engine.checkpoint",
    "load_config": "visbench.engine.config",
    "load_weights": "visbench.engine.checkpoint",
    "select_device": "visbench.engine.device",
}

__all__ = sorted(_ORIGINS)


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ORIGINS[name]), name)
