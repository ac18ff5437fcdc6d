# SPDX-License-Identifier: Apache-2.0
"""Propose-Reduce: object sequences from key frames, reduced to objects (Lin et al., ICCV 2021)."""

from visbench.models.propose_reduce import association as _association  # noqa: F401  (registers)
