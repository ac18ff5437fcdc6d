# SPDX-License-Identifier: Apache-2.0
"""Stands in for the worker: a config's text says what happens. Counts its calls in calls.txt."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from visbench.benchmark import controls, worker
from visbench.benchmark.events import send
from visbench.benchmark.rows import Row, RowStore

DATASET = "movingshapes-v1-easy-val"


def named(text: str = "") -> str:
    return DATASET.replace("easy", text or "easy")


def main() -> int:
    args = worker._parser().parse_args()
    with Path(os.environ["FAKE_CALLS"]).open("a", encoding="utf-8") as file:
        file.write(f"{args.phase} {' '.join(Path(config).stem for config in args.configs)}\n")
    text = Path(args.configs[0]).read_text()
    print("an ordinary line of the log")
    if args.phase == "controls":
        for name in controls.CONTROLS:
            row = Row(name, "", named(*args.dataset), 0, AP=10.0, kind="control")
            RowStore(args.rows).add(Row(**{**vars(row), "config_hash": controls.CONTROLS_VERSION}))
        return 0
    if args.phase in ("train", "test"):
        return _run(args, text)
    for path in args.configs:
        if "unnamed = True" not in Path(path).read_text():
            send(config=path, datasets={text: named(text) for text in ("", *args.dataset)})
    return 0


def _run(args: argparse.Namespace, text: str) -> int:
    dataset = named(*args.dataset)
    send(dataset=dataset, method="Fake")
    send(stage=args.phase, done=1, total=2, loss=0.5)
    send(stage=args.phase, done=2, total=2)
    if f"error = '{args.phase}'" in text:
        send(error="the loss is infinite")
        return 1
    if f"crash = '{args.phase}'" in text:
        print("Segmentation", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if f"exit = '{args.phase}'" in text:
        print("last words", flush=True)
        return 3
    facts = {"checkpoint": "iter_2.pth", "training_s": 90.0, "training_memory_mb": 200.0}
    if args.phase == "test":
        overlay = args.run_dir / "overlay.mp4"
        overlay.write_bytes(b"video")
        facts.update(method="Fake", dataset=dataset, AP=41.25, AP50=60.0, AR1=None)
        facts.update(overlay=str(overlay), machine="two cores", device="cpu")
        facts.update(versions={"torch": "2.11.0"})
    args.run_dir.mkdir(parents=True, exist_ok=True)
    (args.run_dir / f"{args.test if args.phase == 'test' else args.phase}.json").write_text(
        json.dumps(facts)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
