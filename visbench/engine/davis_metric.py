# SPDX-License-Identifier: Apache-2.0
"""Region and boundary measures of DAVIS's unsupervised task as a metric of MMEngine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from visbench.engine.errors import ConfigError
from visbench.engine.metric import TracksMetric
from visbench.evaluation import EvaluationResult
from visbench.evaluation.davis import MAX_PROPOSALS, evaluate_sequence, summarize_sequences
from visbench.evaluation.davis_files import read_label_map
from visbench.registry import METRICS
from visbench.structures import VideoTracks
from visbench.structures.label_maps import (
    begin_label_maps,
    earlier_label_maps,
    label_maps,
    write_label_maps,
)

LABEL_MAPS = "label_maps"
"""Folder of the written label maps, in that of the results."""


class _Video(NamedTuple):
    """What the data set knows of a video: folder name, frame names without suffix, size."""

    name: str
    frames: list[str]
    size: tuple[int, int]


@METRICS.register_module()
class DavisMetric(TracksMetric):
    """J&F of DAVIS 2017 unsupervised, on the 20 best tracks of a video.

    A track's score is that of its best prediction, whatever the class; where masks overlap the
    track with the higher score has the pixel. Keys are ``davis/J&F-Mean`` and so on, fractions at
    full precision. In tests, or where ``out_dir`` is given, the label maps are written as PNGs
    with a palette under ``label_maps/<video>/<frame>.png``, ready for DAVIS's evaluation, beside
    ``results.json`` and ``metrics.json``; those of an earlier test are replaced, and
    ``label_maps/labels.json`` names category and score of every label, by video. Without
    annotations there are no numbers.

    Args:
        annotation_folder: Folder with one sub-folder of label maps per video; that of the data
            set if None.
        **kwargs: As in :class:`~visbench.engine.metric.TracksMetric`.
    """

    def __init__(self, annotation_folder: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.annotation_folder = None if annotation_folder is None else Path(annotation_folder)
        self._videos: dict[int, _Video] = {}

    def bind(self, dataset: Any, work_dir: str | None) -> None:
        """Take folders, names and sizes from the data set of a run; own settings come first.

        Args:
            dataset: Data set of the videos.
            work_dir: Folder for files; None writes none.

        Raises:
            ConfigError: If ``label_maps`` in that folder holds images of somebody else.
        """
        super().bind(dataset, work_dir)
        if self.out_dir is not None:
            try:
                earlier_label_maps(Path(self.out_dir) / LABEL_MAPS)
            except ValueError as error:
                raise ConfigError(f"label maps cannot be written: {error}") from error
        folder = getattr(dataset, "annotation_folder", None)
        if self.annotation_folder is None and folder is not None:
            self.annotation_folder = Path(folder)
        self._videos = {
            record["video_id"]: _Video(
                record["video_name"],
                [Path(name).stem for name in record["file_names"]],
                (record["height"], record["width"]),
            )
            for record in dataset.iter_records()
        }

    @property
    def annotated(self) -> bool:
        """Whether there is ground truth."""
        return self.annotation_folder is not None

    @property
    def file_categories(self) -> list[int]:
        """The one category, for data sets that name none."""
        return [1]

    def records(self, tracks: VideoTracks) -> list[dict]:
        """Return the best tracks of one video, the best first, as in ``results.json``."""
        best: dict[int, dict] = {}
        order = sorted(tracks.predictions, key=lambda prediction: -prediction.score)
        for prediction in order:
            if len(best) == MAX_PROPOSALS:
                break
            best.setdefault(prediction.track_index, self._record(tracks, prediction))
        return list(best.values())

    def _record(self, tracks: VideoTracks, prediction: Any) -> dict:
        masks = tracks.tracks[prediction.track_index].masks
        if masks is None:
            raise ConfigError("DavisMetric needs tracks with masks, which the method does not give")
        return {
            "video_id": tracks.video.video_id,
            "category_id": self.category_ids[prediction.label],
            "score": float(prediction.score),
            "segmentations": masks,
        }

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the results of all videos and write the files, label maps among them."""
        metrics = super().compute_metrics(results)
        if self.out_dir is not None:
            folder = Path(self.out_dir) / LABEL_MAPS
            begin_label_maps(folder, {self._video(i).name: _legend(found) for i, found in results})
            for video_id, records in results:
                video = self._video(video_id)
                write_label_maps(folder / video.name, _maps(video, records), video.frames)
        return metrics

    def measure(self, by_video: dict[int, list[dict]]) -> dict[str, float]:
        """Return the seven numbers of the benchmark.

        Raises:
            InputError: If a label map is missing, damaged or of another size.
        """
        sequences = [
            evaluate_sequence(video.name, self._truth(video), _maps(video, records))
            for video, records in ((self._video(i), found) for i, found in by_video.items())
        ]
        outcome = EvaluationResult(
            {"davis": summarize_sequences(sequences)}, details={"davis": sequences}
        )
        print_log(f"\n{outcome.summary()}", logger="current")
        return {f"davis/{name}": value for name, value in outcome.metrics["davis"].items()}

    def _video(self, video_id: int) -> _Video:
        if video_id not in self._videos:
            raise ConfigError(
                f"DavisMetric does not know the frames of video {video_id}; use VideoValLoop and "
                "VideoTestLoop, which tell it its data set"
            )
        return self._videos[video_id]

    def _truth(self, video: _Video) -> Iterator[np.ndarray]:
        assert self.annotation_folder is not None
        for frame in video.frames:
            yield read_label_map(self.annotation_folder / video.name / f"{frame}.png")


def _legend(records: Sequence[dict]) -> dict[str, dict]:
    """Return category and score of every label of a video."""
    return {
        str(label): {name: record[name] for name in ("category_id", "score")}
        for label, record in enumerate(records, start=1)
    }


def _maps(video: _Video, records: Sequence[dict]) -> Iterator[np.ndarray]:
    objects = [record["segmentations"] for record in records]
    return label_maps(objects, video.size, len(video.frames))
