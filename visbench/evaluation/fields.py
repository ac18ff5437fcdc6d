# SPDX-License-Identifier: Apache-2.0
"""Checked access to the fields of one record of a JSON file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from visbench.evaluation.errors import InputError

__all__ = ["Fields", "shorten"]

_MISSING = object()


@dataclass(frozen=True)
class Fields:
    """One record with the words needed to complain about it.

    Attributes:
        source: The file.
        place: The record, e.g. ``"record 12"``.
        values: The record itself.
    """

    source: str
    place: str
    values: Mapping[str, Any]

    def error(self, field: str, problem: str, remedy: str = "") -> InputError:
        """Return the error for a field of this record."""
        return InputError(self.source, self.place, field, problem, remedy)

    def has(self, field: str) -> bool:
        """Tell whether the field is there and not null."""
        return self.values.get(field) is not None

    def get(self, field: str, remedy: str = "") -> Any:
        """Return a field.

        Raises:
            InputError: The record does not have it.
        """
        value = self.values.get(field, _MISSING)
        if value is _MISSING:
            raise self.error(field, "is missing", remedy)
        return value

    def integer(self, field: str, minimum: int | None = None, remedy: str = "") -> int:
        """Return an integer field; numpy integers and whole floats are taken as well.

        Raises:
            InputError: The field is missing, no whole number, or below ``minimum``.
        """
        value = self.get(field, remedy)
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, (int, np.integer)) or whole):
            raise self.error(field, f"must be an integer, found {shorten(value)}", remedy)
        if minimum is not None and value < minimum:
            raise self.error(field, f"must be at least {minimum}, found {value}", remedy)
        return int(value)

    def number(self, field: str, remedy: str = "") -> float:
        """Return a finite number.

        Raises:
            InputError: The field is missing, no number, NaN or infinite.
        """
        value = self.get(field, remedy)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise self.error(field, f"must be a number, found {shorten(value)}", remedy)
        try:
            number = float(value)
        except (TypeError, OverflowError):
            number = math.inf
        if not math.isfinite(number):
            raise self.error(field, f"must be a finite number, found {shorten(value)}", remedy)
        return number

    def list(self, field: str, remedy: str = "") -> list[Any]:
        """Return a list.

        Raises:
            InputError: The field is missing or no list.
        """
        value = self.get(field, remedy)
        if isinstance(value, tuple):
            return [*value]
        if not isinstance(value, list):
            raise self.error(field, f"must be a list, found {shorten(value)}", remedy)
        return value


def shorten(value: Any, limit: int = 60) -> str:
    """Return a value in at most ``limit`` characters for a message."""
    text = repr(value) if not isinstance(value, (list, dict)) else _outline(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _outline(value: list[Any] | dict[Any, Any]) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"an object with {', '.join(map(repr, list(value)[:4])) or 'no fields'}"
