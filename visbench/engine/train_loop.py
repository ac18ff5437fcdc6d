# SPDX-License-Identifier: Apache-2.0
"""Iteration-based training that resumes by seeking, not by replaying the data."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from visbench.engine.generators import preserved_generators
from visbench.registry import LOOPS


@LOOPS.register_module()
class SeededIterTrainLoop(IterBasedTrainLoop):
    """Training loop for samplers whose n-th draw is a function of (seed, n).

    On resume the sampler's ``start_draw`` is set to the number of draws of all ranks so far, and
    the data loader starts there. An iteration is one batch, also when gradients are accumulated
    over several. Starting the data loader leaves the random generators untouched, so a resumed
    run continues with the generator states of the checkpoint.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataloader_iterator = _SeekingIterator(self.dataloader)

    def run(self) -> Any:
        """Train, and end the workers of the data loader at once.

        Returns:
            The model.
        """
        try:
            return super().run()
        finally:
            self.dataloader_iterator.close()


class _SeekingIterator(_InfiniteDataloaderIterator):
    def skip_iter(self, num_iters: int) -> None:
        sampler, batch_size = _sampler(self._dataloader), self._resolve_batch_size()
        if num_iters > 0 and batch_size and hasattr(sampler, "start_draw"):
            sampler.start_draw = num_iters * batch_size * get_world_size()
            self._iterator = None
        else:
            super().skip_iter(num_iters)

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
