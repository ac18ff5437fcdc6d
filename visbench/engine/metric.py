# SPDX-License-Identifier: Apache-2.0
"""The evaluator of :mod:`visbench.evaluation` as a metric of MMEngine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from mmdet.evaluation.metrics.base_video_metric import collect_tracking_results
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from visbench.engine.errors import ConfigError, UserError
from visbench.evaluation import VideoEvaluator, load_annotations
from visbench.evaluation.metrics import METRICS as TRACK_METRICS
from visbench.evaluation.submission import write_submission
from visbench.evaluation.video_evaluator import metric_names
from visbench.registry import METRICS


@METRICS.register_module()
class VISMetric(BaseMetric):
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
        # MMEngine warns about metrics without a prefix; ours are part of the names.
        super().__init__("cpu", prefix or "visbench", collect_dir)
        try:
            self.metric = metric_names(metric)
        except ValueError as error:
            raise ConfigError(f"evaluator field 'metric': {error}") from None
        self.key_prefix = f"{prefix}/" if prefix else ""
        self.ann_file = ann_file
        self.format_only = format_only
        self.out_dir = out_dir
        self._category_ids: list[int] | None = None
        self._annotations: Any = None

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
                    "VISMetric needs samples with 'video_tracks', got the fields "
                    f"{sorted(sample)}; use VideoValLoop and VideoTestLoop"
                )
            tracks = sample["video_tracks"]
            records = tracks.to_results(self.category_ids)
            self.results.append((int(tracks.video.video_id), records))

    @property
    def category_ids(self) -> list[int]:
        """The category id of every label: of the data set, else in the order of the file."""
        if self._category_ids is None:
            meta = self.dataset_meta or {}
            if "category_ids" in meta:
                self._category_ids = [int(value) for value in meta["category_ids"]]
            else:
                self._category_ids = sorted(self.annotations.categories)
        return self._category_ids

    @property
    def annotations(self) -> Any:
        """The annotation file, read once.

        Raises:
            ConfigError: If no file is known.
        """
        if self._annotations is None:
            path = self.ann_file or (self.dataset_meta or {}).get("ann_file")
            if not path:
                raise ConfigError("VISMetric knows no annotation file; set its field 'ann_file'")
            kinds = {TRACK_METRICS[name].tracks for name in self.metric}
            self._annotations = load_annotations(
                path, masks="masks" in kinds, boxes="boxes" in kinds
            )
        return self._annotations

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
        by_video = _by_video(results)
        records = [record for video in by_video.values() for record in video]
        folder = None if self.out_dir is None else Path(self.out_dir)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "results.json", records)
            print_log(f"Results of {len(by_video)} videos are in {folder}.", logger="current")
        metrics = self._measure(by_video)
        if folder is not None and metrics:
            write_json(folder / "metrics.json", metrics, indent=True)
        # Last: a server's rules on submissions must not keep the numbers from being written.
        if folder is not None and all("segmentations" in record for record in records):
            write_submission(records, folder / "submission.zip", self.annotations)
        return metrics

    def _measure(self, by_video: dict[int, list[dict]]) -> dict[str, float]:
        if self.format_only or self.annotations.tracks is None:
            reason = "format_only" if self.format_only else f"{self.ann_file} has no annotations"
            print_log(f"Only results are written: {reason}.", logger="current")
            return {}
        evaluator = VideoEvaluator(self.annotations, self.metric)
        for video_id, records in by_video.items():
            evaluator.update(video_id, records)
        outcome = evaluator.compute()
        for warning in outcome.warnings:
            print_log(warning, logger="current")
        print_log(f"\n{outcome.summary()}", logger="current")
        return {
            f"{self.key_prefix}{metric}/{name}": value
            for metric, values in outcome.to_dict().items()
            for name, value in values.items()
        }


def _by_video(results: list) -> dict[int, list[dict]]:
    by_video: dict[int, list[dict]] = {}
    for video_id, records in sorted(results, key=lambda result: result[0]):
        if video_id in by_video:
            raise UserError(
                f"video {video_id} was given to VISMetric more than once; the sampler of the data "
                "loader must yield every video once: "
                "dict(type='DefaultSampler', shuffle=False, round_up=False)"
            )
        by_video[video_id] = records
    return by_video


def write_json(path: Path, content: Any, indent: bool = False) -> None:
    """Write a JSON file under a temporary name and rename it when it is complete.

    Args:
        path: The file.
        content: Plain values.
        indent: Whether to write for human eyes.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 if indent else 0))
    os.replace(partial, path)
