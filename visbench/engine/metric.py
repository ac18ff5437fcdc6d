# SPDX-License-Identifier: Apache-2.0
"""The evaluator of :mod:`visbench.evaluation` as a metric of MMEngine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.evaluation.metrics.base_video_metric import collect_tracking_results
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from visbench.engine.errors import ConfigError, UserError
from visbench.evaluation import VideoEvaluator, load_annotations
from visbench.evaluation.metrics import METRICS as TRACK_METRICS
from visbench.evaluation.submission import write_submission
from visbench.evaluation.video_evaluator import metric_names
from visbench.files import write_json
from visbench.registry import METRICS
from visbench.structures import VideoTracks


class TracksMetric(BaseMetric):
    """Base of metrics on ``video_tracks``: binds to a run, collects by video, writes files.

    Args:
        ann_file: Annotation file; that of the data set if None.
        format_only: Whether only results are written.
        out_dir: Folder of the files; the work folder in tests if None.
        prefix: Put before all keys, to tell several data sets apart.
        collect_dir: Folder that all ranks can write, to collect results in; made and removed.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        format_only: bool = False,
        out_dir: str | None = None,
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        # MMEngine warns about metrics without a prefix; ours are part of the names.
        super().__init__("cpu", prefix or "visbench", collect_dir)
        self.key_prefix = f"{prefix}/" if prefix else ""
        self.ann_file = ann_file
        self.format_only = format_only
        self.out_dir = out_dir
        self._category_ids: list[int] | None = None

    def bind(self, dataset: Any, work_dir: str | None) -> None:
        """Take annotation file, category ids and folder from a run; own settings come first.

        Args:
            dataset: Data set of the videos; ``ann_file`` and ``category_ids`` are used.
            work_dir: Folder for files; None writes none.
        """
        self.ann_file = self.ann_file or getattr(dataset, "ann_file", None)
        if hasattr(dataset, "category_ids"):
            self._category_ids = [int(value) for value in dataset.category_ids]
        self.out_dir = self.out_dir or work_dir

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the results of finished videos.

        Args:
            data_batch: Not used.
            data_samples: Dictionaries with ``video_tracks``.

        Raises:
            ConfigError: If a sample has no ``video_tracks``.
        """
        for sample in data_samples:
            if "video_tracks" not in sample:
                raise ConfigError(
                    f"{type(self).__name__} needs samples with 'video_tracks', got the fields "
                    f"{sorted(sample)}; use VideoValLoop and VideoTestLoop"
                )
            tracks = sample["video_tracks"]
            self.results.append((int(tracks.video.video_id), self.records(tracks)))

    @abstractmethod
    def records(self, tracks: VideoTracks) -> list[dict]:
        """Return the entries of ``results.json`` of one video."""

    @abstractmethod
    def measure(self, by_video: dict[int, list[dict]]) -> dict[str, float]:
        """Return the metrics by name, without prefix.

        Args:
            by_video: Records by video id.
        """

    @property
    @abstractmethod
    def annotated(self) -> bool:
        """Whether the annotation file has ground truth."""

    @property
    @abstractmethod
    def file_categories(self) -> list[int]:
        """The category ids of the annotation file, in the order of the labels."""

    @property
    def path(self) -> str:
        """The annotation file.

        Raises:
            ConfigError: If no file is known.
        """
        path = self.ann_file or (self.dataset_meta or {}).get("ann_file")
        if not path:
            raise ConfigError(
                f"{type(self).__name__} knows no annotation file; set its field 'ann_file'"
            )
        return str(path)

    @property
    def category_ids(self) -> list[int]:
        """The category id of every label: of the data set, else in the order of the file."""
        if self._category_ids is None:
            meta = self.dataset_meta or {}
            given = meta.get("category_ids", None)
            ids = self.file_categories if given is None else given
            self._category_ids = [int(value) for value in ids]
        return self._category_ids

    def evaluate(self, size: int) -> dict[str, float]:
        """Collect the results of all ranks by video and evaluate.

        Args:
            size: Not used: results are never cut to a length.

        Returns:
            Metrics by name, the same on all ranks; empty without ground truth.

        Raises:
            UserError: If a video was given more than once.
        """
        collected = collect_tracking_results(self.results, "cpu", self.collect_dir)
        answer: list[Any] = [None]
        if is_main_process():
            try:
                answer = [(self.compute_metrics(collected), None)]
            except Exception as failure:
                # The other ranks wait for the broadcast: they must fail too, not hang.
                answer = [(None, failure)]
        broadcast_object_list(answer)
        self.results.clear()
        metrics, error = answer[0]
        if error is not None:
            raise error
        return metrics

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the results of all videos and write the files.

        Args:
            results: Pairs of video id and records as in ``results.json``.

        Returns:
            Metrics by name; empty without ground truth.
        """
        by_video = _by_video(results, type(self).__name__)
        folder = None if self.out_dir is None else Path(self.out_dir)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            records = [record for video in by_video.values() for record in video]
            write_json(folder / "results.json", records)
            print_log(f"Results of {len(by_video)} videos are in {folder}.", logger="current")
        if self.format_only or not self.annotated:
            reason = "format_only" if self.format_only else f"{self.ann_file} has no annotations"
            print_log(f"Only results are written: {reason}.", logger="current")
            return {}
        measured = self.measure(by_video)
        metrics = {f"{self.key_prefix}{name}": value for name, value in measured.items()}
        if folder is not None and metrics:
            write_json(folder / "metrics.json", metrics, indent=True)
        return metrics


