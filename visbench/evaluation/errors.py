# SPDX-License-Identifier: Apache-2.0
"""Errors, warnings and skipped records of one evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["InputError", "Notes"]


class InputError(ValueError):
    """Input that cannot be evaluated.

    The message names the file, the record, the field, what is wrong and what to do about it.

    Args:
        source: The file, or a word for data that came from memory.
        place: The record, e.g. ``"record 12"`` (records count from 0); empty for the whole file.
        field: The field within the record; empty if the problem is the record itself.
        problem: What is wrong, with the value found.
        remedy: What the reader can do.
    """

    def __init__(self, source: str, place: str, field: str, problem: str, remedy: str = "") -> None:
        self.source = source
        self.place = place
        self.field = field
        self.problem = problem
        self.remedy = remedy
        parts = [source, place, f"field '{field}'" if field else "", problem]
        text = ": ".join(part for part in parts if part)
        super().__init__(f"{text}. {remedy}" if remedy else text)


@dataclass
class Notes:
    """What an evaluation has to say besides its numbers.

    Attributes:
        warnings: Remarks on input that was accepted.
        skipped: One message per record that was left out (``tolerant`` only).
    """

    warnings: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Add a warning unless it was given before."""
        if message not in self.warnings:
            self.warnings.append(message)
