# SPDX-License-Identifier: Apache-2.0
"""Trained models on videos, folders and cameras, from Python.

Names below are loaded on first use: opening a source needs neither torch nor MMDetection.
"""

from __future__ import annotations

from visbench.lazy import lazy_names

_ORIGINS = {
    "CameraSource": "sources",
    "FolderSource": "sources",
    "ImageSource": "sources",
    "InputError": "sources",
    "VideoFileSource": "sources",
    "VideoStream": "inference",
    "dataset_meta": "inference",
    "inference_transforms": "inference",
    "init_model": "inference",
    "open_source": "sources",
    "results_records": "results",
    "stream": "inference",
    "write_results": "results",
}

__all__ = sorted(_ORIGINS)

__getattr__ = lazy_names(__name__, _ORIGINS)
