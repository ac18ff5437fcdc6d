# SPDX-License-Identifier: Apache-2.0
"""Fenced blocks of pages: found, run, or at least checked.

Python blocks of a page run in one namespace, in order; a block that begins with ``# file: NAME``
is written to that file in place. Lines of bash blocks run the tools of this repository in this
process. A block under ``<!-- not run: REASON -->`` is checked: options are accepted, configs,
tools, extras, make targets and imported names exist. A block under ``<!-- slow -->`` runs in
``make check`` only and is checked otherwise.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import runpy
import shlex
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(
    r"(?P<mark><!--(?P<comment>[^>]*)-->\s*\n)?^```(?P<language>python|bash)[^\n]*\n"
    r"(?P<text>.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
_INCLUDE = re.compile(r"^--8<--\n(.+)\n--8<--$", re.MULTILINE)
_FILE = re.compile(r"# file: (\S+)\n")
MODULE = "snippets_of_a_page"
"""Name of the module that the classes of a page belong to."""
_PLACEHOLDER = re.compile(r"[A-Z_]+(\.\w+)?|my_\w+(\.py)?|[a-z]\.py")
"""Words of examples that stand for a file of the reader's."""

_MEANT = {"CONFIG": "masktrack_rcnn_demo_movingshapes"}
"""What placeholders stand for when a line is run; files of that name do not need it."""

# What a reader runs for minutes, the tests run for one step on one video.
_ONE_STEP = (
    "train_cfg.max_iters=1",
    "train_dataloader.batch_size=1",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "train_dataloader.dataset.num_videos=1",
    "val_dataloader.dataset.num_videos=1",
)
_SHORTER = {
    "train": ("--cfg-options", *_ONE_STEP),
    "test": ("--cfg-options", "test_dataloader.dataset.num_videos=1"),
    "make_shapes": ("--videos", "1"),
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    comment: str

    @property
    def not_run(self) -> bool:
        return self.comment.startswith("not run: ") and len(self.comment) > len("not run: ")

    @property
    def slow(self) -> bool:
        return self.comment == "slow"

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """Words of every line, continued lines joined, comments left out."""
        joined = self.text.replace("\\\n", " ")
        found = (shlex.split(line, comments=True) for line in joined.splitlines())
        return [words for words in found if words]


def blocks(page: Path) -> list[Block]:
    """Return the Python and bash blocks of a page."""
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, match.start("text")),
            match["language"],
            _INCLUDE.sub(lambda found: (ROOT / found[1]).read_text(), match["text"]),
            (match["comment"] or "").strip(),
        )
        for match in _FENCE.finditer(text)
    ]


def run_page(page: Path, slow: bool) -> None:
    """Run the blocks of a page in the working directory, slow ones only if wanted.

    Raises:
        AssertionError: With the place of the block that fails.
    """
    module = types.ModuleType(MODULE)
    with mock.patch.dict(sys.modules, {module.__name__: module}):
        for block in blocks(page):
            if block.not_run or (block.slow and not slow):
                check(block)
                continue
            try:
                run(block, vars(module))
            except (Exception, SystemExit) as error:
                raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error


