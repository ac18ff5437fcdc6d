# SPDX-License-Identifier: Apache-2.0
"""Memory that a training step needs, counted on the CPU or measured on a GPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from visbench.engine.commands import clear_errors
from visbench.engine.errors import ConfigError

MEMORY_NOTE = (
    "Counted, not measured on a GPU: weights and buffers, their gradients, the optimizer's state, "
    "and the largest sum of tensors kept for the backward pass. Left out: what an operator needs "
    "while it runs (cuDNN's workspaces), fragmentation, the CUDA context (some hundred MiB) and "
    "copies of the input. With mixed precision, bfloat16 on the CPU stands in for float16."
)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step needs.

    Args:
        weights: Parameters and buffers.
        gradients: Of the parameters that are trained.
        optimizer_state: After the first update.
        activations: Largest sum of what is kept for the backward pass at any moment; storages that
            several tensors share count once, those of parameters and buffers not at all.
        measured: Largest sum of all tensors as measured on a GPU; None on the CPU.
    """

    weights: int
    gradients: int
    optimizer_state: int
    activations: int
    measured: int | None = None

    @property
    def total(self) -> int:
        """Sum of the parts, which lie in memory at the same time at the end of a forward pass."""
        return self.weights + self.gradients + self.optimizer_state + self.activations


class KeptTensors:
    """Counts what autograd keeps for the backward pass.

    Within :meth:`counted`, forward and backward pass must both run. Activations that are computed
    again (``with_cp``) thus count from then on until they are freed.

    Args:
        excluded: Tensors whose storages do not count.

    Attributes:
        now: Bytes that are kept at the moment.
        peak: Largest value of ``now``.
    """

    def __init__(self, excluded: Iterable[Tensor]) -> None:
        self._excluded = {_address(tensor) for tensor in excluded}
        self._users: dict[int, int] = {}
        self.now = 0
        self.peak = 0

    def counted(self) -> AbstractContextManager[Any]:
        """Return the context in which tensors are counted."""
        return saved_tensors_hooks(self._pack, lambda kept: kept.tensor)

    def _pack(self, tensor: Tensor) -> _Kept:
        kept = _Kept(tensor)
        address, size = _address(tensor), tensor.untyped_storage().nbytes()
        if size and address not in self._excluded:
            if address not in self._users:
                self.now += size
                self.peak = max(self.peak, self.now)
            self._users[address] = self._users.get(address, 0) + 1
            weakref.finalize(kept, self._release, address, size)
        return kept

    def _release(self, address: int, size: int) -> None:
        self._users[address] -= 1
        if not self._users[address]:
            del self._users[address]
            self.now -= size


@dataclass(eq=False)
class _Kept:
    """A tensor that is kept; while it lives nothing else can have its address."""

    tensor: Tensor


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def training_memory(config: Any, model: nn.Module, batch: Mapping[str, Any]) -> TrainingMemory:
    """Run two training steps and add up the memory.

    Args:
        config: Its ``optim_wrapper`` says which optimizer there is and whether precision is mixed.
        model: A method of visbench; on a GPU, the memory is measured there as well. Its weights
            change.
        batch: As of the data loader.

    Raises:
        ConfigError: If the step cannot be computed.
    """
    on_gpu = next(model.parameters()).is_cuda
    optimizer = _optimizer(config, model)
    model.train()
    kept = KeptTensors([*model.parameters(), *model.buffers()])
    with clear_errors(f"config {config.filename}: a training step cannot be computed", config):
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        # The second step finds gradients and state of the optimizer in memory.
        for _ in range(2 if on_gpu else 1):
            with kept.counted():
                _backward(config, model, batch)
            gradients = _bytes(p.grad for p in model.parameters() if p.grad is not None)
            optimizer.step()
    return TrainingMemory(
        weights=_bytes([*model.parameters(), *model.buffers()]),
        gradients=gradients,
        optimizer_state=_bytes(_tensors_of(optimizer.state)),
        activations=kept.peak,
        measured=torch.cuda.max_memory_allocated() if on_gpu else None,
    )


def _optimizer(config: Any, model: nn.Module) -> torch.optim.Optimizer:
    if "optim_wrapper" not in config:
        raise ConfigError(f"config {config.filename} has no field 'optim_wrapper'")
    settings = {**config.optim_wrapper, "type": "OptimWrapper"}
    for name in ("loss_scale", "dtype", "accumulative_counts"):
        settings.pop(name, None)
    optimizer: torch.optim.Optimizer = build_optim_wrapper(model, settings).optimizer
    return optimizer


def _backward(config: Any, model: Any, batch: Mapping[str, Any]) -> None:
    """Compute the gradients of a batch as ``train_step`` does."""
    with mixed_precision(config, next(model.parameters()).device.type):
        data = model.data_preprocessor(dict(batch), True)
        losses = model(**data, mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()


@contextmanager
def mixed_precision(config: Any, device: str) -> Iterator[None]:
    """Compute with the precision of a config's optimizer wrapper.

    On the CPU bfloat16 stands in for float16, and what CUDA's autocast leaves in float32 is
    computed in float32 too.

    Args:
        config: With ``optim_wrapper``.
        device: Type of the device.
    """
    wrapper = config.optim_wrapper
    with ExitStack() as stack:
        if wrapper.get("type") == "AmpOptimWrapper":
            dtype = getattr(torch, wrapper.get("dtype") or "float16")
            on_cpu = device == "cpu"
            stack.enter_context(torch.autocast(device, torch.bfloat16 if on_cpu else dtype))
            if on_cpu:
                stack.enter_context(_FullPrecision())
        yield


_FULL_PRECISION: frozenset[Callable[..., Any]] = frozenset(
    {
        *(functional.layer_norm, functional.group_norm, functional.normalize),
        *(functional.softmax, functional.log_softmax, torch.softmax, torch.log_softmax),
        *(Tensor.softmax, Tensor.log_softmax, functional.softplus, functional.cross_entropy),
        *(functional.binary_cross_entropy_with_logits, functional.l1_loss, functional.mse_loss),
        *(functional.smooth_l1_loss, torch.exp, Tensor.exp, torch.log, Tensor.log, torch.pow),
        *(Tensor.pow, Tensor.__pow__, torch.rsqrt, Tensor.rsqrt, torch.sum, Tensor.sum),
        *(torch.cumsum, Tensor.cumsum, torch.prod, Tensor.prod, torch.norm, Tensor.norm),
    }
)
"""Operators in use that CUDA's autocast computes in float32 and the CPU's does not."""


class _FullPrecision(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _FULL_PRECISION:
            args = tuple(_float32(value) for value in args)
            kwargs = {name: _float32(value) for name, value in (kwargs or {}).items()}
        return func(*args, **(kwargs or {}))


def _float32(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value


def _tensors_of(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors_of(item)


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors, each storage once."""
    storages = {_address(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())
