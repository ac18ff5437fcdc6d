# SPDX-License-Identifier: Apache-2.0
"""Video instance segmentation data sets on MMDetection's classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
import numpy as np
import numpy.typing as npt
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from visbench.datasets.annotations import read_annotations
from visbench.datasets.draws import Draw, seeded_generators
from visbench.datasets.frame_source import FrameSource, VideoItem, per_frame_transforms
from visbench.datasets.items import ANY_FRAME, ITEMS, frames_with_objects, list_items
from visbench.datasets.layout import find_annotations, find_frames
from visbench.datasets.records import frame_records, video_records
from visbench.datasets.transforms.broadcast import build_transforms
from visbench.datasets.transforms.loading import LoadFrame
from visbench.registry import DATASETS
from visbench.structures import VideoInfo

_SAME_VIDEO_TRIES = 10


@DATASETS.register_module()
class VISDataset(BaseVideoDataset):
    """Videos of any annotation file in YouTube-VIS or OVIS layout, or MMDetection's converted form.

    One item is one video; in training with ``items="frames"`` it is one frame with objects, around
    which the frame sampler builds the clip. Classes are those of the file, in the order of their
    category ids, unless ``metainfo`` names them; ``metainfo["category_ids"]`` has the category id
    of every label, ``has_annotations`` says whether the file has tracks. Either give ``data_root``
    and ``split``, and the usual layouts are tried (:mod:`visbench.datasets.layout`), or
    ``ann_file`` and ``data_prefix`` as in MMDetection.

    With a :class:`~visbench.datasets.Draw` as index, everything random in a training sample
    follows from seed and draw number. A clip without usable objects is drawn again by the same
    generators; a frame that cannot be read is an error.

    Attributes:
        pairs: ``(n, 2)`` index of the video and position of the key frame of every item.

    Args:
        ann_file: Annotation file, relative to ``data_root`` unless absolute.
        split: Split to look up under ``data_root`` when ``ann_file`` is not given.
        data_root: Root folder.
        data_prefix: ``dict(img_path=folder)`` that file names are relative to.
        metainfo: ``dict(classes=...)`` to select and order classes by name.
        filter_cfg: For training: ``filter_empty_gt`` (default True) leaves out videos without
            any object, ``min_size`` (default 32) those with a shorter side below it.
        items: What an item is in training, a word of :data:`~visbench.datasets.items.ITEMS`.
        clip: Frame sampler, such as ``dict(type="visbench.SampleClip", num_frames=3)``; put in
            front of the pipeline in training, so that configs change it by one field.
        pipeline: Transforms; the per-frame part of it also serves :meth:`get_video`.
        test_mode: Whether items are whole videos in order, nothing filtered.
        look_ahead: Frames that :meth:`get_video` reads in advance.
        max_refetch: How often a clip without usable objects is drawn again.
        **kwargs: As in MMEngine's ``BaseDataset``: ``indices``, ``serialize_data``, ...

    Raises:
        FileNotFoundError: If annotation file or frames are not found, with all paths tried.
        ValueError: If the file has defects, no video is left, or a class or ``items`` is unknown.
    """

    def __init__(
        self,
        ann_file: str = "",
        split: str | None = None,
        data_root: str = "",
        data_prefix: dict[str, str] | None = None,
        metainfo: dict[str, Any] | None = None,
        filter_cfg: dict[str, Any] | None = None,
        items: str = "videos",
        clip: dict[str, Any] | None = None,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        look_ahead: int = 2,
        max_refetch: int = 100,
        **kwargs: Any,
    ) -> None:
        if not ann_file and split is None:
            raise ValueError(f"{type(self).__name__}: give 'split' (with data_root) or 'ann_file'")
        if items not in ITEMS:
            raise ValueError(f"{type(self).__name__}: items={items!r} is not one of {list(ITEMS)}")
        self.items = "videos" if test_mode else items
        self.split = split
        self.look_ahead = look_ahead
        self.has_annotations = False
        if not ann_file:
            ann_file = str(find_annotations(data_root, str(split)).absolute())
        sampler = [clip] if clip and not test_mode else []
        self._frames_given = bool(data_prefix and data_prefix.get("img_path"))
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(data_prefix or {"img_path": ""}),
            metainfo=metainfo,
            filter_cfg=filter_cfg,
            pipeline=build_transforms([*sampler, *pipeline]),
            test_mode=test_mode,
            max_refetch=max_refetch,
            **kwargs,
        )

    def full_init(self) -> None:
        """Read what is needed to give items; see MMEngine's ``BaseDataset``."""
        if not self._fully_initialized:
            super().full_init()
            self._list_items()

    def _list_items(self) -> VISDataset:
        self.pairs = list_items(self.items, self.iter_records())
        return self

    def get_subset(self, indices: Any) -> VISDataset:
        """Return a data set of some of the videos; see MMEngine's ``BaseDataset``."""
        subset: VISDataset = super().get_subset(indices)
        return subset._list_items()

    def get_subset_(self, indices: Any) -> None:
        """Keep some of the videos; see MMEngine's ``BaseDataset``."""
        super().get_subset_(indices)
        self._list_items()

    def __len__(self) -> int:
        """Return the number of items."""
        self.full_init()
        return len(self.pairs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file into compact records, one per video.

        Raises:
            FileNotFoundError: If the file or the frames are not found.
            ValueError: If the file has defects or a class is unknown.
        """
        annotations = self.read_annotations()
        labels = self._set_classes(annotations["categories"])
        self.has_annotations = annotations["annotations"] is not None
        records = video_records(annotations, labels, self.ann_file)
        self._set_frame_folder(records[0]["file_names"][0])
        return records

    def read_annotations(self) -> dict[str, Any]:
        """Return the annotations in YouTube-VIS layout; files of another layout override this.

        Returns:
            Dictionary with ``videos``, ``categories`` and ``annotations`` (None if there are none).
        """
        return read_annotations(self.ann_file)

    def _set_classes(self, categories: list[dict[str, Any]]) -> dict[int, int]:
        by_name = {
            category["name"]: int(category["id"])
            for category in sorted(categories, key=lambda category: category["id"])
        }
        classes = self._metainfo.get("classes") or tuple(by_name)
        unknown = [name for name in classes if name not in by_name]
        if unknown:
            raise ValueError(
                f"metainfo['classes'] names {unknown}, but {self.ann_file} has the categories "
                f"{list(by_name)}; correct the names or leave metainfo out"
            )
        self.cat_ids = [by_name[name] for name in classes]
        self.cat2label = {category: label for label, category in enumerate(self.cat_ids)}
        self._metainfo["classes"] = tuple(classes)
        self._metainfo["category_ids"] = tuple(self.cat_ids)
        return self.cat2label

    def _set_frame_folder(self, file_name: str) -> None:
        if not self._frames_given:
            root = self.data_root or Path(self.ann_file).parent
            split = self.split or Path(self.ann_file).stem
            self.data_prefix["img_path"] = str(find_frames(root, split, file_name))
        path = Path(self.data_prefix["img_path"], file_name)
        if "://" not in str(self.data_prefix["img_path"]) and not path.is_file():
            raise FileNotFoundError(
                f"no frame {path}: data_prefix['img_path'] is '{self.data_prefix['img_path']}', "
                f"file_names in {self.ann_file} start with '{file_name}'; correct one of them"
            )

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out videos that cannot be trained on; see ``filter_cfg``.

        Raises:
            ValueError: If no video is left or the file has no annotations.
        """
        if self.test_mode:
            return self.data_list
        settings = self.filter_cfg or {}
        need_objects = settings.get("filter_empty_gt", True)
        if need_objects and not self.has_annotations:
            raise ValueError(
                f"{self.ann_file}: field 'annotations' is missing or null, so there is nothing to "
                "train on; choose another split, or set test_mode=True"
            )
        kept = [
            video
            for video in self.data_list
            if min(video["height"], video["width"]) >= settings.get("min_size", 32)
            and (not need_objects or frames_with_objects(video))
        ]
        if not kept:
            raise ValueError(
                f"{self.ann_file}: none of {len(self.data_list)} videos is left after "
                f"filter_cfg={settings}: they have no object of {self._metainfo['classes']} or "
                "are too small"
            )
        if len(kept) < len(self.data_list):
            print_log(
                f"{self.ann_file}: {len(kept)} of {len(self.data_list)} videos kept", "current"
            )
        return kept

    @property
    def category_ids(self) -> list[int]:
        """The annotation file's category id of every 0-based label."""
        self.full_init()
        return list(self._metainfo["category_ids"])

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return a video in the form that MMDetection's video transforms take.

        Args:
            idx: Index of the item.

        Returns:
            Dictionary with ``video_id``, ``video_name``, ``video_length``, ``height``, ``width``,
            ``sample_idx``, ``draw_number`` (None for a plain index) and ``images``, one dictionary
            per frame; ``key_frame_id``, a position in ``images``, where items are frames.
        """
        self.full_init()
        row, key = self.pairs[int(idx)].tolist()
        video = super().get_data_info(row)
        images = frame_records(video, self.data_prefix["img_path"])
        keys = ("video_id", "video_name", "height", "width", "sample_idx")
        return {
            **{key: video[key] for key in keys},
            "video_length": len(images),
            "draw_number": getattr(idx, "number", None),
            "images": images,
            **({} if key == ANY_FRAME else {"key_frame_id": key}),
        }

    def iter_records(self) -> Iterator[dict[str, Any]]:
        """Yield the compact record of every video; see :mod:`visbench.datasets.records`."""
        for index in range(super().__len__()):
            yield super().get_data_info(index)

    def landscape(self) -> npt.NDArray[np.bool_]:
        """Return for every item whether its video is wider than high."""
        self.full_init()
        wide = [video["width"] > video["height"] for video in self.iter_records()]
        return np.array(wide, dtype=bool)[self.pairs[:, 0]]

    def __getitem__(self, idx: Any) -> dict[str, Any]:
        """Return a training sample, or in test mode a whole video, through the pipeline.

        Args:
            idx: Index, or a :class:`~visbench.datasets.Draw` that seeds the sample.

        Raises:
            FrameError: If a frame cannot be read.
            RuntimeError: If no clip with usable objects was found in ``max_refetch`` redraws.
        """
        self.full_init()
        if isinstance(idx, Draw):
            with seeded_generators(idx.seed, idx.number):
                return self._draw(idx)
        return self._draw(idx)

    def _draw(self, idx: Any) -> dict[str, Any]:
        first = idx
        for attempt in range(self.max_refetch + 1):
            data = self.prepare_data(idx)
            if data is not None:
                return data
            if self.test_mode:
                break
            if attempt >= _SAME_VIDEO_TRIES:
                another = self._rand_another()
                idx = Draw(another, idx.number, idx.seed) if isinstance(idx, Draw) else another
        video = self.get_data_info(first[0] if isinstance(first, tuple) else first)
        raise RuntimeError(
            f"{self.ann_file}: the pipeline gave no sample for video {video['video_id']} "
            f"({video['video_name']}) and others in {self.max_refetch} redraws; is 'require' of "
            "PackClip or a crop too strict?"
        )

    def get_video(self, index: int) -> VideoItem:
        """Return one video for testing: its facts and a lazy source of frames.

        Args:
            index: Index of the video.
        """
        info = self.get_data_info(index)
        video = VideoInfo(
            info["video_id"],
            info["video_name"],
            info["height"],
            info["width"],
            info["video_length"],
        )
        transforms = per_frame_transforms(self.pipeline, with_loading=True)
        loaders = [item for item in transforms if isinstance(item, LoadImageFromFile)]
        others = [item for item in transforms if not isinstance(item, LoadImageFromFile)]
        loader = loaders[0] if loaders else LoadFrame(backend_args=self.backend_args)
        images = info["images"]
        source = FrameSource(
            lambda position: loader.transform(dict(images[position]))["img"],
            len(images),
            others,
            self.look_ahead,
            info["video_name"],
        )
        return VideoItem(video, source)
