# SPDX-License-Identifier: Apache-2.0
"""Packs clips whose frames may differ in size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mmdet.datasets.transforms import PackTrackInputs
from mmdet.structures.bbox import HorizontalBoxes

from visbench.registry import TRANSFORMS

_REQUIRE = ("none", "any", "key", "all")
_INSTANCE_KEYS = (
    "gt_bboxes",
    "gt_bboxes_labels",
    "gt_masks",
    "gt_instances_ids",
    "gt_ignore_flags",
)


@TRANSFORMS.register_module()
class PackClip(PackTrackInputs):
    """Pack T frames of any size as ``inputs`` and a ``TrackDataSample``.

    ``inputs`` is a list of T ``(3, h, w)`` uint8 tensors (BGR);
    :class:`~visbench.models.ClipPreprocessor` makes a batch of them. The data sample has
    MMDetection's field names, one ``DetDataSample`` per frame, and ``key_frames_inds`` and
    ``ref_frames_inds``. Crowds go to ``ignored_instances``.

    Args:
        drop_empty: Whether objects without any pixel of mask, or with a box of no width or
            height (both can follow from a crop), are dropped with all their fields.
        boxes_from_masks: Whether boxes are computed anew from the masks, as IDOL's reference
            implementation does (fact sheet, section 5.1), rather than transformed.
        require: Where at least one object that is not a crowd must be left: ``none``, ``any``
            frame, the ``key`` frames, or ``all`` frames. Otherwise the result is None and the
            data set draws again.
        meta_keys: Further keys kept in the frames' metainfo.

    Raises:
        ValueError: If ``require`` is another word.
    """

    def __init__(
        self,
        drop_empty: bool = True,
        boxes_from_masks: bool = False,
        require: str = "none",
        meta_keys: tuple[str, ...] = (),
    ) -> None:
        if require not in _REQUIRE:
            raise ValueError(f"require must be one of {', '.join(_REQUIRE)}, got {require!r}")
        defaults = (
            *("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip"),
            *("flip_direction", "frame_id", "video_id", "video_length", "ori_video_length"),
        )
        super().__init__(meta_keys=tuple(meta_keys), default_meta_keys=defaults)
        self.drop_empty = drop_empty
        self.boxes_from_masks = boxes_from_masks
        self.require = require

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Pack a clip given as dictionary of lists over its frames.

        Args:
            results: Lists over T frames of ``img`` ``(h, w, 3)`` and annotations.

        Returns:
            Dictionary with ``inputs`` and ``data_samples``, or None if a required object is
            missing.
        """
        results = dict(results)
        images = results.pop("img")
        if "gt_bboxes" in results:
            results["gt_bboxes"] = self._boxes(results)
        if self.drop_empty and "gt_bboxes" in results:
            self._drop_empty(results)
        # MMDetection's heads ask for a scale factor even where nothing was resized.
        results.setdefault("scale_factor", [(1.0, 1.0)] * len(images))
        packed = super().transform(results)
        packed["inputs"] = [_to_tensor(image) for image in images]
        return packed if self._has_required(packed["data_samples"]) else None

    def _boxes(self, results: dict[str, Any]) -> list[npt.NDArray[np.float32]]:
        boxes = results["gt_bboxes"]
        if self.boxes_from_masks and "gt_masks" in results:
            boxes = [masks.get_bboxes(HorizontalBoxes) for masks in results["gt_masks"]]
        return [
            np.asarray(getattr(frame, "tensor", frame), dtype=np.float32).reshape(-1, 4)
            for frame in boxes
        ]

    def _drop_empty(self, results: dict[str, Any]) -> None:
        present = [key for key in _INSTANCE_KEYS if key in results]
        columns = {key: list(results[key]) for key in present}
        for frame in range(len(results["gt_bboxes"])):
            keep = not_empty(
                results["gt_bboxes"][frame],
                results["gt_masks"][frame] if "gt_masks" in columns else None,
            )
            for key in present:
                columns[key][frame] = columns[key][frame][keep]
        results.update(columns)

    def _has_required(self, sample: Any) -> bool:
        counts = [len(frame.gt_instances) for frame in sample]
        if self.require == "key":
            return all(counts[index] for index in sample.metainfo.get("key_frames_inds", [0]))
        return {"none": True, "any": any(counts), "all": all(counts)}[self.require]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(drop_empty={self.drop_empty}, "
            f"boxes_from_masks={self.boxes_from_masks}, require={self.require!r})"
        )


def not_empty(boxes: npt.NDArray[np.float32], masks: Any | None) -> npt.NDArray[np.int64]:
    """Return the indices of objects whose box and mask both have an area.

    Args:
        boxes: ``(n, 4)`` xyxy.
        masks: n masks, or None.

    Returns:
        ``(k,)`` indices, ascending.
    """
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if masks is not None:
        keep &= np.asarray(masks.areas, dtype=np.float64) > 0
    return np.flatnonzero(keep)


def _to_tensor(image: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
