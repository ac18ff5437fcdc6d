# SPDX-License-Identifier: Apache-2.0
"""Names and sizes of the frames that a converted video consists of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from visbench.evaluation.errors import InputError
from visbench.structures.file_names import IMAGE_SUFFIXES, natural_key


def image_names(folder: Path) -> list[str]:
    """Return the names of the images in a folder, in the order of the video.

    Raises:
        InputError: There is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "", "", "no such folder of frames", "Correct --images")
    found = [p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise InputError(str(folder), "", "", f"holds no image ({kinds})", "Correct --images")
    return sorted(found, key=natural_key)


def sub_folders(folder: Path, what: str) -> list[Path]:
    """Return the folders in a folder, sorted; the folder itself where it holds files directly.

    Args:
        folder: The folder.
        what: Pattern of the files that make a folder a video, such as ``*.png``.

    Raises:
        InputError: There is no such folder, or nothing of the kind in it.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "", "", "no such folder", "Give a folder of videos")
    if any(folder.glob(what)):
        # The video is named like the folder, and "." and ".." are no names.
        return [folder.resolve()]
    videos = [p for p in folder.iterdir() if p.is_dir() and any(p.glob(what))]
    if not videos:
        raise InputError(
            str(folder),
            "",
            "",
            f"holds no {what}, and no folder of them",
            "Give a folder of videos",
        )
    return sorted(videos, key=lambda path: natural_key(path.name))


def match_frames(video: Path, stems: Sequence[str], images: Path | None, suffix: str) -> list[str]:
    """Return the file names of a video's frames for annotations that are one file a frame.

    Args:
        video: Folder of the annotations; its name is the video's.
        stems: Names of the annotated frames without ending.
        images: Folder with one folder of frames per video; None takes the annotated frames.
        suffix: Ending of the frames where they are not looked at.

    Raises:
        InputError: An annotated frame is not among the images.
    """
    if images is None:
        return [f"{video.name}/{stem}{suffix}" for stem in stems]
    names = image_names(images / video.name)
    known = {Path(name).stem for name in names}
    missing = [stem for stem in stems if stem not in known]
    if missing:
        raise InputError(
            str(video),
            f"frame {missing[0]}",
            "",
            f"{len(missing)} annotated frames have no image in {images / video.name}",
            "Correct --images; its folders must be named like the videos",
        )
    return [f"{video.name}/{name}" for name in names]