def run(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block; its lines are those of the page in tracebacks."""
    if block.language == "bash":
        for words in block.commands:
            run_tool(words)
        return
    name = _FILE.match(block.text)
    if name is not None:
        Path(name[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(name[1]).write_text(block.text)
        return
    lines = "\n" * block.line + block.text
    exec(compile(lines, str(block.page), "exec"), namespace)


def run_tool(words: list[str]) -> None:
    """Run ``python tools/NAME.py ...`` in this process.

    Raises:
        AssertionError: If it is another command, or ends with another status than 0.
    """
    assert _is_tool(words), f"{shlex.join(words)}: only tools are run; mark it as not run"
    path, arguments = ROOT / words[1], [_MEANT.get(word, word) for word in words[2:]]
    option, *values = _SHORTER.get(path.stem, ("",))
    if option in arguments:
        arguments[arguments.index(option) + 1 :] += values
    elif option:
        arguments += [option, *values]
    assert _status(path, arguments) == 0, shlex.join(words)


def _is_tool(words: list[str]) -> bool:
    return words[0] == "python" and len(words) > 1 and words[1].startswith("tools/")


def _status(path: Path, arguments: list[str]) -> int:
    with mock.patch.object(sys, "argv", [str(path), *arguments]):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def check(block: Block) -> None:
    """Check what can be checked of a block that does not run.

    Raises:
        AssertionError: With the place, the command and what does not exist.
    """
    if block.language == "python":
        check_imports(block)
        return
    for words in block.commands:
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words = words[1:]
        program = Path(words[0]).name
        assert program in _CHECKS, f"{block.place}: nobody checks {program}"
        problems = list(_CHECKS[program](words))
        assert not problems, f"{block.place}: {shlex.join(words)}: {'; '.join(problems)}"


def check_imports(block: Block) -> None:
    """Check that a Python block compiles and that what it imports from visbench exists."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("visbench"):
            module = importlib.import_module(node.module or "")
            for name in node.names:
                assert hasattr(module, name.name), f"{block.place}: no {name.name}"


class _AcceptedError(BaseException):
    """Raised in place of what a tool would do, when its arguments have been accepted."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__()
        self.arguments = arguments


def check_tool(path: Path, arguments: list[str]) -> Iterator[str]:
    """Yield what is wrong with the arguments of a tool; nothing is done."""
    if not path.is_file():
        yield f"{path.name} does not exist"
        return
    parse = argparse.ArgumentParser.parse_args

    def accept(parser: Any, words: Any = None, namespace: Any = None) -> Any:
        raise _AcceptedError(parse(parser, words, namespace))

    with mock.patch.object(argparse.ArgumentParser, "parse_args", accept):
        try:
            _status(path, arguments)
        except _AcceptedError as accepted:
            yield from _missing_configs(accepted.arguments)
        else:
            yield f"{path.name} does not accept the arguments"


def _missing_configs(arguments: argparse.Namespace) -> Iterator[str]:
    named = getattr(arguments, "config", None) or getattr(arguments, "configs", None) or []
    for name in [named] if isinstance(named, str) else named:
        yield from missing_config(str(name))


def missing_config(name: str) -> Iterator[str]:
    """Yield a message if a config is neither a file, nor a known name, nor a placeholder."""
    from visbench.engine.config_files import find_config
    from visbench.engine.errors import ConfigError

    if _PLACEHOLDER.fullmatch(name) or (ROOT / name).is_file():
        return
    try:
        find_config(name)
    except ConfigError as error:
        yield str(error)


def _check_python(words: list[str]) -> Iterator[str]:
    if words[1:3] == ["-m", "pytest"] or words[1] == "-c":
        return
    yield from check_tool(ROOT / words[1], words[2:])


def _check_bash(words: list[str]) -> Iterator[str]:
    if not (ROOT / words[1]).is_file():
        yield f"{words[1]} does not exist"
    if "dist_" in words[1] or "slurm_" in words[1]:
        configs = [word for word in words[2:] if word.endswith(".py")]
        for name in configs:
            yield from missing_config(name)


def _check_make(words: list[str]) -> Iterator[str]:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    yield from (f"no target {word}" for word in words[1:] if word not in targets)


def _check_pip(words: list[str]) -> Iterator[str]:
    _, _, rest = (ROOT / "pyproject.toml").read_text().partition("optional-dependencies]\n")
    extras = re.findall(r"^(\w+) = \[", rest.partition("\n[")[0], re.MULTILINE)
    for word in words:
        for extra in re.findall(r"(?:visbench|\.)\[([\w,]+)\]", word):
            yield from (f"no extra {name}" for name in extra.split(",") if name not in extras)


def _check_mim(words: list[str]) -> Iterator[str]:
    if words[1] in ("train", "test"):
        arguments = [words[3], *words[4:]]
        if "--gpus" in arguments:
            at = arguments.index("--gpus")
            del arguments[at : at + 2]
        if "--checkpoint" in arguments:
            arguments.remove("--checkpoint")
        yield from check_tool(ROOT / "tools" / f"{words[1]}.py", arguments)
    elif words[1] == "run":
        arguments = [word for word in words[4:] if word != "--"]
        if "--help" not in arguments:
            yield from check_tool(ROOT / "tools" / f"{words[3]}.py", arguments)
    elif words[1] in ("search", "download"):
        names = [b for a, b in pairwise(words) if a == "--config"]
        for name in names:
            yield from missing_config(name)
    else:
        yield f"mim has no {words[1]}"


def _unchecked(words: list[str]) -> Iterator[str]:
    yield from ()


_CHECKS: dict[str, Callable[[list[str]], Iterator[str]]] = {
    "python": _check_python,
    "bash": _check_bash,
    "make": _check_make,
    "pip": _check_pip,
    "mim": _check_mim,
    "mkdocs": _unchecked,
    "ln": _unchecked,
    "cp": _unchecked,
    "cd": _unchecked,
    "git": _unchecked,
}


def parametrize_pages() -> pytest.MarkDecorator:
    """Return one case per page that has blocks."""
    found = [page for page in PAGES if blocks(page)]
    return pytest.mark.parametrize("page", found, ids=lambda page: str(page.relative_to(ROOT)))
