#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Convert DAVIS, MOTS, COCO-video, CVAT and labelme to YouTube-VIS, and back to PNG folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import track

from visbench.datasets.annotations import read_annotations
from visbench.datasets.converters import (
    LABEL_FORMATS,
    AnnotationFile,
    read_coco_video,
    read_cvat,
    read_label_maps,
    read_labelme,
    write_annotation_file,
    write_label_maps,
)
from visbench.datasets.converters.annotation_file import Progress
from visbench.datasets.converters.label_maps import MOTS_CLASSES, LabelFormat
from visbench.engine.outputs import prepare_output_file, prepare_output_folder

_EPILOG = """\
formats (python tools/convert_dataset.py FORMAT --help says more):
  davis        folder with a folder of palette PNGs per video; objects have no class
  mots         the same with PNGs of 16 bits, 1000 * class + object
  coco-video   COCO json whose images are frames of videos (MMTracking, annotation tools)
  cvat         'CVAT for video 1.1': an XML file, or a folder with one per video
  labelme      folder with a folder of json files per video; group_id is the track
  youtube-vis  json in YouTube-VIS or OVIS layout, to PNG folders of davis or mots

examples:
  python tools/convert_dataset.py davis DAVIS/Annotations_unsupervised/480p \\
      --images DAVIS/JPEGImages/480p --out davis.json
  python tools/convert_dataset.py mots KITTI_MOTS/instances --classes car pedestrian \\
      --out kitti_mots.json
  python tools/convert_dataset.py coco-video exported.json --track-field attributes.track_id \\
      --out train.json
  python tools/convert_dataset.py cvat my_tasks/ --images my_frames/ --out train.json
  python tools/convert_dataset.py labelme my_videos/ --images my_videos/ --out train.json
  python tools/convert_dataset.py youtube-vis train.json --to davis --out pngs/

The checker of tools/check_dataset.py must find no defect, or nothing is written; with --images it
looks at every frame. What a source cannot say is not made up: no class in davis, no crowd in cvat.
Void of davis and the region to ignore of mots are crowds (iscrowd: 1) of every category, and the
reverse. PNGs of an earlier call in OUT are replaced; OUT with other PNGs is refused.

exit status: 0 written, 2 the source cannot be converted (file and field are named)
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    formats = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    for name, classes in (("davis", ("object",)), ("mots", MOTS_CLASSES)):
        sub = _add_format(formats, name, "folder of PNG folders")
        sub.add_argument("--classes", nargs="+", metavar="NAME", default=list(classes),
                         help="names of the classes 1, 2, ... (default: %(default)s)")  # fmt: skip
        sub.add_argument("--suffix", default=".jpg", metavar="SUFFIX",
                         help="ending of frames if no --images (default: %(default)s)")  # fmt: skip
    sub = _add_format(formats, "coco-video", "COCO json of video frames")
    sub.add_argument("--track-field", metavar="FIELD",
                     help="field that names the track (default: instance_id, track_id, "
                          "attributes.track_id or attributes.instance_id)")  # fmt: skip
    _add_boxes_as_masks(sub)
    sub = _add_format(formats, "cvat", "XML file or folder of them")
    sub.add_argument("--frame-name", default="frame_{:06d}.png", metavar="PATTERN",
                     help="names of frames without --images (default: %(default)s)")  # fmt: skip
    _add_boxes_as_masks(sub)
    _add_format(formats, "labelme", "folder of json folders")
    sub = _add_format(formats, "youtube-vis", "json in YouTube-VIS layout", images=False)
    sub.add_argument("--to", choices=list(LABEL_FORMATS), required=True, help="kind of the PNGs")
    return parser.parse_args(arguments)


def _add_format(formats: Any, name: str, what: str, images: bool = True) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = formats.add_parser(name, help=what)
    sub.add_argument("source", metavar="SOURCE", help=what)
    sub.add_argument("--out", required=True, metavar="OUT",
                     help="json file to write" if images else "folder to write to")  # fmt: skip
    if images:
        sub.add_argument("--images", metavar="DIR",
                         help="folder of the frames: names are taken from it where the source has "
                              "none, and every frame is checked")  # fmt: skip
    return sub


def _add_boxes_as_masks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--boxes-as-masks", action="store_true", help="fill boxes as masks")


def main(arguments: list[str] | None = None) -> int:
    """Convert; return the exit status."""
    args = parse_args(arguments)
    errors = Console(stderr=True)

    def progress(items: Iterable[Any], title: str) -> Iterable[Any]:
        return track(list(items), description=title, console=errors, transient=True)

    try:
        notes = (
            _to_png(args, progress) if args.format == "youtube-vis" else _to_json(args, progress)
        )
    except (OSError, ValueError) as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 2
    for note in notes:
        errors.print(f"note: {note}", markup=False, highlight=False)
    print(args.out)
    return 0


def _to_json(args: argparse.Namespace, progress: Progress) -> list[str]:
    prepare_output_file(args.out, "--out")
    file = _read(args, progress)
    write_annotation_file(file.content(), args.out, args.images, progress)
    return file.notes


def _read(args: argparse.Namespace, progress: Progress) -> AnnotationFile:
    if args.format == "coco-video":
        return read_coco_video(args.source, args.track_field, args.boxes_as_masks, progress)
    if args.format == "cvat":
        return read_cvat(args.source, args.images, args.frame_name, args.boxes_as_masks, progress)
    if args.format == "labelme":
        return read_labelme(args.source, args.images, progress)
    label_format = LABEL_FORMATS[args.format](args.classes)
    return read_label_maps(args.source, label_format, args.images, args.suffix, progress)


def _to_png(args: argparse.Namespace, progress: Progress) -> list[str]:
    prepare_output_folder(args.out, "--out")
    content = read_annotations(args.source)
    notes: list[str] = []
    if content["annotations"] is None:
        raise ValueError(f"{args.source}: field 'annotations' is missing or null; nothing to draw")
    label_format = _target_format(args.to, content)
    if args.to == "davis" and len(content["categories"]) > 1:
        notes.append("label maps of DAVIS have no classes; those of the objects are lost")
    return notes + write_label_maps(content, args.out, label_format, progress, args.source)


def _target_format(name: str, content: dict[str, Any]) -> LabelFormat:
    if name == "davis":
        return LABEL_FORMATS[name](("object",))
    numbers = {category["id"]: str(category["name"]) for category in content["categories"]}
    return LABEL_FORMATS[name]([numbers.get(i, "") for i in range(1, max(numbers) + 1)])


if __name__ == "__main__":
    sys.exit(main())
