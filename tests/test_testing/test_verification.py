# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from visbench.apis.conversion import convert_checkpoint
from visbench.engine.conversion import convert
from visbench.engine.errors import UserError
from visbench.models.conversion import CONVERTERS, SourceWeights, register_converter
from visbench.registry import MODELS
from visbench.testing import parity
from visbench.testing.parity import EXACT, GoldenCase, GoldenGroup, register_group
from visbench.testing.seeded_weights import fill_state_dict
from visbench.testing.verification import verify_conversion

SWAPPED = ((r"first\.(.+)", r"a.\1"), (r"second\.(.+)", r"b.\1"))


class TwoLayers(nn.Module):
    """A method of two layers of one shape, which a converter might confuse."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


class Group(GoldenGroup):
    """One case that runs the whole model, one that does not."""

    name = "two_layers"
    whole_models = ("whole",)
    inputs: Mapping[str, Any] = {"*": ("x",)}
    tolerances: Mapping[str, Any] = {"*": {"*": EXACT}}

    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        model = TwoLayers(golden["x"].shape[0])
        if not golden.load_weights(model):
            model.load_state_dict(fill_state_dict(model.state_dict()))
        with torch.no_grad():
            return {"y": model(torch.from_numpy(golden["x"]))}


@pytest.fixture(autouse=True)
def method(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register model, converter and golden group of the method."""
    converters, models = dict(CONVERTERS), dict(MODELS.module_dict)
    monkeypatch.setattr(parity, "_REGISTERED", {})
    monkeypatch.setitem(sys.modules, "two_layers", ModuleType("two_layers"))
    monkeypatch.setattr(TwoLayers, "__module__", "two_layers.model")
    MODELS.register_module(module=TwoLayers)
    register_group(Group())

    @register_converter("TwoLayers", "reference")
    def right(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
        return source.take(model, SWAPPED)

    @register_converter("TwoLayers", "confused")
    def wrong(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
        return source.take(model, [(r"first\.(.+)", r"b.\1"), (r"second\.(.+)", r"a.\1")])

    @register_converter("TwoLayers", "half")
    def half(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
        return source.take(model, SWAPPED[:1])

    yield
    CONVERTERS.clear()
    CONVERTERS.update(converters)
    MODELS.module_dict.clear()
    MODELS.module_dict.update(models)


def reference(size: int = 3) -> dict[str, Tensor]:
    """Names and shapes of a checkpoint of the reference, with values of its own."""
    torch.manual_seed(0)
    shapes = {"a.weight": (size, size), "a.bias": (size,)}
    shapes |= {"b.weight": (size, size), "b.bias": (size,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.fixture
def goldens(tmp_path: Path) -> Path:
    """The group's folder; its outputs come from the reference with seeded weights."""
    folder = tmp_path / "goldens" / "two_layers"
    folder.mkdir(parents=True)
    seeded = fill_state_dict(reference())
    model = TwoLayers()
    names = {"first": "a", "second": "b"}
    model.load_state_dict(
        {f"{ours}.{kind}": seeded[f"{theirs}.{kind}"] for ours, theirs in names.items()
         for kind in ("weight", "bias")}
    )  # fmt: skip
    x = np.array([0.5, -1.0, 2.0], np.float32)
    y = model(torch.from_numpy(x)).detach().numpy()
    np.savez(folder / "whole.npz", x=x, y=y)
    np.savez(folder / "part.npz", x=x, y=y)
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "config.py"
    path.write_text("model = dict(type='TwoLayers')\n")
    return Config.fromfile(str(path))


def stored(folder: Path, weights: Mapping[str, Tensor]) -> str:
    torch.save({"state_dict": dict(weights)}, folder / "reference.pth")
    return str(folder / "reference.pth")


def verify(config: Config, source: str, path: str, golden: Path) -> Any:
    sources = [(source, path)]
    return verify_conversion(config, sources, convert(config, sources), golden)


def test_the_right_conversion_is_verified(config: Config, goldens: Path, tmp_path: Path) -> None:
    path = stored(tmp_path, reference())
    for golden in (goldens, goldens.parent, goldens / "whole.npz"):
        found = verify(config, "reference", path, golden)
        assert [result.case for result in found.results] == ["whole"]
        assert found.passed and not found.own_values and not found.not_verified
    own = stored(tmp_path, fill_state_dict(reference()))
    assert verify(config, "reference", own, goldens).own_values


def test_layers_that_are_confused_are_found(
    config: Config, goldens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = stored(tmp_path, reference()), tmp_path / "out.pth"
    assert not verify(config, "confused", path, goldens).passed
    words = ["--source", "confused", path, "--out", str(out), "--verify", str(goldens)]
    with pytest.raises(UserError, match="nothing written"):
        convert_checkpoint([str(config.filename), *words])
    assert "FAILED: two_layers/whole" in capsys.readouterr().out and not out.exists()


def test_what_cannot_be_verified_is_said(
    config: Config, goldens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(tmp_path, reference())
    (reason,) = verify(config, "half", path, goldens).not_verified
    assert "2 weights are not from the checkpoint" in reason
    (reason,) = verify(config, "reference", path, goldens / "part.npz").not_verified
    assert "does not run the whole model" in reason
    config.model.size = 5
    larger = stored(tmp_path, reference(5))
    (reason,) = verify(config, "reference", larger, goldens).not_verified
    assert "of other sizes" in reason and "(5,)" in reason
    out = tmp_path / "out.pth"
    words = ["--source", "half", stored(tmp_path, reference()), "--out", str(out)]
    with pytest.raises(UserError, match="written but not verified"):
        convert_checkpoint([str(config.filename), *words, "--verify", str(goldens)])
    assert out.exists()


def test_the_group_must_be_of_the_method(config: Config, goldens: Path, tmp_path: Path) -> None:
    path = stored(tmp_path, reference())
    other = goldens.rename(goldens.with_name("idol"))
    words = ["--source", "reference", path, "--out", str(tmp_path / "out.pth"), "--verify"]
    with pytest.raises(UserError, match="golden cases of idol, and the config is of two_layers"):
        convert_checkpoint([str(config.filename), *words, str(other)])
    with pytest.raises(UserError, match="does not exist"):
        convert_checkpoint([str(config.filename), *words, str(tmp_path / "none")])
