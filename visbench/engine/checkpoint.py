# SPDX-License-Identifier: Apache-2.0
"""Checkpoints are data, never code: weights-only loading in every path of MMEngine.

MMEngine's loader falls back to full unpickling when weights-only loading fails, and a resumed run
executes a config text found in a checkpoint. :func:`install_safe_loading` puts
:func:`load_checkpoint_file` in the loader's place and drops configs; it is called when
:mod:`visbench.registry` is imported.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from visbench.engine.errors import CheckpointError

MapLocation = Any
_NUMPY_TYPES = "?bBhHiIlLqQefdgFDUS"
_CONFIG_FIELDS = ("cfg", "config")


def allowed_globals() -> list[Any]:
    """Return what a checkpoint may contain besides tensors, numbers, strings and containers.

    These are what MMEngine's own training checkpoints need: numpy arrays and scalars of plain
    types, and the log's history buffer. None of them runs code given by the file.
    """
    multiarray = getattr(np, "_core", None) or np.core
    functions = [multiarray.multiarray._reconstruct, multiarray.multiarray.scalar]
    aliases = [
        (function, f"{module}.{function.__name__}")
        for function in functions
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    ]
    dtypes = {type(np.dtype(code)) for code in _NUMPY_TYPES}
    return [HistoryBuffer, _history_method, np.ndarray, np.dtype, *functions, *aliases, *dtypes]


def _history_method(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` in checkpoints: MMEngine stores the log's four averages by it."""
    if owner is HistoryBuffer and name in ("min", "max", "current", "mean"):
        return getattr(HistoryBuffer, name)
    raise UnpicklingError(f"Unsupported GLOBAL getattr({owner!r},{name!r})")


# The loader knows functions by these names. The real getattr would open a way to module globals.
_history_method.__module__, _history_method.__qualname__ = "builtins", "getattr"


def load_checkpoint_file(file: Any, map_location: MapLocation = "cpu") -> dict[str, Any]:
    """Load a checkpoint, weights only.

    Args:
        file: Path or binary stream.
        map_location: Device of the tensors, as in :func:`torch.load`.

    Returns:
        The checkpoint, without any config it held: configs in checkpoints are not used.

    Raises:
        CheckpointError: If the file is missing, cut off, no checkpoint, or holds anything but
            weights and plain values. Nothing of it has been executed then.
    """
    name = str(file) if isinstance(file, (str, os.PathLike)) else "the checkpoint stream"
    if isinstance(file, (str, os.PathLike)):
        file = Path(file).expanduser()
        if not file.is_file():
            raise CheckpointError(f"checkpoint {name} does not exist; check the path")
    methods = dict(HistoryBuffer._statistics_methods)
    try:
        checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(_refusal(name, str(error))) from None
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {name} is damaged, cut off or no PyTorch checkpoint "
            f"({_first_line(error)}); copy or download it again, or use an earlier one"
        ) from None
    finally:
        # A stored log buffer overwrites these for all buffers of the process.
        HistoryBuffer._statistics_methods.update(methods)
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(
            f"checkpoint {name} holds a {type(checkpoint).__name__} instead of a dictionary with "
            "'state_dict'"
        )
    return _without_configs(checkpoint)


def _refusal(name: str, message: str) -> str:
    found = re.search(r"GLOBAL (\S+)", message) or re.search(r"class (\S+)", message)
    if found is None:
        return (
            f"checkpoint {name} is damaged or no PyTorch checkpoint; copy or download it again, or "
            "use an earlier one"
        )
    return (
        f"checkpoint {name} is refused: it refers to {found.group(1)}, which is neither weights "
        "nor plain values, and loading it could run code. If you trust its origin, keep only the "
        "weights: torch.save({'state_dict': weights}, 'clean.pth') in an environment of its own"
    )


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _without_configs(checkpoint: Any) -> Any:
    for part in (checkpoint.get("meta"), _runtime_info(checkpoint)):
        if isinstance(part, dict):
            for field in _CONFIG_FIELDS:
                part.pop(field, None)
    return checkpoint


def _runtime_info(checkpoint: Mapping[str, Any]) -> Any:
    hub = checkpoint.get("message_hub")
    return hub.get("runtime_info") if isinstance(hub, Mapping) else None


def _load_from_url(
    url: str,
    map_location: MapLocation = None,
    model_dir: str | None = None,
    progress: bool = True,
    **_: Any,
) -> dict[str, Any]:
    """Download a file into torch's cache unless it is there, and load it weights-only."""
    folder = Path(model_dir or Path(torch.hub.get_dir()) / "checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    cached = folder / Path(url.split("?")[0]).name
    if not cached.exists():
        print_log(f"downloading {url} to {cached}", logger="current")
        try:
            torch.hub.download_url_to_file(url, str(cached), progress=progress)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {url} cannot be downloaded ({_first_line(error)}); check the "
                f"connection, or put the file at {cached}"
            ) from None
    return load_checkpoint_file(cached, map_location)


