# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visbench.structures import encode_masks
from visbench.structures.label_maps import label_maps, voc_palette, write_label_maps


def test_the_palette_is_that_of_pascal_voc() -> None:
    palette = voc_palette()
    assert palette[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert palette[8].tolist() == [64, 0, 0]
    assert palette[255].tolist() == [224, 224, 192]
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_the_first_object_wins() -> None:
    first, second = encode_masks(np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]]]))
    maps = label_maps([[first, None], [second, second]], (1, 4), 2)
    assert [labels.tolist() for labels in maps] == [[[1, 1, 2, 0]], [[0, 2, 2, 0]]]
    assert [labels.tolist() for labels in label_maps([], (1, 2), 1)] == [[[0, 0]]]


@pytest.mark.parametrize(
    ("objects", "words"),
    [([[None]] * 256, "256 objects"), ([[None], [None] * 2], r"\[1, 2\] masks")],
)
def test_objects_that_do_not_fit_are_told(objects: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        next(label_maps(objects, (2, 2), 1))


def test_images_hold_labels_and_colours(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).integers(0, 21, (2, 5, 7)).astype(np.uint8)
    write_label_maps(tmp_path / "a" / "cat", maps, ["00000", "00001"])
    paths = sorted((tmp_path / "a" / "cat").iterdir())
    assert [path.name for path in paths] == ["00000.png", "00001.png"]
    for path, labels in zip(paths, maps, strict=True):
        with Image.open(path) as image:
            assert image.mode == "P"
            np.testing.assert_array_equal(np.asarray(image), labels)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc_palette()[labels])


def test_as_many_names_as_maps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_label_maps(tmp_path, np.zeros((1, 2, 2), np.uint8), ["0", "1"])
