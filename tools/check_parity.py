#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Compare visbench with golden cases and print the deviation of each.

Example:
    python tools/check_parity.py shared/goldens/ops --only nms roi_align --json parity.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file
from visbench.testing.parity import CaseResult, GoldenError, check, summary


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog="Exits with 1 when a case fails or is not understood, with 2 when nothing is found.",
    )
    parser.add_argument(
        "goldens_dir", type=Path, help="a golden group, named by its folder, or a folder of groups"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="CASE", help="run only these cases (CASE or GROUP/CASE)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the outcome to this file")
    return parser.parse_args(arguments)


def render(results: Sequence[CaseResult]) -> Table:
    """Return the table that is printed: one row per case."""
    table = Table(title="Parity with golden cases")
    for name in ("group", "case", "arrays", "max abs", "max rel", "outcome"):
        table.add_column(
            name, justify="right" if name in ("arrays", "max abs", "max rel") else "left"
        )
    table.add_column("note", overflow="fold")
    for result in results:
        outcome = Text("pass", "green") if result.passed else Text("FAIL", "bold red")
        table.add_row(
            result.group,
            result.case,
            str(len(result.arrays)),
            f"{result.max_abs:.3g}",
            f"{result.max_rel:.3g}",
            outcome,
            Text(result.note),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, print the table, write the JSON file and return the exit status."""
    args = parse_args(arguments)
    try:
        prepare_output_file(args.json, "--json")
        results = check(args.goldens_dir, args.only)
    except (GoldenError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    outcome = summary(results)
    if args.json is not None:
        args.json.write_text(json.dumps(outcome, indent=2, allow_nan=False) + "\n")
    Console().print(render(results))
    print(f"{outcome['passed']} passed, {outcome['failed']} failed")
    return 0 if results and not outcome["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
