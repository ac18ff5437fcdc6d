# SPDX-License-Identifier: Apache-2.0
"""Trained models on videos, folders, cameras and frames from Python.

Names below are loaded on first use: opening a source needs neither torch nor MMDetection.
"""

from __future__ import annotations

from visbench.lazy import lazy_names

_ORIGINS = {
    "CameraSource": "capture_sources",
    "FolderSource": "image_sources",
    "ImageSource": "sources",
    "InputError": "sources",
    "IteratorSource": "image_sources",
    "ListSource": "image_sources",
    "StreamedFrame": "inference",
    "VISInferencer": "inferencer",
    "VideoFileSource": "capture_sources",
    "VideoStream": "inference",
    "dataset_meta": "inference",
    "inference_transforms": "inference",
    "init_model": "inference",
    "open_source": "opening",
    "results_records": "results",
    "stream": "inference",
    "write_results": "results",
}

__all__ = sorted(_ORIGINS)

__getattr__ = lazy_names(__name__, _ORIGINS)
