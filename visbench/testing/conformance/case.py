# SPDX-License-Identifier: Apache-2.0
"""What a method says about itself so that the conformance checks can run on it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import TrackDataSample
from mmengine.config import ConfigDict

from visbench.models import OnlineVISModel, VISModel
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo
from visbench.testing.conformance.scene import ORIGINAL_SIZE, Scene, batch


def _unchanged(model: VISModel) -> None:
    pass


@dataclass(frozen=True)
class ConformanceCase:
    """A tiny model and how to feed it.

    Args:
        name: Shown in messages.
        model: Model config, small enough for a loss in well under a second. At least two classes.
        silence: Changes a built model so that it finds nothing in any frame, without touching
            what the network computes otherwise (for example, a score threshold above 1).
        adjust: Changes a freshly initialised model so that it finds something; random weights
            often don't. The checks fail for a model that never emits a mask (without masks: a
            box).
        clip_length: Number of frames of a training clip.
        key_frames: Positions of key frames in it, the others are reference frames; all by default.
        seed: Of weights and sampling.
    """

    name: str
    model: dict
    silence: Callable[[VISModel], None]
    adjust: Callable[[VISModel], None] = _unchanged
    clip_length: int = 2
    key_frames: tuple[int, ...] | None = None
    seed: int = 0

    @property
    def online(self) -> bool:
        """Whether the method calls itself online."""
        return bool(self.model_class.online)

    @property
    def model_class(self) -> type[VISModel]:
        """The class of the model; as in MMEngine ``type`` is a registered name or the class."""
        kind = self.model["type"]
        return MODELS.get(kind) if isinstance(kind, str) else kind

    def build(self, silent: bool = False) -> VISModel:
        """Return the model with seeded weights, in evaluation mode; equal at every call."""
        seed_all(self.seed)
        model = MODELS.build(ConfigDict(copy.deepcopy(self.model)))
        model.init_weights()
        self.adjust(model)
        if silent:
            self.silence(model)
        return model.eval()

    def build_online(self, silent: bool = False) -> OnlineVISModel:
        """Return the model of a case that calls itself online."""
        model = self.build(silent)
        assert isinstance(model, OnlineVISModel), f"{self.name} is online, but no OnlineVISModel"
        return model

    def clips(
        self, model: VISModel, objects: tuple[bool, bool] = (True, True)
    ) -> tuple[torch.Tensor, list[TrackDataSample]]:
        """Return two preprocessed training clips.

        Args:
            model: Whose data preprocessor is used.
            objects: Whether there are objects in the first and in the second clip.
        """
        keys = tuple(range(self.clip_length)) if self.key_frames is None else self.key_frames
        scenes = [Scene(seed, self.clip_length, there) for seed, there in enumerate(objects)]
        data = model.data_preprocessor(batch(scenes, keys), training=True)
        return data["inputs"], data["data_samples"]


def video_of(frames: list[Frame], video_id: int = 1, known: bool = True) -> VideoInfo:
    """Return the facts of a test video, its length only if ``known``."""
    return VideoInfo(video_id, f"clip{video_id}", *ORIGINAL_SIZE, len(frames) if known else None)


def prepared(model: VISModel, scene: Scene) -> list[Frame]:
    """Return a scene's frames as the model takes them."""
    return [model.prepare(frame) for frame in scene.frames()]


def seed_all(seed: int) -> None:
    """Seed the generators of torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
