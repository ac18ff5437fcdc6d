# SPDX-License-Identifier: Apache-2.0
"""Random draws that stay the same for ever.

NumPy promises a stable stream for ``SeedSequence`` and for the raw output of ``PCG64``, not for the
methods of ``Generator``. So only raw 64-bit words are used here, and integers map them to ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Draws:
    """A stream of integer draws, a function of its key alone.

    Args:
        key: Non-negative integers, for example (version, preset, split, video index).
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(list(key)))

    def integer(self, low: int, high: int) -> int:
        """Draw one integer from ``low`` to ``high``, both included.

        Raises:
            ValueError: If the range is empty.
        """
        if high < low:
            raise ValueError(f"empty range: low={low} is above high={high}")
        word = int(self._bits.random_raw()) >> 32
        return low + ((word * (high - low + 1)) >> 32)

    def array(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Draw an array of integers from ``low`` to ``high``, both included; range below 2**31."""
        count = int(np.prod(shape, dtype=np.int64))
        words = np.asarray(self._bits.random_raw(count), dtype=np.uint64) >> np.uint64(32)
        scaled = (words * np.uint64(high - low + 1)) >> np.uint64(32)
        return (scaled.astype(np.int64) + low).reshape(shape)

    def chance(self, percent: int) -> bool:
        """Return true in ``percent`` of 100 draws."""
        return self.integer(0, 99) < percent

    def sign(self) -> int:
        """Draw -1 or 1."""
        return 2 * self.integer(0, 1) - 1

    def pick(self, items: Sequence[T]) -> T:
        """Draw one item."""
        return items[self.integer(0, len(items) - 1)]

    def order(self, count: int) -> list[int]:
        """Draw a permutation of ``range(count)`` (Fisher-Yates)."""
        items = list(range(count))
        for last in range(count - 1, 0, -1):
            other = self.integer(0, last)
            items[last], items[other] = items[other], items[last]
        return items
