# SPDX-License-Identifier: Apache-2.0
"""A golden case as it is stored, and what runs the cases of a group.

This module needs numpy only.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visbench.testing.comparison import (
    Array,
    ArrayCheck,
    Comparison,
    GoldenError,
    Tolerance,
    find_tolerance,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["GoldenCase", "GoldenGroup", "OtherNetworkError", "case_names"]

DERIVED = ("num_batches_tracked", "relative_position_index")
"""Buffers that follow from the sizes of a network, so that checkpoints may lack them."""

CASE_SUFFIXES = (".npz", ".json", ".json.gz")


class OtherNetworkError(GoldenError):
    """A case is of a network of other sizes than the weights that it shall be run with."""


@dataclass(frozen=True)
class GoldenCase:
    """The arrays of one npz file and its settings.

    Attributes:
        path: The npz file.
        name: The case, which is the stem of the file.
        arrays: Every stored array but ``meta``.
        meta: The settings, read from the JSON text stored as ``meta`` (empty without one).
        weights: Weights of the whole model by our names, in place of the seeded ones.
    """

    path: Path
    name: str
    arrays: Mapping[str, Array]
    meta: Mapping[str, Any]
    weights: Mapping[str, Tensor] | None = None

    @classmethod
    def load(cls, path: Path) -> GoldenCase:
        """Read an npz file without unpickling anything.

        Raises:
            GoldenError: The file is missing or unreadable, or ``meta`` is not a JSON object.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError) as error:
            raise GoldenError(f"{path}: cannot be read as an npz file: {error}") from error
        except Exception as error:  # zipfile.BadZipFile, zlib.error and the like
            raise GoldenError(f"{path}: damaged npz file: {error}") from error
        text = arrays.pop("meta", None)
        try:
            meta = {} if text is None else json.loads(str(text[()]))
        except json.JSONDecodeError as error:
            raise GoldenError(f"{path}: field 'meta' is not JSON: {error}") from error
        if not isinstance(meta, dict):
            raise GoldenError(f"{path}: field 'meta' is no JSON object: {meta!r}")
        return cls(path, path.stem, arrays, meta)

    def __getitem__(self, name: str) -> Array:
        """Return a stored array, or raise an error that names file and field."""
        try:
            return self.arrays[name]
        except KeyError:
            raise GoldenError(f"{self.path}: array {name!r} is missing") from None

    def load_weights(self, model: nn.Module) -> bool:
        """Give a whole model the weights that the case shall be run with.

        Returns:
            Whether there are any; otherwise the model is to be filled with seeded ones.

        Raises:
            OtherNetworkError: Names or shapes differ.
        """
        if self.weights is None:
            return False
        wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        given = {name: tuple(value.shape) for name, value in self.weights.items()}
        # What a checkpoint need not hold follows from the sizes of the rest.
        missing = [name for name in wanted.keys() - given.keys() if not name.endswith(DERIVED)]
        other = [name for name in wanted.keys() & given.keys() if wanted[name] != given[name]]
        unknown = given.keys() - wanted.keys()
        for name in sorted([*missing, *other, *unknown])[:1]:
            raise OtherNetworkError(
                f"the case is of a network of other sizes: {name} is {wanted.get(name, 'unknown')} "
                f"there and {given.get(name, 'missing')} in the checkpoint"
            )
        model.load_state_dict(dict(self.weights), strict=False)
        return True

    def setting(self, *keys: str) -> Any:
        """Return ``meta[keys[0]][keys[1]]...``, or raise an error that names file and field."""
        value: Any = self.meta
        for depth, key in enumerate(keys):
            if not isinstance(value, Mapping) or key not in value:
                path = ".".join(keys[: depth + 1])
                raise GoldenError(f"{self.path}: field 'meta' lacks {path!r}")
            value = value[key]
        return value


def case_names(folder: Path) -> list[str]:
    """Return the stems of the golden files directly in a folder, sorted."""
    names = set()
    for path in folder.iterdir():
        suffix = next((s for s in reversed(CASE_SUFFIXES) if path.name.endswith(s)), None)
        if suffix is not None and path.is_file():
            names.add(path.name[: -len(suffix)])
    return sorted(names)


class GoldenGroup(ABC):
    """The runner of one group.

    A subclass gives its tables and :meth:`compute`; a group whose cases are not single npz files
    overrides :meth:`cases`, :meth:`outputs` and :meth:`run` instead.

    Attributes:
        name: The group, which is the name of its folder.
        inputs: Patterns of the arrays that are inputs, by pattern of the case. Whatever is stored
            and not an input is an output, so that an array nobody thought of fails its case.
        tolerances: Tolerance by pattern of the array, by pattern of the case: the group's README.
        whole_models: Cases that run a whole model, and so can be run with given weights.
    """

    name: str = ""
    whole_models: Sequence[str] = ()
    inputs: Mapping[str, Sequence[str]] = {}
    tolerances: Mapping[str, Mapping[str, Tolerance]] = {}

    def cases(self, folder: Path) -> list[str]:
        """Return the names of the cases in a folder, sorted."""
        return case_names(folder)

    def outputs(self, folder: Path, case: str) -> list[str]:
        """Return the names of the stored outputs, each of which must be compared."""
        patterns = self.table(self.inputs, case)
        stored = GoldenCase.load(folder / f"{case}.npz").arrays
        return [n for n in stored if not any(fnmatchcase(n, pattern) for pattern in patterns)]

    def tolerance(self, case: str, array: str) -> Tolerance:
        """Return the tolerance of a stored output."""
        return find_tolerance(self.table(self.tolerances, case), array)

    def run(
        self, folder: Path, case: str, weights: Mapping[str, Tensor] | None = None
    ) -> list[ArrayCheck]:
        """Run a case and compare its outputs.

        Args:
            folder: Folder of the group.
            case: Name of the case.
            weights: For one of ``whole_models``: weights by our names, in place of seeded ones.

        Raises:
            GoldenError: The case is not understood.
        """
        golden = replace(GoldenCase.load(folder / f"{case}.npz"), weights=weights)
        comparison = Comparison(self.table(self.tolerances, case))
        for name, ours in self.compute(golden).items():
            comparison.compare(name, golden[name], ours)
        return comparison.checks

    @abstractmethod
    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Return the outputs of the library for the inputs of a case, by name of the array."""

    def table(self, tables: Mapping[str, Any], case: str) -> Any:
        """Return the entry for a case, or raise an error that names the cases known.

        Raises:
            GoldenError: No pattern fits the case.
        """
        for pattern, entry in tables.items():
            if fnmatchcase(case, pattern):
                return entry
        raise GoldenError(
            f"case {case!r} is unknown to group {self.name!r}; it knows {', '.join(tables)}"
        )
