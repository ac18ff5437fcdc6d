# SPDX-License-Identifier: Apache-2.0
"""Annotations of other formats to the YouTube-VIS layout, and to folders of label maps."""

from visbench.datasets.converters.annotation_file import AnnotationFile, write_annotation_file
from visbench.datasets.converters.coco_video import read_coco_video
from visbench.datasets.converters.cvat import read_cvat
from visbench.datasets.converters.label_maps import LABEL_FORMATS, read_label_maps, write_label_maps
from visbench.datasets.converters.labelme import read_labelme

__all__ = [
    "LABEL_FORMATS",
    "AnnotationFile",
    "read_coco_video",
    "read_cvat",
    "read_label_maps",
    "read_labelme",
    "write_annotation_file",
    "write_label_maps",
]
