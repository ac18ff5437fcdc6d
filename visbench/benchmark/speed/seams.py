# SPDX-License-Identifier: Apache-2.0
"""Where a method's association and mask encoding begin and end; wrapped while it is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from visbench.benchmark.speed.stages import ASSOCIATION, ENCODING, NETWORK, StageClock

_IDOL, _PROPOSE_REDUCE = "visbench.models.idol", "visbench.models.propose_reduce"
_MISSING = object()


@dataclass(frozen=True)
class Seam:
    """A function that is a stage.

    Args:
        path: Attributes that lead to it, with dots: from the model, or from a module.
        stage: The stage.
        module: The module; None for the model.
    """

    path: str
    stage: str
    module: str | None = None


@dataclass(frozen=True)
class Seams:
    """What is separable of a method.

    Args:
        functions: Its functions that are stages of their own.
        note: What is not separable, or is counted in an unexpected place.
    """

    functions: tuple[Seam, ...]
    note: str = ""


_NO_SEAMS = Seams((), "association is counted as network: it is not known where it begins")

SEAMS: dict[str, Seams] = {
    "MaskTrackRCNN": Seams(
        (Seam("associate", ASSOCIATION, "visbench.models.baselines.masktrack_rcnn"),),
        "association includes the track head's embedding of the detections",
    ),
    "Mask2FormerVIS": Seams(
        (),
        "there is no association of its own: the transformer decodes the queries of all frames at "
        "once, which is network",
    ),
    "InsPro": Seams(
        (Seam("identify", ASSOCIATION),),
        "identities are handed on by the queries, which is network; association is what updates "
        "class scores and chooses the slots",
    ),
    "InsProTrackDetect": Seams(
        (Seam("identify", ASSOCIATION),),
        "identities are handed on by the track queries, which is network; association opens and "
        "closes tracks",
    ),
    "InsProTrackingByDetection": Seams(
        (Seam("identify", ASSOCIATION),),
        "association includes the embedding of the detections",
    ),
    "IAI": Seams(
        (
            Seam("association.read", ASSOCIATION),
            Seam("association.write", ASSOCIATION),
            Seam("identify", ASSOCIATION),
        ),
        "association is the association module with its memory and the choice of ids; the id head "
        "is network",
    ),
    "IAITrackingByDetection": Seams(
        (
            Seam("embed", ASSOCIATION),
            Seam(
                "TrackAssociation.associate",
                ASSOCIATION,
                "visbench.models.inspro.track_association",
            ),
        ),
        "association includes the embedding of the detections",
    ),
    "IDOL": Seams(
        (
            Seam("association.step", ASSOCIATION),
            Seam("head.mask_logits", NETWORK),
            Seam("binary_masks", NETWORK, f"{_IDOL}.assembly"),
            Seam("binary_masks", NETWORK, f"{_IDOL}.image_results"),
        ),
        "association includes the choice of queries and their mask overlaps",
    ),
    "SeqMaskRCNN": Seams(
        (
            Seam("deduplicate_masks", ASSOCIATION, f"{_PROPOSE_REDUCE}.detector"),
            Seam("KeyFrameRecorder.finish", ASSOCIATION, f"{_PROPOSE_REDUCE}.proposals"),
            Seam("SequenceOverlaps", ASSOCIATION, f"{_PROPOSE_REDUCE}.detector"),
            Seam("reduce_sequences", ASSOCIATION, f"{_PROPOSE_REDUCE}.detector"),
        ),
        "association is the reduction of sequences; their propagation is network",
    ),
}
"""By name of the model's class; a subclass without an entry has that of its base."""


def seams_of(model: Any) -> Seams:
    """Return what is separable of a model.

    Args:
        model: A method.
    """
    for kind in type(model).__mro__:
        if kind.__name__ in SEAMS:
            return SEAMS[kind.__name__]
    return _NO_SEAMS


@contextmanager
def timed(model: Any, clock: StageClock) -> Iterator[None]:
    """Let a clock see the stages of a model; afterwards all is as it was.

    Args:
        model: A method.
        clock: Is told when a stage begins and ends.
    """
    with ExitStack() as stack:
        for seam in seams_of(model).functions:
            found = _owner(model, seam)
            if found is not None:
                stack.enter_context(_wrapped(*found, clock, seam.stage))
        for module, name in _places_of(_encoder()):
            stack.enter_context(_wrapped(module, name, clock, ENCODING))
        yield


def _owner(model: Any, seam: Seam) -> tuple[Any, str] | None:
    """Return what holds a seam's function, and its name; None if the model has that part off."""
    owner = model if seam.module is None else import_module(seam.module)
    *parts, name = seam.path.split(".")
    for part in parts:
        owner = getattr(owner, part)
        if owner is None:
            return None
    return owner, name


def _encoder() -> Callable[..., Any]:
    from visbench.structures import encode_masks

    return encode_masks


def _places_of(function: Callable[..., Any]) -> list[tuple[Any, str]]:
    """Return the modules that have a function, those of plugins too, and its name in each."""
    return [
        (module, name)
        for module in list(sys.modules.values())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if value is function
    ]


@contextmanager
def _wrapped(owner: Any, name: str, clock: StageClock, stage: str) -> Iterator[None]:
    own = vars(owner).get(name, _MISSING)
    setattr(owner, name, clock.timed(getattr(owner, name), stage))
    try:
        yield
    finally:
        if own is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
