# SPDX-License-Identifier: Apache-2.0
"""Stands in for the worker: a config's text says what happens. Counts its calls in calls.txt."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from visbench.benchmark.events import send
from visbench.benchmark.speed.plan import Measurement
from visbench.benchmark.speed.stages import ASSOCIATION, DECODE, ENCODING, NETWORK, PREPROCESS

SHARES = {DECODE: 0.05, PREPROCESS: 0.1, NETWORK: 0.6, ASSOCIATION: 0.2, ENCODING: 0.05}


def main() -> int:
    measurement = Measurement.from_dict(json.loads(sys.argv[1]))
    with Path(os.environ["FAKE_CALLS"]).open("a", encoding="utf-8") as file:
        threads = os.environ["OMP_NUM_THREADS"]
        file.write(f"{measurement.title}, {threads} threads, {measurement.subject.weights}\n")
    text = Path(measurement.subject.config).read_text()
    print("an ordinary line of the log")
    send(method="Fake")
    send(stage="speed", done=1, total=2)
    if "error = True" in text:
        send(error="the video is too long")
        return 1
    online = "offline = True" not in text
    percentiles = {"p50_ms": 90.0, "p95_ms": 110.0} if online else {}
    stages = {
        stage: {"mean_ms": 100 * share, "share": share, **percentiles}
        for stage, share in SHARES.items()
    }
    details = {
        "online": online,
        "fps_online": 10.0 if online else None,
        "fps_whole": 12.5,
        "total_s": 0.1 * measurement.frames,
        "frame": percentiles,
        "stages": stages,
        "instances_per_frame": 2.5,
        "note": "association is made up",
        "precision": "fp32",
        "load": 9.5 if "busy = True" in text else 1.5,
    }
    fields = {"fps": 12.5, "host_memory_mb": 500.0 + measurement.frames, "parameters_m": 1.5}
    send(result={"method": "Fake", **fields, "details": details})
    return 0


if __name__ == "__main__":
    sys.exit(main())
