# SPDX-License-Identifier: Apache-2.0
"""Exact metrics for video instance segmentation results.

Works alone: numpy, scipy, pycocotools, orjson, Pillow and rich are all it needs.

    from visbench.evaluation import evaluate

    result = evaluate("valid.json", "results.json", metric="youtube_vis")
    print(result.summary())
"""

from visbench.evaluation.analysis import AnalysisOptions, Bootstrap
from visbench.evaluation.annotation_files import load_annotations
from visbench.evaluation.annotations import Annotations
from visbench.evaluation.api import evaluate
from visbench.evaluation.davis_files import evaluate_davis
from visbench.evaluation.errors import InputError
from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.submission import CheckReport, check_results, write_submission
from visbench.evaluation.video_evaluator import VideoEvaluator

__all__ = [
    "AnalysisOptions",
    "Annotations",
    "Bootstrap",
    "CheckReport",
    "EvaluationResult",
    "InputError",
    "VideoEvaluator",
    "check_results",
    "evaluate",
    "evaluate_davis",
    "load_annotations",
    "write_submission",
]
