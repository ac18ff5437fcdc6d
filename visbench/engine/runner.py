# SPDX-License-Identifier: Apache-2.0
"""MMEngine's runner with complete checkpoints: checked when loaded, whole when written."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.base_loop import BaseLoop

from visbench.engine.checkpoint import latest_checkpoint, load_weights
from visbench.engine.provenance import Provenance
from visbench.files import partial_path
from visbench.registry import RUNNERS


@RUNNERS.register_module()
class VISRunner(Runner):
    """Runner of visbench, set by ``runner_type = "VISRunner"``.

    Beyond MMEngine's runner: a checkpoint of another model is refused with one error; a
    checkpoint appears under its name only when it is complete; resuming without a path takes the
    newest complete checkpoint of the work folder; every session records by what it was made, see
    :mod:`visbench.engine.provenance`.
    """

    _resume: bool
    _load_from: str | None
    _resuming = False

    def load_or_resume(self) -> None:
        """Load or resume as configured; ``resume=True`` alone takes the newest checkpoint."""
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = latest_checkpoint(self.work_dir)
            if self._load_from is None:
                self._resume = False
                self.logger.info(f"{self.work_dir} holds no checkpoint: training starts anew.")
        super().load_or_resume()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Restore weights, optimizer, schedules and position; every weight must fit."""
        self._resuming = True
        try:
            super().resume(filename, *args, **kwargs)
        finally:
            self._resuming = False

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: list | None = None,
    ) -> dict:
        """Load weights, see :func:`~visbench.engine.checkpoint.load_weights`.

        Args:
            filename: Path or URL.
            map_location: Device of the tensors.
            strict: Whether every weight must fit, as when resuming.
            revise_keys: Pairs of pattern and replacement applied to the names in the file.

        Returns:
            The whole checkpoint.

        Raises:
            CheckpointError: If the file is missing, damaged, unsafe or of another model.
        """
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location=map_location)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        load_weights(model, _revised(checkpoint, revise_keys), filename, purpose=self._need(strict))
        self._has_loaded = True
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rate by the samples per update, if ``auto_scale_lr`` is enabled.

        Args:
            optim_wrapper: Its learning rates are scaled.
            auto_scale_lr: ``enable``, and ``base_batch_size`` that the rates are for.
        """
        batches = getattr(self.train_loop, "batches_per_update", 1)
        if auto_scale_lr and "base_batch_size" in auto_scale_lr:
            base = auto_scale_lr["base_batch_size"] / batches
            auto_scale_lr = {**auto_scale_lr, "base_batch_size": base}
        super().scale_lr(optim_wrapper, auto_scale_lr)

    def dump_config(self) -> None:
        """Write the config, and by which code, packages and machine the run is made."""
        super().dump_config()
        if is_main_process():
            Provenance.here().write(Path(self.log_dir) / "vis_data")

    def _need(self, strict: bool) -> str:
        if strict or self._resuming:
            return "resume"
        return "train" if isinstance(self._train_loop, BaseLoop) else "test"

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint under a temporary name and rename it when it is complete.

        All ranks call this; the first one writes.

        Args:
            out_dir: Folder or a URL prefix of a file backend, which is written directly.
            filename: Name of the file.
            *args: As MMEngine's runner takes them.
            **kwargs: As MMEngine's runner takes them.
        """
        self.call_hook("before_collect_checkpoint")
        if "://" in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        path = Path(out_dir) / filename
        partial = partial_path(path)
        super().save_checkpoint(out_dir, partial.name, *args, **kwargs)
        if is_main_process():
            publish(partial, path)


def publish(partial: Path, final: Path) -> None:
    """Give a written file its name in one step, after its content is on the disk."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, final)


def _revised(checkpoint: dict, revise_keys: list | None) -> dict:
    weights = checkpoint.get("state_dict", checkpoint)
    for pattern, replacement in revise_keys or []:
        weights = type(weights)(
            (re.sub(pattern, replacement, name), value) for name, value in weights.items()
        )
    return {"state_dict": weights}
