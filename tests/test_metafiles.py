# SPDX-License-Identifier: Apache-2.0
"""What stands beside the configs of every method: metafile.yml and README.md."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
METHODS = sorted(path.parent for path in (ROOT / "configs").glob("*/metafile.yml"))
per_method = pytest.mark.parametrize("folder", METHODS, ids=lambda folder: folder.name)


def configs_of(folder: Path) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in folder.rglob("*.py")}


def models_of(folder: Path) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = yaml.safe_load((folder / "metafile.yml").read_text())["Models"]
    return models


def test_every_method_has_its_files() -> None:
    folders = {path for path in (ROOT / "configs").iterdir() if path.name != "_base_"}
    assert set(METHODS) == folders
    assert all((folder / "README.md").is_file() for folder in folders)


def test_names_of_configs_are_unique() -> None:
    names = Counter(path.name for folder in METHODS for path in folder.rglob("*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_index_for_mim_imports_every_metafile() -> None:
    imported = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    metafiles = [folder / "metafile.yml" for folder in METHODS]
    assert imported == [path.relative_to(ROOT).as_posix() for path in metafiles]


def test_index_of_data_sets_names_scripts_that_exist() -> None:
    for entry in yaml.safe_load((ROOT / "dataset-index.yml").read_text()).values():
        assert set(entry) == {"dataset", "download_root", "data_root", "script"}
        assert (ROOT / entry["script"]).is_file()


def no_lists_are_empty(value: Any) -> bool:
    """Whether mim can show it: it takes the first entry of every list."""
    if isinstance(value, dict):
        return all(map(no_lists_are_empty, value.values()))
    return bool(value) if isinstance(value, list) else True


@per_method
def test_metafile_shows_well_in_mim(folder: Path) -> None:
    metafile = yaml.safe_load((folder / "metafile.yml").read_text())
    assert no_lists_are_empty(metafile["Collections"])
    assert all(isinstance(entry["Paper"], str) for entry in metafile["Collections"])
    for model in metafile["Models"]:
        assert no_lists_are_empty(model["Metadata"])
        # There are none; what is listed must be there to download.
        assert "Weights" not in model


@per_method
def test_metafile_lists_every_config_once(folder: Path) -> None:
    metafile = yaml.safe_load((folder / "metafile.yml").read_text())
    models = models_of(folder)
    assert Counter(model["Config"] for model in models) == Counter(configs_of(folder))
    collections = {entry["Name"]: entry for entry in metafile["Collections"]}
    assert all((ROOT / entry["README"]).is_file() for entry in collections.values())
    for model in models:
        assert model["Name"] == Path(model["Config"]).stem
        assert model["In Collection"] in collections
        thousands = re.search(r"-(\d+)k_", model["Name"])
        if thousands and "Iterations" in model["Metadata"]:
            assert round(model["Metadata"]["Iterations"] / 1000) == int(thousands[1])
        for result in model.get("Results", []):
            assert set(result) == {"Task", "Dataset", "Metrics", "Source"}
            # mim shows the data set but not the source.
            assert result["Source"].startswith("published") == (
                result["Dataset"].endswith(" (published)")
            )


@per_method
def test_readme_links_every_config_and_no_missing_file(folder: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", (folder / "README.md").read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (folder / target).exists()] == []
    unlinked = configs_of(folder) - {
        (folder / target).relative_to(ROOT).as_posix() for target in local
    }
    assert unlinked == set()


@per_method
def test_results_stand_in_the_readme_beside_their_config(folder: Path) -> None:
    lines = (folder / "README.md").read_text().splitlines()
    for model in models_of(folder):
        for result in model.get("Results", []):
            link = f"]({Path(model['Config']).relative_to(folder.relative_to(ROOT))})"
            numbers = {str(value) for value in result["Metrics"].values()}
            rows = [set(map(str.strip, line.split("|"))) for line in lines if link in line]
            assert any(numbers <= row for row in rows), f"{model['Name']}: {numbers}"
