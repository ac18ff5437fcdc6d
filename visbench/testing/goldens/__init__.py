# SPDX-License-Identifier: Apache-2.0
"""One runner module per golden group, imported by its name when a folder of that group is checked.

A module ``visbench/testing/goldens/<group>.py`` defines ``GROUP``, an instance of a subclass of
:class:`visbench.testing.parity.GoldenGroup`.
"""
