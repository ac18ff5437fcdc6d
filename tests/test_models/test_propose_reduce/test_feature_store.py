# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from visbench.models.propose_reduce.feature_store import FEATURE_STORES, FrameFeatures
from visbench.models.propose_reduce.head import FrameEncoding


class Network:
    """Counts how often it runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, images: torch.Tensor) -> FrameFeatures:
        self.runs += 1
        return FrameFeatures((images.sin(), images.cos()), FrameEncoding(*[images.exp()] * 4))


KINDS = [("device", 3, 6), ("cpu", 3, 6), ("recompute", 6, 1)]


@pytest.mark.parametrize(("kind", "runs", "copies"), KINDS)
def test_every_kind_returns_the_same_bits(kind: str, runs: int, copies: int) -> None:
    images = torch.randn(3, 3, 4, 6)
    network = Network()
    store = FEATURE_STORES[kind](network)
    for image in images:
        store.add(image)
    assert len(store) == 3
    for index in (2, 0, 2, 1, 1, 0):
        expected = Network()(images[index : index + 1])
        got = store[index]
        for ours, theirs in zip(got.pyramid, expected.pyramid, strict=True):
            assert torch.equal(ours, theirs)
        for ours, theirs in zip(got.encoding, expected.encoding, strict=True):
            assert torch.equal(ours, theirs)
    assert network.runs == runs
    assert store.num_bytes() == copies * images.nbytes
