# SPDX-License-Identifier: Apache-2.0
"""What is known of a plugin, and which plugins are installed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

GROUP = "visbench.plugins"
"""Group of entry points that makes a package a plugin."""

SWITCH = "VISBENCH_PLUGINS"
"""Environment variable; with the value 0 no plugin is loaded and no config of one is found."""


class PluginWarning(UserWarning):
    """A plugin could not be loaded; the message names it, the error and the remedy."""


class Status(Enum):
    """What became of a plugin."""

    FOUND = "found"
    LOADED = "loaded"
    FAILED = "failed"
    OFF = "switched off"


class Registered(NamedTuple):
    """One thing in a registry: ``kind`` is the registry's name, e.g. ``model`` or ``dataset``."""

    kind: str
    name: str


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed package.

    Args:
        package: Name of the distribution, as ``pip`` knows it.
        version: Its version.
        name: Name of the entry point.
        target: What the entry point names: ``module`` or ``module:function``.
        status: What became of it.
        error: What went wrong; empty unless it failed.
        remedy: What to do about it; empty unless it failed.
        traceback: Where it went wrong; empty unless it failed.
        registered: What it registered.
    """

    package: str
    version: str
    name: str
    target: str
    status: Status = Status.FOUND
    error: str = ""
    remedy: str = ""
    traceback: str = ""
    registered: tuple[Registered, ...] = ()

    @property
    def module(self) -> str:
        """Name of the module that is imported."""
        return self.target.partition(":")[0].strip()

    @property
    def import_package(self) -> str:
        """Name of the top-level package, which everything the plugin registers is defined in."""
        return self.module.partition(".")[0]

    def config_folder(self) -> Path | None:
        """Return the folder ``configs`` of the top-level package, or None; nothing is imported."""
        if self.status is Status.OFF:
            return None
        try:
            spec = find_spec(self.import_package)
        except (ImportError, ValueError):
            return None
        folders = [
            Path(place) / "configs" for place in (spec and spec.submodule_search_locations) or ()
        ]
        return next((folder for folder in folders if folder.is_dir()), None)

    def __str__(self) -> str:
        return (
            f"plugin {self.name} of {self.package} {self.version} "
            f"(entry point {self.name} = {self.target!r} in {GROUP})"
        )

    def problem(self) -> str:
        """Return one message on a failed plugin: which it is, the error, the remedy."""
        return f"{self} could not be loaded: {self.error}; {self.remedy}"


def find_plugins() -> tuple[Plugin, ...]:
    """Return the plugins that are installed, by package and name; nothing is imported."""
    status = Status.OFF if os.environ.get(SWITCH, "").strip() == "0" else Status.FOUND
    found = [_plugin(entry, status) for entry in entry_points(group=GROUP)]
    return tuple(sorted(found, key=lambda plugin: (plugin.package, plugin.name)))


def load_plugins() -> tuple[Plugin, ...]:
    """Load all plugins, once per process, and return what became of them.

    Registries do it on first use. A plugin that fails is told in a :class:`PluginWarning`.
    """
    plugins: tuple[Plugin, ...] = import_module("visbench.plugins.loaded").PLUGINS
    return plugins


def _plugin(entry: EntryPoint, status: Status) -> Plugin:
    package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "?")
    return Plugin(package, version, entry.name, entry.value, status)
