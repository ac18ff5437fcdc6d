# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IAI: id targets, assignment of ids and results of videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from visbench.models.iai.association import NO_ID, assignment_costs, class_vectors, solve
from visbench.models.iai.condinst import IAICondInst
from visbench.models.iai.condinst_head import DensePredictions
from visbench.models.iai.detector import IAI, IAIState
from visbench.models.iai.identification import id_mask_of
from visbench.models.iai.targets import clip_targets
from visbench.structures import (
    Frame,
    Track,
    VideoInfo,
    VideoTracks,
    decode_mask,
    encode_masks,
)
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.iai.model import build_model, clip_samples, fill_model, test_settings
from visbench.testing.goldens.iai.reference import seeded
from visbench.testing.parity import EXACT, Comparison, GoldenCase, GoldenError, Tolerance

Results = dict[str, Any]
Array = npt.NDArray[Any]

CLOSE = Tolerance(1e-4, 1e-4)
NO_CHANNEL = 255
"""Value of a pixel in no channel in the stored id label maps."""

WRONG_PIXELS = {"postprocess_ids": 2, "video_end_to_end": 10}
"""So many pixels of a mask may differ."""


def _stored(label_map: Array) -> Array:
    return np.where(label_map < 0, NO_CHANNEL, label_map).astype(np.uint8)


def _gt_ids_and_masks(golden: GoldenCase) -> Results:
    num_ids = int(golden.setting("num_ids"))
    steps = clip_targets(
        clip_samples(golden), num_ids, torch.device("cpu"), overflow="share", padding_id=0
    )
    label_maps = torch.cat([step.label_maps for step in steps])
    targets = [frame.id_targets for step in steps for frame in step.instances]
    # The first frame reads what an id mask without a pixel in any channel embeds to.
    nothing = torch.full_like(label_maps[:1], NO_ID)
    return {
        "id_targets": torch.cat(targets),
        "id_maps": _stored(label_maps.numpy()),
        "one_hot_pixels": id_mask_of(label_maps, num_ids).sum(dim=(2, 3)),
        "first_frame_mask_sum": id_mask_of(nothing, num_ids).sum(),
    }


def _with_zero_column(scores: Tensor) -> Tensor:
    return torch.cat([scores, scores.new_zeros(len(scores), 1)], dim=1)


def _masks_by_id(ids: Array, masks: Array, num_ids: int) -> Array:
    by_id = np.zeros((num_ids, *masks.shape[1:]), dtype=bool)
    for object_id, mask in zip(ids.tolist(), masks, strict=True):
        by_id[object_id] = mask
    return by_id


def _frame(golden: GoldenCase, index: int, image: Tensor) -> Frame:
    return Frame(index, image, tuple(golden["img_hw"].tolist()), tuple(golden["ori_hw"].tolist()))


def _start(golden: GoldenCase, model: IAI, length: int) -> IAIState:
    height, width = golden["ori_hw"].tolist()
    return model.start(VideoInfo(0, golden.name, height, width, length))


@torch.no_grad()
def _postprocess_ids(golden: GoldenCase) -> Results:
    model = build_model(golden, test_settings(golden))
    length = int(golden["num_frames"])
    state = _start(golden, model, length)
    results: Results = {"counter_after": [], "new_flag": [], "global_frames_after_frames_1_on": []}
    for index in range(length):
        results |= _postprocess_frame(golden, model, state, index, results)
    video = model.finish(state)
    lists = {name: np.array(value) for name, value in results.items() if isinstance(value, list)}
    return {**results, **lists, **_video_results(video)}


