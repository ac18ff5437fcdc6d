# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from visbench.benchmark.claims.added import added_row
from visbench.benchmark.claims.data import ClaimBook, ClaimData
from visbench.benchmark.claims.rows import ClaimRows, known_version, run_digest
from visbench.benchmark.claims.training import resolve
from visbench.engine.errors import UserError
from visbench.engine.provenance import Provenance

OCCLUDED = {
    "train_dataloader.dataset.preset": "occluded",
    "val_dataloader.dataset.preset": "occluded",
}
BOOK = ClaimBook(
    (),
    {
        "easy": ClaimData("easy", "movingshapes-v1-easy-val"),
        "occluded": ClaimData("occluded", "movingshapes-v1-occluded-val", OCCLUDED),
    },
    {"Toy": {"top_k": "any"}},
)
CONFIG = """
method_name = "Toy method"
model = dict(type="visbench.Toy", width=1, top_k=1)
train_dataloader = dict(
    batch_size=4, dataset=dict(type="visbench.MovingShapesDataset", preset="easy", split="train")
)
val_dataloader = dict(
    dataset=dict(type="visbench.MovingShapesDataset", preset="easy", split="val")
)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=100, val_interval=50)
randomness = dict(seed=0)
"""
HEADER = """
System environment:
    Python: 3.11.7 (main, May  9 2026, 07:35:25)
    CUDA available: True
    GPU 0,1: NVIDIA H100 80GB HBM3
    PyTorch: 2.11.0+cu130
Runtime environment:
    seed: 1
2026/01/01 - Config:
    PyTorch: none
"""
METRICS = {"youtube_vis/AP": 0.25, "youtube_vis/AP50": 0.5, "youtube_vis/AR100": -1.0}


