# SPDX-License-Identifier: Apache-2.0
"""Docstrings as Markdown: roles of Sphinx become links, ``::`` before examples goes."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):`(~?)([\w.]+)(?:\s+<([\w.]+)>)?`")
_LITERAL = re.compile(r"::(?=\n\n[ ]{4})")


class DocstringRoles(griffe.Extension):
    """Rewrites every docstring as soon as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    """Return a docstring without what only Sphinx understands.

    Args:
        text: The docstring. ``:class:`~package.Name``` becomes a link to ``package.Name`` if the
            site has it, and else is written as code.
    """
    return _LITERAL.sub(":", _ROLE.sub(_link, text))


def _link(role: re.Match[str]) -> str:
    short, name, target = role.groups()
    shown = name.rpartition(".")[2] if short else name
    return f'<autoref identifier="{target or name}" optional><code>{shown}</code></autoref>'
