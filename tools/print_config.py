#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Print a config with all that it inherits, a part of it, or what it changes against another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console
from rich.syntax import Syntax

from visbench.engine.commands import run_command
from visbench.engine.config import OptionsAction, load_config
from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file

_EPILOG = """\
examples:
  python tools/print_config.py configs/idol/idol_r50_8xb4-12k_youtubevis2019.py
  # with fields overwritten as train.py would
  python tools/print_config.py CONFIG --cfg-options train_cfg.max_iters=100
  # one field; numbers go into lists
  python tools/print_config.py CONFIG --field train_dataloader.dataset.pipeline.0
  # what differs between two configs
  python tools/print_config.py configs/idol/idol_r50_8xb2-12k_ovis.py \\
      --diff configs/idol/idol_r50_8xb4-12k_youtubevis2019.py
  # one file without bases, which can be trained
  python tools/print_config.py CONFIG --out whole.py

exit status: 0, or 1 if a config cannot be read or has no such field, or the file not be written
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--field", metavar="FIELD", help="only this field, such as model.backbone")
    parser.add_argument("--diff", metavar="CONFIG", help="print what differs from this config")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, metavar="FIELD=VALUE",
                        help="fields of the config to overwrite")  # fmt: skip
    return parser.parse_args(arguments)


def config_text(config: Config, field: str | None) -> str:
    """Return a config, or a field of it, as Python.

    Raises:
        ConfigError: If there is no such field; those beside it are listed.
    """
    config = Config(config._cfg_dict.copy(), filename=config.filename)
    config.pop("work_dir", None)
    if field is None:
        return str(config.pretty_text)
    value: Any = config._cfg_dict
    for depth, word in enumerate(field.split(".")):
        value = _part(value, word, f"config {config.filename}: field '{field}'", depth)
    name = field.rpartition(".")[2]
    return str(Config({name if name.isidentifier() else "value": value}).pretty_text)


def _part(value: Any, word: str, what: str, depth: int) -> Any:
    if isinstance(value, Mapping) and word in value:
        return value[word]
    if isinstance(value, (list, tuple)) and word.isdigit() and int(word) < len(value):
        return value[int(word)]
    known = "nothing below a value"
    if isinstance(value, Mapping):
        known = ", ".join(map(str, value))
    elif isinstance(value, (list, tuple)):
        known = f"0 to {len(value) - 1}"
    raise ConfigError(f"{what}: there is no {word!r} (word {depth + 1}); there is {known}")


def text(args: argparse.Namespace) -> tuple[str, str]:
    """Return what is asked for and its language."""
    ours = config_text(load_config(args.config, args.cfg_options), args.field)
    if args.diff is None:
        return ours, "python"
    theirs = config_text(load_config(args.diff), args.field)
    pair = (theirs.splitlines(), ours.splitlines())
    return "\n".join(unified_diff(*pair, args.diff, args.config, lineterm="", n=1)), "diff"


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)

    def run() -> None:
        prepare_output_file(args.out, "--out")
        content, language = text(args)
        console = Console()
        if args.out is not None:
            args.out.write_text(content + "\n", encoding="utf-8")
        elif console.is_terminal:
            console.print(Syntax(content, language, word_wrap=True))
        else:
            print(content)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