def _load_from_http(
    filename: str,
    map_location: MapLocation = None,
    model_dir: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Load from http(s); only the first rank downloads."""
    rank, _ = get_dist_info()
    if rank != 0:
        barrier()
    checkpoint = _load_from_url(filename, map_location, model_dir, progress)
    if rank == 0:
        barrier()
    return checkpoint


def _load_from_local(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
    """Load a local file."""
    return load_checkpoint_file(filename, map_location)


def install_safe_loading() -> None:
    """Make every path of MMEngine that loads a checkpoint weights-only.

    The public scheme table covers local files and http(s). The remaining schemes (torchvision,
    open-mmlab, mmcls, pavi, s3) call helpers by their names in MMEngine's module, which are
    replaced as well.
    """
    torch.serialization.add_safe_globals(_supported(allowed_globals()))
    CheckpointLoader.register_scheme("", _named(_load_from_local, "load_from_local"), force=True)
    CheckpointLoader.register_scheme(
        ("http://", "https://"), _named(_load_from_http, "load_from_http"), force=True
    )
    replacements = {
        "_safe_torch_load": lambda file, map_location=None, weights_only=None: load_checkpoint_file(
            file, map_location
        ),
        "load_from_local": _load_from_local,
        "load_from_http": _load_from_http,
        "load_url": _load_from_url,
    }
    for name, function in replacements.items():
        setattr(mmengine_checkpoint, name, function)


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    # MMEngine's log line cuts the first ten letters of the loader's name.
    function.__name__ = name
    return function


def _supported(entries: list[Any]) -> list[Any]:
    # Pairs of (function, name in the file) came with torch 2.6.
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    return [entry for entry in entries if (major, minor) >= (2, 6) or not isinstance(entry, tuple)]


def check_weights(
    model: nn.Module, weights: Mapping[str, Any], source: str, *, purpose: str = "test"
) -> None:
    """Make sure that weights belong to a model before they are loaded.

    Args:
        model: The model, unwrapped.
        weights: Tensors by name.
        source: File name for the message.
        purpose: ``resume`` needs every name and shape, ``test`` half of the names and no other
            shape, ``train`` (fine-tuning) half of the names; shapes of e.g. a classifier may
            differ and are skipped then.

    Raises:
        CheckpointError: If the checkpoint is of another model.
    """
    wanted = {
        name: value.shape
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    missing = [name for name in wanted if name not in weights]
    unexpected = [name for name in weights if name not in wanted and "num_batches" not in name]
    other_shape = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in weights and weights[name].shape != shape
    ]
    matching = len(wanted) - len(missing) - len(other_shape)
    wrong = 2 * matching < len(wanted)
    wrong |= purpose == "test" and bool(other_shape)
    wrong |= purpose == "resume" and matching < len(wanted)
    if wrong:
        raise CheckpointError(
            f"checkpoint {source} is of another model than the config "
            f"({type(model).__name__}): {matching} of {len(wanted)} entries fit; "
            f"first missing: {_some(missing)}; first unexpected: {_some(unexpected)}; "
            f"first of another shape: {_some(other_shape)}. "
            "Use the config that the checkpoint was trained with, or another checkpoint"
        )


def _some(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) if names else "none"


def load_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str, *, purpose: str = "test"
) -> None:
    """Load the weights of a checkpoint into a model after :func:`check_weights`.

    Args:
        model: The model; a wrapper's prefix ``module.`` in the file is dropped.
        checkpoint: What :func:`load_checkpoint_file` returned; bare weights are fine.
        source: File name for messages.
        purpose: As in :func:`check_weights`.

    Raises:
        CheckpointError: If the checkpoint is of another model.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    weights = type(weights)((re.sub(r"^module\.", "", name), v) for name, v in weights.items())
    check_weights(model, weights, source, purpose=purpose)
    mmengine_checkpoint.load_state_dict(model, weights, strict=False, logger="current")


def latest_checkpoint(work_dir: str | os.PathLike[str]) -> str | None:
    """Return the newest complete checkpoint of a folder.

    These are files ``iter_*.pth`` or ``epoch_*.pth``, then the one that MMEngine noted in
    ``last_checkpoint``. A file that is cut off is passed over with a message.

    Args:
        work_dir: Folder of a training run.
    """
    found = [
        (int(match.group(1)), path)
        for path in Path(work_dir).glob("*.pth")
        if (match := re.fullmatch(r"(?:iter|epoch)_(\d+)\.pth", path.name))
    ]
    noted = Path(work_dir, "last_checkpoint")
    if noted.is_file():
        found.append((-1, Path(noted.read_text().strip())))
    for _, path in sorted(found, reverse=True):
        if not path.is_file():
            continue
        if zipfile.is_zipfile(path):
            return str(path)
        print_log(f"checkpoint {path} is incomplete and is passed over", logger="current")
    return None
