# SPDX-License-Identifier: Apache-2.0
"""All checks, and a test of them for pytest."""

from __future__ import annotations

from collections.abc import Callable

from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.online_checks import ONLINE_CHECKS
from visbench.testing.conformance.result_checks import RESULT_CHECKS
from visbench.testing.conformance.training_checks import TRAINING_CHECKS

CHECKS = (*TRAINING_CHECKS, *RESULT_CHECKS, *ONLINE_CHECKS)
"""All checks; those for online methods return at once for an offline one."""


def conformance_tests(*cases: ConformanceCase) -> Callable[..., None]:
    """Return a test function for pytest: every check on every case.

    Args:
        cases: Methods to check, one or more.

    Returns:
        The function; its name in the test file must begin with ``test_``.

    Raises:
        TypeError: If no case is given, or something that is none.
        ModuleNotFoundError: If pytest is not installed.

    Examples:
        >>> from visbench.testing.conformance.cases import CASES
        >>> test_conformance = conformance_tests(*CASES)
    """
    if not cases or not all(isinstance(case, ConformanceCase) for case in cases):
        raise TypeError(f"conformance_tests takes ConformanceCases, one or more, not {cases}")
    try:
        import pytest
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the conformance tests need pytest; run: pip install pytest", name="pytest"
        ) from error

    @pytest.mark.parametrize("case", cases, ids=lambda case: case.name)
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_conformance(check: Callable[[ConformanceCase], None], case: ConformanceCase) -> None:
        check(case)

    return test_conformance
