# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plugin_site import ROOT, install

from visbench import registry
from visbench.apis import listing
from visbench.engine import ConfigError, load_config
from visbench.engine import config as config_module
from visbench.plugins import Plugin, PluginWarning, Status, find_plugins
from visbench.plugins.loading import load_all

WORKING = """
from visbench.registry import DATASETS, METRICS, MODELS
from visbench.datasets import VISDataset
from visbench.engine import VISMetric
from visbench.models import IDOL

@MODELS.register_module()
class PluginMethod(IDOL):
    'A method.'

@DATASETS.register_module()
class PluginDataset(VISDataset):
    pass

@METRICS.register_module()
class PluginMetric(VISMetric):
    pass
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it and registered goes afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    kinds = [kind for own in registry.registries() for kind in (own, own.parent, own.root)]
    registry.register_own_modules()
    before = [(kind, dict(kind.module_dict)) for kind in kinds]
    modules = set(sys.modules)
    yield folder
    for kind, entries in before:
        kind.module_dict.clear()
        kind.module_dict.update(entries)
    for name in set(sys.modules) - modules:
        if name.startswith(("plugin_", "visbench_template")):
            del sys.modules[name]


Loader = Callable[[], dict[str, Plugin]]


@pytest.fixture
def load(site: Path) -> Loader:
    """Loads the plugins of ``site``, by package."""

    def load_site() -> dict[str, Plugin]:
        found = tuple(plugin for plugin in find_plugins() if plugin.version == "1.2")
        return {plugin.package: plugin for plugin in load_all(found, registry.registries())}

    return load_site


def test_methods_datasets_and_metrics_are_there_by_name(site: Path, load: Loader) -> None:
    install(site, "plugin-good", "good = plugin_good", {"plugin_good/__init__.py": WORKING})
    with warnings.catch_warnings():
        warnings.simplefilter("error", PluginWarning)
        plugin = load()["plugin-good"]
    assert plugin.status is Status.LOADED
    names = {(kind, name) for kind, name in plugin.registered}
    assert names == {
        ("model", "PluginMethod"),
        ("dataset", "PluginDataset"),
        ("metric", "PluginMetric"),
    }
    assert registry.MODELS.get("PluginMethod").__module__ == "plugin_good"
    assert registry.DATASETS.get("visbench.PluginDataset").__module__ == "plugin_good"
    assert registry.METRICS.get("PluginMetric").__module__ == "plugin_good"


def test_a_plugin_that_was_imported_before_is_loaded_all_the_same(site: Path, load: Loader) -> None:
    install(site, "plugin-good", "good = plugin_good", {"plugin_good/__init__.py": WORKING})
    importlib.import_module("plugin_good")
    plugin = load()["plugin-good"]
    assert plugin.status is Status.LOADED
    assert len(plugin.registered) == 3


def test_a_function_of_an_entry_point_is_called(site: Path, load: Loader) -> None:
    text = (
        "from visbench.registry import MODELS\n"
        "def register():\n"
        "    @MODELS.register_module()\n"
        "    class PluginLate: pass\n"
    )
    install(site, "plugin-late", "late = plugin_late:register", {"plugin_late.py": text})
    assert [name for _, name in load()["plugin-late"].registered] == ["PluginLate"]


@pytest.mark.parametrize(
    ("target", "text", "error", "remedy"),
    [
        ("plugin_bad", "import no_such_part", "No module named 'no_such_part'", "no_such_part"),
        ("plugin_bad", "from visbench.models import Old", "ImportError: .*'Old'", "--upgrade"),
        ("plugin_bad", "1 / 0", r"ZeroDivisionError: .*plugin_bad\.py, line 4", "TRACEBACK"),
        ("plugin_bad", "raise SystemExit('out of licences')", "out of licences", "uninstall"),
        ("plugin_bad.sub", "", "", "reinstall it"),
        ("plugin_gone", "", "there is no module plugin_gone", "reinstall it .*pyproject.toml"),
        ("plugin_bad:start", "", "module plugin_bad has no 'start'", "reinstall it .*pyproject"),
        (
            "plugin_bad",
            "MODELS.register_module(name='IDOL', module=type('Mine', (), {}))",
            "registers 'IDOL' as model, a name that visbench.models.idol.detector has already",
            "register another name",
        ),
        (
            "plugin_bad",
            "MODELS.register_module(name='IDOL', module=type('Mine', (), {}), force=True)",
            r"registers 'IDOL' as model, a name that visbench.models.idol.detector.IDOL has",
            "register another name",
        ),
        (
            "plugin_bad",
            "MODELS.register_module(name='ResNet', module=type('Mine', (), {}))",
            "registers 'ResNet' as model, a name that mmdet.models.backbones.resnet.ResNet has",
            "register another name",
        ),
    ],
)
def test_a_failing_plugin_is_named_and_leaves_nothing(
    site: Path, load: Loader, target: str, text: str, error: str, remedy: str
) -> None:
    start = (
        "from visbench.registry import MODELS\n@MODELS.register_module()\nclass PluginHalf: pass\n"
    )
    install(site, "plugin-bad", f"bad = {target}", {"plugin_bad.py": start + text + "\n"})
    idol = registry.MODELS.get("IDOL")
    resnet = registry.MODELS.get("ResNet")
    who = rf"plugin bad of plugin-bad 1\.2 \(entry point bad = '{target}' in visbench\.plugins\)"
    with pytest.warns(PluginWarning, match=rf"{who} could not be loaded: .*{error}.*; .*{remedy}"):
        plugin = load()["plugin-bad"]
    assert plugin.status is Status.FAILED
    assert plugin.registered == ()
    assert "PluginHalf" not in registry.MODELS.module_dict
    assert registry.MODELS.get("IDOL") is idol
    assert registry.MODELS.get("ResNet") is resnet


def test_what_a_failing_plugin_took_from_elsewhere_goes_too(site: Path, load: Loader) -> None:
    text = (
        "from collections import OrderedDict\n"
        "from visbench.registry import MODELS\n"
        "MODELS.register_module(name='PluginBorrowed', module=OrderedDict)\n"
        "1 / 0\n"
    )
    install(site, "plugin-bad", "bad = plugin_bad", {"plugin_bad.py": text})
    with pytest.warns(PluginWarning, match="ZeroDivisionError"):
        load()
    assert "PluginBorrowed" not in registry.MODELS.module_dict


def test_a_method_of_an_entry_point_is_called(site: Path, load: Loader) -> None:
    text = (
        "from visbench.registry import MODELS\n"
        "class Parts:\n"
        "    def register(self):\n"
        "        MODELS.register_module(name='PluginPart', module=Parts)\n"
        "parts = Parts()\n"
    )
    install(site, "plugin-parts", "parts = plugin_parts:parts.register", {"plugin_parts.py": text})
    assert [name for _, name in load()["plugin-parts"].registered] == ["PluginPart"]


def test_a_broken_metafile_of_a_plugin_breaks_nothing_else(site: Path) -> None:
    files = {
        "plugin_meta/__init__.py": "",
        "plugin_meta/configs/a/metafile.yml": "Models: 3",
        "plugin_meta/configs/a/plugin_config.py": "a = 1",
    }
    install(site, "plugin-meta", "meta = plugin_meta", files)
    with pytest.warns(PluginWarning, match=r"plugin-meta: .*metafile\.yml cannot be read"):
        assert load_config("plugin_config").a == 1
    with pytest.warns(PluginWarning, match="plugin-meta"):
        assert load_config("iai_demo_movingshapes").model.type == "visbench.IAI"


def test_one_broken_plugin_does_not_break_the_others(site: Path, load: Loader) -> None:
    install(site, "plugin-aaa", "first = plugin_aaa", {"plugin_aaa.py": "import no_such_part"})
    install(site, "plugin-good", "good = plugin_good", {"plugin_good.py": WORKING})
    install(site, "plugin-zzz", "last = plugin_zzz", {"plugin_zzz.py": "1 / 0"})
    with pytest.warns(PluginWarning) as caught:
        plugins = load()
    assert [plugin.status.value for plugin in plugins.values()] == ["failed", "loaded", "failed"]
    assert len([item for item in caught if item.category is PluginWarning]) == 2
    assert registry.MODELS.get("PluginMethod").__module__ == "plugin_good"


def test_of_two_plugins_with_one_name_the_second_fails(site: Path, load: Loader) -> None:
    install(site, "plugin-one", "one = plugin_one", {"plugin_one.py": WORKING})
    install(site, "plugin-two", "two = plugin_two", {"plugin_two.py": WORKING})
    with pytest.warns(PluginWarning, match=r"plugin-two 1\.2 .* a name that plugin_one has"):
        plugins = load()
    assert plugins["plugin-one"].status is Status.LOADED
    assert registry.DATASETS.get("PluginDataset").__module__ == "plugin_one"


def test_plugins_can_be_switched_off(
    site: Path, load: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"plugin_off/__init__.py": "1 / 0", "plugin_off/configs/plugin_config.py": "a = 1"}
    install(site, "plugin-off", "off = plugin_off", files)
    assert load_config("plugin_config").a == 1
    monkeypatch.setenv("VISBENCH_PLUGINS", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error", PluginWarning)
        assert load()["plugin-off"].status is Status.OFF
    with pytest.raises(ConfigError, match="plugin_config is neither a file"):
        load_config("plugin_config")


def test_looking_for_plugins_imports_none(site: Path) -> None:
    files = {"plugin_lazy/__init__.py": "1 / 0", "plugin_lazy/configs/plugin_config.py": "a = 1"}
    install(site, "plugin-lazy", "lazy = plugin_lazy", files)
    assert load_config("plugin_config.py").a == 1
    assert "plugin_lazy" not in sys.modules


def test_configs_of_plugins_inherit_from_visbench_and_have_names_of_their_own(site: Path) -> None:
    text = "_base_ = 'visbench::_base_/default_runtime.py'\n"
    files = {
        "plugin_heir/configs/plugin_config.py": text,
        "plugin_heir/configs/_base_/part.py": text,
        "plugin_heir/configs/iai_demo_movingshapes.py": text,
    }
    install(site, "plugin-heir", "heir = plugin_heir", files)
    assert load_config("plugin_config").val_cfg.type == "VideoValLoop"
    with pytest.raises(ConfigError, match="neither a file nor the name"):
        load_config("part")
    both = (
        r"iai_demo_movingshapes\.py of visbench, .*iai_demo_movingshapes\.py of plugin-heir; give"
    )
    with pytest.raises(ConfigError, match=both):
        load_config("iai_demo_movingshapes")


def test_the_error_of_an_unknown_name_tells_which_plugin_failed(
    site: Path, load: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "plugin-bad", "bad = plugin_bad", {"plugin_bad.py": "import no_such_part"})
    with pytest.warns(PluginWarning):
        plugins = load()
    monkeypatch.setattr(config_module, "load_plugins", lambda: tuple(plugins.values()))
    config = load_config(ROOT / "configs" / "idol" / "idol_demo_movingshapes.py")
    config.model.type = "BadMethod"
    message = config_module.unknown_name("BadMethod", config)
    assert "model.type is 'BadMethod'" in message
    assert "plugin bad of plugin-bad 1.2" in message
    assert "no_such_part" in message


def test_lists_say_where_things_come_from(
    site: Path, load: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "plugin-good", "good = plugin_good", {"plugin_good/__init__.py": WORKING})
    install(site, "plugin-bad", "bad = plugin_bad", {"plugin_bad.py": "import no_such_part"})
    with pytest.warns(PluginWarning):
        plugins = load()
    monkeypatch.setattr(listing, "load_plugins", lambda: tuple(plugins.values()))
    methods = {row[0]: row[1:] for row in listing.list_methods().rows}
    assert methods["PluginMethod"] == ("online", "plugin-good 1.2", "A method.")
    assert methods["SeqMaskRCNN"][:2] == ("offline", f"visbench {listing.__version__}")
    datasets = {row[0]: row[1] for row in listing.list_datasets().rows}
    assert datasets["PluginDataset"] == "plugin-good 1.2"
    assert datasets["OVIS"].startswith("visbench ")
    assert "PluginMetric" in {row[0] for row in listing.list_metrics().rows}
    found = listing.list_plugins()
    assert [row[3] for row in found.rows] == ["failed", "loaded"]
    assert sorted(found.rows[1][4].split(", ")) == [
        "PluginDataset (dataset)",
        "PluginMethod (model)",
        "PluginMetric (metric)",
    ]
    assert found.problems == (plugins["plugin-bad"].problem(),)
