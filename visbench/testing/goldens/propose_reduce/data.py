# SPDX-License-Identifier: Apache-2.0
"""Golden cases of Propose-Reduce: the training pairs, from files to the input of the network."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from visbench.datasets import SampleGuidance, VISDataset
from visbench.datasets.transforms import ReferenceResize, guidance_positions
from visbench.datasets.transforms.guidance import objects_of
from visbench.models import ClipPreprocessor
from visbench.models.propose_reduce.targets import propagation_targets
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.parity import EXACT, GoldenCase, Tolerance

Results = dict[str, Any]


class _FixedGuidance(SampleGuidance):
    """Takes the guidance frame that the case names."""

    def __init__(self, guidance: int) -> None:
        super().__init__()
        self.guidance = guidance

    def choose(self, candidates: list[int], key: int) -> list[int]:
        return [self.guidance]


class _Files:
    """Annotations and frames of a case on disk, and the data sets that read them."""

    def __init__(self, golden: GoldenCase, folder: Path) -> None:
        self.folder = folder
        self.scale = tuple(golden["img_scale"].tolist())
        text = str(golden["ann_json"][()])
        (folder / "annotations.json").write_text(text)
        for video, record in enumerate(json.loads(text)["videos"]):
            for position, name in enumerate(record["file_names"]):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                _, content = cv2.imencode(".png", golden[f"frame_v{video}_{position}"])
                path.write_bytes(content.tobytes())

    def dataset(self, flip: bool = False, **fields: Any) -> VISDataset:
        """Return a data set with the pipeline of the reference configs and no video left out."""
        transforms = [
            {"type": "visbench.LoadFrame"},
            {"type": "visbench.ReferenceLoadTrackAnnotations", "with_mask": True},
            {"type": "visbench.ReferenceResize", "scale": self.scale},
            {"type": "visbench.ReferenceRandomFlip", "prob": float(flip)},
        ]
        return VISDataset(
            ann_file=str(self.folder / "annotations.json"),
            data_prefix={"img_path": str(self.folder)},
            filter_cfg={"filter_empty_gt": False, "min_size": 0},
            pipeline=[
                {"type": "visbench.ClipBroadcaster", "transforms": transforms},
                {"type": "visbench.PackClip", "drop_empty": False},
            ],
            **fields,
        )


def _pair(files: _Files, video: int, query: int, guidance: int, flip: bool) -> Results:
    dataset = files.dataset(flip, items="frames", clip=_FixedGuidance(guidance))
    item = dataset.pairs.tolist().index([video, query])
    data = ClipPreprocessor()(pseudo_collate([dataset[item]]), training=True)
    (images,), (sample,) = data["inputs"].numpy(), data["data_samples"]
    truth, other = sample[0].gt_instances, sample[1].gt_instances
    propagated = propagation_targets(other, truth)
    channels = torch.zeros(len(truth), dtype=torch.int64)
    channels[propagated.targets] = torch.arange(1, len(propagated.targets) + 1)
    metainfo = sample[0].metainfo
    return {
        "img_sub": images[0, :, ::2, ::2],
        "img_sum": images[0].sum(axis=(1, 2), dtype=np.float64),
        "ref_sum": images[1].sum(axis=(1, 2), dtype=np.float64),
        "shapes": np.ravel([metainfo[key] for key in ("ori_shape", "img_shape", "pad_shape")]),
        "scale": metainfo["scale_factor"][0],
        "gt_bboxes": truth.bboxes,
        "gt_labels": truth.labels + 1,
        "gt_masks": np.packbits(truth.masks.masks, axis=-1),
        "prop_ref_bboxes": propagated.boxes,
        "prop_ref_labels": propagated.labels + 1,
        "prop_ref_mask_area": other.masks.areas[propagated.sources.numpy()],
        "prop_gt_pids": channels,
    }


def _guidance(dataset: VISDataset, length: int) -> np.ndarray:
    allowed = np.zeros((len(dataset), length), dtype=np.int64)
    for item, (_, query) in enumerate(dataset.pairs.tolist()):
        frames = [objects_of(frame) for frame in dataset.get_data_info(item)["images"]]
        allowed[item, guidance_positions(frames, query)] = 1
    return allowed


def _tested_frame(files: _Files, number: int) -> Results:
    dataset = files.dataset(test_mode=True)
    lengths = [len(record["file_names"]) for record in dataset.iter_records()]
    video, position = [(v, t) for v, length in enumerate(lengths) for t in range(length)][number]
    frame = dataset.get_video(video).frames.read(position)
    image = ClipPreprocessor().prepare_frame(frame).image
    shapes = (frame.original_size, frame.valid_size, tuple(image.shape[-2:]))
    return {
        "test_img_sub": image[:, ::2, ::2],
        "test_shapes": np.ravel(shapes),
        "test_video_frame": np.array([video, position]),
    }


def _sizes(table: np.ndarray) -> np.ndarray:
    rows = []
    for height, width, *scale in table[:, :4].tolist():
        resized = ReferenceResize(scale)({"img": np.zeros((height, width, 3), np.uint8)})
        image = torch.zeros(3, *resized["img_shape"])
        padded = ClipPreprocessor().batch_size([image])
        rows.append([height, width, *scale, *resized["img_shape"], *padded])
    return np.array(rows)


def _dataset(golden: GoldenCase) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        files = _Files(golden, Path(folder))
        dataset = files.dataset(items="frames")
        outputs: Results = {
            "img_ids": dataset.pairs,
            "group_flag": dataset.landscape().astype(np.uint8),
            "valid_guidance": _guidance(dataset, golden["valid_guidance"].shape[1]),
            "size_table": _sizes(golden["size_table"]),
            **_tested_frame(files, int(golden["test_index"])),
        }
        for name in golden.arrays:
            if name.removeprefix("pair").isdecimal():
                pair = _pair(files, *golden[name].tolist())
                outputs |= {f"{name}_{key}": value for key, value in pair.items()}
        return outputs


PART = GoldenPart(
    inputs={
        "dataset": (
            "ann_json",
            "frame_v*",
            "img_scale",
            "pair[0-9]",
            "pair[0-9][0-9]",
            "test_index",
        )
    },
    tolerances={
        "dataset": {
            "*_sum": Tolerance(rtol=1e-4, atol=1e-4),
            "*_img_sub": Tolerance(atol=1e-4, rtol=1e-4),
            "*_bboxes": Tolerance(atol=1e-4, rtol=1e-4),
            "*_scale": Tolerance(atol=1e-6),
            "*": EXACT,
        }
    },
    computes={"dataset": _dataset},
)
