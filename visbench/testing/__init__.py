# SPDX-License-Identifier: Apache-2.0
"""Conformance kit and golden-case runners, used by the tools, the tests and plugins.

Importing this package imports nothing: :mod:`visbench.testing.parity` needs numpy only, the
runners of :mod:`visbench.testing.goldens` import what their group needs, and the names of the
conformance kit are loaded on first use.

Examples:
    All that the tests of a plugin need to say; see :class:`ConformanceCase` for the case::

        from visbench.testing import ConformanceCase, conformance_tests

        CASE = ConformanceCase("my method", model=dict(type="MyMethod", ...), silence=find_nothing)
        test_conformance = conformance_tests(CASE)
"""

from __future__ import annotations

from visbench.lazy import lazy_names

_ORIGINS = {"ConformanceCase": "conformance", "conformance_tests": "conformance"}

__all__ = sorted(_ORIGINS)

__getattr__ = lazy_names(__name__, _ORIGINS)
