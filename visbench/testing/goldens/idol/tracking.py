# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IDOL: the tracker and what becomes of its tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from visbench.models.idol.assembly import FrameAssociation, IDOLState
from visbench.models.idol.association import DUPLICATE, IDOLTracker, mask_overlaps
from visbench.models.idol.memory import Detections, TrackMemory
from visbench.models.idol.targets import MASK_STRIDE
from visbench.structures import Frame, VideoInfo, VideoTracks, decode_mask
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.parity import EXACT, GoldenCase, Tolerance

Results = dict[str, Any]


def _tracker(golden: GoldenCase) -> Results:
    tracker = IDOLTracker(
        matching={
            "type": "visbench.EmbeddingMatching",
            "frame_weight": bool(golden["frame_weight"]),
        },
        temporal_weight="score" if golden["temporal_weight"] else None,
        memory_length=int(golden["memory_len"]),
        nms_threshold=float(golden["nms_pre"]),
        new_threshold=float(golden["add_new_score"]),
    )
    memory, kept, ids = TrackMemory(), [], []
    for detections in _frames(golden):
        found = tracker.update(memory, detections)
        kept.append(np.flatnonzero(found != DUPLICATE))
        ids.append(found[kept[-1]])
    return {
        "num_kept": np.array([len(rows) for rows in kept]),
        "kept": np.concatenate(kept),
        "ids": np.concatenate(ids),
        "final_memory_ids": memory.ids,
        "final_memory_embed": tracker.embeddings(memory),
        "final_exist_frame": memory.num_frames,
        "final_last_frame": memory.last_frame,
        "final_labels": memory.labels,
        "num_ids_created": np.array(memory.next_id),
    }


def _frames(golden: GoldenCase) -> list[Detections]:
    ends = golden["num_dets"].cumsum()[:-1]
    columns = [
        np.split(golden[f"det_{name}"], ends) for name in ("embeds", "boxes", "labels", "scores")
    ]
    overlaps = [
        mask_overlaps(torch.from_numpy(masks)).numpy()
        for masks in np.split(golden["det_masks"], ends)
    ]
    return [Detections(*values) for values in zip(*columns, overlaps, strict=True)]


VARIANTS: dict[str, dict[str, Any]] = {
    "ytvis": {"tracker": {"nms_threshold": 0.5, "new_threshold": 0.2}},
    "ovis": {"tracker": {"nms_threshold": 0.3, "new_threshold": 0.3}},
    "single_max": {
        "tracker": {"nms_threshold": 0.5, "new_threshold": 0.2},
        "multi_class": False,
        "score_reduce": "max",
    },
}
"""Settings of the case ``video_inference``, which the group's README fixes."""


def _video_inference(golden: GoldenCase) -> Results:
    results: Results = {}
    for name, settings in VARIANTS.items():
        if f"{name}_scores" in golden.arrays:
            tracker = {"type": "visbench.IDOLTracker", **settings["tracker"]}
            tracks = _segment(golden, FrameAssociation(**{**settings, "tracker": tracker}))
            results.update({f"{name}_{key}": value for key, value in _reported(tracks).items()})
    return results


def _segment(golden: GoldenCase, association: FrameAssociation) -> VideoTracks:
    outputs = [
        torch.from_numpy(golden[name])
        for name in ("pred_logits", "pred_boxes", "pred_inst_embed", "pred_masks")
    ]
    outputs[3] = outputs[3][:, :, 0].float() / float(golden["mask_scale"])
    valid, original = (tuple(golden[name].tolist()) for name in ("img_size", "ori_size"))
    state = IDOLState(VideoInfo(0, "golden", *original))
    for index, (logits, boxes, embeddings, masks) in enumerate(zip(*outputs, strict=True)):
        padded = [MASK_STRIDE * side for side in masks.shape[-2:]]
        frame = Frame(index, torch.empty(3, *padded, device="meta"), valid, original)
        association.step(logits, boxes, embeddings, masks.__getitem__, frame, state)
    return association.finish(state)


def _reported(tracks: VideoTracks) -> Results:
    """Return scores, labels, presence and masks of the predictions; absent masks are zeros."""
    reported = [tracks.tracks[prediction.track_index] for prediction in tracks.predictions]
    present = np.array([[mask is not None for mask in track.masks or []] for track in reported])
    blank = np.zeros((tracks.video.height, tracks.video.width), dtype=bool)
    masks = [
        [blank if mask is None else decode_mask(mask) for mask in track.masks or []]
        for track in reported
    ]
    return {
        "scores": np.array([p.score for p in tracks.predictions], dtype=np.float32),
        "labels": np.array([p.label for p in tracks.predictions], dtype=np.int64),
        "present": present,
        "masks_packed": np.packbits(np.array(masks).reshape(*present.shape, -1), axis=-1),
    }


PART = GoldenPart(
    inputs={
        "video_inference": ("pred_*", "mask_scale", "img_size", "ori_size"),
        "tracker_*": (
            *("num_dets", "det_*", "nms_pre", "add_new_score", "memory_len"),
            *("temporal_weight", "frame_weight"),
        ),
    },
    tolerances={
        "tracker_*": {"final_memory_embed": Tolerance(atol=1e-5), "*": EXACT},
        "video_inference": {"*_scores": Tolerance(atol=1e-6), "*": EXACT},
    },
    computes={"tracker_*": _tracker, "video_inference": _video_inference},
)
