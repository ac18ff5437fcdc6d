# SPDX-License-Identifier: Apache-2.0
"""Where the features of a video's frames stay while its key frames are propagated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from visbench.models.propose_reduce.head import FrameEncoding


class FrameFeatures(NamedTuple):
    """All that later steps need of a frame.

    Attributes:
        pyramid: ``(1, C, h, w)`` levels from P2 on.
        encoding: What the Seq-Prop head knows of the frame.
    """

    pyramid: tuple[Tensor, ...]
    encoding: FrameEncoding

    def to(self, device: torch.device | str) -> FrameFeatures:
        """Return the features on a device."""
        return FrameFeatures(
            tuple(level.to(device) for level in self.pyramid),
            FrameEncoding(*(part.to(device) for part in self.encoding)),
        )

    def num_bytes(self) -> int:
        """Return the memory of the features."""
        return sum(tensor.nbytes for tensor in (*self.pyramid, *self.encoding))


Extract = Callable[[Tensor], FrameFeatures]
"""Takes a prepared frame ``(1, 3, H, W)`` on the model's device."""


class FeatureStore(ABC):
    """Features of a video by frame, in the order in which the frames were added.

    What a frame's features are does not depend on the kind of store, bit for bit.

    Args:
        extract: Computes the features of a frame.
    """

    def __init__(self, extract: Extract) -> None:
        self._extract = extract

    @abstractmethod
    def add(self, image: Tensor) -> None:
        """Take the next frame ``(3, H, W)``, prepared, on the model's device."""

    @abstractmethod
    def __getitem__(self, index: int) -> FrameFeatures:
        """Return the features of a frame on the device of its image."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many frames were added."""

    @abstractmethod
    def num_bytes(self) -> int:
        """Return the memory that the store keeps between two requests."""


class DeviceFeatureStore(FeatureStore):
    """Features stay where they are computed: fastest, and the device's memory is the limit.

    A frame of 384x640 takes 42 MB with the published sizes.
    """

    def __init__(self, extract: Extract) -> None:
        super().__init__(extract)
        self._features: list[FrameFeatures] = []

    def add(self, image: Tensor) -> None:
        """See :class:`FeatureStore`."""
        self._features.append(self._extract(image[None]))

    def __getitem__(self, index: int) -> FrameFeatures:
        return self._features[index]

    def __len__(self) -> int:
        return len(self._features)

    def num_bytes(self) -> int:
        """See :class:`FeatureStore`."""
        return sum(features.num_bytes() for features in self._features)


class HostFeatureStore(FeatureStore):
    """Features wait in host memory, as in the reference: two copies per frame and key frame."""

    def __init__(self, extract: Extract) -> None:
        super().__init__(extract)
        self._features: list[FrameFeatures] = []
        self._device = torch.device("cpu")

    def add(self, image: Tensor) -> None:
        """See :class:`FeatureStore`."""
        self._device = image.device
        self._features.append(self._extract(image[None]).to("cpu"))

    def __getitem__(self, index: int) -> FrameFeatures:
        return self._features[index].to(self._device)

    def __len__(self) -> int:
        return len(self._features)

    def num_bytes(self) -> int:
        """See :class:`FeatureStore`."""
        return sum(features.num_bytes() for features in self._features)


class RecomputingFeatureStore(FeatureStore):
    """Only images are kept, in host memory; backbone and neck run again for every key frame."""

    def __init__(self, extract: Extract) -> None:
        super().__init__(extract)
        self._images: list[Tensor] = []
        self._device = torch.device("cpu")

    def add(self, image: Tensor) -> None:
        """See :class:`FeatureStore`."""
        self._device = image.device
        self._images.append(image.cpu())

    def __getitem__(self, index: int) -> FrameFeatures:
        return self._extract(self._images[index][None].to(self._device))

    def __len__(self) -> int:
        return len(self._images)

    def num_bytes(self) -> int:
        """See :class:`FeatureStore`."""
        return sum(image.nbytes for image in self._images)


FEATURE_STORES: dict[str, Callable[[Extract], FeatureStore]] = {
    "device": DeviceFeatureStore,
    "cpu": HostFeatureStore,
    "recompute": RecomputingFeatureStore,
}
"""Kinds of stores by the word that a config uses."""
