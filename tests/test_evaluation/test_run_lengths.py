# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from pycocotools import mask as mask_utils

from visbench.evaluation.run_lengths import MaskError, rasterize_polygons


def test_polygons_are_drawn_as_by_coco() -> None:
    polygons = [[1.0, 1.0, 6.0, 1.0, 6.0, 4.0, 1.0, 4.0], [7.2, 5.1, 9.9, 5.3, 8.0, 9.4]]
    expected = mask_utils.merge(mask_utils.frPyObjects(polygons, 12, 11))["counts"].decode()
    assert rasterize_polygons(polygons, 12, 11) == expected


@pytest.mark.parametrize("polygon", [[1, 2, 3, 4], [1] * 7, [1, 2, 3, 4, 5, float("nan")], "x", 5])
def test_malformed_polygon(polygon: object) -> None:
    with pytest.raises(MaskError, match="six finite numbers"):
        rasterize_polygons([polygon], 10, 10)
