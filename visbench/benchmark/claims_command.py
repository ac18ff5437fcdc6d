# SPDX-License-Identifier: Apache-2.0
"""``benchmark.py claims``: do the directions of the papers' ablations hold here?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from visbench.benchmark.claims.campaign import Campaign, Judge, make_data, plan_runs
from visbench.benchmark.claims.data import CLAIMS_FILE, Claim, ClaimBook, read_claims
from visbench.benchmark.claims.executors import EXECUTORS, make_executor
from visbench.benchmark.claims.imported import import_rows
from visbench.benchmark.claims.rows import ClaimRows, known_version
from visbench.benchmark.claims.schedule import budget_seconds
from visbench.benchmark.claims.table import NOTE, csv_text, markdown, summary, terminal_table
from visbench.benchmark.claims.unit import WORKER, Terms
from visbench.benchmark.compare import make_console, only_one, prepare_report, write_files
from visbench.engine.config_files import config_folder
from visbench.engine.errors import UserError
from visbench.engine.outputs import prepare_output_folder

_UNKNOWN_CODE = (
    "its sessions do not record one version of the code, so it counts with --include-unversioned"
)
_EXAMPLES = """examples:
  # the verdicts so far; runs nothing
  python tools/benchmark.py claims --list
  # whatever is most undecided, for an hour and a half, two runs side by side
  python tools/benchmark.py claims --budget 90m --jobs 2
  # two claims with five seeds
  python tools/benchmark.py claims --claim iai-4-both iai-7-focal-loss --seed 0 1 2 3 4
  # jobs of two GPUs each on a Slurm cluster (pip install 'visbench[cluster]')
  python tools/benchmark.py claims --executor slurm --jobs 8 --devices-per-run 2 \\
      --cluster slurm_partition=gpu timeout_min=240
  # rows of what was trained and tested by hand: CONFIG SEED TEST_FOLDER [TRAINING_FOLDER]
  python tools/benchmark.py claims --add configs/iai/iai_demo_movingshapes.py 1 work_dirs/iai_seed1
  # rows of older tables, and the verdicts with them
  python tools/benchmark.py claims --import benchmarks/results/*easy*.csv --include-unversioned

A claim says that the metric of config A minus that of config B has a sign (--claims FILE for
claims of your own; visbench/benchmark/data/claims.yaml is the model). Both are run with the same
seeds. Verdicts: 'reproduced' if the 95 % interval of the mean difference (Student's, over seeds)
has the expected sign, 'not reproduced' if it has the other one, 'undecided' if it includes zero or
there is one seed only, 'not run' without a pair.

Rows are JSON files in --rows, named by config, data, seed, hash of the config and version of the
code (that of the package, and a hash of the code that results depend on); they are never
overwritten. Commit them, and work adds up over machines and days. The two rows of a pair are of
one version of the code; different seeds may be of different versions, which --out's table names.
--include-unversioned also counts rows that were imported without hash or version, added from runs
that did not record one version of the code, or made with an earlier text of the config; the two
rows of a pair must agree in what is known of the version.

With --budget, claims without any pair come first, then undecided ones with the fewest seeds, then
the rest; no pair is started that would end after the budget, as predicted from the seconds that
earlier rows took. Configs that differ only in what acts at test share one training. With
--devices-per-run N, torchrun starts N processes that share the batch of the config, so the
training stays the same; tests use one device.

Ctrl-C loses nothing: the same command goes on from the newest checkpoints.

Exit status: 0 all finished; 1 a run failed (its line says why); 2 nothing could start;
130 interrupted.
"""


def add_claims_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand.

    Args:
        commands: Where ``add_parser`` of the program puts its subcommands.
    """
    command = commands.add_parser(
        "claims",
        help="check the directions of the papers' ablations",
        description="Run and judge the directions of the papers' ablations",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_choice(command)
    _add_running(command)
    _add_rows(command)
    command.set_defaults(run=_run)


def _add_choice(command: argparse.ArgumentParser) -> None:
    command.add_argument("--list", action="store_true", help="show the verdicts, run nothing")
    command.add_argument("--claim", nargs="+", metavar="ID", help="these claims; all by default")
    command.add_argument(
        "--seed", type=int, nargs="+", default=[0, 1, 2], help="seeds; 0 1 2 by default"
    )
    command.add_argument(
        "--claims", default=CLAIMS_FILE, type=Path, metavar="FILE", help="claims of your own (YAML)"
    )
    command.add_argument("--out", metavar="PATH", help="also write PATH.md and PATH.csv")


def _add_running(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("running")
    group.add_argument(
        "--budget", type=_budget, metavar="TIME", help="e.g. 90m or 1h30m; no limit by default"
    )
    group.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="runs side by side; 1 by default"
    )
    group.add_argument(
        "--executor",
        choices=sorted(EXECUTORS),
        default="local",
        help="local: processes of this machine; slurm: jobs; submitit-local: to try jobs out here",
    )
    group.add_argument(
        "--cluster",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of submitit, e.g. slurm_partition=gpu timeout_min=240 cpus_per_task=8",
    )
    group.add_argument(
        "--devices-per-run",
        type=_positive,
        default=1,
        metavar="N",
        help="devices of one training, started by torchrun; 1 by default",
    )
    group.add_argument(
        "--device",
        nargs="+",
        metavar="DEVICE",
        help="cpu, cuda, mps, or several cuda:N that runs take in turn; the best one by default",
    )
    group.add_argument(
        "--work-dir",
        type=Path,
        default=Path("work_dirs/claims"),
        help="folder of trainings, tests and logs; work_dirs/claims by default",
    )


def _add_rows(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("rows")
    group.add_argument(
        "--rows",
        type=Path,
        help="folder of rows; benchmarks/results/claims of the repository, else WORK_DIR/claims",
    )
    group.add_argument(
        "--add",
        nargs="+",
        action="append",
        default=[],
        metavar="WORD",
        help="CONFIG SEED FOLDER [TRAINING_FOLDER]: add the row of a run of tools/train.py and "
        "tools/test.py (FOLDER has metrics.json, or the training's last validation); may be "
        "repeated; nothing is run",
    )
    group.add_argument(
        "--import",
        dest="imports",
        nargs="+",
        default=[],
        metavar="PATH",
        help="add the rows of CSV reports or of folders of rows; nothing is run",
    )
    group.add_argument(
        "--include-unversioned",
        action="store_true",
        help="also count rows of unknown or earlier config, or of unknown code",
    )
    group.add_argument(
        "--current-code", action="store_true", help="count rows of this version of the code alone"
    )


def _budget(text: str) -> float:
    try:
        return budget_seconds(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    book = read_claims(args.claims)
    claims = book.chosen(args.claim)
    if args.out:
        prepare_report(args.out)
    store = ClaimRows(args.rows or _default_rows(args.work_dir))
    judge = Judge(args.include_unversioned, args.current_code)
    console = make_console()
    status = 0
    if args.add or args.imports:
        _add(args, book, store, console)
    elif not args.list:
        status = run_claims(args, book, claims, store, judge, console)
    verdicts = judge.verdicts(claims, store.all())
    console.print(terminal_table(verdicts))
    console.print(summary(verdicts))
    console.print(NOTE, style="dim")
    if args.out:
        write_files(Path(args.out), {".md": markdown(verdicts), ".csv": csv_text(verdicts)})
    return status


def _default_rows(work_dir: Path) -> Path:
    results = config_folder().parent / "benchmarks" / "results"
    return results / "claims" if results.is_dir() else work_dir / "claims"


def _add(args: argparse.Namespace, book: ClaimBook, store: ClaimRows, console: Console) -> None:
    """Add rows; all of them are read and checked before the first one is written."""
    rows = []
    for words in args.add:
        if len(words) not in (3, 4) or not words[1].isdigit():
            raise UserError(
                f"--add {' '.join(words)}: give CONFIG SEED FOLDER and, if the test has a folder "
                "of its own, that of the training"
            )
        from visbench.benchmark.claims.added import added_row

        config, seed, folder, *training = words
        rows.append(added_row(config, int(seed), folder, book, *training))
    for row in rows:
        console.print(f"added {store.add(row)}", soft_wrap=True, markup=False)
        if not known_version(row):
            console.print(_UNKNOWN_CODE, style="yellow")
    for path in args.imports:
        added, known = import_rows(path, book, store)
        console.print(f"{path}: {added} rows added, {known} were there", markup=False)


def run_claims(
    args: argparse.Namespace,
    book: ClaimBook,
    claims: Sequence[Claim],
    store: ClaimRows,
    judge: Judge,
    console: Console,
) -> int:
    """Run what the claims lack; return the exit status."""
    prepare_output_folder(store.folder, "--rows")
    devices = args.device or [None]
    terms = Terms(args.work_dir, store.folder, devices[0], args.devices_per_run, worker=WORKER)
    parameters = _parameters(args.cluster)
    with only_one(args.work_dir):
        runs = plan_runs(claims, args.seed, book, terms)
        executor = make_executor(args.executor, terms, args.jobs, devices, parameters, console)
        make_data([run for pair in runs.values() for run in pair], terms, console)
        campaign = Campaign(claims, runs, terms, judge, executor, console, args.budget)
        campaign.run()
    return 1 if campaign.failed else 0


def _parameters(words: Sequence[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--cluster {word}: write NAME=VALUE, e.g. slurm_partition=gpu")
        parameters[name] = int(value) if value.isdigit() else value
    return parameters
