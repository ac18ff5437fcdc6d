# SPDX-License-Identifier: Apache-2.0
"""Several results of the same videos in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.result_tables import points, shorten

__all__ = ["comparison_tables", "named_results"]

_ENDINGS = (".gz", ".json", ".zip")


def named_results(words: Sequence[str]) -> dict[str, str]:
    """Return paths by name.

    Args:
        words: ``PATH`` or ``NAME=PATH``. A path without a name goes by its file name without
            ending; where that is not enough to tell the paths apart, by all of the path.

    Raises:
        ValueError: If two have the same name.

    Examples:
        >>> named_results(["ours=a/results.json", "b/sam.json.gz"])
        {'ours': 'a/results.json', 'sam': 'b/sam.json.gz'}
    """
    pairs = [_split(word) for word in words]
    short = [name or _stem(path) for name, path in pairs]
    names = [
        path if not name and short.count(label) > 1 else label
        for (name, path), label in zip(pairs, short, strict=True)
    ]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise ValueError(f"two results are named {name!r}; write OTHER={pairs[position][1]}")
    return {name: path for name, (_, path) in zip(names, pairs, strict=True)}


def _split(word: str) -> tuple[str, str]:
    name, equals, path = word.partition("=")
    # A path may have "=" in its name.
    return (name, path) if equals and name and path and not Path(word).exists() else ("", word)


def _stem(path: str) -> str:
    name = Path(path).name
    while name.endswith(_ENDINGS):
        name = name[: name.rindex(".")]
    return name or path


def comparison_tables(results: Mapping[str, EvaluationResult]) -> list[Table]:
    """Return one table per metric with a line for each of the results, in points (0 to 100).

    Args:
        results: Results by name. Of many numbers the usual ones are shown. Where a confidence
            interval was asked for, that of the first number comes last; what an analysis gave
            besides is in the files only.
    """
    metrics = dict.fromkeys(metric for result in results.values() for metric in result.metrics)
    return [_table(metric, results) for metric in metrics]


def _table(metric: str, results: Mapping[str, EvaluationResult]) -> Table:
    rows = {name: shorten(found.metrics.get(metric, {})) for name, found in results.items()}
    names = list(dict.fromkeys(number for values in rows.values() for number in values))
    title = f"{metric} (points, 0 to 100)"
    table = Table(title=title, title_justify="left", min_width=min(len(title), 80))
    table.add_column("results", overflow="fold")
    for name in names:
        # Rich breaks lines at blanks only.
        table.add_column(name.replace("_", " "), justify="right")
    intervals = {name: _interval(found, metric, names[:1]) for name, found in results.items()}
    if any(intervals.values()):
        table.add_column(f"{names[0]} 95 %", justify="right")
    for label, values in rows.items():
        cells = [points(values.get(name, -1)) for name in names]
        table.add_row(label, *cells, *([intervals[label]] if any(intervals.values()) else []))
    return table


def _interval(result: EvaluationResult, metric: str, names: Sequence[str]) -> str:
    if result.bootstrap is None:
        return ""
    limits = [result.bootstrap.intervals.get(metric, {}).get(name) for name in names]
    return ", ".join(f"{points(low)} to {points(high)}" for low, high in filter(None, limits))
