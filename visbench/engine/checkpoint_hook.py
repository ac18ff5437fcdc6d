# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of which one is complete at any moment."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook

from visbench.engine.errors import ConfigError
from visbench.registry import HOOKS


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, with an old checkpoint removed only after the new one is there.

    MMEngine removes first, so a run killed while it saves may be left without any. Takes the same
    arguments; see :class:`mmengine.hooks.CheckpointHook`.
    """

    max_keep_ckpts: int

    def before_train(self, runner: Any) -> None:
        """Check the interval against gradient accumulation, then as MMEngine does.

        Raises:
            ConfigError: If a checkpoint would fall between two steps of the optimizer: the
                gradients accumulated so far are not part of it.
        """
        steps = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
        if not self.by_epoch and self.interval > 0 and self.interval % steps:
            raise ConfigError(
                f"default_hooks.checkpoint.interval is {self.interval}, but the optimizer steps "
                f"every {steps} iterations (optim_wrapper.accumulative_counts); use a multiple of "
                f"{steps}"
            )
        runner.logger.addFilter(_no_file_client_remarks)
        try:
            super().before_train(runner)
        finally:
            runner.logger.removeFilter(_no_file_client_remarks)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        """Save the best checkpoint; a validation outside of training saves nothing."""
        if hasattr(self, "file_backend"):
            super().after_val_epoch(runner, metrics)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        keep = self.max_keep_ckpts
        outdated = self._outdated(runner, step) if keep > 0 else []
        self.max_keep_ckpts = -1
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = keep
        if is_main_process():
            for old in outdated:
                path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)

    def _outdated(self, runner: Any, step: int) -> list[int]:
        """Note the step as kept and return those that are to go."""
        outdated = []
        if not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        return outdated


def _no_file_client_remarks(record: logging.LogRecord) -> bool:
    # MMEngine warns about its own use of its deprecated class.
    message = record.getMessage()
    return not message.startswith(('"FileClient" will be', '"HardDiskBackend" is the alias'))


def remove_partial_files(folder: str | os.PathLike[str]) -> None:
    """Remove checkpoints that a killed run was writing; they never had their final name."""
    for path in Path(folder).glob(".*.pth.partial"):
        path.unlink(missing_ok=True)
