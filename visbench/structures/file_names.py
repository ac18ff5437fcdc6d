# SPDX-License-Identifier: Apache-2.0
"""Names of the files that are the frames of a video."""

from __future__ import annotations

import re

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Endings, in lower case, of the files that count as frames of a folder."""


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Return a key that sorts numbers in names by value: frame 10 comes after frame 9.

    Examples:
        >>> sorted(["f10.jpg", "f9.jpg", "F8.jpg"], key=natural_key)
        ['F8.jpg', 'f9.jpg', 'f10.jpg']
    """
    parts = re.split(r"(\d+)", name.lower())
    # Every second part is a number; isdigit() would take "²" for one, too.
    return [(0, int(part)) if index % 2 else (1, part) for index, part in enumerate(parts)]
