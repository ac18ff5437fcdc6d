# SPDX-License-Identifier: Apache-2.0
"""Conformance kit: the contract of every method as checks that a test calls in three lines.

Examples:
    A plugin's test file::

        import pytest
        from visbench.testing.conformance import CHECKS, ConformanceCase

        CASE = ConformanceCase("my_method", model=dict(type="MyMethod", ...), silence=find_nothing)

        @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
        def test_conformance(check):
            check(CASE)
"""

from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.online_checks import ONLINE_CHECKS
from visbench.testing.conformance.result_checks import RESULT_CHECKS
from visbench.testing.conformance.training_checks import TRAINING_CHECKS

CHECKS = (*TRAINING_CHECKS, *RESULT_CHECKS, *ONLINE_CHECKS)
"""All checks; those for online methods return at once for an offline one."""

__all__ = ["CHECKS", "ONLINE_CHECKS", "RESULT_CHECKS", "TRAINING_CHECKS", "ConformanceCase"]