@METRICS.register_module()
class VISMetric(TracksMetric):
    """Metrics on whole videos; ground truth comes from the annotation file only.

    Takes samples with ``video_tracks``, from the loops of visbench or from ``model.predict``
    under MMEngine's own loops. Keys are ``youtube_vis/AP`` and so on, fractions at full precision.
    Without annotations, or with ``format_only``, there are no numbers and only results are
    written. Files are written in tests, or where ``out_dir`` is given: ``results.json``,
    ``submission.zip`` (for the evaluation servers) and ``metrics.json``.

    Args:
        ann_file: Annotation file; that of the data set if None.
        metric: One or several of the metrics of :mod:`visbench.evaluation`.
        format_only: Whether only results are written.
        out_dir: Folder of the files; the work folder in tests if None.
        prefix: Put before all keys, to tell several data sets apart.
        collect_dir: Folder that all ranks can write, to collect results in; made and removed.

    Raises:
        ConfigError: If the metric is unknown.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = "youtube_vis",
        format_only: bool = False,
        out_dir: str | None = None,
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(ann_file, format_only, out_dir, prefix, collect_dir)
        try:
            self.metric = metric_names(metric)
        except ValueError as error:
            raise ConfigError(f"evaluator field 'metric': {error}") from None
        self._annotations: Any = None

    def records(self, tracks: VideoTracks) -> list[dict]:
        """Return the entries of ``results.json`` of one video."""
        return tracks.to_results(self.category_ids)

    @property
    def annotated(self) -> bool:
        """Whether the annotation file has tracks."""
        return self.annotations.tracks is not None

    @property
    def file_categories(self) -> list[int]:
        """The category ids of the annotation file, ascending."""
        return sorted(self.annotations.categories)

    @property
    def annotations(self) -> Any:
        """The annotation file, read once.

        Raises:
            ConfigError: If no file is known.
        """
        if self._annotations is None:
            kinds = {TRACK_METRICS[name].tracks for name in self.metric}
            self._annotations = load_annotations(
                self.path, masks="masks" in kinds, boxes="boxes" in kinds
            )
        return self._annotations

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the results of all videos and write the files, ``submission.zip`` among them."""
        metrics = super().compute_metrics(results)
        # Last: a server's rules on submissions must not keep the numbers from being written.
        records = [record for _, video in sorted(results, key=_video_id) for record in video]
        if self.out_dir is not None and all("segmentations" in record for record in records):
            write_submission(records, Path(self.out_dir) / "submission.zip", self.annotations)
        return metrics

    def measure(self, by_video: dict[int, list[dict]]) -> dict[str, float]:
        """Return the numbers of all metrics, ``youtube_vis/AP`` for instance."""
        evaluator = VideoEvaluator(self.annotations, self.metric)
        for video_id, records in by_video.items():
            evaluator.update(video_id, records)
        outcome = evaluator.compute()
        for warning in outcome.warnings:
            print_log(warning, logger="current")
        print_log(f"\n{outcome.summary()}", logger="current")
        return {
            f"{metric}/{name}": value
            for metric, values in outcome.to_dict().items()
            for name, value in values.items()
        }


def _video_id(result: tuple[int, list[dict]]) -> int:
    return result[0]


def _by_video(results: list, metric: str) -> dict[int, list[dict]]:
    by_video: dict[int, list[dict]] = {}
    for video_id, records in sorted(results, key=_video_id):
        if video_id in by_video:
            raise UserError(
                f"video {video_id} was given to {metric} more than once; the sampler of the data "
                "loader must yield every video once: "
                "dict(type='DefaultSampler', shuffle=False, round_up=False)"
            )
        by_video[video_id] = records
    return by_video
