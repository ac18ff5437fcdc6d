# SPDX-License-Identifier: Apache-2.0
"""Trained models on videos, folders and cameras, from Python.

Names below are loaded on first use: opening a source needs neither torch nor MMDetection.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_ORIGINS = {
    "CameraSource": "visbench.apis.sources",
    "FolderSource": "visbench.apis.sources",
    "ImageSource": "visbench.apis.sources",
    "InputError": "visbench.apis.sources",
    "VideoFileSource": "visbench.apis.sources",
    "VideoStream": "visbench.apis.inference",
    "dataset_meta": "visbench.apis.inference",
    "inference_transforms": "visbench.apis.inference",
    "init_model": "visbench.apis.inference",
    "open_source": "visbench.apis.sources",
    "results_records": "visbench.apis.results",
    "stream": "visbench.apis.inference",
    "write_results": "visbench.apis.results",
}

__all__ = sorted(_ORIGINS)


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ORIGINS[name]), name)