def _raw_outputs(golden: GoldenCase, model: IAI, index: int) -> tuple[DensePredictions, Tensor]:
    segmenter = model.segmenter
    assert isinstance(segmenter, IAICondInst)
    height, width = golden["pad_hw"].tolist()
    strides = [stride[0] for stride in segmenter.head.prior_generator.strides]
    sizes = [(-(-height // stride), -(-width // stride)) for stride in strides]
    raw = {
        name: torch.from_numpy(golden[f"in_{name}_{index}"])[None]
        for name in ("cls", "id", "bbox", "centerness", "controller")
    }
    predictions = DensePredictions(
        class_logits=raw["cls"],
        id_logits=raw["id"],
        distances=raw["bbox"],
        centerness=raw["centerness"][..., 0],
        parameters=raw["controller"],
        locations=segmenter.head.locations(sizes),
    )
    return predictions, torch.zeros(1, segmenter.mask_features.out_channels, *sizes[0])


def _postprocess_frame(
    golden: GoldenCase, model: IAI, state: IAIState, index: int, series: Results
) -> Results:
    segmenter = model.segmenter
    assert isinstance(segmenter, IAICondInst)
    frame = _frame(golden, index, torch.zeros(3, *golden["pad_hw"].tolist()))
    meta = {"img_shape": frame.valid_size, "ori_shape": frame.original_size}
    detections = segmenter.detections(*_raw_outputs(golden, model, index), meta, index == 0)
    assert detections.id_scores is not None
    found = model.identify(detections, state)
    state.memory.write(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), found.new)
    state.recorder.add(index, model.emit(detections, found, frame))
    _, masks = model.painted(detections, found, frame)
    scale = detections.boxes.new_tensor([*frame.scale_factor, *frame.scale_factor])
    boxes = torch.cat([detections.boxes / scale, detections.scores[:, None]], dim=1)
    classes = detections.class_scores.numpy()
    results: Results = {
        "nms_boxes": boxes if len(boxes) else boxes[:, :4],
        "nms_ids": _with_zero_column(detections.id_scores),
        "nms_cls": _with_zero_column(detections.class_scores),
        "id_label_map": _stored(found.label_map),
        "background": found.label_map == model.num_ids,
        "pred_masks": _masks_by_id(found.ids[found.visible], masks, model.num_ids),
        "class_vectors": np.pad(class_vectors(found.ids, classes, model.num_ids), ((0, 0), (0, 1))),
    }
    if index and found.visible.any():
        costs = assignment_costs(detections.id_scores.numpy()[found.visible])
        results |= {"hungarian_cost": costs, "hungarian_col": solve(costs)}
    series["counter_after"].append(state.num_known)
    series["new_flag"].append(found.new)
    series["global_frames_after_frames_1_on"] += [state.memory.num_global] if index else []
    return {f"{name}_{index}": value for name, value in results.items()}


def _video_results(video: VideoTracks) -> Results:
    tracks = [video.tracks[prediction.track_index] for prediction in video.predictions]
    masks = [_reference_masks(track) for track in tracks]
    return {
        "video_scores": np.array([p.score for p in video.predictions], dtype=np.float32),
        "video_labels": np.array([p.label for p in video.predictions], dtype=np.int64),
        "masks": masks,
    }


def _reference_masks(track: Track) -> list[Array | None]:
    """Return a track's masks as the reference writes them: empty, once it has begun."""
    masks: list[Array | None] = []
    for mask in track.masks or []:
        begun = any(earlier is not None for earlier in masks)
        blank = np.zeros_like(masks[-1]) if begun and masks[-1] is not None else None
        masks.append(blank if mask is None else decode_mask(mask))
    return masks


@torch.no_grad()
def _video_end_to_end(golden: GoldenCase) -> Results:
    model = build_model(golden, test_settings(golden))
    fill_model(golden, model)
    length = int(golden.setting("num_frames"))
    images = seeded(golden, "video/img", (length, 3, *golden.setting("image_hw")))
    state = _start(golden, model, length)
    found: list[Any] = []
    identify = model.identify

    def watched(*args: Any) -> Any:
        totals = state.class_totals.clone()
        found.append((identify(*args), state.num_known, state.class_totals - totals))
        return found[-1][0]

    model.identify = watched  # type: ignore[method-assign, assignment]
    for index, image in enumerate(images):
        model.step(_frame(golden, index, image), state)
    identities, known, vectors = zip(*found, strict=True)
    return {
        "id_label_maps": np.stack([_stored(frame.label_map) for frame in identities]),
        "new_flag": np.array([frame.new for frame in identities]),
        "counter_after": np.array(known),
        "class_vectors": np.pad(torch.stack(vectors).numpy(), ((0, 0), (0, 0), (0, 1))),
        **_video_results(model.finish(state)),
    }


def _forgive(golden: Array, ours: Array, pixels: int, masks: int = 1) -> Array:
    """Return our masks, but the golden ones where so few pixels per mask differ that it passes."""
    if golden.shape != ours.shape:
        return ours
    wrong = (golden != ours).sum(axis=(-2, -1))
    return np.where((wrong <= pixels * masks)[..., None, None], golden, ours)


def _compare(golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison) -> list[str]:
    """Compare masks by the pixels that differ, and results in any order within a tie."""
    pixels = WRONG_PIXELS[golden.name]
    done = ["masks"]
    for name in outputs:
        if name.startswith(("id_label_map", "background", "pred_masks")):
            # A pixel that changes hands is wrong in two masks.
            ours = _forgive(golden[name], np.asarray(outputs[name]), pixels)
            comparison.compare(name, golden[name], ours)
            done.append(name)
    return done + _compare_results(golden, outputs, comparison, pixels)


def _compare_results(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison, pixels: int
) -> list[str]:
    scores, labels = outputs["video_scores"], outputs["video_labels"]
    masks = outputs["masks"]
    expected = golden["video_mask_area"]
    areas = _table([[0 if m is None else int(m.sum()) for m in track] for track in masks], expected)
    order = list(range(len(scores)))
    if areas.shape == expected.shape:
        order = _matching_order(golden, scores, labels, areas)
        near = np.abs(areas[order] - expected) <= pixels
        areas_shown = np.where(near, expected, areas[order])
    else:
        areas_shown = areas
    comparison.compare("video_scores", golden["video_scores"], scores[order])
    comparison.compare("video_labels", golden["video_labels"], labels[order])
    comparison.compare("video_mask_area", expected, areas_shown)
    names = ["video_scores", "video_labels", "video_mask_area"]
    if "video_mask_none" in golden.arrays:
        ordered = [masks[index] for index in order]
        expected_none, counts = golden["video_mask_none"], golden["video_rle_counts"]
        none = _table([[mask is None for mask in track] for track in ordered], expected_none)
        comparison.compare("video_mask_none", expected_none, none)
        texts = _table([[_counts(mask) for mask in track] for track in ordered], counts)
        comparison.compare(
            "video_rle_counts", counts, _forgive_texts(golden, texts, ordered, pixels)
        )
        names += ["video_mask_none", "video_rle_counts"]
    return names


def _table(rows: list[list[Any]], like: Array) -> Array:
    """Return our rows; a video without results has none, which are as long as the golden ones."""
    return np.array(rows) if rows else like[:0]


def _counts(mask: Array | None) -> str:
    return "" if mask is None else encode_masks(mask[None])[0]["counts"]


def _forgive_texts(golden: GoldenCase, texts: Array, masks: list[Any], pixels: int) -> Array:
    counts = golden["video_rle_counts"]
    if texts.shape != counts.shape:
        return texts
    height, width = golden["ori_hw"].tolist()
    forgiven = texts.astype(counts.dtype)
    for row, column in np.argwhere(texts != counts):
        mask, text = masks[row][column], str(counts[row, column])
        if mask is None or not text:
            continue
        wrong = (decode_mask({"size": [height, width], "counts": text}) != mask).sum()
        if wrong <= pixels:
            forgiven[row, column] = text
    return forgiven


def _matching_order(golden: GoldenCase, scores: Array, labels: Array, areas: Array) -> list[int]:
    """Return our results in the order of the golden ones; equal scores may stand in any order."""
    theirs = zip(
        golden["video_scores"], golden["video_labels"], golden["video_mask_area"], strict=True
    )
    left = list(range(len(scores)))
    order = []
    for score, label, area in theirs:
        tied = [i for i in left if abs(scores[i] - score) <= CLOSE.atol + CLOSE.rtol * abs(score)]
        same = [i for i in tied if labels[i] == label] or tied or left
        if not same:
            raise GoldenError(f"{golden.path}: fewer results than stored")
        best = min(same, key=lambda index: int(np.abs(areas[index] - area).sum()))
        left.remove(best)
        order.append(best)
    return order


PART = GoldenPart(
    inputs={
        "gt_ids_and_masks": ("gt_*", "image_hw"),
        "postprocess_ids": ("*_hw", "scale_factor", "num_frames", "in_*"),
        "video_end_to_end": ("*_hw", "scale_factor"),
    },
    tolerances={
        "gt_ids_and_masks": {"*": EXACT},
        "postprocess_ids": {"nms_boxes_*": Tolerance(1e-3, 1e-4), "*": CLOSE},
        "video_end_to_end": {"*": CLOSE},
    },
    computes={
        "gt_ids_and_masks": _gt_ids_and_masks,
        "postprocess_ids": _postprocess_ids,
        "video_end_to_end": _video_end_to_end,
    },
    compares={"postprocess_ids": _compare, "video_end_to_end": _compare},
    whole_models=("video_end_to_end",),
)
