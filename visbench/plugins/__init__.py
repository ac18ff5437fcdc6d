# SPDX-License-Identifier: Apache-2.0
"""Plugins: packages that add methods, datasets, metrics and configs to visbench.

A package is a plugin if it declares an entry point in the group ``visbench.plugins``::

    [project.entry-points."visbench.plugins"]
    my_method = "my_package"            # a module; importing it registers what is in it
    my_method = "my_package:register"   # or a function, which is called without arguments

Registries load plugins on first use, so what they register is there by name in train, test,
benchmark and list, as visbench's own parts are. Configs in the folder ``configs`` of the
package are found by file name. A plugin that fails is told in a :class:`PluginWarning`, nothing of
it stays registered, and the others and visbench go on. The environment variable
``VISBENCH_PLUGINS=0`` switches all plugins off.

Importing this package imports no plugin; looking for plugins reads metadata only.
"""

from visbench.plugins.plugin import (
    GROUP,
    SWITCH,
    Plugin,
    PluginWarning,
    Status,
    find_plugins,
    load_plugins,
)

__all__ = [
    "GROUP",
    "SWITCH",
    "Plugin",
    "PluginWarning",
    "Status",
    "find_plugins",
    "load_plugins",
]
