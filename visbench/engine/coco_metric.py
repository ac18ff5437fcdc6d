# SPDX-License-Identifier: Apache-2.0
"""COCO's average precision of still images, which the loops take for videos of one frame."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from mmengine.logging import print_log
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from visbench.engine.errors import ConfigError, UserError
from visbench.engine.metric import TracksMetric
from visbench.registry import METRICS
from visbench.structures import Track, VideoTracks

MAX_DETECTIONS = 100
"""Detections of an image that count, as COCO has it."""

KINDS = ("segm", "bbox")
NUMBERS = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)
"""Names of what pycocotools computes, in its order."""


# MMDetection's CocoMetric takes images from its own loops and rounds to three digits.
@METRICS.register_module()
class CocoImageMetric(TracksMetric):
    """Average precision of masks and boxes per image, computed by pycocotools.

    Every video is one image and its id the image's; of the predictions, the 100 best of an image
    count. Keys are ``coco_segm/AP``, ``coco_bbox/AP50`` and so on, fractions at full precision, -1
    where nothing is defined. In tests, or where ``out_dir`` is given, ``results.json`` (as COCO's
    server takes it) and ``metrics.json`` are written.

    Args:
        ann_file: Annotation file in COCO's layout; that of the data set if None.
        metric: ``segm``, ``bbox`` or both.
        **kwargs: As in :class:`~visbench.engine.metric.TracksMetric`.

    Raises:
        ConfigError: If the metric is unknown.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = KINDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, **kwargs)
        self.kinds = [metric] if isinstance(metric, str) else list(metric)
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ConfigError(f"evaluator field 'metric': {metric!r} is not among {list(KINDS)}")
        self._coco: COCO | None = None

    @property
    def coco(self) -> COCO:
        """The annotation file, read once.

        Raises:
            UserError: If a polygon has fewer than three points, which pycocotools cannot take.
        """
        if self._coco is None:
            with redirect_stdout(io.StringIO()):
                coco = COCO(self.path)
            for annotation in coco.anns.values():
                polygons = annotation.get("segmentation")
                if isinstance(polygons, list) and any(len(points) < 6 for points in polygons):
                    raise UserError(
                        f"{self.path}: annotation {annotation['id']}: field 'segmentation' has a "
                        "polygon of fewer than three points; remove it from the file"
                    )
            self._coco = coco
        return self._coco

    @property
    def annotated(self) -> bool:
        """Whether the annotation file has objects."""
        return bool(self.coco.anns)

    @property
    def file_categories(self) -> list[int]:
        """The category ids of the annotation file, ascending."""
        return sorted(self.coco.getCatIds())

    def records(self, tracks: VideoTracks) -> list[dict]:
        """Return one image's detections as COCO's server takes them.

        Raises:
            ConfigError: If the video has more than one frame.
        """
        if tracks.video.length != 1:
            raise ConfigError(
                f"CocoImageMetric is for still images, but video {tracks.video.video_id} "
                f"({tracks.video.name}) has {tracks.video.length} frames; use VISMetric"
            )
        best = sorted(tracks.predictions, key=lambda prediction: -prediction.score)
        return [
            {
                "image_id": tracks.video.video_id,
                "category_id": self.category_ids[prediction.label],
                "score": float(prediction.score),
                **_shape(tracks.tracks[prediction.track_index]),
            }
            for prediction in best[:MAX_DETECTIONS]
        ]

    def measure(self, by_video: dict[int, list[dict]]) -> dict[str, float]:
        """Return the numbers of masks and boxes.

        Raises:
            UserError: If a result has no mask or box, or its image is not in the file.
        """
        unknown = sorted(set(by_video) - set(self.coco.getImgIds()))
        if unknown:
            raise UserError(
                f"images {unknown[:3]} are not in {self.path}; data set and 'ann_file' of the "
                "evaluator must be the same file"
            )
        records = [record for video in by_video.values() for record in video]
        return {
            f"coco_{kind}/{name}": value
            for kind in self.kinds
            for name, value in self._numbers(kind, records).items()
        }

    def _numbers(self, kind: str, records: list[dict]) -> dict[str, float]:
        field = {"segm": "segmentation", "bbox": "bbox"}[kind]
        if any(field not in record for record in records):
            raise UserError(
                f"metric {kind!r} needs results with '{field}', which the method does not give; "
                "leave it out of the evaluator's field 'metric'"
            )
        kept = ("image_id", "category_id", "score", field)
        # With a box beside the mask, pycocotools would divide objects by the size of the box.
        detections = [{name: record[name] for name in kept} for record in records]
        output = io.StringIO()
        with redirect_stdout(output):
            # pycocotools cannot read an empty list.
            found = self.coco.loadRes(detections) if detections else COCO()
            evaluation = COCOeval(self.coco, found, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        summary = [line for line in output.getvalue().splitlines() if "Average" in line]
        print_log("\n".join([f"\n{kind}", *summary]), logger="current")
        return dict(zip(NUMBERS, map(float, evaluation.stats), strict=True))


def _shape(track: Track) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    if track.boxes is not None:
        left, top, right, bottom = (float(side) for side in track.boxes[0])
        shape["bbox"] = [left, top, right - left, bottom - top]
    if track.masks is not None:
        shape["segmentation"] = track.masks[0]
    return shape
