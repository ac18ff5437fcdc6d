#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Score the results of any video instance segmentation method, or check them for submission."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file
from visbench.evaluation import (
    AnalysisOptions,
    EvaluationResult,
    InputError,
    check_results,
    evaluate,
)
from visbench.evaluation.api import ALL_METRICS, check_files
from visbench.evaluation.side_by_side import comparison_tables, named_results

EXAMPLES = """\
examples:
  evaluate.py valid.json results.json
      AP, AP50, AP75, APs/m/l, AR1/10/100, ARs/m/l as the official YouTube-VIS evaluator has them
  evaluate.py valid_ovis.json submission.zip --metric ovis --out metrics.json
      the same and AP/AR at light, medium and heavy occlusion; numbers also as fractions in a file
  evaluate.py val_boxes.json boxes.json.gz --metric imagenet_vid
      AP of box sequences: records have bboxes ([x, y, width, height] or null) for segmentations
  evaluate.py DAVIS/Annotations_unsupervised/480p my_masks/ --metric davis
      J&F; both are folders with one sub-folder of palette PNGs per sequence
  evaluate.py valid.json results.json --metric hota --hota-score-threshold 0.3
      HOTA, DetA, AssA, LocA and IDF1; these know no scores, so weak predictions are left out here
  evaluate.py valid.json results.json --metric errors
      AP points lost to missed objects, wrong classes, wrong masks, identity switches, ...
  evaluate.py valid.json results.json --oracle ids
      AP of the same masks with true identities: the difference was lost to association
  evaluate.py valid.json results.json --metric all --breakdown --bootstrap 1000 --out metrics.json
      everything in one pass, by class, length, size, motion and occlusion, with 95 % intervals
  evaluate.py valid.json ours=results.json theirs=submission.zip
      several files side by side: one table, a line each, named by the file or by what is before "="
  evaluate.py --check submission.zip --against valid.json
      validate a file before it is sent to a server; the annotation file needs no ground truth

RESULTS is a list of {"video_id", "category_id", "score", "segmentations"}, one entry per predicted
track, with one compressed RLE of the original frame size, or null, per frame of the video; json,
json.gz, or a zip that holds results.json. Numbers on the terminal are points (0 to 100), those in
the file of --out are fractions, -1 where nothing is defined: {metric: {name: number}}, and under
"oracle_ids", "breakdown", "bootstrap" and "per_video" what was asked for besides. With several
results files there is one such block per name: {name: {metric: {name: number}}}.

That all files are there and hold results is checked before the first one is read. One that turns
out to have a defect is named, and the lines of the others are printed and written all the same.

exit code: 0 if everything went well, 1 if --check found problems, 2 for input that cannot be used
(nothing is printed or written), 3 if some of several results files cannot be used
"""
UNUSABLE, INCOMPLETE = 2, 3
LISTED_PROBLEMS = 20


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", nargs="?", metavar="ANN", help="annotation file (or folder)")
    parser.add_argument(
        "results",
        nargs="*",
        metavar="RESULTS",
        help="results file (or folder), or NAME=FILE; several give one table",
    )
    parser.add_argument(
        "--metric",
        choices=ALL_METRICS,
        default="youtube_vis",
        help="what to compute; 'all' is whatever the fields of both files allow "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--table", action="store_true", help="also print the AP of each category")
    add_analysis(parser)
    parser.add_argument(
        "--class-agnostic",
        action="store_true",
        help="put all categories of a video in one pool; records may lack category_id",
    )
    parser.add_argument(
        "--official-bugs",
        action="store_true",
        help="reproduce the numbers of the official evaluators where they are wrong (annotation id "
        "0, lists or masks of another size, missing labels in DAVIS)",
    )
    parser.add_argument(
        "--tolerant",
        action="store_true",
        help="leave out records with defects and list them, where the default is to stop",
    )
    parser.add_argument("--check", metavar="RESULTS", help="check results instead of scoring them")
    parser.add_argument("--against", metavar="ANN", help="annotation file for --check")
    options = parser.parse_args(arguments)
    if options.check is None:
        if options.against is not None:
            parser.error("--against goes with --check")
        if not options.results:
            parser.error("ANN and RESULTS are needed (or --check RESULTS --against ANN)")
    elif options.annotations is not None:
        parser.error("--check takes the results itself: --check RESULTS --against ANN")
    check_analysis(parser, options)
    try:
        options.results = named_results(options.results)
    except ValueError as error:
        parser.error(str(error))
    return options


def check_analysis(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what the metric cannot give, before any file is read."""
    names = [] if options.metric in ("all", "davis") else [options.metric]
    asked = AnalysisOptions(
        oracle=options.oracle if names else None, bootstrap=options.bootstrap, seed=options.seed
    )
    try:
        asked.check(names)
    except ValueError as error:
        parser.error(str(error))
    if options.oracle and options.metric == "davis":
        parser.error("--oracle ids is for tracks of masks, not for DAVIS")


def add_analysis(parser: argparse.ArgumentParser) -> None:
    """Add the options for what is computed beyond the numbers."""
    group = parser.add_argument_group("beyond the numbers")
    group.add_argument(
        "--oracle",
        choices=("ids",),
        help="also give the AP of the same masks with the identities of the ground truth: in every "
        "frame, masks are assigned to the objects that they overlap; what is missing then was lost "
        "to masks, the rest to association",
    )
    group.add_argument(
        "--breakdown",
        action="store_true",
        help="also give the numbers by class, video length, object size, motion and occlusion; "
        "objects of other groups are ignored, predictions that found nothing count in each group",
    )
    group.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="95 %% intervals from N resamples of the videos (1000 is usual): results whose "
        "intervals overlap widely may differ by the choice of videos only",
    )
    group.add_argument(
        "--seed", type=int, default=0, help="of the resampling (default: %(default)s)"
    )
    group.add_argument(
        "--per-video", action="store_true", help="also give the numbers of every video"
    )
    group.add_argument(
        "--hota-score-threshold",
        type=float,
        metavar="S",
        help="leave predictions with a lower score out of HOTA and IDF1, which count every one as "
        "present; choose it on other videos (default: all count)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    options = parse_arguments(arguments)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return check(options, errors) if options.check else score(options, errors)
    except (InputError, ConfigError, OSError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}")
        return UNUSABLE


def score(options: argparse.Namespace, errors: Console) -> int:
    """Evaluate, print the tables and write the numbers."""
    out = None if options.out is None else Path(options.out)
    prepare_output_file(out, "--out")
    check_files(options.annotations, list(options.results.values()), options.metric)
    found = evaluate_all(options, errors)
    if not found:
        return UNUSABLE
    several = len(options.results) > 1
    console = Console(highlight=False)
    # First the file: whoever reads the tables may stop doing so.
    if out is not None:
        out.write_bytes(orjson.dumps(as_dict(found, several), option=orjson.OPT_INDENT_2) + b"\n")
    for table in tables(found, several, options.table):
        console.print(table)
    if out is not None:
        console.print(f"numbers written to {out}", markup=False)
    return 0 if len(found) == len(options.results) else INCOMPLETE


def evaluate_all(options: argparse.Namespace, errors: Console) -> dict[str, EvaluationResult]:
    """Evaluate all files; one that cannot be used is told and costs only its own line."""
    found = {}
    for name, path in options.results.items():
        try:
            found[name] = evaluate_one(options, path, errors)
        except (InputError, OSError) as error:
            # A defect of the annotations is one of all.
            if isinstance(error, InputError) and error.source == options.annotations:
                raise
            of = f" {name}:" if len(options.results) > 1 else ""
            errors.print(f"[bold red]error:[/]{escape(of)} {escape(str(error))}")
        else:
            report(found[name], errors)
    return found


def evaluate_one(options: argparse.Namespace, path: str, errors: Console) -> EvaluationResult:
    """Evaluate one file with a progress display."""
    with show_progress(errors) as progress:
        return evaluate(
            options.annotations,
            path,
            options.metric,
            class_agnostic=options.class_agnostic,
            official_bugs=options.official_bugs,
            tolerant=options.tolerant,
            progress=progress,
            hota_score_threshold=options.hota_score_threshold,
            oracle=options.oracle,
            breakdown=options.breakdown,
            bootstrap=options.bootstrap,
            seed=options.seed,
            per_video=options.per_video,
        )


def as_dict(found: Mapping[str, EvaluationResult], several: bool) -> dict[str, Any]:
    """Return the numbers of one file, or those of several by name."""
    numbers = {name: result.to_dict() for name, result in found.items()}
    return numbers if several else next(iter(numbers.values()))


def tables(found: Mapping[str, EvaluationResult], several: bool, per_category: bool) -> list[Table]:
    """Return all tables of one file, or the table that has a line for each of several."""
    if several:
        return comparison_tables(found)
    return next(iter(found.values())).tables(per_category=per_category)


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[[int], object]]:
    """Show the number of predictions done while it lasts, on a terminal only."""
    columns = SpinnerColumn(), TextColumn("{task.completed:.0f} predictions"), TimeElapsedColumn()
    # Without a thread for refreshing, which would keep the evaluator from using two processes.
    shown = Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    )
    with shown:
        task = shown.add_task("", total=None)
        yield lambda count: shown.update(task, completed=count, refresh=True)


def report(result: EvaluationResult, errors: Console) -> None:
    """Print warnings and skipped records."""
    for warning in result.warnings:
        errors.print(f"[yellow]warning:[/] {escape(warning)}")
    for skipped in result.skipped:
        errors.print(f"[yellow]skipped:[/] {escape(skipped)}")


def check(options: argparse.Namespace, errors: Console) -> int:
    """Check results and print what is wrong with them."""
    found = check_results(options.check, options.against)
    for warning in found.warnings:
        errors.print(f"[yellow]warning:[/] {escape(warning)}")
    for problem in found.problems[:LISTED_PROBLEMS]:
        errors.print(f"[red]problem:[/] {escape(problem)}")
    if len(found.problems) > LISTED_PROBLEMS:
        errors.print(f"... and {len(found.problems) - LISTED_PROBLEMS} more problems")
    verdict = "[green]fit for submission[/]" if found.passed else "[red]not fit for submission[/]"
    Console(highlight=False).print(
        f"{escape(found.source)}: {found.records} records of {found.videos} videos, "
        f"{len(found.problems)} problems: {verdict}",
        soft_wrap=True,
    )
    if options.against is None:
        errors.print("without --against ids, lengths and mask sizes were not checked")
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
