# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from visbench.evaluation import evaluate

sys.path.insert(0, str(Path(__file__).parent))

from random_problems import make_problem

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
for name in ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "cv2", "pandas", "plotly"):
    sys.modules[name] = None
import pkgutil, importlib, json
import visbench.evaluation
for module in pkgutil.iter_modules(visbench.evaluation.__path__):
    importlib.import_module("visbench.evaluation." + module.name)
gt, results = json.load(sys.stdin)
print(json.dumps(visbench.evaluation.evaluate(gt, results, ["youtube_vis", "ovis"]).to_dict()))
"""


def test_everything_works_without_torch_and_mmdetection() -> None:
    problem = make_problem(3)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(problem),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == evaluate(*problem, ["youtube_vis", "ovis"]).to_dict()
