# SPDX-License-Identifier: Apache-2.0
"""What every method returns: small value classes that need numpy and pycocotools only."""

from visbench.structures.instances import FrameInstances
from visbench.structures.recorder import TrackRecorder
from visbench.structures.rle import RLE, decode_mask, encode_masks, rle_area, rle_to_box
from visbench.structures.tracks import Prediction, Track, VideoTracks
from visbench.structures.video import Frame, VideoInfo

__all__ = [
    "RLE",
    "Frame",
    "FrameInstances",
    "Prediction",
    "Track",
    "TrackRecorder",
    "VideoInfo",
    "VideoTracks",
    "decode_mask",
    "encode_masks",
    "rle_area",
    "rle_to_box",
]
