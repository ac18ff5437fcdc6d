#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Print what a bug report needs: versions, devices, and which operators are in use."""

from __future__ import annotations

import argparse
import json
import sys

_EPILOG = """\
The host's name, paths and environment variables are not printed. An installation that visbench
cannot use (two distributions of one module, say) is reported with the remedy.

examples:
  python tools/collect_env.py
  python tools/collect_env.py --json > environment.json

exit status: 0, or 1 if visbench cannot be imported; versions are printed all the same
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)
    from visbench.benchmark.environment import as_text, environment

    facts, problem = environment()
    print(json.dumps(facts, indent=2) if args.json else as_text(facts))
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
