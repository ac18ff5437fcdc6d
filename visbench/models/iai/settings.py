# SPDX-License-Identifier: Apache-2.0
"""Values that fields of IAI's configs may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from visbench.models.iai.association import check_ranking

LIMITS: dict[str, tuple[float, float]] = {
    "box_noise": (0, 0.5),
    "cls_score_thr": (0, math.inf),
    "id_score_thr": (0, math.inf),
    "mask_thr": (0, 1),
    "max_per_frame": (1, math.inf),
    "max_per_video": (1, math.inf),
    "nms_iou": (0, 1),
    "nms_pre": (1, math.inf),
    "video_score_thr": (0, math.inf),
    "visible_fraction": (0, 1),
}
"""Least and greatest value of a number. A score threshold above 1 lets nothing pass."""


def check_limits(values: Mapping[str, Any], prefix: str = "") -> None:
    """Check numbers against :data:`LIMITS`; fields without limits pass.

    Args:
        values: Field to value.
        prefix: What stands before the field's name in the config.

    Raises:
        ValueError: If a value is no number or out of range.
    """
    for name in sorted(LIMITS.keys() & values.keys()):
        low, high = LIMITS[name]
        value = values[name]
        if not isinstance(value, int | float) or not low <= value <= high:
            allowed = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise ValueError(f"{prefix}{name}={value!r} must be a number {allowed}")


def read_test_cfg(defaults: dict[str, Any], changes: dict | None) -> dict[str, Any]:
    """Return a segmenter's settings for testing: the defaults with changes.

    Raises:
        ValueError: If a change is of an unknown field or a value is out of range.
    """
    unknown = sorted(set(changes or {}) - set(defaults))
    if unknown:
        raise ValueError(
            f"segmenter.test_cfg has no field {', '.join(unknown)}; it has "
            f"{', '.join(sorted(defaults))}"
        )
    values = {**defaults, **(changes or {})}
    check_limits(values, "segmenter.test_cfg.")
    if "ranking" in values:
        check_ranking(values["ranking"])
    return values


def check_channels(neck: Mapping[str, Any], channels: int) -> None:
    """Check that a neck takes what the association module puts out.

    Args:
        neck: Config of the neck; one without ``in_channels`` passes.
        channels: Channels of the association module's output.

    Raises:
        ValueError: If the last of ``neck.in_channels`` is another number.
    """
    taken = neck.get("in_channels")
    if isinstance(taken, list | tuple) and taken and taken[-1] != channels:
        raise ValueError(
            f"neck.in_channels={list(taken)} must end with {channels}, which is "
            "2 * association.channels + association.classification_channels"
        )
