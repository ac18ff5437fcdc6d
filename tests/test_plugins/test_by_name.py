# SPDX-License-Identifier: Apache-2.0
"""Plugins as a user has them, one working and one broken, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_site import EXAMPLES, ROOT, install, install_example, run_python

TINY = """
_base_ = ["./template_movingshapes.py"]
_data = dict(data_root={root!r}, num_videos=1)
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a tiny config of its own, and a plugin that fails."""
    site = tmp_path_factory.mktemp("installed")
    package = install_example(site, "visbench_template", "template = visbench_template")
    tiny = TINY.format(root=str(site / "data"))
    (package / "configs" / "tiny_movingshapes.py").write_text(tiny)
    install(site, "plugin-bad", "bad = plugin_bad", {"plugin_bad.py": "import no_such_part"})
    return site


def test_train_and_test_by_name(installed: Path, tmp_path: Path) -> None:
    code = (
        "from visbench.engine.commands import test, train\n"
        "train(['tiny_movingshapes', '--work-dir', 'run', '--device', 'cpu'])\n"
        "test(['tiny_movingshapes.py', 'run/iter_2.pth', '--device', 'cpu', '--out', 'out'])\n"
    )
    done = run_python(installed, "-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "plugin bad of plugin-bad 1.2" in done.stderr
    assert done.stderr.count("PluginWarning") == 1
    assert (tmp_path / "out" / "results.json").is_file()


def test_benchmark_by_name(installed: Path, tmp_path: Path) -> None:
    words = ("compare", "tiny_movingshapes", "--work-dir", "runs", "--device", "cpu")
    done = run_python(installed, str(ROOT / "tools" / "benchmark.py"), *words, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ClassIsIdentity" in (tmp_path / "runs" / "report.md").read_text()


def test_list_tells_which_plugin_failed(installed: Path) -> None:
    done = run_python(installed, "tools/list.py", "plugins", "configs")
    assert done.returncode == 1
    assert "ClassIsIdentity (model)" in done.stdout
    assert "tiny_movingshapes" in done.stdout
    assert "plugin bad of plugin-bad 1.2" in done.stdout
    assert done.stderr == ""


def test_examples_pass_their_own_tests(tmp_path: Path) -> None:
    install_example(tmp_path, "visbench_minvis", "minvis = visbench_minvis")
    install_example(tmp_path, "visbench_template", "template = visbench_template")
    tests = [str(EXAMPLES / name / "tests") for name in ("visbench_minvis", "visbench_template")]
    # Away from the repository's settings and helpers, as on a user's machine.
    options = ("-q", "-c", str(tmp_path / "pytest.ini"), "-p", "no:cacheprovider")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    done = run_python(tmp_path, "-m", "pytest", *options, *tests, folder=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_template_is_short() -> None:
    files = [path for path in (EXAMPLES / "visbench_template").rglob("*") if path.is_file()]
    texts = [path.read_text() for path in files if "__pycache__" not in path.parts]
    assert sum(len(text.splitlines()) for text in texts) < 150
