# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can mend: they are shown as one message, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the code is wrong; the message names what, where and the remedy."""


class ConfigError(UserError, ValueError):
    """A config file or a command-line option that cannot be used."""


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that is missing, damaged, unsafe or of another model."""
