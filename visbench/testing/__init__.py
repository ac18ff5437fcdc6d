# SPDX-License-Identifier: Apache-2.0
"""Conformance kit and golden-case runners, used by the tools, the tests and plugins.

Importing this package imports nothing: :mod:`visbench.testing.parity` needs numpy only, the
runners of :mod:`visbench.testing.goldens` import what their group needs.
"""
