# SPDX-License-Identifier: Apache-2.0
"""The 30 classes of ImageNet VID."""

from __future__ import annotations

NAMES = {
    "n02691156": "airplane",
    "n02419796": "antelope",
    "n02131653": "bear",
    "n02834778": "bicycle",
    "n01503061": "bird",
    "n02924116": "bus",
    "n02958343": "car",
    "n02402425": "cattle",
    "n02084071": "dog",
    "n02121808": "domestic_cat",
    "n02503517": "elephant",
    "n02118333": "fox",
    "n02510455": "giant_panda",
    "n02342885": "hamster",
    "n02374451": "horse",
    "n02129165": "lion",
    "n01674464": "lizard",
    "n02484322": "monkey",
    "n03790512": "motorcycle",
    "n02324045": "rabbit",
    "n02509815": "red_panda",
    "n02411705": "sheep",
    "n01726692": "snake",
    "n02355227": "squirrel",
    "n02129604": "tiger",
    "n04468005": "train",
    "n01662784": "turtle",
    "n04530566": "watercraft",
    "n02062744": "whale",
    "n02391049": "zebra",
}
"""Name of every class by WordNet id, in the order of the labels."""

CLASSES = tuple(NAMES.values())

CATEGORY_IDS = {wnid: number for number, wnid in enumerate(NAMES, start=1)}
"""Category ids as in the JSON files of MMTracking's converters."""


def categories() -> list[dict[str, str | int]]:
    """Return the ``categories`` of an annotation file."""
    return [
        {"id": CATEGORY_IDS[wnid], "name": name, "encode_name": wnid}
        for wnid, name in NAMES.items()
    ]
