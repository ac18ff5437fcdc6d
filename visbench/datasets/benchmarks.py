# SPDX-License-Identifier: Apache-2.0
"""The data sets that methods are compared on."""

from __future__ import annotations

from typing import Any, ClassVar

from visbench.datasets.moving_shapes import ensure_split
from visbench.datasets.vis_dataset import VISDataset
from visbench.registry import DATASETS


class _RootedDataset(VISDataset):
    """A data set with a customary root folder."""

    DATA_ROOT: ClassVar[str] = ""

    def __init__(
        self, split: str | None = None, data_root: str | None = None, **kwargs: Any
    ) -> None:
        root = self.DATA_ROOT if data_root is None else data_root
        super().__init__(split=split, data_root=root, **kwargs)


@DATASETS.register_module()
class YouTubeVIS2019(_RootedDataset):
    """YouTube-VIS 2019: 40 categories; splits ``train``, ``valid``, ``test``.

    Args:
        split: Name of the split.
        data_root: Root folder; ``data/youtube_vis_2019`` by default.
        **kwargs: As in :class:`~visbench.datasets.VISDataset`.
    """

    DATA_ROOT = "data/youtube_vis_2019"


@DATASETS.register_module()
class YouTubeVIS2021(_RootedDataset):
    """YouTube-VIS 2021: 40 categories, not those of 2019. Arguments as for 2019."""

    DATA_ROOT = "data/youtube_vis_2021"


@DATASETS.register_module()
class YouTubeVIS2022(_RootedDataset):
    """YouTube-VIS 2022: the training set of 2021, longer validation videos."""

    DATA_ROOT = "data/youtube_vis_2022"


@DATASETS.register_module()
class OVIS(_RootedDataset):
    """Occluded video instance segmentation: 25 categories; ``annotations: null`` is accepted."""

    DATA_ROOT = "data/ovis"


@DATASETS.register_module()
class MovingShapesDataset(VISDataset):
    """MovingShapes, written to disk on first use.

    Args:
        preset: ``easy``, ``occluded``, ``crowded``, ``long`` or, for training, ``mixed``.
        split: ``train`` or ``val``.
        data_root: Folder of all presets.
        num_videos: Only the first so many videos; None for all.
        workers: Processes that write missing videos.
        **kwargs: As in :class:`~visbench.datasets.VISDataset`.

    Raises:
        ValueError: If there is no such preset or split.
        OSError: If the videos cannot be written.
    """

    def __init__(
        self,
        preset: str = "easy",
        split: str = "train",
        data_root: str = "data/moving_shapes",
        num_videos: int | None = None,
        workers: int = 2,
        **kwargs: Any,
    ) -> None:
        paths = ensure_split(data_root, preset, split, videos=num_videos, workers=workers)
        self.preset = preset
        super().__init__(
            ann_file=str(paths.annotations.absolute()),
            data_prefix={"img_path": str(paths.images)},
            split=split,
            **kwargs,
        )
