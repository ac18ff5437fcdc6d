# SPDX-License-Identifier: Apache-2.0
"""Conformance kit: the contract of every method as checks that a test calls in three lines.

Examples:
    A plugin's test file::

        from visbench.testing import ConformanceCase, conformance_tests

        CASE = ConformanceCase("my method", model=dict(type="MyMethod", ...), silence=find_nothing)
        test_conformance = conformance_tests(CASE)
"""

from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.online_checks import ONLINE_CHECKS
from visbench.testing.conformance.result_checks import RESULT_CHECKS
from visbench.testing.conformance.suite import CHECKS, conformance_tests
from visbench.testing.conformance.training_checks import TRAINING_CHECKS

__all__ = [
    "CHECKS",
    "ONLINE_CHECKS",
    "RESULT_CHECKS",
    "TRAINING_CHECKS",
    "ConformanceCase",
    "conformance_tests",
]
