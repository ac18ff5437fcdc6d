# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from visbench.datasets.check_images import image_problem, is_complete, require_decodable

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def encoded(extension: str) -> bytes:
    return bytes(cv2.imencode(extension, IMAGE)[1].tobytes())


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_complete_files(extension: str) -> None:
    content = encoded(extension)
    assert is_complete(content)
    assert is_complete(content + b"\0\n")
    assert not is_complete(content + b"more")
    require_decodable(content + b"more")
    for cut in range(1, len(content) - 1, len(content) // 12):
        assert not is_complete(content[:cut])
        with pytest.raises(OSError):
            require_decodable(content[:cut])


def test_other_formats_are_decoded() -> None:
    require_decodable(encoded(".bmp"))


def test_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(".jpg"))
    assert image_problem(path, (40, 60)) is None
    assert image_problem(path, (60, 40)) == (
        "height, width",
        "the file is 40x60, height and width say 60x40",
    )
