# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from visbench_minvis.association import match_queries
from visbench_minvis.detector import MinVIS, masks_as_filmed

from visbench.engine import load_config
from visbench.models import VISModel
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo
from visbench.testing.conformance.scene import Scene, batch


def built() -> MinVIS:
    torch.manual_seed(0)
    model = MODELS.build(load_config("minvis_demo_movingshapes").model)
    assert isinstance(model, VISModel)
    model.init_weights()
    return model


@pytest.mark.parametrize("seed", range(5))
def test_matching_has_the_largest_sum_of_similarities(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    previous, current = torch.randn(2, 5, 8, generator=generator)
    similarity = F.cosine_similarity(previous[:, None], current[None], dim=2)
    sums = {
        order: float(similarity[torch.arange(5), list(order)].sum())
        for order in itertools.permutations(range(5))
    }
    order = tuple(match_queries(previous, current).tolist())
    assert sums[order] == pytest.approx(max(sums.values()), abs=1e-5)


def test_matching_ignores_the_length_of_embeddings() -> None:
    previous = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert match_queries(previous, torch.tensor([[0.1, 9.0], [50.0, 49.0]])).tolist() == [1, 0]


def test_matching_refuses_what_is_not_finite() -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        match_queries(torch.ones(2, 2), torch.full((2, 2), torch.nan))


def test_decoded_queries_are_those_that_classes_and_masks_come_from() -> None:
    model = built().eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found = model.forward_frames(images)
        assert torch.equal(model.panoptic_head.cls_embed(found.embeddings), found.logits)
        features, _ = model.panoptic_head.pixel_decoder(model.backbone(images))
        mask_embeddings = model.panoptic_head.mask_embed(found.embeddings)
        masks = torch.einsum("nqc,nchw->nqhw", mask_embeddings, features)
    torch.testing.assert_close(masks, found.masks)
    assert not model.panoptic_head.cls_embed._forward_pre_hooks


def test_a_track_follows_its_query_when_queries_change_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = built().eval()
    frame = model.prepare(Scene(0, 1).frames()[0])
    found = model.forward_frames(frame.image[None])
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    outputs = [found, type(found)(*(value[:, shuffled] for value in found))]
    monkeypatch.setattr(MinVIS, "forward_frames", lambda self, images: outputs.pop(0))
    state = model.start(VideoInfo(1, "clip", *frame.original_size))
    first = model.step(frame, state)
    second = model.step(Frame(1, frame.image, frame.valid_size, frame.original_size), state)
    assert first.ids.tolist() == second.ids.tolist()
    assert first.masks == second.masks
    np.testing.assert_allclose(first.scores, second.scores, rtol=1e-5)


def test_score_is_the_mean_over_all_frames() -> None:
    model = built().eval()
    frames = [model.prepare(frame) for frame in Scene(0, 3).frames()]
    state = model.start(VideoInfo(1, "clip", *frames[0].original_size))
    for frame in frames:
        model.step(frame, state)
    result = model.finish(state)
    means = state.probabilities / 3
    for prediction in result.predictions:
        track = result.tracks[prediction.track_index]
        assert prediction.score == pytest.approx(float(means[track.id, prediction.label]))
    scores = [prediction.score for prediction in result.predictions]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == model.max_predictions


def test_padding_is_cut_before_masks_are_resized() -> None:
    # Valid are the left 64 of 128 columns, where the object is the left half.
    logits = torch.full((1, 8, 32), 5.0)
    logits[:, :, 8:] = -5.0
    frame = Frame(0, torch.zeros(3, 32, 128), (32, 64), (64, 128))
    mask = masks_as_filmed(logits, frame)[0]
    assert mask.shape == (64, 128)
    assert mask[:, :60].all()
    assert not mask[:, 68:].any()


def test_a_few_steps_reduce_the_loss() -> None:
    model = built().train()
    data = model.data_preprocessor(batch([Scene(0, 1), Scene(1, 1)], [0]), training=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        total, _ = model.parse_losses(model.loss(data["inputs"], data["data_samples"]))
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(total.detach()))
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
