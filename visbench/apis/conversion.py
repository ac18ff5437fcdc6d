# SPDX-License-Identifier: Apache-2.0
"""What tools/convert_checkpoint.py does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from rich.console import Console

from visbench.engine.config import load_config
from visbench.engine.conversion import Conversion, convert, save_weights
from visbench.engine.errors import UserError
from visbench.engine.outputs import prepare_output_file
from visbench.testing.parity import GoldenError
from visbench.testing.verification import Verification, verify_conversion

_EXAMPLES = """examples:
  # COCO pre-training of InsPro from MMDetection's detectors (both on COCO): boxes and masks
  python tools/convert_checkpoint.py configs/inspro/inspro_r50_8xb2-264k_coco.py \\
      --source sparse_rcnn sparse_rcnn.pth --source condinst condinst.pth --out start.pth
  # YouTube-VIS from COCO pre-training: all but class layers and attention
  python tools/convert_checkpoint.py configs/inspro/inspro_r50_8xb1-32k_youtubevis2019.py \\
      --source inspro coco/iter_264000.pth --out checkpoints/inspro_r50_coco.pth

  # released weights, checked against golden cases of the reference implementation
  python tools/convert_checkpoint.py configs/idol/idol_r50_8xb4-12k_youtubevis2019.py \\
      --source vnext RELEASED.pth --out idol.pth --verify GOLDENS/idol

The file holds what was taken; give it as load_from. What was not taken starts as the config says:
class layers of another number of classes at the prior probability 0.01, for instance. A later
--source adds what earlier ones did not give. Checkpoints are read weights-only.

--verify runs the golden cases that run the whole model. They know the reference's outputs for
made-up weights only: the checkpoint's entries get those values, are converted in the same way, and
the network must compute what the reference computed. An entry that was mistaken for another shows;
how good the checkpoint's own values are does not. It needs a checkpoint of the whole model, of the
size of a golden case; otherwise it says what is not verified.

exit status: 0, or 1 after an error: nothing is written when a case fails, and the file is written
when --verify could not verify anything
"""


def conversion_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/convert_checkpoint.py."""
    parser = argparse.ArgumentParser(
        description="Convert weights of other implementations, or of pre-training, for a config",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file of the model that shall load the result")
    parser.add_argument(
        "--source",
        nargs=2,
        action="append",
        required=True,
        metavar=("KIND", "FILE"),
        help="where weights come from; may be repeated",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="checkpoint to write")
    parser.add_argument(
        "--verify",
        metavar="GOLDEN",
        help="golden case (.npz), group folder or folder of groups to check the conversion against",
    )
    return parser


def convert_checkpoint(arguments: Sequence[str] | None = None) -> None:
    """Convert as the command line says and print what was taken, initialised and left.

    Args:
        arguments: Words after the program name; those of the process if None.

    Raises:
        UserError: If something outside the code is wrong.
    """
    args = conversion_parser().parse_args(arguments)
    sources = [(kind, path) for kind, path in args.source]
    if Path(args.out).resolve() in {Path(path).resolve() for _, path in sources}:
        raise UserError(f"--out {args.out} is one of the sources; choose another name")
    prepare_output_file(args.out, "--out")
    if args.verify is not None and not Path(args.verify).exists():
        raise UserError(f"--verify {args.verify} does not exist; give a golden case or group")
    config = load_config(args.config)
    conversion = convert(config, sources)
    console = Console(highlight=False)
    verification = None
    if args.verify is not None:
        verification = _verify(config, sources, conversion, args.verify, console)
    save_weights(conversion, args.out)
    console.print(conversion.table())
    console.print(f"{len(conversion.weights)} entries written to {args.out}", markup=False)
    if verification is not None and not verification.results:
        raise UserError(
            f"{args.out} is written but not verified: {'; '.join(verification.not_verified)}"
        )


def _verify(
    config: Config,
    sources: list[tuple[str, str]],
    conversion: Conversion,
    golden: str,
    console: Console,
) -> Verification:
    """Run golden cases, print their outcome and raise an error if one fails."""
    try:
        found = verify_conversion(config, sources, conversion, golden)
    except GoldenError as error:
        raise UserError(f"--verify: {error}") from error
    for reason in found.not_verified:
        console.print(f"not verified: {reason}", markup=False)
    values = "the checkpoint's own values" if found.own_values else "the golden cases' values"
    for result in found.results:
        outcome = "verified" if result.passed else "FAILED"
        console.print(
            f"{outcome}: {result.group}/{result.case}, {len(result.arrays)} outputs with {values}, "
            f"largest deviation {result.max_abs:.2g} {result.note}",
            markup=False,
        )
    if found.results and not found.passed:
        failed = ", ".join(result.case for result in found.results if not result.passed)
        raise UserError(f"the conversion is not what {golden} expects ({failed}); nothing written")
    return found