class Folders:
    """A config, and folders as tools/train.py and tools/test.py leave them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "toy.py"
        self.config.write_text(CONFIG)

    def session(
        self,
        folder: str,
        config: Path,
        scalars: list[Any],
        *,
        code: str | None = "0.1.0+made",
        **options: Any,
    ) -> Path:
        number = len(list((self.root / folder).glob("2026*")))
        vis_data = self.root / folder / f"2026010{number}" / "vis_data"
        vis_data.mkdir(parents=True)
        content = resolve(config, {name.replace("__", "."): v for name, v in options.items()})
        lines = [f"{name} = {value!r}" for name, value in content.items()]
        (vis_data / "config.py").write_text("\n".join(lines))
        if scalars:
            (vis_data / "scalars.json").write_text("\n".join(map(json.dumps, scalars)))
        (vis_data.parent / "run.log").write_text(HEADER)
        if code is not None:
            Provenance({"visbench": code, "numpy": "2.0"}, "EPYC, 2 cores").write(vis_data)
        return self.root / folder

    def trained(self, last: int = 100, validated: bool = True, **options: Any) -> Path:
        losses = [{"loss": 1.0, "iter": i, "time": 0.5, "step": i} for i in (50, last)]
        scalars = [*losses, *([{**METRICS, "step": last}] if validated else [])]
        return self.session("train", self.config, scalars, **{"randomness.seed": 1, **options})

    def tested(self, config: Path, **options: Any) -> Path:
        folder = self.session("test", config, [], **options)
        (folder / "metrics.json").write_text(json.dumps(METRICS))
        return folder


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_a_training_with_its_last_validation(folders: Folders, tmp_path: Path) -> None:
    row = added_row(folders.config, 1, folders.trained(), BOOK)
    assert (row.method, row.dataset, row.seed) == ("Toy method", "movingshapes-v1-easy-val", 1)
    assert (row.AP, row.AP50, row.training_s) == (25.0, 50.0, 50.0)
    assert row.config_hash == run_digest(folders.config, BOOK.data["easy"])
    assert (row.versions["visbench"], row.versions["numpy"]) == ("0.1.0+made", "2.0")
    assert (row.versions["torch"], row.versions["python"]) == ("2.11.0+cu130", "3.11.7")
    assert (row.device, row.machine) == ("cuda", "EPYC, 2 cores, NVIDIA H100 80GB HBM3")
    path = ClaimRows(tmp_path / "rows").add(row)
    assert path.stem == (f"toy__movingshapes-v1-easy-val__seed1__{row.config_hash}__0.1.0+made")
    with pytest.raises(UserError, match="never overwritten"):
        ClaimRows(tmp_path / "rows").add(row)


@pytest.mark.parametrize("codes", [(None, None), ("1", None), (None, "1"), ("1", "2")])
def test_code_that_the_run_did_not_record_is_unknown(
    folders: Folders, codes: tuple[str | None, str | None]
) -> None:
    trained = folders.trained(validated=False, code=codes[0])
    tested = folders.tested(folders.config, code=codes[1])
    row = added_row(folders.config, 1, tested, BOOK, trained)
    assert not known_version(row) and row.versions["torch"] == "2.11.0+cu130"


def test_sessions_of_a_resumed_training_must_agree_in_the_code(folders: Folders) -> None:
    losses = [{"loss": 1.0, "iter": i, "time": 0.5, "step": i} for i in (50, 80)]
    folders.session("train", folders.config, losses, code="0.1.0+other")
    assert not known_version(added_row(folders.config, 1, folders.trained(), BOOK))


def test_the_data_are_read_from_the_folder(folders: Folders) -> None:
    row = added_row(folders.config, 1, folders.trained(**OCCLUDED), BOOK)
    assert row.dataset == "movingshapes-v1-occluded-val"
    assert row.config_hash == run_digest(folders.config, BOOK.data["occluded"])


def test_a_test_of_its_own_on_a_shared_training(folders: Folders) -> None:
    ablation = folders.root / "ablation.py"
    ablation.write_text("_base_ = 'toy.py'\nmodel = dict(top_k=5)\n")
    trained, tested = folders.trained(validated=False), folders.tested(ablation)
    row = added_row(ablation, 1, tested, BOOK, trained)
    base = added_row(folders.config, 1, folders.tested(folders.config), BOOK, trained)
    assert row.details["training"] == base.details["training"]
    assert row.config_hash != base.config_hash
    assert row.training_s == base.training_s == 50.0


def test_a_resumed_training_counts_every_iteration_once(folders: Folders) -> None:
    losses = [{"loss": 1.0, "iter": i, "time": 0.5, "step": i} for i in (50, 80)]
    folders.session("train", folders.config, losses)
    assert added_row(folders.config, 1, folders.trained(), BOOK).training_s == 50.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"randomness.seed": 3}, "has the seed 3, not 1"),
        ({"model.width": 2}, r"not trained with .*toy\.py on easy .* in model\.width: 1 and 2"),
        ({"model.top_k": 2}, r"not tested with .* in model\.top_k: 1 and 2"),
        ({"train_dataloader.batch_size": 2}, "train_dataloader.batch_size: 4 and 2"),
        ({"val_dataloader.dataset.indices": 2}, "dataset.indices: None and 2"),
        ({"val_dataloader.dataset.preset": "crowded"}, "was tested on movingshapes-v1-crowded-val"),
        ({"train_dataloader.dataset.preset": "hard"}, "dataset.preset: 'easy' and 'hard'"),
    ],
)
def test_what_is_not_the_config_is_refused(
    folders: Folders, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        added_row(folders.config, 1, folders.trained(**options), BOOK)


def test_folders_that_lack_something(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no training"):
        added_row(folders.config, 1, tmp_path / "nothing", BOOK)
    trained = folders.trained(last=90, validated=False)
    with pytest.raises(UserError, match=r"neither metrics\.json nor a validation"):
        added_row(folders.config, 1, trained, BOOK)
    with pytest.raises(UserError, match=r"has no metrics\.json; name the --work-dir of tools/test"):
        added_row(folders.config, 1, tmp_path / "nothing", BOOK, trained)
    with pytest.raises(UserError, match="90 of 100 iterations; finish the training with --resume"):
        added_row(folders.config, 1, folders.tested(folders.config), BOOK, trained)
