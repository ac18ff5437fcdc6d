# SPDX-License-Identifier: Apache-2.0
"""Choice of the device for a whole process."""

from __future__ import annotations

import torch
from mmengine.device import utils as mmengine_device

from visbench.engine.errors import ConfigError


def select_device(name: str | None) -> str:
    """Make MMEngine use a device.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; None leaves MMEngine's choice, which is
            the best one there is.

    Returns:
        The device type in use.

    Raises:
        ConfigError: If the device is not there.
    """
    if name is None:
        return str(mmengine_device.get_device())
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise ConfigError(f"device {name!r} is unknown; use cpu, cuda, cuda:N or mps")
    if kind == "cuda":
        _check_cuda(name, int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps' is asked for, but PyTorch finds no MPS; use --device cpu")
    if index:
        torch.cuda.set_device(int(index))
    mmengine_device.DEVICE = kind
    return kind


def _check_cuda(name: str, index: int) -> None:
    if not torch.cuda.is_available():
        build = torch.version.cuda or "none: this is a CPU build of PyTorch"
        raise ConfigError(
            f"device {name!r} is asked for, but PyTorch {torch.__version__} finds no CUDA device "
            f"(CUDA of the build: {build}); use --device cpu, or install a CUDA build and a driver"
        )
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name!r} is asked for, but there are {torch.cuda.device_count()} CUDA devices"
        )
