# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from visbench.models import IDOL
from visbench.structures import Frame, VideoInfo

# After visbench, which supplies mmcv's operators before mmdet is imported.
from mmdet.structures import TrackDataSample  # isort: skip

Build = Callable[..., IDOL]
PairOf = Callable[..., TrackDataSample]
Images = Callable[..., torch.Tensor]

KEY = {1: (5, 5, 30, 30), 2: (50, 20, 80, 60)}
REFERENCE = {1: (9, 7, 34, 32), 5: (40, 0, 90, 20)}
OF_LAYERS = ("loss_ce", "loss_bbox", "loss_giou", "loss_mask", "loss_dice")


def losses_of(model: IDOL, images: torch.Tensor, *clips: TrackDataSample) -> dict:
    torch.manual_seed(0)
    random.seed(0)  # draws negatives
    losses = model.loss(images, list(clips))
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    return {name: float(loss.detach()) for name, loss in losses.items()}


def test_names_of_the_losses(build: Build, pair_of: PairOf, images: Images) -> None:
    losses = losses_of(build().train(), images(), pair_of(KEY, REFERENCE))
    names = [name + suffix for name in OF_LAYERS for suffix in ("", "_0")]
    assert sorted(losses) == sorted([*names, "loss_reid", "loss_reid_aux"])
    assert losses["loss_reid"] > 0


def test_position_of_the_key_frame_does_not_matter(
    build: Build, pair_of: PairOf, images: Images
) -> None:
    first = losses_of(build().eval(), images(), pair_of(KEY, REFERENCE))
    swapped = losses_of(build().eval(), images().flip(1), pair_of(REFERENCE, KEY, key=1))
    assert swapped == pytest.approx(first, rel=1e-5)


def test_a_batch_has_the_losses_of_its_pairs(build: Build, pair_of: PairOf, images: Images) -> None:
    """Sums are divided by the matched queries of the batch, so equal pairs change no loss."""
    one = losses_of(build().eval(), images(), pair_of(KEY, KEY))
    pairs = [pair_of(KEY, KEY), pair_of(KEY, KEY)]
    two = losses_of(build().eval(), images().expand(2, -1, -1, -1, -1), *pairs)
    for losses in (one, two):
        losses.pop("loss_reid_aux")  # its negatives are drawn
    assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(
    ("key", "reference"),
    [
        ({}, {}),
        (KEY, {}),
        ({}, REFERENCE),
        ({1: KEY[1], 2: KEY[1], 5: KEY[1]}, {1: KEY[1], 2: KEY[1]}),
    ],
    ids=["no object", "only in the key frame", "only in the reference frame", "equal boxes"],
)
def test_unusual_objects(
    key: dict, reference: dict, build: Build, pair_of: PairOf, images: Images
) -> None:
    losses = losses_of(build().train(), images(), pair_of(key, reference))
    assert losses["loss_ce"] > 0
    if not key:
        assert [name for name, loss in losses.items() if loss and "loss_ce" not in name] == []
    if not set(key) & set(reference):
        assert losses["loss_reid"] == losses["loss_reid_aux"] == 0


def test_more_objects_than_queries(build: Build, pair_of: PairOf, images: Images) -> None:
    many = {number: (number, number, 20 + 2 * number, 30 + number) for number in range(1, 20)}
    assert len(many) > build().transformer.query_embedding.num_embeddings
    losses_of(build().train(), images(), pair_of(many, many))


def test_still_images_train_all_but_the_embeddings(
    build: Build, pair_of: PairOf, images: Images
) -> None:
    model = build().train()
    losses = losses_of(model, images(1, 1), pair_of(KEY))
    assert losses["loss_bbox"] > 0
    assert losses["loss_reid"] == 0
    assert not any(parameter.grad.any() for parameter in model.head.embed_head.parameters())


def test_frames_of_a_pair_may_differ_in_size(build: Build, pair_of: PairOf, images: Images) -> None:
    """What lies in the padding of the reference frame has no part in the boxes."""
    clip = pair_of(KEY, {1: (9, 7, 34, 32)})
    clip[1].set_metainfo({"img_shape": (48, 80)})
    whole = losses_of(build().eval(), images(), pair_of(KEY, {1: (9, 7, 34, 32)}))
    smaller = losses_of(build().eval(), images(), clip)
    assert smaller["loss_bbox"] == pytest.approx(whole["loss_bbox"], rel=1e-5)
    assert smaller["loss_reid"] != pytest.approx(whole["loss_reid"], rel=1e-5)


def test_clips_of_three_frames_are_refused(build: Build, pair_of: PairOf, images: Images) -> None:
    with pytest.raises(ValueError, match=r"3 frames.*SampleKeyReference"):
        build().loss(images(1, 3), [pair_of(KEY, KEY, KEY)])


@pytest.mark.parametrize("objects", [KEY, {}], ids=["objects", "no object"])
def test_logits_that_are_not_finite_are_named(
    objects: dict, build: Build, pair_of: PairOf, images: Images
) -> None:
    model = build()
    torch.nn.init.constant_(model.head.cls_branches[1].bias, float("nan"))
    with pytest.raises(FloatingPointError, match="class logits"):
        model.loss(images(), [pair_of(objects, objects)])
    state = model.start(VideoInfo(1, "video", 64, 96, 1))
    with pytest.raises(FloatingPointError, match="class logits"):
        model.step(Frame(0, images()[0, 0], (64, 96), (64, 96)), state)


def test_no_detection_for_many_frames(build: Build, images: Images) -> None:
    """Without a class above the thresholds nothing is reported, and the memory stays empty."""
    model = build().eval()
    for branch in model.head.cls_branches:
        torch.nn.init.zeros_(branch.weight)
    state = model.start(VideoInfo(1, "video", 64, 96, None))
    for index in range(14):
        assert len(model.step(Frame(index, images()[0, 0], (64, 96), (32, 48)), state)) == 0
    tracks = model.finish(state)
    assert tracks.video.length == 14
    assert tracks.tracks == []


def test_outputs_for_frames_without_association(build: Build, images: Images) -> None:
    model = build().eval()
    outputs = model.forward_frames(images(2, 1)[:, 0])
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "logits": (2, 12, 3),
        "boxes": (2, 12, 4),
        "embeddings": (2, 12, 16),
        "masks": (24, 16, 24),
    }


def test_embeddings_without_identity_loss_are_listed(build: Build) -> None:
    config = {"criterion": {"type": "IDOLCriterion", "identity": None}}
    assert list(IDOL.parameters_without_gradient(config)) == ["head.embed_head.*"]
    assert IDOL.parameters_without_gradient({}) == {}
