# SPDX-License-Identifier: Apache-2.0
"""Exact metrics for video instance segmentation results.

Works alone: numpy, scipy, pycocotools, orjson, Pillow and rich are all it needs.

    from visbench.evaluation import evaluate

    result = evaluate("valid.json", "results.json", metric="youtube_vis")
    print(result.summary())
"""

from visbench.evaluation.annotations import Annotations, load_annotations
from visbench.evaluation.api import evaluate
from visbench.evaluation.errors import InputError
from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.video_evaluator import VideoEvaluator

__all__ = [
    "Annotations",
    "EvaluationResult",
    "InputError",
    "VideoEvaluator",
    "evaluate",
    "load_annotations",
]
