# SPDX-License-Identifier: Apache-2.0
"""Golden cases of Propose-Reduce: key frames, reduction of sequences, outputs.

Stored class vectors have the background first, ours have it last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visbench.models.propose_reduce.association import (
    CategoryAwareReduction,
    EvenKeyFrames,
    MaskSequence,
    SequenceNMS,
    SequenceOverlaps,
    SequenceSoftNMS,
    deduplicate_masks,
    grown_boxes,
    pack_masks,
    predictions_of,
    reduce_sequences,
)
from visbench.models.propose_reduce.outputs import to_tracks
from visbench.models.propose_reduce.reduction import ranking_scores
from visbench.structures import VideoInfo, decode_mask, encode_masks
from visbench.structures.label_maps import label_maps, voc_palette
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.parity import EXACT, GoldenCase, Tolerance

Results = dict[str, Any]

SCORE = Tolerance(atol=1e-6)

# The names stand for these settings in the group's README.
STOP = 0.05
DEDUPLICATION_IOU = 0.2
NMS = {"nms05": 0.5, "nms09": 0.9, "nms03": 0.3}
SOFT = {
    "soft20": {"max_sequences": 20, "score_threshold": 0.001},
    "soft4": {"max_sequences": 4, "score_threshold": 0.001},
    "softthr": {"max_sequences": 20, "score_threshold": 0.2},
}
RECORDS = {"005": 0.05, "0001": 0.001}


def _key_frames(golden: GoldenCase) -> Results:
    expected = golden["key_frames"]
    frames = np.full(expected.shape, -1)
    for row, (length, count) in enumerate(golden["T_K"].tolist()):
        frames[row, :count] = EvenKeyFrames(count, repeat=True)(length)
    return {"key_frames": frames}


def _mask_utils(golden: GoldenCase) -> Results:
    masks = golden["masks"]
    return {
        "boxes": grown_boxes(masks),
        "mask_nms_keep": np.array(deduplicate_masks(masks, DEDUPLICATION_IOU)),
    }


def _sequences(golden: GoldenCase) -> list[MaskSequence]:
    width = int(golden["shape"][-1])
    masks = np.unpackbits(golden["seqs"], axis=-1, count=width)
    return [pack_masks(sequence) for sequence in masks]


def background_last(scores: Any) -> Any:
    """Return class vectors with the first column behind the others."""
    return np.roll(scores, -1, axis=-1)


def background_first(scores: Any) -> Any:
    """Return class vectors with the last column before the others."""
    return np.roll(scores, 1, axis=-1)


def _seq_reduce(golden: GoldenCase) -> Results:
    overlaps = SequenceOverlaps(_sequences(golden))
    scores = background_last(golden["scores"])
    results: Results = {
        "seq_iou": np.stack([overlaps.row(index) for index in range(len(overlaps))]),
        "max_scores": ranking_scores(scores[:, :-1]),
    }
    for name, iou in NMS.items():
        nms = SequenceNMS(iou, STOP)
        results[f"{name}_keep"] = nms(overlaps, scores).kept
        if f"{name}_low_keep" in golden.arrays:
            low = scores * golden["low_scale"]
            results[f"{name}_low_keep"] = nms(overlaps, low).kept
    agnostic = {name: [SequenceSoftNMS(**settings)] for name, settings in SOFT.items()}
    for name, reducers in {**agnostic, "davis": [SequenceSoftNMS()]}.items():
        kept, lowered = reduce_sequences(reducers, overlaps, scores)
        results[f"{name}_keep"] = kept
        results[f"{name}_scores"] = ranking_scores(lowered[:, :-1])
    for name, reducers in {
        "ytvis": [SequenceNMS(0.5, STOP)],
        "cate": [SequenceNMS(0.9, STOP), CategoryAwareReduction()],
    }.items():
        kept, reduced = reduce_sequences(reducers, overlaps, scores)
        results[f"{name}_keep"] = kept
        results[f"{name}_scores"] = background_first(reduced)
    return results


def _outputs(golden: GoldenCase) -> Results:
    sequences = _sequences(golden)
    valid, size = (tuple(golden[name].tolist()) for name in ("img_shape", "ori_shape"))
    length = int(golden["shape"][1])
    scores = background_last(golden["scores"])
    video_id = int(golden["video_index"]) + 1
    video = VideoInfo(video_id, "video", *size, length)
    category_ids = range(1, scores.shape[1])
    results: Results = {"palette": voc_palette()}
    for name, threshold in RECORDS.items():
        predictions = predictions_of(scores, threshold)
        tracks = to_tracks(video, sequences, valid, size, predictions)
        records = tracks.to_results(category_ids)
        ids = [[record["video_id"], record["category_id"]] for record in records]
        results[f"records{name}"] = np.array(ids).reshape(-1, 2)
        results[f"record_scores{name}"] = np.array([record["score"] for record in records])
        if f"record_masks{name}" in golden.arrays:
            results |= _record_masks(records, size, name)
    objects = [track.masks or [] for track in tracks.tracks]
    results["davis_index"] = np.stack(list(label_maps(objects, size, length)))
    return results


def _record_masks(records: list[dict], size: tuple[int, int], name: str) -> Results:
    # The reference writes an empty mask where an object is absent.
    (nothing,) = encode_masks(np.zeros((1, *size), dtype=np.uint8))
    encoded = [[mask or nothing for mask in record["segmentations"]] for record in records]
    masks = np.array([[decode_mask(mask) for mask in sequence] for sequence in encoded])
    return {
        f"record_masks{name}": np.packbits(masks, axis=-1),
        "record_masks_shape": np.array(masks.shape),
        "first_counts": np.array(encoded[0][0]["counts"]),
    }


INPUTS: Mapping[str, tuple[str, ...]] = {
    "key_frames": ("T_K",),
    "mask_utils": ("masks",),
    "seq_reduce": ("seqs", "shape", "scores", "low_scale"),
    "outputs": ("seqs", "shape", "img_shape", "ori_shape", "video_index", "scores"),
}

PART = GoldenPart(
    inputs=INPUTS,
    tolerances={
        "key_frames": {"*": EXACT},
        "mask_utils": {"*": EXACT},
        "seq_reduce": {"*_keep": EXACT, "seq_iou": SCORE, "*scores": SCORE},
        "outputs": {"record_scores*": SCORE, "*": EXACT},
    },
    computes={
        "key_frames": _key_frames,
        "mask_utils": _mask_utils,
        "seq_reduce": _seq_reduce,
        "outputs": _outputs,
    },
)
