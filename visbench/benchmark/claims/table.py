# SPDX-License-Identifier: Apache-2.0
"""The table of verdicts: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from visbench.benchmark.claims.verdict import (
    NOT_REPRODUCED,
    NOT_RUN,
    OUTCOMES,
    REPRODUCED,
    UNDECIDED,
    Verdict,
)

COLUMNS = (
    *("claim", "statement", "a", "b", "data", "metric", "expected", "source"),
    *("published a", "published b", "published data"),
    *("n", "seeds", "mean a", "mean b", "difference", "low", "high", "verdict", "code"),
)
_COLOURS = {REPRODUCED: "green", NOT_REPRODUCED: "red", UNDECIDED: "yellow", NOT_RUN: "dim"}

NOTE = (
    "Differences are of config a minus config b, in points, paired by seed and version of the "
    "code; the interval is Student's 95 % interval of their mean over n seeds. Reproduced: all of "
    "it has the expected sign; not reproduced: all of it has the other one; undecided: it includes "
    "zero, or n is 1. Each interval is for its claim alone, and more seeds are run where it is "
    "undecided, so a few verdicts of a long table can be chance. Published numbers are the "
    "papers', on their data; ours are of small models on MovingShapes: directions can be "
    "compared, sizes cannot."
)


def values(verdict: Verdict, digits: int = 1) -> dict[str, str]:
    """Return the cells of a verdict by column; what is not known is an empty text.

    Args:
        verdict: The verdict.
        digits: Digits after the point of our numbers.
    """
    claim, published = verdict.claim, verdict.claim.published
    low, high = verdict.interval or (None, None)
    pairs = verdict.pairs
    return {
        "claim": claim.id,
        "statement": claim.statement,
        "a": claim.a.stem,
        "b": claim.b.stem,
        "data": claim.data.dataset,
        "metric": claim.metric,
        "expected": "+" if claim.sign > 0 else "-",
        "source": f"{claim.paper}, {_table(claim.table)}",
        "published a": _number(published.a if published else None),
        "published b": _number(published.b if published else None),
        "published data": published.data if published else "",
        "n": str(verdict.n),
        "seeds": " ".join(str(pair.seed) for pair in pairs),
        "mean a": _number(_mean([pair.a for pair in pairs]), digits),
        "mean b": _number(_mean([pair.b for pair in pairs]), digits),
        "difference": _number(verdict.mean, digits, "+"),
        "low": _number(low, digits, "+"),
        "high": _number(high, digits, "+"),
        "verdict": verdict.outcome,
        "code": " ".join(verdict.versions),
    }


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return one line: how many claims have which verdict."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    parts = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    return f"{len(verdicts)} claims: {parts}"


def terminal_table(verdicts: Sequence[Verdict]) -> Table:
    """Return the table for the terminal."""
    table = Table()
    for title in ("claim", "source"):
        table.add_column(title, overflow="fold")
    for title in ("published a, b", "metric", "expected"):
        table.add_column(title)
    for title in ("n", "a, b", "a - b", "95 % interval"):
        table.add_column(title, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        cell = values(verdict)
        texts = (
            *(cell["claim"], cell["source"], _couple(cell["published a"], cell["published b"])),
            *(cell["metric"], cell["expected"], cell["n"]),
            *(_couple(cell["mean a"], cell["mean b"]), cell["difference"]),
            _couple(cell["low"], cell["high"]),
        )
        # Texts that are no markup: names may have brackets.
        outcome = Text(verdict.outcome, _COLOURS[verdict.outcome])
        table.add_row(*map(Text, texts), outcome)
    return table


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the table with the statements, and what it means."""
    titles = (
        *("claim", "statement", "source", "published a, b", "metric", "expected"),
        *("n", "a, b", "a - b", "95 % interval", "verdict"),
    )
    lines = [
        f"# {summary(verdicts)}",
        "",
        "| " + " | ".join(titles) + " |",
        "|" + " --- |" * len(titles),
    ]
    for verdict in verdicts:
        cell = values(verdict)
        cells = [
            *(cell["claim"], cell["statement"], cell["source"]),
            _couple(cell["published a"], cell["published b"]),
            *(cell["metric"], cell["expected"], cell["n"]),
            *(_couple(cell["mean a"], cell["mean b"]), cell["difference"]),
            *(_couple(cell["low"], cell["high"]), f"**{verdict.outcome}**"),
        ]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |")
    notes = [f"- {v.claim.id}: {v.claim.note}" for v in verdicts if v.claim.note]
    return "\n".join([*lines, "", NOTE, "", *notes]).rstrip() + "\n"


def csv_text(verdicts: Sequence[Verdict]) -> str:
    """Return the table as CSV with the columns :data:`COLUMNS`."""
    output = io.StringIO()
    writer = csv.DictWriter(output, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(values(verdict, digits=4) for verdict in verdicts)
    return output.getvalue()


def _table(table: str) -> str:
    return table if table.startswith(("Figure", "Table")) else f"Table {table}"


def _mean(numbers: Sequence[float]) -> float | None:
    return statistics.fmean(numbers) if numbers else None


def _number(value: float | None, digits: int = 1, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.{digits}f}"


def _couple(one: str, other: str) -> str:
    return f"{one}, {other}" if one else "-"
