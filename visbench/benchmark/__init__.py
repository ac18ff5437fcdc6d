# SPDX-License-Identifier: Apache-2.0
"""Fair comparison of methods: suites, runs, a store of rows, tables.

The package imports neither torch nor MMDetection; only its worker processes do.
"""

from visbench.benchmark.compare import compare
from visbench.benchmark.identity import config_hash
from visbench.benchmark.rows import Row, RowStore
from visbench.benchmark.suites import SUITES, suite_configs

__all__ = ["SUITES", "Row", "RowStore", "compare", "config_hash", "suite_configs"]
