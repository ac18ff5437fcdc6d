# SPDX-License-Identifier: Apache-2.0
"""A golden group whose cases are spread over several modules, one for each topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from visbench.testing.parity import ArrayCheck, Comparison, GoldenCase, GoldenGroup, Tolerance

if TYPE_CHECKING:
    from torch import Tensor

Compute = Callable[[GoldenCase], Mapping[str, Any]]
CompareAll = Callable[[GoldenCase, Mapping[str, Any], Comparison], Sequence[str]]


@dataclass(frozen=True)
class GoldenPart:
    """The cases of one topic: tables of the group's README and what computes the outputs.

    Args:
        inputs: Patterns of the arrays that are inputs, by case.
        tolerances: Tolerance by pattern of the array, by case.
        computes: What returns the outputs of the library for a case, by case.
        compares: For outputs that a tolerance per value cannot judge (so many pixels per mask may
            differ, any order within a tie): called with the case, our outputs and the comparison,
            it records its checks there and returns the names of the arrays it has dealt with.
        whole_models: Cases that run a whole model with :meth:`GoldenCase.load_weights`.
    """

    inputs: Mapping[str, Sequence[str]]
    tolerances: Mapping[str, Mapping[str, Tolerance]]
    computes: Mapping[str, Compute]
    compares: Mapping[str, CompareAll] = field(default_factory=dict)
    whole_models: Sequence[str] = ()


class PartedGroup(GoldenGroup):
    """A runner made of parts.

    Args:
        name: The group, which is the name of its folder.
        parts: Parts without a case in common.
    """

    def __init__(self, name: str, parts: Sequence[GoldenPart]) -> None:
        self.name = name
        self.inputs = {case: value for part in parts for case, value in part.inputs.items()}
        self.tolerances = {case: v for part in parts for case, v in part.tolerances.items()}
        self.computes = {case: value for part in parts for case, value in part.computes.items()}
        self.compares = {case: value for part in parts for case, value in part.compares.items()}
        self.whole_models = [case for part in parts for case in part.whole_models]

    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Return the outputs of the library for the inputs of a case."""
        compute: Compute = self.table(self.computes, golden.name)
        return compute(golden)

    def run(
        self, folder: Any, case: str, weights: Mapping[str, Tensor] | None = None
    ) -> list[ArrayCheck]:
        """Run a case and compare its outputs; see :meth:`GoldenGroup.run`."""
        golden = replace(GoldenCase.load(folder / f"{case}.npz"), weights=weights)
        comparison = Comparison(self.table(self.tolerances, case))
        outputs = self.compute(golden)
        compare = self.compares.get(case)
        done = compare(golden, outputs, comparison) if compare else ()
        for name, ours in outputs.items():
            if name not in done:
                comparison.compare(name, golden[name], ours)
        return comparison.checks
