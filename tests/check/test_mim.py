# SPDX-License-Identifier: Apache-2.0
"""mim with the installed wheel, by config file name, from an empty folder."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from environment import ROOT, Environment

PRETRAINED = "model.backbone.init_cfg=None"
FEW_VIDEOS = (
    "train_dataloader.dataset.num_videos=2",
    "val_dataloader.dataset.num_videos=1",
    "test_dataloader.dataset.num_videos=1",
)
CONFIGS = {
    "masktrack_rcnn_demo_movingshapes": FEW_VIDEOS,
    "mask2former_vis_r50_8xb2-6k_youtubevis2019": (PRETRAINED, "load_from=None"),
    "inspro_demo_movingshapes": FEW_VIDEOS,
    "propose_reduce_demo_movingshapes": FEW_VIDEOS,
    "iai_demo_movingshapes": FEW_VIDEOS,
    "idol_demo_movingshapes": FEW_VIDEOS,
}
"""One config per method and what makes its data and downloads small."""
TWO_STEPS = (
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "train_dataloader.batch_size=1",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "val_dataloader.num_workers=0",
    "val_dataloader.persistent_workers=False",
    "test_dataloader.num_workers=0",
    "test_dataloader.persistent_workers=False",
)
TINY_CONFIG = """\
_base_ = "visbench::baselines/masktrack_rcnn_demo_movingshapes.py"
train_cfg = dict(max_iters=2, val_interval=2)
train_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(num_videos=2)
)
val_dataloader = dict(dataset=dict(num_videos=1))
test_dataloader = val_dataloader
"""


def files_below(folder: Path) -> set[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_youtube_vis: Path) -> Path:
    """Working directory of a user: empty but for a tiny YouTube-VIS."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(tiny_youtube_vis, folder / "data" / "youtube_vis_2019")
    return folder


@pytest.fixture(scope="module")
def runs(second_environment: Environment, folder: Path) -> Iterator[dict[str, Future[None]]]:
    """Training and test of every config, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            config: pool.submit(train_and_test, second_environment, config, options, folder)
            for config, options in CONFIGS.items()
        }


def train_and_test(
    environment: Environment, config: str, options: tuple[str, ...], folder: Path
) -> None:
    name = ["visbench", f"{config}.py"]
    small = ["--cfg-options", *TWO_STEPS, *options]
    environment.run("mim", "train", *name, *small, folder=folder)
    checkpoint = f"work_dirs/{config}/iter_2.pth"
    environment.run("mim", "test", *name, "--checkpoint", checkpoint, *small, folder=folder)


@pytest.mark.parametrize("config", CONFIGS)
def test_train_and_test(runs: dict[str, Future[None]], folder: Path, config: str) -> None:
    runs[config].result()
    results = list((folder / "work_dirs" / config).rglob("results.json"))
    assert len(results) == 1
    assert isinstance(json.loads(results[0].read_text()), list)


def test_there_is_a_config_of_every_method() -> None:
    methods = set()
    for metafile in (ROOT / "configs").glob("*/metafile.yml"):
        models = yaml.safe_load(metafile.read_text())["Models"]
        methods |= {m["In Collection"] for m in models if m["Name"] in CONFIGS}
        assert methods >= {model["In Collection"] for model in models}
    assert len(methods) == len(CONFIGS)


def test_benchmark(second_environment: Environment, folder: Path) -> None:
    installed = files_below(second_environment.site_packages / "visbench")
    run = ["run", "visbench", "benchmark"]
    assert "--suite" in second_environment.run(
        "mim", *run, "--", "compare", "--help", folder=folder
    )
    (folder / "tiny.py").write_text(TINY_CONFIG)
    table = second_environment.run("mim", *run, "compare", "tiny.py", folder=folder)
    assert re.search(r"MaskTrack R-CNN.* finished", table)
    assert (folder / "work_dirs/compare/report.csv").is_file()
    # Names of configs that come with visbench are planned without a path; no such device, no run.
    names = ["inspro_demo_movingshapes.py", "idol_demo_movingshapes"]
    words = [*run, "compare", *names, "--device", "cuda:99"]
    message = second_environment.run("mim", *words, folder=folder, status=1)
    assert "cuda:99" in message
    # Data and work folders belong to the user's folder.
    assert files_below(second_environment.site_packages / "visbench") == installed


def test_search(second_environment: Environment, folder: Path) -> None:
    valid = second_environment.run("mim", "search", "visbench", "--valid-config", folder=folder)
    listed = ast.literal_eval(valid.strip().splitlines()[-1])
    files = [path for path in (ROOT / "configs").glob("*/**/*.py") if "_base_" not in path.parts]
    assert sorted(listed) == sorted(path.stem for path in files)
    config = "iai_r101_8xb2-12e_youtubevis2019"
    words = ["search", "visbench", "--config", config]
    shown = second_environment.run("mim", *words, folder=folder)
    assert re.search(r"youtube-vis 2019 val \(published\)/ap +41\.0", shown)
    assert "Instance As Identity" in shown


def test_download_of_a_data_set(
    second_environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for the download itself, which needs an account.
    odl = second_environment.folder / "bin" / "odl"
    kept = odl.read_text()
    odl.write_text(
        f"#!{second_environment.folder}/bin/python\n"
        "import pathlib, sys, zipfile\n"
        "raw = pathlib.Path(sys.argv[4], sys.argv[2].replace('/', '___'), 'raw')\n"
        "raw.mkdir(parents=True)\n"
        "for name in ('train2017', 'val2017', 'annotations_trainval2017'):\n"
        "    with zipfile.ZipFile(raw / f'{name}.zip', 'w') as archive:\n"
        "        inner = 'annotations/instances_train2017.json' if '_' in name else f'{name}/1.jpg'\n"
        "        archive.writestr(inner, name)\n"
    )
    try:
        words = ["download", "visbench", "--dataset", "coco2017"]
        second_environment.run("mim", *words, folder=tmp_path)
    finally:
        odl.write_text(kept)
    root = tmp_path / "data" / "coco"
    assert (root / "train2017" / "1.jpg").read_text() == "train2017"
    assert (root / "annotations" / "instances_train2017.json").is_file()


def test_editable_install(second_environment: Environment, tmp_path: Path) -> None:
    """The line of the documentation makes mim work with an editable install."""
    editable = Environment.create(tmp_path / "venv")
    editable.install("--no-deps", "-e", str(ROOT))
    # mim itself is there already.
    (editable.site_packages / "mim.pth").write_text(f"{second_environment.site_packages}\n")
    search = ["-m", "mim", "search", "visbench", "--valid-config"]
    assert "can not infer" in editable.run("python", *search, folder=tmp_path, status=1)
    editable.shell(cure_of_the_documentation(), folder=ROOT)
    assert "iai_demo_movingshapes" in editable.run("python", *search, folder=tmp_path)


def cure_of_the_documentation() -> str:
    page = (ROOT / "docs" / "mim.md").read_text()
    (line,) = re.findall(r"^ln -s .*$", page, re.MULTILINE)
    return line
