# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from visbench.testing.seeded_weights import fill_state_dict, seeded_input, seeded_tensor

SHARED = Path(__file__).parents[3] / "shared" / "goldens" / "seeded_weights.py"


def draw(crc: int, *shape: int) -> np.ndarray:
    """Draw with the checksum of the name computed elsewhere (``gzip``'s CRC-32)."""
    return np.random.default_rng(crc).standard_normal(shape).astype(np.float32)


def test_values_by_kind() -> None:
    layer = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    filled = fill_state_dict(layer.state_dict())
    assert list(filled) == list(layer.state_dict())
    layer.load_state_dict(filled)
    expected = {
        "0.weight": draw(0xC9623A37, 3, 2, 3, 3) / np.sqrt(np.float32(18)),
        "0.bias": 0.05 * draw(0xA88A822C, 3),
        "1.weight": 1 + 0.1 * draw(0x05C83AA9, 3),
        "1.running_mean": 0.1 * draw(0x5852CF13, 3),
        "1.running_var": 1 + 0.1 * np.abs(draw(0xC548BA3E, 3)),
        "1.num_batches_tracked": np.array(0),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(filled[name].numpy(), value, rtol=1e-6)
        assert filled[name].dtype == layer.state_dict()[name].dtype


def test_scalars_and_other_dtypes() -> None:
    scale = seeded_tensor("scale", torch.zeros((), dtype=torch.float64))
    assert scale.shape == ()
    assert scale.dtype == torch.float64
    assert 0.4 < float(scale) < 1.6
    assert seeded_tensor("a.weight", torch.zeros(4, 0)).shape == (4, 0)
    assert not seeded_tensor("mask", torch.ones(3, dtype=torch.bool)).any()


def test_input_is_uniform_and_depends_on_the_name() -> None:
    values = seeded_input("image", (3, 40, 50), -1.5, 1.5)
    assert values.dtype == torch.float32
    assert values.equal(seeded_input("image", (3, 40, 50), -1.5, 1.5))
    assert not values.equal(seeded_input("other", (3, 40, 50), -1.5, 1.5))
    assert float(values.min()) >= -1.5
    assert float(values.max()) < 1.5
    assert abs(float(values.mean())) < 0.05


@pytest.mark.skipif(not SHARED.is_file(), reason=f"the goldens' own fill is not at {SHARED}")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("a.weight", (4, 3, 3, 3)),
        ("a.weight", (5,)),
        ("a.bias", (5,)),
        ("a.scale", ()),
        ("n.running_mean", (5,)),
        ("n.running_var", (5,)),
        ("embed", (2, 7)),
    ],
)
def test_equals_the_fill_of_the_goldens(name: str, shape: tuple[int, ...]) -> None:
    spec = importlib.util.spec_from_file_location("shared_seeded_weights", SHARED)
    assert spec is not None and spec.loader is not None
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    like = torch.empty(shape)
    assert seeded_tensor(name, like).equal(shared.seeded_tensor(name, like))
    assert seeded_input(name, shape, -2, 5).equal(shared.seeded_input(name, shape, -2, 5))
