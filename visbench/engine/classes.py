# SPDX-License-Identifier: Apache-2.0
"""Whether a model and its data agree in the number of classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn

from visbench.engine.errors import ConfigError
from visbench.structures import VideoTracks


def number_of_classes(dataset: Any) -> int | None:
    """Return the number of classes of a data set; None if it does not say it."""
    ids = getattr(dataset, "category_ids", None)
    if ids is None:
        ids = (getattr(dataset, "metainfo", None) or {}).get("classes")
    return None if ids is None else len(ids)


def check_model_classes(model: nn.Module, dataset: Any, field: str) -> None:
    """Check before work that every class of a model has a category in the data.

    Methods keep their number of classes as ``num_classes`` of a head, as those of MMDetection do.

    Args:
        model: The model.
        dataset: The data set.
        field: The config's field of the data set.

    Raises:
        ConfigError: If a part of the model has more classes than the data.
    """
    classes = number_of_classes(dataset)
    for name, number in _class_numbers(model):
        if classes is not None and number > classes:
            raise ConfigError(_message(f"{name} is {number}", classes, field))


def _class_numbers(model: nn.Module) -> Iterator[tuple[str, int]]:
    inner: Any = model.module if is_model_wrapper(model) else model
    for name, module in inner.named_modules():
        number = getattr(module, "num_classes", None)
        if isinstance(number, int):
            yield ".".join(filter(None, ("model", name, "num_classes"))), number


def check_labels(tracks: VideoTracks, dataset: Any, field: str) -> None:
    """Check that the labels of a video have categories in the data, whatever the model states.

    Args:
        tracks: The result of a video.
        dataset: The data set.
        field: The config's field of the data set.

    Raises:
        ConfigError: If a label is beyond the categories.
    """
    classes = number_of_classes(dataset)
    highest = max((prediction.label for prediction in tracks.predictions), default=-1)
    if classes is not None and highest >= classes:
        name = f"the model gave label {highest} (counted from 0) in video {tracks.video.name}"
        raise ConfigError(_message(name, classes, field))


def _message(model: str, classes: int, field: str) -> str:
    return (
        f"{model}, but {field} has {classes} categories; test on the data that the model was "
        "trained for, or train one with as many classes as the data (fields 'num_classes' of model)"
    )
