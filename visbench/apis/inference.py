# SPDX-License-Identifier: Apache-2.0
"""A trained model and a stream of frames through it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from visbench.apis.sources import Image, ImageSource, InputError
from visbench.datasets import EndOfVideo, FrameError, FrameSource, per_frame_transforms
from visbench.engine import load_checkpoint_file, load_config, load_weights, select_device
from visbench.models import VISModel
from visbench.registry import MODELS, register_all_modules
from visbench.structures import Frame, FrameInstances, VideoTracks, instances_at


class StreamedFrame(NamedTuple):
    """One frame of a stream.

    Attributes:
        index: Its position, from 0.
        image: The original image, ``(H, W, 3)`` uint8, BGR.
        instances: What is on it, in pixels of the image.
    """

    # It hides tuple.index, which nobody asks a frame for.
    index: int  # type: ignore[assignment]
    image: Image
    instances: FrameInstances


def init_model(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str],
    device: str | None = None,
) -> VISModel:
    """Build a model and load its weights; nothing but weights and names is taken from the file.

    Args:
        config: Config, its file, or the name of a config or model of the library.
        checkpoint: Checkpoint of that model, a path or an address.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; the best one there is by default.

    Returns:
        The model, ready for inference, with ``cfg`` (its config) and ``dataset_meta``
        (``classes``, ``category_ids``) as attributes.

    Raises:
        ConfigError: If the config cannot be used or the device is not there.
        CheckpointError: If the checkpoint is missing, damaged, unsafe or of another model.

    Examples:
        >>> model = init_model("config.py", "iter_1000.pth", "cpu")
        >>> model.dataset_meta["classes"]
        ['cat', 'dog']
    """
    from visbench.engine.commands import clear_errors

    kind = select_device(device)
    if not isinstance(config, Config):
        config = load_config(config)
    if "://" in str(checkpoint):
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location="cpu")
    else:
        content = load_checkpoint_file(checkpoint)
    register_all_modules(init_default_scope=True)
    with clear_errors(f"model of config {config.filename or ''} cannot be built", config):
        model: VISModel = MODELS.build(without_pretraining(config.model))
    load_weights(model, content, str(checkpoint))
    model.cfg = config
    model.dataset_meta = dataset_meta(content, config)
    return model.to(kind).eval()


def dataset_meta(checkpoint: dict[str, Any], config: Config) -> dict[str, list[Any]]:
    """Return the classes that a checkpoint was trained on.

    Args:
        checkpoint: What the safe loader returned; ``meta.dataset_meta`` is used if it is there.
        config: Its config; ``metainfo`` of the test or training data set is the second choice.

    Returns:
        ``classes``, names by label, empty if unknown; ``category_ids`` of the labels, 1 to n
        if unknown.

    Examples:
        >>> dataset_meta({"meta": {"dataset_meta": {"classes": ("cat", "dog")}}}, Config())
        {'classes': ['cat', 'dog'], 'category_ids': [1, 2]}
    """
    meta = checkpoint.get("meta") or {}
    candidates = [meta.get("dataset_meta") if isinstance(meta, dict) else None]
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        candidates.append(((config.get(loader) or {}).get("dataset") or {}).get("metainfo"))
    found: dict[str, Any] = next((dict(item) for item in candidates if item), {})
    classes = found.get("classes") or found.get("CLASSES") or ()
    names = [str(name) for name in ([classes] if isinstance(classes, str) else classes)]
    ids = [int(value) for value in found.get("category_ids") or range(1, len(names) + 1)]
    return {"classes": names, "category_ids": ids}


class VideoStream:
    """The frames of a source with what a model sees on them; iterate once, then ask for the result.

    Online methods process each frame when it is asked for; memory does not grow with the video
    beyond the compressed tracks. Offline methods see the whole video before the first frame comes
    out; afterwards the source is read again. The frames of a source that cannot be read twice (a
    generator, a camera) are kept in memory then; a camera needs a limit. The source is closed at
    the end of the iteration.

    Args:
        model: A model of :func:`init_model`, or any with ``cfg`` if ``transforms`` is None.
        source: The frames.
        transforms: Per-frame transforms; those of the config's test pipeline if None.
        look_ahead: Frames that a background thread reads in advance; none from a camera.
        on_frame: Called with the number of frames that the model has taken so far.

    Raises:
        InputError: If an offline method is given a source without end.

    Examples:
        >>> model = init_model("config.py", "iter_1000.pth", "cpu")
        >>> frames = VideoStream(model, open_source("video.mp4"))
        >>> len(list(frames)), frames.result().video.length
        (5, 5)
    """

    def __init__(
        self,
        model: VISModel,
        source: ImageSource,
        transforms: Sequence[Any] | None = None,
        look_ahead: int = 2,
        on_frame: Callable[[int], None] | None = None,
    ) -> None:
        if not model.online and source.endless and source.max_frames is None:
            raise InputError(
                f"{type(model).__name__} is an offline method: it needs the whole video before the "
                f"first result, and {source.name} has no end; give a number of frames "
                "(max_frames, --max-frames) or use an online method"
            )
        self.model = model
        self.source = source
        self.num_frames = 0
        self._on_frame = on_frame
        self._kept: dict[int, Image] = {}
        self._state: Any = None
        self._result: VideoTracks | None = None
        self._frames = FrameSource(
            self._read,
            source.length,
            inference_transforms(model.cfg) if transforms is None else transforms,
            look_ahead if source.rereadable else 0,
            source.name,
        )

    def __iter__(self) -> Iterator[StreamedFrame]:
        try:
            yield from self._online() if self.model.online else self._offline()
        finally:
            self.source.close()

    def result(self) -> VideoTracks | None:
        """Return the tracks of the frames seen so far.

        Returns:
            The result; None if there is none yet (no frame seen, or an offline method that has
            not finished).
        """
        if self._state is not None:
            with torch.no_grad():
                self._result = self.model.finish(self._state)
        return self._result

    def _online(self) -> Iterator[StreamedFrame]:
        self._state = None
        for frame in self._raw_frames():
            with torch.no_grad():
                if self._state is None:
                    self._state = self.model.start(self.source.video)
                instances = self.model.step(self.model.prepare(frame), self._state)
            self._count()
            yield StreamedFrame(frame.index, self._kept.pop(frame.index), instances)

    def _offline(self) -> Iterator[StreamedFrame]:
        with torch.no_grad():
            self._result = self.model.segment(self.source.video, self._prepared())
        images = iter(self.source) if self.source.rereadable else self._kept_images()
        for index, image in enumerate(images):
            yield StreamedFrame(index, image, instances_at(self._result, index))

    def _prepared(self) -> Iterator[Frame]:
        for frame in self._raw_frames():
            if self.source.rereadable:
                self._kept.pop(frame.index)
            yield self.model.prepare(frame)
            self._count()

    def _raw_frames(self) -> Iterator[Frame]:
        try:
            yield from self._frames
        except FrameError as error:
            raise InputError(str(error)) from error

    def _count(self) -> None:
        self.num_frames += 1
        if self._on_frame is not None:
            self._on_frame(self.num_frames)

    def _kept_images(self) -> Iterator[Image]:
        while self._kept:
            yield self._kept.pop(min(self._kept))

    def _read(self, index: int) -> Image:
        image = self.source.checked(index)
        if image is None:
            raise EndOfVideo
        self._kept[index] = image
        return image


def stream(
    model: VISModel,
    source: ImageSource,
    transforms: Sequence[Any] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> VideoStream:
    """Run a model over a source, frame by frame; see :class:`VideoStream`.

    Args:
        model: A model of :func:`init_model`.
        source: The frames, e.g. of :func:`~visbench.apis.open_source`.
        transforms: Per-frame transforms; those of the config's test pipeline if None.
        on_frame: Called with the number of frames that the model has taken so far.

    Returns:
        An iterable of (index, original image, instances) with ``result()``.

    Examples:
        >>> model = init_model("config.py", "iter_1000.pth", "cpu")
        >>> for index, image, instances in stream(model, open_source("frames", max_frames=2)):
        ...     print(index, image.shape, instances.ids)
        0 (48, 64, 3) [4]
        1 (48, 64, 3) [4]
    """
    return VideoStream(model, source, transforms, on_frame=on_frame)


def inference_transforms(config: Config) -> list[Any]:
    """Return the per-frame transforms of a config's test pipeline, without loading.

    Raises:
        ConfigError: If the config has no test pipeline.

    Examples:
        >>> transforms = inference_transforms(load_config("config.py"))
        >>> [type(transform).__name__ for transform in transforms]
        ['Resize']
    """
    from visbench.engine import ConfigError

    for loader in ("test_dataloader", "val_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset") or {}
        if dataset.get("pipeline") is not None:
            return per_frame_transforms(dataset["pipeline"])
    name = Path(config.filename or "config").name
    raise ConfigError(f"{name} has no test_dataloader.dataset.pipeline to prepare frames with")


def without_pretraining(model: Any) -> Any:
    """Drop ``init_cfg`` that would fetch weights which the checkpoint replaces."""
    if isinstance(model, dict):
        return {
            key: None
            if key == "init_cfg" and isinstance(value, dict) and value.get("type") == "Pretrained"
            else without_pretraining(value)
            for key, value in model.items()
        }
    if isinstance(model, (list, tuple)):
        return type(model)(without_pretraining(item) for item in model)
    return model
