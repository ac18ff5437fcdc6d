# SPDX-License-Identifier: Apache-2.0
"""What the wheel holds beside the package."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOR_MIM = ("configs", "tools", "model-index.yml", "dataset-index.yml")


class FilesForMim(BuildHookInterface):
    """Puts into ``visbench/.mim`` what mim runs, trains and lists.

    An editable install uses the links in the source tree; with copies of its own mim would go on
    training what configs said when it was made.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a regular wheel."""
        if version != "editable":
            build_data["force_include"].update({name: f"visbench/.mim/{name}" for name in FOR_MIM})
