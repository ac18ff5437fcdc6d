# SPDX-License-Identifier: Apache-2.0
"""Finds annotation files and frame folders in the layouts that users have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ANNOTATION_LAYOUTS: tuple[str, ...] = (
    "{split}{part}.json",
    "{split}/instances{part}.json",
    "annotations/instances_{split}{part}.json",
    "annotations/instances_{split}_sub{part}.json",
    "annotations_{split}{part}.json",
    "annotations/annotations_{split}{part}.json",
    "annotations/{split}{part}.json",
    "annotations/youtube_vis_*_{split}{part}.json",
)
"""Where annotation files lie under a data root, in the order in which they are tried."""

FRAME_LAYOUTS: tuple[str, ...] = ("{split}/JPEGImages", "{split}", "JPEGImages", "")
"""Which folder under a data root the file names are relative to, in order."""

_ALIASES = {"val": ("val", "valid"), "valid": ("valid", "val")}


def split_names(split: str) -> tuple[tuple[str, ...], str]:
    """Return the names a split goes by and the hold-out part, if any.

    Args:
        split: For instance ``train``, ``valid`` or ``train_holdout-val``.

    Returns:
        Names to try, and ``"_holdout-train"``, ``"_holdout-val"`` or ``""``. The frames of a
        hold-out part are those of the split it was made from.

    Examples:
        >>> split_names("train_holdout-val")
        (('train',), '_holdout-val')
        >>> split_names("val")
        (('val', 'valid'), '')
    """
    name, separator, part = split.partition("_holdout-")
    return _ALIASES.get(name, (name,)), separator + part


def find_annotations(data_root: str | Path, split: str) -> Path:
    """Return the annotation file of a split.

    Args:
        data_root: Root folder of a data set.
        split: Name of the split.

    Raises:
        FileNotFoundError: With every path tried and what is there.
    """
    root = Path(data_root)
    names, part = split_names(split)
    tried = [
        root / layout.format(split=name, part=part)
        for name in names
        for layout in ANNOTATION_LAYOUTS
    ]
    for path in tried:
        found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
        for candidate in found:
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(
        f"no annotation file of split '{split}' under data_root '{root}'. Tried:\n"
        f"{_listing(tried)}\nThere is:\n{describe_folder(root)}\n"
        "Correct 'data_root' or 'split', or name the file in 'ann_file'."
    )


def find_frames(data_root: str | Path, split: str, file_name: str) -> Path:
    """Return the folder that the file names of a split are relative to.

    Args:
        data_root: Root folder of a data set.
        split: Name of the split.
        file_name: One of its file names, ``<video>/<frame>.jpg``; the folder must hold it.

    Raises:
        FileNotFoundError: With every path tried and what is there.
    """
    root = Path(data_root)
    names, _ = split_names(split)
    tried = [root / layout.format(split=name) for layout in FRAME_LAYOUTS for name in names]
    for folder in tried:
        if (folder / file_name).is_file():
            return folder
    raise FileNotFoundError(
        f"no frames of split '{split}' under data_root '{root}'. Tried:\n"
        f"{_listing(folder / file_name for folder in tried)}\nThere is:\n{describe_folder(root)}\n"
        "Correct 'data_root', or name the folder in data_prefix=dict(img_path=...)."
    )


def describe_folder(folder: Path, limit: int = 12) -> str:
    """Return a short listing of a folder, for error messages.

    Args:
        folder: Any path.
        limit: How many entries are shown.
    """
    if not folder.is_dir():
        parent = next((path for path in folder.parents if path.is_dir()), Path("/"))
        return f"  no folder '{folder}' (working directory {Path.cwd()}; '{parent}' exists)"
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    more = f", ... ({len(names)} entries)" if len(names) > limit else ""
    return f"  {', '.join(names[:limit]) or '(nothing)'}{more}"


def _listing(paths: Iterable[Path]) -> str:
    return "\n".join(f"  {path}" for path in dict.fromkeys(paths))
