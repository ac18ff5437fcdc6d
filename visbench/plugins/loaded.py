# SPDX-License-Identifier: Apache-2.0
"""The plugins of this process: importing this module loads them.

Registries name it among the places they import on first use, after visbench's own parts. Python
imports a module once, which makes the loading happen once, too, also where a plugin looks into a
registry while it is being loaded.
"""

from visbench.plugins.loading import load_all
from visbench.plugins.plugin import find_plugins
from visbench.registry import registries

PLUGINS = load_all(find_plugins(), registries())
