# SPDX-License-Identifier: Apache-2.0
"""The instances of a frame as ``Detections`` of supervision, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from visbench.structures.instances import FrameInstances
from visbench.structures.mot_text import boxes_of
from visbench.structures.rle import decode_mask, encode_masks


def to_supervision(
    instances: FrameInstances, class_names: Sequence[str] = (), masks: bool = True
) -> Any:
    """Return a frame as ``supervision.Detections``, for its annotators, zones and sinks.

    Ids become ``tracker_id``, scores ``confidence``, labels ``class_id``; class names go into
    ``data["class_name"]``. A finished video is converted frame by frame:
    ``[to_supervision(frame) for frame in tracks_to_frames(result)]``.

    Args:
        instances: The frame; without boxes those around the masks are used.
        class_names: Name of every 0-based label, or nothing.
        masks: Whether masks are decoded, ``(n, H, W)`` booleans; boxes alone take less memory.

    Raises:
        ImportError: If supervision is not installed.

    Examples:
        >>> frame = FrameInstances([7], [1], [0.5], [[2, 3, 12, 33]])
        >>> detections = to_supervision(frame, ["cat", "dog"])
        >>> detections.tracker_id.tolist(), detections.data["class_name"].tolist()
        ([7], ['dog'])
    """
    try:
        from supervision import Detections
    except ImportError as error:
        raise ImportError(
            "to_supervision() needs supervision: pip install 'visbench[supervision]'"
        ) from error
    names = [
        class_names[label] if label < len(class_names) else f"class {label}"
        for label in instances.labels
    ]
    decoded = None
    if masks and instances.masks:
        decoded = np.stack([decode_mask(mask) for mask in instances.masks])
    return Detections(
        xyxy=boxes_of(instances),
        mask=decoded,
        confidence=instances.scores.copy(),
        class_id=instances.labels.astype(int),
        tracker_id=instances.ids.astype(int),
        data={"class_name": np.array(names, dtype=str)} if class_names else {},
    )


def from_supervision(detections: Any) -> FrameInstances:
    """Return ``supervision.Detections`` as the instances of a frame.

    Args:
        detections: With ``tracker_id``, as a tracker returns them. Without confidence scores are
            1, without classes labels are 0.

    Raises:
        ValueError: If there are no track ids, or one occurs twice.

    Examples:
        >>> frame = FrameInstances([7], [1], [0.5], [[2, 3, 12, 33]])
        >>> from_supervision(to_supervision(frame))
        FrameInstances(ids=[7], labels=[1])
    """
    count = len(detections.xyxy)
    ids = detections.tracker_id
    if ids is None and count:
        raise ValueError(
            "the detections have no tracker_id; pass them through a tracker first, for example "
            "supervision.ByteTrack().update_with_detections(detections)"
        )
    scores, labels = detections.confidence, detections.class_id
    return FrameInstances(
        [] if ids is None else ids,
        np.zeros(count) if labels is None else labels,
        np.ones(count) if scores is None else scores,
        detections.xyxy,
        None if detections.mask is None else encode_masks(np.asarray(detections.mask)),
    )
