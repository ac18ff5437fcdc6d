# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from visbench.benchmark import published
from visbench.benchmark.published import METRICS, full_size, published_of, published_results
from visbench.benchmark.suites import SUITES, suite_configs
from visbench.engine.config_files import config_folder

CONFIGS = {path.stem for path in config_folder().rglob("*.py")}
DATASETS = {
    "YouTube-VIS 2019 val": "youtube-vis-2019-val",
    "YouTube-VIS 2021 val": "youtube-vis-2021-val",
    "OVIS val": "ovis-val",
    "ImageNet VID val": "imagenet-vid-val (video-level box-sequence AP)",
    "DAVIS 2017 unsupervised val": "davis-2017-unsupervised-val",
    "COCO val2017": "coco-2017-val (instance segmentation)",
}
NAMES = {"J": "J-Mean", "F": "F-Mean"}


def raw() -> dict[str, Any]:
    path = Path(published.__file__).parent / "data" / "published.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def test_every_line_is_well_formed() -> None:
    lines = published_results()
    assert len(lines) > 200
    for line in lines:
        assert line.source
        assert line.table
        assert line.method
        assert set(line.metrics) <= set(METRICS)
        assert line.metrics, f"{line.place}: {line.method} has no figure"
        assert all(0 < value < 100 for value in line.metrics.values())
        assert bool(line.configs) != bool(line.reason), f"{line.place}: {line.method}"
        assert line.dataset in DATASETS.values()
    assert {name for row in raw()["rows"] for name in row} >= set(METRICS)


def test_every_named_config_exists() -> None:
    named = {config for line in published_results() for config in line.configs}
    assert named <= CONFIGS
    assert len(named) > 90
    siblings = raw()["full_size"]
    assert set(siblings) <= CONFIGS
    assert {config for config in siblings.values() if config} <= CONFIGS


def test_no_line_is_listed_twice() -> None:
    counts = Counter(
        tuple((key, str(value)) for key, value in row.items() if key != "note")
        for row in raw()["rows"]
    )
    assert [row for row, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("path", sorted(config_folder().glob("*/metafile.yml")), ids=str)
def test_metafiles_say_the_same(path: Path) -> None:
    for model in yaml.safe_load(path.read_text(encoding="utf-8"))["Models"]:
        for result in model.get("Results", []):
            lines = [line for line in published_results() if model["Name"] in line.configs]
            figures = {
                NAMES.get(name, name.replace(" ", "_")): value
                for name, value in result["Metrics"].items()
            }
            assert any(
                line.dataset == DATASETS[result["Dataset"].removesuffix(" (published)")]
                and figures.items() <= dict(line.metrics).items()
                and line.source.endswith(("-repo", "-repo-start"))
                == (result["Source"] == "published with the code")
                for line in lines
            ), f"{model['Name']}: {figures}"


def test_a_config_has_its_own_figures() -> None:
    (line, *_) = published_of("configs/inspro/inspro_r50_8xb1-32k_youtubevis2021.py")
    assert (line.metrics["AP"], line.place) == (36.1, "InsPro, table 1")
    assert published_of("of_somebody_else.py") == []


def test_a_small_config_has_those_of_its_full_size() -> None:
    assert full_size("inspro_quick_movingshapes.py") == "inspro_r50_8xb1-32k_youtubevis2019"
    assert published_of("inspro_demo_movingshapes")[0].metrics["AP"] == 40.2
    assert full_size("inspro_r50_8xb1-32k_youtubevis2019") is None


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_every_method_of_a_suite_has_a_published_figure(suite: str) -> None:
    assert all(published_of(config) for config in suite_configs(suite))
