# SPDX-License-Identifier: Apache-2.0
"""Hooks: generator states in checkpoints, and no video both trained and validated on."""

from __future__ import annotations

from typing import Any

from mmengine.dist import all_gather_object, get_dist_info
from mmengine.hooks import Hook

from visbench.datasets.holdout import shared_videos
from visbench.engine.errors import ConfigError
from visbench.engine.generators import generator_states, set_generator_states
from visbench.registry import HOOKS

_FIELD = "random_states"


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Stores the states of all generators of each rank in checkpoints and restores them.

    With seeded sampling and iteration-based schedules a killed and resumed run then equals an
    uninterrupted one. Needs :class:`~visbench.engine.runner.VISRunner`, whose
    ``save_checkpoint`` collects the states of all ranks.
    """

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self._collected: list[dict[str, Any]] | None = None
        self._loaded: list[dict[str, Any]] | None = None

    def before_collect_checkpoint(self, runner: Any) -> None:
        """Collect the states of all ranks; called on each."""
        self._collected = all_gather_object(generator_states())

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add the states to the checkpoint."""
        checkpoint[_FIELD] = self._collected or [generator_states()]
        self._collected = None

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Remember the states until training starts."""
        self._loaded = checkpoint.get(_FIELD)

    def before_train(self, runner: Any) -> None:
        """Restore this rank's states if the run is resumed."""
        rank, world_size = get_dist_info()
        if self._loaded is not None and runner.iter > 0:
            if len(self._loaded) == world_size:
                set_generator_states(self._loaded[rank])
            else:
                runner.logger.warning(
                    f"The checkpoint has random states of {len(self._loaded)} processes, but "
                    f"{world_size} run now: the random numbers go on from the seed."
                )
        self._loaded = None


@HOOKS.register_module()
class SharedVideosHook(Hook):
    """Refuses to train when training and validation files share videos.

    Args:
        allow: Whether to go on with a warning.
    """

    priority = "VERY_HIGH"

    def __init__(self, allow: bool = False) -> None:
        self.allow = allow

    def before_train(self, runner: Any) -> None:
        """Compare the two data sets.

        Raises:
            ConfigError: If they share videos.
        """
        if runner.val_loop is None:
            return
        train, val = runner.train_dataloader.dataset, runner.val_dataloader.dataset
        shared = shared_videos(train, val)
        if not shared:
            return
        message = (
            f"train_dataloader and val_dataloader share {len(shared)} videos ("
            f"{', '.join(shared[:3])}{', ...' if len(shared) > 3 else ''}), so validation would "
            "not measure what it should; use annotation files without common videos (the "
            "..._holdout data configs)"
        )
        if not self.allow:
            raise ConfigError(f"{message}, or set SharedVideosHook(allow=True) in custom_hooks")
        runner.logger.warning(message)
