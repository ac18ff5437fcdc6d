# SPDX-License-Identifier: Apache-2.0
"""Weights of other implementations: who offers a conversion, and how one is written.

A converter is one function for one pair of method and source. It reads the source's weights by
name from a :class:`SourceWeights` and returns them under the names of our model. What it does not
return starts as the model's own initialisation says; what it does not read is reported as left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from torch import Tensor, nn

Rule = tuple[str, str]
"""Regular expression for names of our model, and the template of the name in the source."""

Converter = Callable[["SourceWeights", nn.Module], dict[str, Tensor]]
"""Takes the source's weights and our model (for its names and shapes); returns weights of ours."""

CONVERTERS: dict[tuple[str, str], Converter] = {}
"""Converters by class of the model and name of the source."""

BATCH_COUNTER = "num_batches_tracked"
"""Batch normalisation counts batches in newer versions of PyTorch only, and uses it nowhere."""


class ConversionError(ValueError):
    """Weights that cannot be converted; the message names file, entries and remedy."""


def register_converter(method: str, source: str) -> Callable[[Converter], Converter]:
    """Register a function as the converter for a method and a source.

    Args:
        method: Name of the model's class; its subclasses inherit the converter.
        source: What the weights come from, for instance ``sparse_rcnn``.

    Raises:
        KeyError: If the pair is taken.
    """

    def register(function: Converter) -> Converter:
        if (method, source) in CONVERTERS:
            raise KeyError(f"{method} has a converter for {source} already")
        CONVERTERS[method, source] = function
        return function

    return register


def converters_of(model: nn.Module) -> dict[str, Converter]:
    """Return the converters of a model by source, a subclass's own before inherited ones."""
    found: dict[str, Converter] = {}
    for owner in reversed([kind.__name__ for kind in type(model).__mro__]):
        found.update(
            {src: function for (name, src), function in CONVERTERS.items() if name == owner}
        )
    return found


class SourceWeights(Mapping[str, Tensor]):
    """Weights by name that remember which of them were read.

    Args:
        weights: Tensors by name.
        origin: File name, for messages.
    """

    def __init__(self, weights: Mapping[str, Tensor], origin: str) -> None:
        self._weights = dict(weights)
        self.origin = origin
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._weights[name]
        self._read.add(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def __contains__(self, name: object) -> bool:
        return name in self._weights

    @property
    def left(self) -> list[str]:
        """Names that nobody has read."""
        return [name for name in self._weights if name not in self._read]

    def take(
        self, model: nn.Module, rules: Iterable[Rule], if_it_fits: Iterable[str] = ()
    ) -> dict[str, Tensor]:
        """Return the weights of a model that the rules find, complete and of the right shape.

        Args:
            model: Our model.
            rules: The first whose expression matches the whole of one of our names says what it
                is called in the source; our other names are not taken.
            if_it_fits: Expressions for our names that are taken only if their shape agrees, as
                class layers for another number of classes do not.

        Returns:
            Tensors by our names.

        Raises:
            ConversionError: If the source lacks a wanted name or has another shape.
        """
        optional = [re.compile(pattern) for pattern in if_it_fits]
        taken: dict[str, Tensor] = {}
        missing, other = [], []
        weights = model.state_dict()
        for name, source in source_names(model, rules).items():
            ours = weights[name]
            if source not in self:
                missing += [] if name.endswith(BATCH_COUNTER) else [source]
            elif self._weights[source].shape == ours.shape:
                taken[name] = self[source]
            elif not any(pattern.fullmatch(name) for pattern in optional):
                sizes = tuple(self._weights[source].shape), tuple(ours.shape)
                other.append(f"{source} {sizes[0]} for {name} {sizes[1]}")
        if missing or other:
            raise ConversionError(self._complaint(missing, other))
        return taken

    def _complaint(self, missing: list[str], other: list[str]) -> str:
        parts = []
        if missing:
            parts.append(f"it lacks {len(missing)} entries, first {', '.join(missing[:3])}")
        if other:
            parts.append(f"{len(other)} have another shape, first {'; '.join(other[:3])}")
        return (
            f"checkpoint {self.origin} cannot be converted: {' and '.join(parts)}. It has "
            f"{len(self)} entries such as {', '.join(list(self)[:3]) or 'none'}. Name the right "
            "source, or use a checkpoint (or a config) of the same sizes"
        )


def source_names(model: nn.Module, rules: Iterable[Rule]) -> dict[str, str]:
    """Return what the weights of a model are called in the source, by our names.

    Args:
        model: Our model.
        rules: See :meth:`SourceWeights.take`.
    """
    patterns = [(re.compile(pattern), template) for pattern, template in rules]
    matches = {name: _first_match(patterns, name) for name in model.state_dict()}
    return {name: source for name, source in matches.items() if source is not None}


def _first_match(patterns: Iterable[tuple[re.Pattern[str], str]], name: str) -> str | None:
    for pattern, template in patterns:
        match = pattern.fullmatch(name)
        if match:
            return match.expand(template)
    return None
