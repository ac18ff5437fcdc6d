# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visbench.models.propose_reduce.head import (
    SeqPropHead,
    aggregated_masks,
    read_memory,
    soft_aggregate,
)

SIZE = (64, 96)


def tiny_head(**settings: object) -> SeqPropHead:
    torch.manual_seed(0)
    return SeqPropHead(
        in_channels=8,
        shallow_channels=(4, 6),
        channels=8,
        encoder_channels=12,
        key_channels=4,
        value_channels=6,
        **settings,
    ).eval()


def frame_inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    height, width = SIZE
    shapes = ((8, 4), (4, 4), (6, 8))
    p2, c2, c3 = (
        torch.randn(1, channels, height // stride, width // stride, generator=generator)
        for channels, stride in shapes
    )
    return p2, c2, c3


def read_by_cells(key: Tensor, value: Tensor, query_key: Tensor, query_value: Tensor) -> Tensor:
    """Read cell by cell, with plain sums."""
    objects, channels = value.shape[:2]
    result = torch.zeros(objects, 2 * channels, *query_key.shape[-2:])
    for obj in range(objects):
        keys, values = key[obj].flatten(1), value[obj].flatten(1)
        for row in range(query_key.shape[2]):
            for column in range(query_key.shape[3]):
                affinity = (keys * query_key[0, :, row, column, None]).sum(dim=0)
                weight = (affinity / math.sqrt(len(keys))).exp()
                read = (values * weight).sum(dim=1) / weight.sum()
                result[obj, :channels, row, column] = read
                result[obj, channels:, row, column] = query_value[0, :, row, column]
    return result


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 200)
)
def test_memory_is_read_as_by_plain_sums_whatever_is_held_at_once(
    objects: int, frames: int, height: int, width: int, at_once: int
) -> None:
    generator = torch.Generator().manual_seed(objects * 64 + frames * 16 + height * 4 + width)
    key = torch.randn(objects, 5, frames, height, width, generator=generator)
    value = torch.randn(objects, 7, frames, height, width, generator=generator)
    query_key = torch.randn(1, 5, height, width, generator=generator)
    query_value = torch.randn(1, 7, height, width, generator=generator)
    expected = read_by_cells(key, value, query_key, query_value)
    got = read_memory(key, value, query_key, query_value, at_once)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_affinities_held_at_once_change_nothing() -> None:
    p2, c2, c3 = frame_inputs()
    masks = torch.rand(3, *SIZE)
    with torch.no_grad():
        whole, parts = (
            head.decode(*head.memorize(p2, masks), head.encode(p2, c2, c3))
            for head in (tiny_head(), tiny_head(max_affinities=100))
        )
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 60, 61, 119, 120, 10**6])
def test_no_more_affinities_are_held_than_asked_for(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    attend = F.scaled_dot_product_attention

    def watched(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        held.append(query.shape[0] * query.shape[2] * key.shape[2])
        return attend(query, key, value)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    objects, cells = 2, 30
    key = torch.randn(objects, 4, 5, 2, 3)
    read_memory(key, key, torch.randn(1, 4, 2, 3), torch.randn(1, 4, 2, 3), at_once)
    # One query cell at a time is the least.
    assert max(held) <= max(at_once, objects * cells)
    assert sum(held) == objects * cells * 6


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6))
def test_soft_aggregation_is_equation_4(values: list[float]) -> None:
    probabilities = torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)
    background = math.prod(1 - value for value in values)
    odds = [value / (1 - value) for value in [background, *values]]
    expected = torch.tensor(odds[1:], dtype=torch.float64) / sum(odds)
    log_odds = soft_aggregate(probabilities)
    assert log_odds.shape == (1, len(values) + 1, 1, 1)
    torch.testing.assert_close(aggregated_masks(log_odds)[:, 0, 0], expected)


def test_certain_pixels_stay_finite() -> None:
    probabilities = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(2, 1, 1, 2).requires_grad_()
    log_odds = soft_aggregate(probabilities)
    aggregated_masks(log_odds).sum().backward()
    assert torch.isfinite(log_odds).all()
    assert torch.isfinite(probabilities.grad).all()
    torch.testing.assert_close(log_odds[0, 1, 0], torch.tensor([15.942385, -16.118095]))


