# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_toy
import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from visbench.apis.conversion import convert_checkpoint
from visbench.engine.conversion import convert, read_weights, save_weights
from visbench.engine.errors import CheckpointError, ConfigError, UserError
from visbench.models.conversion import CONVERTERS, SourceWeights, converters_of, register_converter


class Gadget:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(autouse=True)
def converters() -> Iterator[None]:
    """Two converters of the toy: one renames everything, the other gives one weight."""
    before = dict(CONVERTERS)

    @register_converter("ToyMethod", "renamed")
    def from_renamed(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
        return source.take(model, [(r"(.+)", r"their.\1")])

    @register_converter("ToyMethod", "bias")
    def from_bias(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
        return source.take(model, [(r"(.+\.bias)", r"\1")])

    yield
    CONVERTERS.clear()
    CONVERTERS.update(before)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "toy.py"
    path.write_text("custom_imports = dict(imports=['engine_toy'])\nmodel = dict(type='ToyMethod')")
    return Config.fromfile(str(path))


@pytest.fixture
def weights(config: Config) -> dict[str, Tensor]:
    model = engine_toy.MODELS.build(config.model)
    return {
        name: torch.full_like(value, index + 1.0)
        for index, (name, value) in enumerate(model.state_dict().items())
    }


def stored(path: Path, content: Any) -> str:
    torch.save(content, path)
    return str(path)


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"their.{name}": value for name, value in weights.items()}


def test_sources_are_merged_the_first_wins(
    config: Config, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    bias = {name: -value for name, value in weights.items() if name.endswith("bias")}
    one = stored(tmp_path / "one.pth", {"state_dict": {**bias, "more": torch.ones(1)}})
    two = stored(tmp_path / "two.pth", {"model": renamed(weights), "iteration": 7})
    found = convert(config, [("bias", one), ("renamed", two)])
    assert bias
    assert set(found.weights) == set(weights)
    for name, value in found.weights.items():
        assert torch.equal(value, bias.get(name, weights[name]))
    assert [sorted(part.taken) for part in found.contributions] == [
        sorted(bias),
        sorted(set(weights) - set(bias)),
    ]
    assert found.contributions[0].left == ["more"]
    assert found.contributions[1].left == []
    assert found.initialised == []


def test_what_no_source_gives_is_reported_and_left_out(
    config: Config, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    found = convert(config, [("bias", stored(tmp_path / "one.pth", weights))])
    others = {name for name in weights if not name.endswith(("bias", "num_batches_tracked"))}
    assert set(found.initialised) == others
    assert set(found.weights) == {name for name in weights if name.endswith("bias")}
    save_weights(found, tmp_path / "new" / "out.pth")
    assert set(read_weights(tmp_path / "new" / "out.pth")) == set(found.weights)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.pth"]


def test_command_prints_what_happened(
    config: Config,
    weights: dict[str, Tensor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = stored(tmp_path / "one.pth", {"state_dict": {**weights, "other.x": torch.ones(2)}})
    out = tmp_path / "out.pth"
    convert_checkpoint([config.filename, "--source", "bias", source, "--out", str(out)])
    printed = capsys.readouterr().out
    for words in ("taken from bias", "initialised by the config", "left in bias", "other"):
        assert words in printed
    assert f"entries written to {out}" in " ".join(printed.split())
    meta = torch.load(out, weights_only=True)["meta"]
    assert meta["converted_from"] == [["bias", "one.pth"]]


def bad_files(tmp_path: Path, weights: dict[str, Tensor]) -> dict[str, str]:
    whole = Path(stored(tmp_path / "whole.pth", {"state_dict": weights})).read_bytes()
    contents = {
        "cut": whole[: len(whole) // 2],
        "text": b"not a checkpoint",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.pth").write_bytes(content)
    stored(tmp_path / "pickled.pth", {"state_dict": weights, "meta": Gadget(tmp_path / "trap")})
    stored(tmp_path / "empty.pth", {"epoch": 3})
    stored(tmp_path / "foreign.pth", {"state_dict": {"encoder.weight": torch.ones(2)}})
    return {path.stem: str(path) for path in tmp_path.glob("*.pth")}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("cut", "damaged"),
        ("text", "damaged"),
        ("pickled", "refused"),
        ("empty", "holds no weights under state_dict or model; its fields are epoch"),
        ("foreign", "lacks .* their"),
        ("nowhere", "does not exist"),
    ],
)
def test_unusable_files_are_refused(
    config: Config, weights: dict[str, Tensor], tmp_path: Path, file: str, message: str
) -> None:
    path = bad_files(tmp_path, weights).get(file, str(tmp_path / "nowhere.pth"))
    with pytest.raises(CheckpointError, match=message) as error:
        convert(config, [("renamed", path)])
    assert path in str(error.value)
    assert not (tmp_path / "trap").exists()


def test_unknown_and_useless_sources_are_refused(
    config: Config, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    path = stored(tmp_path / "one.pth", renamed(weights))
    with pytest.raises(ConfigError, match=r"--source nonsense: .* it has bias, renamed"):
        convert(config, [("nonsense", path)])
    bias = stored(tmp_path / "bias.pth", weights)
    with pytest.raises(CheckpointError, match=r"takes nothing .* that earlier sources"):
        convert(config, [("renamed", path), ("bias", bias)])
    with pytest.raises(UserError, match="is one of the sources"):
        convert_checkpoint([config.filename, "--source", "bias", bias, "--out", bias])


def test_a_pair_is_registered_once() -> None:
    with pytest.raises(KeyError, match="ToyMethod has a converter for bias"):
        register_converter("ToyMethod", "bias")(lambda source, model: {})


def test_subclasses_inherit_converters() -> None:
    class Refined(engine_toy.ToyMethod):
        pass

    assert sorted(converters_of(Refined())) == ["bias", "renamed"]
    own = register_converter("Refined", "bias")(lambda source, model: {})
    assert converters_of(Refined())["bias"] is own
    assert converters_of(engine_toy.ToyMethod())["bias"] is not own
