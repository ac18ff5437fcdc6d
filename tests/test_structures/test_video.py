# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from visbench.structures import Frame, VideoInfo


def test_scale_factor_goes_from_original_to_image_pixels() -> None:
    frame = Frame(0, "image", valid_size=(60, 90), original_size=(120, 360))
    assert frame.scale_factor == (0.25, 0.5)
    other = frame.with_image("other")
    assert (other.image, other.index, other.valid_size) == ("other", 0, (60, 90))
    assert frame.image == "image"


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5)])
def test_size_must_be_positive(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"video 7 \(cat\): size {height}x{width}"):
        VideoInfo(7, "cat", height, width)


def test_length_may_be_unknown_but_not_negative() -> None:
    assert VideoInfo(7, "cat", 2, 2).length is None
    assert VideoInfo(7, "cat", 2, 2, 0).length == 0
    with pytest.raises(ValueError, match="length -1 is negative"):
        VideoInfo(7, "cat", 2, 2, -1)
