# SPDX-License-Identifier: Apache-2.0
"""The runner's parts: loops, metric, hooks, safe checkpoints and the train and test commands.

The package itself imports nothing: ``visbench.registry`` needs :mod:`visbench.engine.checkpoint`
before the registered parts can be imported. Names below are loaded on first use.
"""

from __future__ import annotations

from visbench.lazy import lazy_names

_ORIGINS = {
    "AtomicCheckpointHook": "checkpoint_hook",
    "CheckpointError": "errors",
    "CocoImageMetric": "coco_metric",
    "ConfigError": "errors",
    "DavisMetric": "davis_metric",
    "RandomStateHook": "hooks",
    "SeededIterTrainLoop": "train_loop",
    "SharedVideosHook": "hooks",
    "UserError": "errors",
    "VISMetric": "metric",
    "VISRunner": "runner",
    "VideoTestLoop": "loops",
    "VideoValLoop": "loops",
    "build_runner": "commands",
    "latest_checkpoint": "checkpoint",
    "launch": "commands",
    "load_checkpoint_file": "checkpoint",
    "load_config": "config",
    "load_weights": "checkpoint",
    "select_device": "device",
}

__all__ = sorted(_ORIGINS)

__getattr__ = lazy_names(__name__, _ORIGINS)
