# SPDX-License-Identifier: Apache-2.0
"""The comparison as one self-contained HTML file.

One way through the package: ``collect`` finds rows and the files of their runs, ``breakdowns``
computes all numbers, ``selection`` chooses videos, ``timeline`` follows identities, ``frames`` and
``plots`` draw, ``page`` puts it together.
"""

from visbench.benchmark.report.page import ReportOptions, write_html_report

__all__ = ["ReportOptions", "write_html_report"]
