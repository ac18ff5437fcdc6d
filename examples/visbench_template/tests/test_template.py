# SPDX-License-Identifier: Apache-2.0
from visbench.testing import ConformanceCase, conformance_tests


def find_nothing(model):
    model.network[-1].bias.data[0] = 1e6


def find_something(model):
    model.network[-1].bias.data[0] = -1.0


CASE = ConformanceCase(
    "template",
    {"type": "ClassIsIdentity", "num_classes": 3},
    silence=find_nothing,
    adjust=find_something,
)
test_conformance = conformance_tests(CASE)
