# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

from visbench.benchmark.commands import benchmark_parser


def test_the_examples_of_the_help_are_commands() -> None:
    parser = benchmark_parser()
    examples = re.findall(r"^  python tools/benchmark\.py (.*)$", parser.epilog or "", re.MULTILINE)
    assert len(examples) >= 3
    for words in examples:
        assert callable(parser.parse_args(words.split()).run)
