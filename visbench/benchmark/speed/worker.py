# SPDX-License-Identifier: Apache-2.0
"""One measurement in a process of its own, so that the peak of memory is its own.

``python -m visbench.benchmark.speed.worker JSON``: the fields of a
:class:`~visbench.benchmark.speed.plan.Measurement`; reports by events.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from visbench.benchmark.events import send
from visbench.benchmark.speed.plan import Measurement
from visbench.benchmark.worker import method_name, one_line

if TYPE_CHECKING:
    from visbench.benchmark.speed.measure import Setting

_EVERY = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Measure; an exception is reported as an event and in the log."""
    (text,) = sys.argv[1:] if arguments is None else arguments
    try:
        send(result=run(Measurement.from_dict(json.loads(text))))
    except Exception as error:
        traceback.print_exc()
        send(error=one_line(error))
        return 1
    return 0


def run(measurement: Measurement) -> dict[str, Any]:
    """Build the model, measure it and return fields of the row.

    Args:
        measurement: What to measure.
    """
    import cv2
    import torch

    from visbench.benchmark.machine import peak_memory_mb
    from visbench.benchmark.measure import count_parameters
    from visbench.benchmark.speed.measure import measure
    from visbench.engine import load_config, select_device

    place, subject = measurement.place, measurement.subject
    torch.set_num_threads(place.threads)
    cv2.setNumThreads(place.threads)
    device = select_device(place.device)
    config = load_config(subject.config)
    send(method=method_name(config))
    model = build(config, subject.checkpoint, place.device)
    setting = _setting(measurement, config)
    before, load = peak_memory_mb(), os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    figures = measure(model, setting, device, _Sender())
    figures.update(precision=setting.precision, host_memory_before_mb=before, load=load)
    cuda = device == "cuda"
    return {
        "method": method_name(config),
        "parameters_m": count_parameters(model),
        "fps": figures["fps_whole"],
        "host_memory_mb": peak_memory_mb(),
        "device_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if cuda else None,
        "details": figures,
    }


def _setting(measurement: Measurement, config: Any) -> Setting:
    from visbench.apis.inference import inference_transforms
    from visbench.benchmark.speed.material import endless_reader
    from visbench.benchmark.speed.measure import Setting
    from visbench.structures import VideoInfo

    material = measurement.material
    return Setting(
        VideoInfo(0, material.name, material.height, material.width, measurement.frames),
        endless_reader(material),
        inference_transforms(config),
        (config.get("test_cfg") or {}).get("precision", "fp32"),
    )


def build(config: Any, checkpoint: str | None, device: str) -> Any:
    """Return the model with the weights of a checkpoint, else with those that training starts with.

    Without a checkpoint no pretrained weights are fetched: they would not change the speed of the
    network, and what is detected is without a meaning either way.

    Args:
        config: The config.
        checkpoint: Path of the weights.
        device: The device.
    """
    import torch

    from visbench.apis.inference import init_model, without_pretraining
    from visbench.registry import MODELS, register_all_modules

    if checkpoint:
        return init_model(config, checkpoint, device)
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    model = MODELS.build(without_pretraining(config.model))
    model.init_weights()
    return model.to(device).eval()


class _Sender:
    """Sends the progress as events, at most twice a second."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last > _EVERY or done == total:
            self._last = now
            send(stage="speed", done=done, total=total)


if __name__ == "__main__":
    sys.exit(main())