def test_objects_do_not_see_each_other_before_the_aggregation() -> None:
    head = tiny_head()
    p2, _, _ = frame_inputs()
    masks = torch.rand(3, *SIZE)
    with torch.no_grad():
        frame = head.encode(*frame_inputs(1))
        together = head.decode(*head.memorize(p2, masks), frame)
        alone = head.decode(*head.memorize(p2, masks[1:2]), frame)
    assert together.shape == (3, 1, *SIZE)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-6)


def test_segment_is_decode_of_the_encoded_frame() -> None:
    head = tiny_head()
    p2, c2, c3 = frame_inputs()
    with torch.no_grad():
        memory = head.memorize(p2, torch.rand(2, *SIZE))
        direct = head.segment(*memory, *head.query(p2), c2, c3)
        assert torch.equal(direct, head.decode(*memory, head.encode(p2, c2, c3)))
    assert memory[0].shape == (2, 4, 1, SIZE[0] // 16, SIZE[1] // 16)
    assert memory[1].shape == (2, 6, 1, SIZE[0] // 16, SIZE[1] // 16)


def test_the_probability_is_a_softmax_over_two_channels() -> None:
    head = tiny_head()
    p2, c2, c3 = frame_inputs()
    seen: list[Tensor] = []
    head.predictor.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        got = head.decode(*head.memorize(p2, torch.rand(2, *SIZE)), head.encode(p2, c2, c3))
    logits = F.interpolate(seen[0], size=SIZE, mode="bilinear", align_corners=False)
    torch.testing.assert_close(got, logits.softmax(dim=1)[:, 1:], rtol=1e-5, atol=1e-6)


def test_masks_of_the_valid_part_are_padded_with_background() -> None:
    head = tiny_head()
    p2, _, _ = frame_inputs()
    masks = torch.rand(2, SIZE[0] - 4, SIZE[1] - 6)
    padded = F.pad(masks, (0, 6, 0, 4))
    with torch.no_grad():
        for small, large in zip(head.memorize(p2, masks), head.memorize(p2, padded), strict=True):
            assert torch.equal(small, large)


def test_masks_larger_than_the_frame_are_refused() -> None:
    with pytest.raises(ValueError, match=r"masks of \(68, 96\) .* frame of \(64, 96\)"):
        tiny_head().memorize(frame_inputs()[0], torch.zeros(1, 68, 96))


def test_the_head_must_hold_one_affinity() -> None:
    with pytest.raises(ValueError, match="max_affinities"):
        tiny_head(max_affinities=0)


def test_normalisation_is_an_option_with_weights_of_its_own() -> None:
    plain = set(tiny_head().state_dict())
    normalised = set(tiny_head(norm_cfg={"type": "GN", "num_groups": 2}).state_dict())
    assert plain < normalised
    assert all(".norm" in name for name in normalised - plain)


def test_a_matched_start_gives_like_cells_like_keys() -> None:
    heads = [tiny_head(matched_start=matched) for matched in (True, False)]
    for head in heads:
        head.init_weights()
    p2 = frame_inputs()[0]
    nothing = torch.zeros(1, *SIZE)
    keys = [(head.memory_key(head.memory_encoder(p2)), head.query(p2)[0]) for head in heads]
    torch.testing.assert_close(*keys[0])
    assert not torch.allclose(*keys[1])
    assert heads[0].memorize(p2, nothing)[0].shape[1] == 4


@pytest.mark.parametrize(("strides", "cells"), [((2, 2), 16), ((1, 2), 8), ((1, 1), 4)])
def test_the_strides_of_the_encoders_set_the_cells_of_the_memory(
    strides: tuple[int, int], cells: int
) -> None:
    head = tiny_head(encoder_strides=strides)
    p2, c2, c3 = frame_inputs()
    height, width = SIZE
    key, value = head.memorize(p2, torch.ones(2, *SIZE))
    assert key.shape == (2, 4, 1, height // cells, width // cells)
    probabilities = head.decode(key, value, head.encode(p2, c2, c3))
    assert probabilities.shape == (2, 1, *SIZE)
    assert head.padding_divisor == max(cells, 8)
