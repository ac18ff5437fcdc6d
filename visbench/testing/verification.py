# SPDX-License-Identifier: Apache-2.0
"""Checks a conversion against golden cases of the reference implementation.

Golden cases store outputs of the reference for weights that are made from a seed under the
reference's names. So a conversion is checked as follows: the checkpoint's entries, by their names
and shapes, get those values; they are converted for the config exactly as the real ones were; and
the cases that run the whole model are run with the outcome. It is wrong if an entry was taken for
another, left out, transposed or put into a network that computes something else. What the
checkpoint's own values are worth is not judged: they are copied, and only a test on data tells.
A checkpoint that holds the seeded values is itself what is run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

from visbench.engine.conversion import Conversion, build_bare_model, convert
from visbench.testing.golden_groups import DERIVED
from visbench.testing.parity import (
    CaseResult,
    GoldenError,
    GoldenGroup,
    OtherNetworkError,
    check_case,
    find_group,
    group_folders,
)
from visbench.testing.seeded_weights import fill_state_dict

Sources = Sequence[tuple[str, "str | os.PathLike[str]"]]


@dataclass(frozen=True)
class Verification:
    """What was checked of a conversion.

    Attributes:
        results: Outcome of every case that was run.
        not_verified: What could not be checked, and why.
        own_values: Whether the checkpoint's own values were run; otherwise those of the golden
            cases under its names.
    """

    results: list[CaseResult] = field(default_factory=list)
    not_verified: list[str] = field(default_factory=list)
    own_values: bool = False

    @property
    def passed(self) -> bool:
        """Whether at least one case was run and all of them passed."""
        return bool(self.results) and all(result.passed for result in self.results)


def verify_conversion(
    config: Config, sources: Sources, conversion: Conversion, golden: str | Path
) -> Verification:
    """Run the golden cases of a method with converted weights.

    Args:
        config: The config of the conversion.
        sources: Its pairs of source and file.
        conversion: Its outcome.
        golden: A case (``*.npz``), the folder of a group or a folder of groups.

    Raises:
        GoldenError: There is no such file or folder, or no golden group of this method in it.
    """
    folder, cases = _cases(Path(golden), _group_name(type(build_bare_model(config)).__module__))
    group = find_group(folder.name)
    left = [name for name in conversion.initialised if not name.endswith(DERIVED)]
    if left:
        reason = f"{len(left)} weights are not from the checkpoint, the first is {left[0]}"
        return Verification(not_verified=[f"{folder.name}: {reason}"])
    seeded = convert(config, sources, fill_state_dict).weights
    found = Verification(own_values=_same(seeded, conversion.weights))
    for case in cases or group.cases(folder):
        _verify_case(found, group, folder, case, seeded, named=bool(cases))
    if not found.results and not found.not_verified:
        reason = "no case runs the whole model, so none can be run with a checkpoint"
        found.not_verified.append(f"{folder.name}: {reason}")
    return found


def _group_name(module: str) -> str:
    """Return the name of a method's golden group: its folder, or the package of a plugin.

    Examples:
        >>> _group_name("visbench.models.idol.detector"), _group_name("my_method.model")
        ('idol', 'my_method')
    """
    words = module.removeprefix("visbench.models.").split(".")
    return words[0]


def _cases(golden: Path, method: str) -> tuple[Path, list[str]]:
    """Return the folder of the group and the cases that were named; none means all."""
    if golden.is_file():
        folder, cases = golden.resolve().parent, [golden.name.partition(".")[0]]
        folders = [folder]
    else:
        folders, cases = group_folders(golden), []
    for folder in folders:
        if folder.name == method:
            return folder, cases
    known = ", ".join(folder.name for folder in folders)
    raise GoldenError(
        f"{golden}: holds golden cases of {known}, and the config is of {method}; give the group "
        f"named {method}"
    )


def _verify_case(
    found: Verification,
    group: GoldenGroup,
    folder: Path,
    case: str,
    weights: dict[str, Tensor],
    named: bool,
) -> None:
    where = f"{folder.name}/{case}"
    if case not in group.whole_models:
        if named:
            found.not_verified.append(f"{where}: the case does not run the whole model")
        return
    try:
        found.results.append(check_case(group, folder, case, weights))
    except OtherNetworkError as error:
        found.not_verified.append(f"{where}: {error}")


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
