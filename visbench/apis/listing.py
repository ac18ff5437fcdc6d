# SPDX-License-Identifier: Apache-2.0
"""What is registered and where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visbench.engine.config_files import config_folders
from visbench.plugins import Plugin, Status, load_plugins
from visbench.version import __version__

OWN = "visbench"


@dataclass(frozen=True)
class Listing:
    """A table.

    Args:
        columns: Headings.
        rows: Words by column.
        problems: What went wrong, one message each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...] = ()


def list_methods() -> Listing:
    """Return the registered methods."""
    from visbench.models import VISModel
    from visbench.registry import MODELS

    rows = [
        (name, "online" if method.online else "offline", source, _summary(method))
        for name, method, source in _registered(MODELS)
        if inspect.isclass(method) and issubclass(method, VISModel)
    ]
    return Listing(("method", "kind", "from", "description"), tuple(rows))


def list_datasets() -> Listing:
    """Return the registered data sets of visbench and plugins; MMDetection's are left out."""
    from visbench.registry import DATASETS

    return _described("dataset", DATASETS)


def list_metrics() -> Listing:
    """Return the registered metrics of visbench and plugins."""
    from visbench.registry import METRICS

    return _described("metric", METRICS)


def list_configs() -> Listing:
    """Return all config files of visbench and plugins; nothing is imported."""
    rows = [
        (path.stem, folder.package, str(path))
        for folder in config_folders()
        for path in folder.configs()
    ]
    return Listing(("config", "from", "file"), tuple(rows))


def list_plugins() -> Listing:
    """Load the plugins and return what became of them."""
    plugins = load_plugins()
    rows = [
        (
            plugin.name,
            f"{plugin.package} {plugin.version}",
            plugin.target,
            plugin.status.value,
            ", ".join(f"{name} ({kind})" for kind, name in plugin.registered),
        )
        for plugin in plugins
    ]
    columns = ("plugin", "package", "entry point", "status", "registered")
    return Listing(columns, tuple(rows), _problems(plugins))


LISTINGS: Mapping[str, Callable[[], Listing]] = {
    "methods": list_methods,
    "datasets": list_datasets,
    "metrics": list_metrics,
    "configs": list_configs,
    "plugins": list_plugins,
}
"""What can be listed, by its name on the command line."""


def _described(kind: str, registry: Any) -> Listing:
    rows = [(name, source, _summary(entry)) for name, entry, source in _registered(registry)]
    return Listing((kind, "from", "description"), tuple(rows))


def _registered(registry: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield name, entry and package of what a registry itself holds, by package and name."""
    from visbench.registry import register_all_modules

    register_all_modules(init_default_scope=False)
    sources = {
        plugin.import_package: f"{plugin.package} {plugin.version}"
        for plugin in load_plugins()
        if plugin.status is Status.LOADED
    }
    sources[OWN] = f"{OWN} {__version__}"
    found = []
    for name, entry in registry.module_dict.items():
        package = str(getattr(entry, "__module__", "")).partition(".")[0]
        found.append((name, entry, sources.get(package, package)))
    yield from sorted(found, key=lambda item: (item[2] != sources[OWN], item[2], item[0].lower()))


def _summary(entry: Any) -> str:
    text = inspect.getdoc(entry) or ""
    return " ".join(text.split("\n\n")[0].split())


def _problems(plugins: tuple[Plugin, ...]) -> tuple[str, ...]:
    return tuple(plugin.problem() for plugin in plugins if plugin.status is Status.FAILED)
