# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from visbench.testing import ConformanceCase, conformance_tests
from visbench.testing.conformance import CHECKS
from visbench.testing.conformance.cases import CASES


def test_the_suite_has_every_check_on_every_case() -> None:
    test = conformance_tests(*CASES[:2])
    marks = {mark.args[0]: mark.args[1] for mark in test.pytestmark}
    assert tuple(marks["check"]) == CHECKS
    assert tuple(marks["case"]) == CASES[:2]


def test_the_suite_runs_the_check_on_the_case() -> None:
    seen: list[ConformanceCase] = []
    conformance_tests(CASES[0])(check=seen.append, case=CASES[0])
    assert seen == [CASES[0]]


@pytest.mark.parametrize("cases", [(), ({"type": "IDOL"},), (CASES[:1],)])
def test_other_things_than_cases_are_refused(cases: tuple) -> None:
    with pytest.raises(TypeError, match="takes ConformanceCases, one or more"):
        conformance_tests(*cases)
