#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Lend packages of one environment to another one, so that nothing large is installed twice.

Run by the Python of the environment that lends. Only the named distributions and what they need
are lent, so that the other environment still misses whatever the library forgets to declare.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_NEVER = {"pip", "setuptools", "wheel"}


def main() -> None:
    """Make a folder of links and a ``.pth`` file which points to it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site_packages", type=Path, help="of the environment that borrows")
    parser.add_argument("links", type=Path, help="folder of links to make, outside of it")
    parser.add_argument("names", nargs="+", help="distributions to lend with what they need")
    parser.add_argument(
        "--without", nargs="*", default=[], help="of these, only what they need is lent"
    )
    args = parser.parse_args()
    lend(args.names, args.without, args.links)
    (args.site_packages / "borrowed.pth").write_text(f"{args.links.resolve()}\n")


def lend(names: Iterable[str], without: Iterable[str], links: Path) -> None:
    """Link the top-level files of distributions and of what they need into a folder.

    Args:
        names: Distributions to lend.
        without: Distributions that are left out, though not what they need.
        links: The folder.
    """
    links.mkdir(parents=True)
    left_out = {canonicalize_name(name) for name in without} | _NEVER
    for name, found in _closure(names).items():
        if name in left_out:
            continue
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (links / top).exists():
                (links / top).symlink_to(Path(str(found.locate_file(top))).resolve())


def _closure(names: Iterable[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(name) for name in names]
    while queue:
        wanted = queue.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # pip says so if the other environment needs it
        needs = map(Requirement, found[name].requires or ())
        queue += [need for need in needs if _applies(need, extras)]
    return found


def _applies(need: Requirement, extras: frozenset[str]) -> bool:
    marker = need.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})


if __name__ == "__main__":
    main()
