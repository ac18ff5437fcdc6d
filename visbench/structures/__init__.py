# SPDX-License-Identifier: Apache-2.0
"""What every method returns: small value classes, without torch and MMDetection.

With their conversions: tracks to frames, to PNG masks, to MOT and MOTS text and to supervision's
``Detections``, and back.
"""

from visbench.structures.detections import from_supervision, to_supervision
from visbench.structures.frames import (
    frames_to_tracks,
    instances_at,
    num_frames,
    tracks_to_frames,
)
from visbench.structures.id_masks import IdMaskWriter, read_id_masks, write_id_masks
from visbench.structures.instances import FrameInstances
from visbench.structures.mot_text import from_mot_text, from_mots_text, to_mot_text, to_mots_text
from visbench.structures.recorder import TrackRecorder
from visbench.structures.rle import RLE, decode_mask, encode_masks, rle_area, rle_to_box
from visbench.structures.tracks import Prediction, Track, VideoTracks
from visbench.structures.video import Frame, VideoInfo

__all__ = [
    "RLE",
    "Frame",
    "FrameInstances",
    "IdMaskWriter",
    "Prediction",
    "Track",
    "TrackRecorder",
    "VideoInfo",
    "VideoTracks",
    "decode_mask",
    "encode_masks",
    "frames_to_tracks",
    "from_mot_text",
    "from_mots_text",
    "from_supervision",
    "instances_at",
    "num_frames",
    "read_id_masks",
    "rle_area",
    "rle_to_box",
    "to_mot_text",
    "to_mots_text",
    "to_supervision",
    "tracks_to_frames",
    "write_id_masks",
]
