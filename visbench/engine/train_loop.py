# SPDX-License-Identifier: Apache-2.0
"""Iteration-based training that resumes by seeking, not by replaying the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from visbench.engine.errors import ConfigError
from visbench.engine.generators import preserved_generators
from visbench.registry import LOOPS


@LOOPS.register_module()
class SeededIterTrainLoop(IterBasedTrainLoop):
    """Training loop for samplers whose n-th draw is a function of (seed, n).

    On resume the sampler's ``start_draw`` is set to the number of draws of all ranks so far, and
    the data loader starts there. Starting the data loader leaves the random generators untouched,
    so a resumed run continues with the generator states of the checkpoint.

    With ``batches_per_update`` a device that holds only part of a batch trains with the whole: an
    iteration takes so many batches of the data loader, one after the other, and updates the
    weights once by the mean of their gradients. Everything that counts iterations (schedules,
    validation, logs, checkpoints) thus counts updates and stays as it is. In its place MMEngine's
    ``optim_wrapper.accumulative_counts`` may be used; there an iteration is one batch.

    Args:
        *args: As of MMEngine's loop.
        batches_per_update: Batches of a data loader per iteration, at least 1.
        **kwargs: As of MMEngine's loop.

    Raises:
        ConfigError: If ``batches_per_update`` is not a positive whole number.
    """

    def __init__(self, *args: Any, batches_per_update: int = 1, **kwargs: Any) -> None:
        if not isinstance(batches_per_update, int) or batches_per_update < 1:
            raise ConfigError(
                f"train_cfg.batches_per_update is {batches_per_update!r}; it must be a whole "
                "number, at least 1"
            )
        super().__init__(*args, **kwargs)
        self.batches_per_update = batches_per_update
        self.dataloader_iterator = _SeekingIterator(self.dataloader, batches_per_update)

    def run(self) -> Any:
        """Train, and end the workers of the data loader at once.

        Returns:
            The model.

        Raises:
            ConfigError: If the optimizer wrapper cannot wait for several batches.
        """
        if self.batches_per_update > 1:
            _check_can_wait(self.runner.optim_wrapper)
        try:
            return super().run()
        finally:
            self.dataloader_iterator.close()

    def run_iter(self, data_batch: Any) -> None:
        """Update the weights once; hooks get the first batch and the mean of the outputs.

        Args:
            data_batch: The first batch of the iteration.
        """
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        if self.batches_per_update == 1:
            outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        else:
            outputs = _mean(list(self._accumulate(data_batch)))
        runner.call_hook(
            "after_train_iter", batch_idx=self._iter, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    def _accumulate(self, batch: Any) -> Iterator[dict[str, torch.Tensor]]:
        """Train with the batches of an iteration and yield what is logged of each."""
        runner, number = self.runner, self.batches_per_update
        for index in range(number):
            step = _PartOfUpdate(runner.optim_wrapper, number, last=index == number - 1)
            outputs = runner.model.train_step(
                next(self.dataloader_iterator) if index else batch, optim_wrapper=step
            )
            yield {name: torch.as_tensor(value).detach() for name, value in outputs.items()}


def _check_can_wait(optim_wrapper: Any) -> None:
    if not isinstance(optim_wrapper, OptimWrapper):
        raise ConfigError(
            "train_cfg.batches_per_update needs one optimizer, but optim_wrapper is a "
            f"{type(optim_wrapper).__name__}; use 1"
        )
    counts = getattr(optim_wrapper, "_accumulative_counts", 1)
    if counts > 1:
        raise ConfigError(
            "train_cfg.batches_per_update and optim_wrapper.accumulative_counts "
            f"({counts}) both accumulate gradients; use one of them"
        )


class _PartOfUpdate:
    """An optimizer wrapper for one of several batches: only the last one updates the weights.

    Args:
        optim_wrapper: Does the work.
        number: Batches per update.
        last: Whether it is the last one.
    """

    def __init__(self, optim_wrapper: OptimWrapper, number: int, last: bool) -> None:
        self.optim_wrapper = optim_wrapper
        self.number = number
        self.last = last

    @contextmanager
    def optim_context(self, model: Any) -> Iterator[None]:
        """Compute a loss; processes exchange gradients with the last batch only."""
        waits = not self.last and hasattr(model, "no_sync")
        with model.no_sync() if waits else nullcontext(), self.optim_wrapper.optim_context(model):
            yield

    def update_params(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss, and update the weights with the last one."""
        self.optim_wrapper.backward(loss / self.number)
        if self.last:
            self.optim_wrapper.step()
            self.optim_wrapper.zero_grad()


def _mean(outputs: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of the logged values, each over the batches that have it."""
    names = dict.fromkeys(name for output in outputs for name in output)
    return {
        name: torch.stack([output[name].float() for output in outputs if name in output]).mean()
        for name in names
    }


class _SeekingIterator(_InfiniteDataloaderIterator):
    def __init__(self, dataloader: Any, batches_per_update: int) -> None:
        super().__init__(dataloader)
        self._batches_per_update = batches_per_update

    def skip_iter(self, num_iters: int) -> None:
        sampler, batch_size = _sampler(self._dataloader), self._resolve_batch_size()
        batches = num_iters * self._batches_per_update
        if num_iters > 0 and batch_size and hasattr(sampler, "start_draw"):
            sampler.start_draw = batches * batch_size * get_world_size()
            self._iterator = None
        else:
            super().skip_iter(batches)

    def close(self) -> None:
        # Left to the garbage collector, waiting for the workers takes five seconds.
        self._iterator = None
        if hasattr(self._dataloader, "_iterator"):
            self._dataloader._iterator = None

    def _ensure_iterator(self) -> None:
        if self._iterator is None:
            with preserved_generators():
                super()._ensure_iterator()


def _sampler(dataloader: Any) -> Any:
    sampler = dataloader.sampler
    if hasattr(sampler, "start_draw"):
        return sampler
    return getattr(dataloader.batch_sampler, "sampler", None)
