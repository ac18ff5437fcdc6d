# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from visbench.structures.file_names import natural_key


def test_numbers_count_by_value() -> None:
    names = ["10.png", "9.png", "a2b10.png", "a2b9.png", "1.png"]
    expected = ["1.png", "9.png", "10.png", "a2b9.png", "a2b10.png"]
    assert sorted(names, key=natural_key) == expected


def test_any_digit_can_be_in_a_name() -> None:
    assert sorted(["²1.png", "٣.png", "2.png", "x.png"], key=natural_key)[0] == "2.png"
