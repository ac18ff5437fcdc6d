# SPDX-License-Identifier: Apache-2.0
"""Stands in for ``mmcv._ext`` where MMCV was installed without its compiled operators."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from visbench.ops import deform_conv, focal_loss, ms_deform_attn, nms, roi_align

EXTENSION = "mmcv._ext"
ATTENTION_MODULE = "mmcv.ops.multi_scale_deform_attn"
ATTENTION_FUNCTION = "multi_scale_deformable_attn_pytorch"


class MissingOperatorError(NotImplementedError):
    """An MMCV operator was called that is neither compiled nor available natively."""


def _not_compiled() -> str:
    return "not compiled (native operators of visbench)"


OPERATORS: dict[str, Callable[..., Any]] = {
    "nms": nms.nms,
    "softnms": nms.softnms,
    "roi_align_forward": roi_align.roi_align_forward,
    "roi_align_backward": roi_align.roi_align_backward,
    "deform_conv_forward": deform_conv.deform_conv_forward,
    "deform_conv_backward_input": deform_conv.deform_conv_backward_input,
    "deform_conv_backward_parameters": deform_conv.deform_conv_backward_parameters,
    "modulated_deform_conv_forward": deform_conv.modulated_deform_conv_forward,
    "modulated_deform_conv_backward": deform_conv.modulated_deform_conv_backward,
    "ms_deform_attn_forward": ms_deform_attn.ms_deform_attn_forward,
    "ms_deform_attn_backward": ms_deform_attn.ms_deform_attn_backward,
    "sigmoid_focal_loss_forward": focal_loss.sigmoid_focal_loss_forward,
    "sigmoid_focal_loss_backward": focal_loss.sigmoid_focal_loss_backward,
    "get_compiler_version": _not_compiled,
    "get_compiling_cuda_version": _not_compiled,
}

_REPLACED: dict[str, Callable[..., Any]] = {}


class NativeExtension(ModuleType):
    """The stand-in module: native operators, and for other names a function that raises."""

    def __init__(self) -> None:
        super().__init__(EXTENSION, "Native operators of visbench in place of mmcv._ext.")
        self.__spec__ = ModuleSpec(EXTENSION, loader=None, origin="visbench.ops")
        vars(self).update(OPERATORS)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a function that raises when it is called, so that importing MMCV works."""
        if name.startswith("__"):
            raise AttributeError(f"module {EXTENSION!r} has no attribute {name!r}")

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise MissingOperatorError(
                f"MMCV's operator {name!r} is not among the native operators of visbench "
                f"({', '.join(sorted(OPERATORS))}). Remedy: install a build of onedl-mmcv with "
                "compiled operators for your versions of torch and CUDA, which is then used "
                "instead, or change the config so that it does not need this operator."
            )

        missing.__name__ = missing.__qualname__ = name
        return missing


def install_extension() -> bool:
    """Put the stand-in at ``mmcv._ext`` unless a compiled extension can be imported.

    Returns:
        Whether the stand-in is in place.

    Warns:
        RuntimeWarning: A compiled extension is there and cannot be loaded.

    Raises:
        ImportError: MMCV is not installed.
    """
    loaded = sys.modules.get(EXTENSION)
    if loaded is None:
        try:
            loaded = importlib.import_module(EXTENSION)
        except ModuleNotFoundError as error:
            if error.name != EXTENSION:
                raise ImportError(
                    "visbench.ops needs MMCV: pip install onedl-mmcv", name=error.name
                ) from error
        except ImportError as error:
            warnings.warn(
                f"the compiled operators of MMCV cannot be loaded ({error}); visbench uses its "
                "native operators. Install a build of onedl-mmcv for your version of torch to use "
                "compiled ones.",
                RuntimeWarning,
                stacklevel=2,
            )
    if loaded is None:
        loaded = NativeExtension()
        sys.modules[EXTENSION] = loaded
        vars(importlib.import_module("mmcv"))["_ext"] = loaded
    return isinstance(loaded, NativeExtension)


def replace_attention() -> None:
    """Put :func:`visbench.ops.ms_deform_attn` in place of MMCV's function in pure PyTorch.

    MMCV's attention module looks the function up at each call, so that modules that exist already
    gain as well. MMCV calls it on the CPU and, whatever is compiled, for bfloat16.
    """
    module = importlib.import_module(ATTENTION_MODULE)
    current = getattr(module, ATTENTION_FUNCTION)
    if current is not ms_deform_attn.multi_scale_deformable_attn:
        _REPLACED[ATTENTION_FUNCTION] = current
        setattr(module, ATTENTION_FUNCTION, ms_deform_attn.multi_scale_deformable_attn)


def original_attention() -> Callable[..., Any]:
    """Return MMCV's own function, which :func:`replace_attention` replaced, for comparisons."""
    return _REPLACED[ATTENTION_FUNCTION]


def setup_operators() -> bool:
    """Make MMCV's operators work; doing it again changes nothing.

    Returns:
        Whether native operators stand in for compiled ones.

    Raises:
        ImportError: MMCV is not installed, or its operators cannot be imported because MMDetection
            or MMCV was imported before and failed half-way.
    """
    native = install_extension()
    try:
        replace_attention()
    except Exception as error:
        raise ImportError(
            f"MMCV's operators cannot be imported ({type(error).__name__}: {error}). If mmdet or "
            "mmcv.ops was imported before, start Python again and import visbench.registry before "
            "mmdet."
        ) from error
    return native
