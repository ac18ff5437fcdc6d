# SPDX-License-Identifier: Apache-2.0
"""``benchmark.py compare``: train, test and write one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from visbench.benchmark.compare import compare
from visbench.benchmark.foreign import ForeignResults
from visbench.benchmark.suites import add_config_arguments, chosen_configs
from visbench.engine.errors import UserError

_EXAMPLES = """examples:
  # the suite that `make demo` runs; a second call shows the table at once
  python tools/benchmark.py compare --suite demo --work-dir work_dirs/demo
  # two configs of your own with three seeds on the second GPU
  python tools/benchmark.py compare a.py b.py --seed 0 1 2 --device cuda:1 --work-dir work_dirs/ab
  # one training per config and seed, tested on four data sets
  python tools/benchmark.py compare --suite quick --seed 0 1 2 --dataset easy occluded crowded long
  # test on data of your own, which have the classes of the training
  python tools/benchmark.py compare a.py \\
      --dataset own name=mine,type=visbench.YouTubeVIS2019,data_root=data/mine,split=valid
  # results of any program beside those of a config, scored with the same annotations
  python tools/benchmark.py compare a.py --results theirs=theirs.zip --annotations data/valid.json
  # masks without classes: all rows are scored without them in a table of its own
  python tools/benchmark.py compare a.py --results sam=sam.json.gz \\
      --annotations data/valid.json --class-agnostic

Data sets of --dataset: a preset of MovingShapes (easy, occluded, crowded, long); or FIELD=VALUE,...
with fields that replace those of val_dataloader.dataset (a type replaces all but the method's own
pipeline); or "own" for what the config validates on. Other data than a preset need name=NAME, by
which their rows are kept; a name stands for the same data in all of a work folder.

The table has a line per config and data set: with several seeds the mean ± standard deviation and
their number n, a 95 % interval over the videos, and under it what is equal for all trainings and
what differs. Figures of the papers stand in columns of their own and are never measured here.

Files in the work folder: report.md, report.csv (a line per run) and report-summary.csv (a line per
config and data set); rows/ with one JSON file per run, named by config, data, seed and hash of the
config, never overwritten; runs/ with checkpoints, logs, results.json, metrics.json and
analysis.json; overlays/ with one video per run. Ctrl-C and kill lose nothing: the same command goes
on from the newest checkpoint and the last finished video. A changed config is a new run; changed
code is not, so that rows of earlier versions stay, and a line says so.

Exit status: 0 all finished; 1 a run failed (its row says why); 2 nothing could start;
130 interrupted.
"""


def add_compare_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand.

    Args:
        commands: Where ``add_parser`` of the program puts its subcommands.
    """
    command = commands.add_parser(
        "compare",
        help="train, test and write one table",
        description="Train and test methods and write one comparison table",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(command)
    command.add_argument(
        "--work-dir", help="folder of runs and rows; work_dirs/<suite, or 'compare'> by default"
    )
    command.add_argument(
        "--out", metavar="PATH", help="report without ending; <work-dir>/report by default"
    )
    command.add_argument("--device", help="cpu, cuda, cuda:N or mps; the best one by default")
    command.add_argument(
        "--seed",
        type=int,
        nargs="+",
        default=[0],
        help="seeds; every config is run with each (default: 0)",
    )
    command.add_argument(
        "--dataset",
        nargs="+",
        default=[],
        metavar="DATA",
        help="data to test every training on; see below (default: own)",
    )
    _add_foreign(command)
    command.set_defaults(run=_run)


def _add_foreign(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("results of other programs")
    group.add_argument(
        "--results",
        nargs="+",
        default=[],
        metavar="NAME=FILE",
        help="results.json, also .gz or a submission zip, as rows of the table; its category ids "
        "are those of the annotation file",
    )
    group.add_argument(
        "--annotations",
        metavar="[DATA=]FILE",
        help="annotation file of --results; DATA is the name of the data in rows, by default that "
        "of runs with the same annotations",
    )
    group.add_argument(
        "--class-agnostic",
        action="store_true",
        help="score --results, and the runs on the same data, with all classes in one pool; "
        "records may lack category_id",
    )
    group.add_argument(
        "--metric",
        choices=("youtube_vis", "ovis", "imagenet_vid"),
        default="youtube_vis",
        help="metric of --results (default: %(default)s)",
    )


def _run(args: argparse.Namespace) -> int:
    configs = chosen_configs(args)
    if not configs and not args.results:
        raise UserError("nothing to compare; give --suite or config files")
    work_dir = args.work_dir or f"work_dirs/{args.suite or 'compare'}"
    return compare(
        configs,
        work_dir,
        args.out,
        args.device,
        args.seed,
        datasets=args.dataset,
        foreign=_foreign(args),
    )


def _foreign(args: argparse.Namespace) -> ForeignResults | None:
    if not args.results:
        if args.annotations or args.class_agnostic:
            raise UserError("--annotations and --class-agnostic go with --results NAME=FILE")
        return None
    if args.annotations is None:
        raise UserError("--results needs --annotations FILE, the ground truth to score them with")
    # It takes a moment to import, which others are spared.
    from visbench.evaluation.side_by_side import named_results

    try:
        results = named_results(args.results)
    except ValueError as error:
        raise UserError(f"--results: {error}") from error
    dataset, _, path = args.annotations.rpartition("=")
    return ForeignResults(
        {name: Path(file) for name, file in results.items()},
        Path(path),
        dataset,
        args.class_agnostic,
        args.metric,
    )
