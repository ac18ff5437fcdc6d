# SPDX-License-Identifier: Apache-2.0
"""Directions of published ablations, run and judged: ``tools/benchmark.py claims``."""

from visbench.benchmark.claims.data import Claim, ClaimBook, read_claims
from visbench.benchmark.claims.rows import ClaimRows
from visbench.benchmark.claims.verdict import Verdict, t_interval, verdict

__all__ = ["Claim", "ClaimBook", "ClaimRows", "Verdict", "read_claims", "t_interval", "verdict"]
