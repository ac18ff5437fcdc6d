# SPDX-License-Identifier: Apache-2.0
"""Loads plugins one by one; one that fails leaves nothing behind."""

from __future__ import annotations

import inspect
import os
import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from mmengine.registry import Registry

from visbench.plugins.plugin import GROUP, SWITCH, Plugin, PluginWarning, Registered, Status

_TAKEN = re.compile(r"^(?P<name>\S+) is already registered in (?P<kind>.+) at (?P<owner>\S+)$")


class NameTaken(Exception):
    """A plugin registers a name that something else has."""


class _Nothing(Exception):
    """An entry point names nothing that exists."""


def load_all(plugins: Sequence[Plugin], kinds: Sequence[Registry]) -> tuple[Plugin, ...]:
    """Load plugins in order.

    Args:
        plugins: What :func:`~visbench.plugins.find_plugins` found.
        kinds: visbench's registries.

    Returns:
        The plugins with their status; those that are switched off as they are.
    """
    if all(plugin.status is Status.OFF for plugin in plugins):
        return tuple(plugins)
    # A plugin that takes a name of visbench shall fail, and not visbench's own part after it.
    from visbench.registry import register_own_modules

    register_own_modules()
    return tuple(
        plugin if plugin.status is Status.OFF else load(plugin, kinds) for plugin in plugins
    )


def load(plugin: Plugin, kinds: Sequence[Registry]) -> Plugin:
    """Load one plugin; if it fails, warn and take back what it registered.

    Args:
        plugin: The plugin.
        kinds: visbench's registries.

    Returns:
        The plugin with its new status.
    """
    before = [(registry, dict(registry.module_dict)) for registry in _with_ancestors(kinds)]
    try:
        _run(plugin)
        _check_names(plugin, kinds, before)
    except (Exception, SystemExit) as error:
        _take_back(plugin, kinds, before)
        failed = _failed(plugin, error)
        details = f"\n{failed.traceback}" if os.environ.get("VISBENCH_TRACEBACK") else ""
        warnings.warn(failed.problem() + details, PluginWarning, stacklevel=2)
        return failed
    return replace(plugin, status=Status.LOADED, registered=tuple(_registered(plugin, kinds)))


def _run(plugin: Plugin) -> None:
    try:
        loaded: Any = import_module(plugin.module)
    except ModuleNotFoundError as error:
        if error.name and f"{plugin.module}.".startswith(f"{error.name}."):
            raise _Nothing(f"there is no module {error.name}") from error
        raise
    for attribute in filter(None, plugin.target.partition(":")[2].strip().split(".")):
        if not hasattr(loaded, attribute):
            raise _Nothing(f"module {plugin.module} has no {attribute!r}")
        loaded = getattr(loaded, attribute)
    if inspect.isroutine(loaded):
        loaded()


def _check_names(
    plugin: Plugin, kinds: Sequence[Registry], before: list[tuple[Registry, dict[str, Any]]]
) -> None:
    """Refuse what MMEngine lets pass: replaced entries, and names that hide a base library's.

    Raises:
        NameTaken: If a name is somebody else's.
    """
    for registry, entries in before:
        for name, entry in entries.items():
            if registry.module_dict.get(name) is not entry:
                raise NameTaken(_taken(name, registry.name, _place(entry)))
    for registry, name, entry in _entries(plugin, kinds):
        for relative in _with_ancestors([registry]):
            other = relative.module_dict.get(name, entry)
            if other is not entry:
                raise NameTaken(_taken(name, registry.name, _place(other)))


def _taken(name: str, kind: str, owner: str) -> str:
    return f"it registers {name!r} as {kind}, a name that {owner} has already"


def _take_back(
    plugin: Plugin, kinds: Sequence[Registry], before: list[tuple[Registry, dict[str, Any]]]
) -> None:
    own = {id(registry) for registry in kinds}
    for registry, entries in before:
        for name, entry in list(registry.module_dict.items()):
            if name in entries:
                continue
            # visbench's registries held all of its parts before, so what is new came by the plugin,
            # also where it is another package's; MMDetection's fill up as its modules are imported.
            if id(registry) in own or _is_of(plugin, entry):
                del registry.module_dict[name]
        # Also where the plugin replaced an entry by force.
        registry.module_dict.update(entries)


def _failed(plugin: Plugin, error: BaseException) -> Plugin:
    taken = _TAKEN.match(str(error.args[0])) if isinstance(error, KeyError) and error.args else None
    if taken:
        error = NameTaken(_taken(taken["name"], taken["kind"], taken["owner"]))
    words = str(error) if isinstance(error, (NameTaken, _Nothing)) else _words(error)
    return replace(
        plugin,
        status=Status.FAILED,
        error=words,
        remedy=_remedy(plugin, error),
        traceback="".join(traceback.format_exception(error)),
    )


def _words(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if len(frames) > 2 else ""
    return f"{type(error).__name__}: {error}{place}"


def _remedy(plugin: Plugin, error: BaseException) -> str:
    package = plugin.package
    if isinstance(error, _Nothing):
        return (
            f"reinstall it (pip install --force-reinstall --no-deps {package}); its authors: "
            f'correct [project.entry-points."{GROUP}"] in its pyproject.toml'
        )
    if isinstance(error, NameTaken):
        return (
            f"pip uninstall {package}; its authors: register another name, "
            "@MODELS.register_module(name='...')"
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"install the package that brings the module {error.name}, or all that the plugin "
            f"needs: pip install --upgrade --force-reinstall {package}"
        )
    if isinstance(error, ImportError):
        return f"plugin and visbench may not fit together: pip install --upgrade {package} visbench"
    return (
        f"ask its authors (VISBENCH_TRACEBACK=1 shows where it happens), or go without it: "
        f"pip uninstall {package}, or {SWITCH}=0 for no plugin at all"
    )


def _registered(plugin: Plugin, kinds: Sequence[Registry]) -> Iterator[Registered]:
    for registry, name, _ in _entries(plugin, kinds):
        yield Registered(registry.name, name)


def _entries(plugin: Plugin, kinds: Sequence[Registry]) -> Iterator[tuple[Registry, str, Any]]:
    """Yield what belongs to a plugin, also where its modules were imported before."""
    for registry in _with_ancestors(kinds):
        for name, entry in registry.module_dict.items():
            if _is_of(plugin, entry):
                yield registry, name, entry


def _is_of(plugin: Plugin, entry: Any) -> bool:
    return str(getattr(entry, "__module__", "")).partition(".")[0] == plugin.import_package


def _place(entry: Any) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', entry)}"


def _with_ancestors(kinds: Sequence[Registry]) -> list[Registry]:
    found: dict[int, Registry] = {}
    for kind in kinds:
        registry: Registry | None = kind
        while registry is not None:
            found.setdefault(id(registry), registry)
            registry = registry.parent
    return list(found.values())
