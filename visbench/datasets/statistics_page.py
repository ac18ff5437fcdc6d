# SPDX-License-Identifier: Apache-2.0
"""Statistics of a data set as terminal table, Markdown and a page of HTML."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from visbench.datasets.statistics import PER_CENT, DatasetStatistics, Distribution

_Rows = list[tuple[str, ...]]
_QUANTILES = ("smallest", "25 %", "median", "75 %", "largest")
_COLUMNS = ("", *_QUANTILES, "mean")
_CLASS_COLUMNS = ("category", "tracks", "videos", "objects in frames")
assert len(_QUANTILES) == len(PER_CENT)

_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ source }}</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: 600 }
td, th { border-bottom: 1px solid #ccc; padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)) }
</style></head><body><h1>{{ source }}</h1>
{% for caption, columns, rows in tables %}
<table><caption>{{ caption }}</caption>
<thead><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
{% endfor %}
<div class="charts">{% for chart in charts %}<div>{{ chart | safe }}</div>{% endfor %}</div>
</body></html>
"""


def statistics_tables(found: DatasetStatistics) -> list[tuple[str, tuple[str, ...], _Rows]]:
    """Return caption, columns and rows of every table."""
    counts = [(name, f"{value:,}") for name, value in found.counts.items()]
    tables: list[tuple[str, tuple[str, ...], _Rows]] = [("Counts", ("", "number"), [*counts])]
    spread = [
        (item.title, *map(_short, item.quantiles), _short(item.mean))
        for item in found.distributions.values()
        if len(item.values)
    ]
    tables.append(("Distributions", _COLUMNS, [*spread]))
    groups = [
        (f"{split.replace('_', ' ')}: {name}", f"{count:,}", f"{100 * count / total:.1f}")
        for split, parts in found.groups.items()
        for total in [max(1, sum(parts.values()))]
        for name, count in parts.items()
    ]
    if groups:
        caption = "Groups of tools/evaluate.py --breakdown"
        tables.append((caption, ("group", "number", "%"), [*groups]))
    if found.classes:
        rows = [(name, *(f"{value:,}" for value in row)) for name, row in found.classes.items()]
        tables.append(("Categories", _CLASS_COLUMNS, [*rows]))
    return tables


def terminal_tables(found: DatasetStatistics) -> list[Table]:
    """Return the tables for a terminal."""
    tables = []
    for caption, columns, rows in statistics_tables(found):
        table = Table(title=caption, title_justify="left")
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index else "left", overflow="fold")
        for row in rows:
            table.add_row(*(cell.replace("[", r"\[") for cell in row))
        tables.append(table)
    return tables


def markdown(found: DatasetStatistics) -> str:
    """Return the tables in Markdown."""
    parts = [f"# {found.source}\n"]
    for caption, columns, rows in statistics_tables(found):
        lines = [columns, ("---", *["---:"] * (len(columns) - 1)), *rows]
        body = [f"| {' | '.join(c.replace('|', chr(92) + '|') for c in row)} |" for row in lines]
        parts.append(f"## {caption}\n\n" + "\n".join(body) + "\n")
    return "\n".join(parts)


def html_page(found: DatasetStatistics) -> str:
    """Return one self-contained page with tables and histograms, which opens offline.

    Raises:
        ImportError: If Jinja2 or Plotly is not installed.
    """
    try:
        from jinja2 import Environment
        from plotly import graph_objects, offline
    except ImportError as error:
        raise ImportError(
            f"a page of HTML needs {error.name}: pip install 'visbench[report]'"
        ) from error
    template = Environment(autoescape=True).from_string(_PAGE)
    charts = [f"<script>{offline.get_plotlyjs()}</script>"] + [
        _histogram(graph_objects, item).to_html(full_html=False, include_plotlyjs=False)
        for item in found.distributions.values()
        if len(item.values)
    ]
    return template.render(source=found.source, tables=statistics_tables(found), charts=charts)


def _histogram(graph_objects: Any, item: Distribution) -> Any:
    figure = graph_objects.Figure(graph_objects.Histogram(x=item.values.tolist(), nbinsx=40))
    figure.update_layout(
        title=item.title, height=300, margin={"l": 40, "r": 10, "t": 40, "b": 30}, bargap=0.05
    )
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"
