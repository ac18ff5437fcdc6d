# SPDX-License-Identifier: Apache-2.0
"""Which videos a training is tested on: those of its config, or others."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visbench.engine.errors import ConfigError, UserError

_NAMED_BY_FIELD = {"preset", "split", "num_videos"}
_KEPT = ("pipeline", "test_mode")
"""What stays of a config's validation data when another type takes their place: the method's."""

MOVING_SHAPES = "movingshapes"


@dataclass(frozen=True)
class DataChoice:
    """Validation data of a config with some fields replaced.

    Args:
        text: What was asked for; empty for the config's own data.
        fields: The fields of ``val_dataloader.dataset`` that are replaced.
        name: Name of the data in rows; made from the fields if empty.
    """

    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> DataChoice:
        """Read a choice.

        Args:
            text: A preset of MovingShapes; or ``FIELD=VALUE,...`` with fields of
                ``val_dataloader.dataset`` (other data than a preset need ``name=NAME``); or
                ``own`` or nothing for the config's own data.

        Raises:
            UserError: If a word is no field with a value, a preset does not exist, or the name is
                missing.

        Examples:
            >>> DataChoice.parse("occluded").fields
            {'preset': 'occluded'}
            >>> DataChoice.parse("name=mine,type=visbench.VISDataset,ann_file=a.json").name
            'mine'
        """
        if text in ("", "own"):
            return cls()
        if "=" not in text:
            return cls(text, {"preset": _preset(text, text)})
        fields: dict[str, Any] = {}
        for word in text.split(","):
            key, equals, value = word.partition("=")
            if not (equals and key.isidentifier() and value):
                raise UserError(
                    f"--dataset {text}: {word!r} is not FIELD=VALUE; write a preset of "
                    "MovingShapes, or fields of val_dataloader.dataset such as "
                    "preset=long,num_videos=4"
                )
            fields[key] = _value(value)
        if "preset" in fields and "type" not in fields:
            _preset(text, fields["preset"])
        name = str(fields.pop("name", ""))
        if not name and set(fields) - _NAMED_BY_FIELD:
            raise UserError(
                f"--dataset {text}: rows are kept by the name of the data; add name=NAME to the "
                "fields"
            )
        return cls(text, fields, name)

    def apply(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a data set with the fields replaced.

        Args:
            settings: ``val_dataloader.dataset`` of a config.

        Raises:
            ConfigError: If a preset is asked for and the config's data have none.
        """
        if "type" in self.fields:
            kept = {key: settings[key] for key in _KEPT if key in settings}
            return {**kept, **self.fields}
        if "preset" in self.fields and _kind(settings) != MOVING_SHAPES:
            raise ConfigError(
                f"--dataset {self.text} is a preset of MovingShapes, but this config validates on "
                f"{dataset_name(settings)}; give the data by "
                "name=NAME,type=TYPE,data_root=FOLDER,split=SPLIT"
            )
        return {**settings, **self.fields}

    def name_of(self, settings: Mapping[str, Any]) -> str:
        """Return the name in rows of :meth:`apply` on the settings of a config."""
        return self.name or dataset_name(self.apply(settings))


OWN = DataChoice()
"""The validation data of the config."""


def _preset(text: str, preset: Any) -> Any:
    from visbench.datasets.moving_shapes import PRESET_NAMES

    if preset not in PRESET_NAMES:
        raise UserError(
            f"--dataset {text}: {preset!r} is no preset of MovingShapes; there are "
            f"{', '.join(PRESET_NAMES)}; other data are given by name=NAME,FIELD=VALUE,..."
        )
    return preset


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _kind(settings: Mapping[str, Any]) -> str:
    return str(settings.get("type", "")).split(".")[-1].removesuffix("Dataset").lower()


def dataset_name(settings: Mapping[str, Any]) -> str:
    """Return a data set's name in rows, from its config.

    Examples:
        >>> dataset_name({"type": "visbench.YouTubeVIS2019", "split": "valid"})
        'youtubevis2019-valid'
    """
    kind = _kind(settings)
    split = settings.get("split") or Path(str(settings.get("ann_file", ""))).stem
    if kind != MOVING_SHAPES:
        return "-".join(part for part in (kind, split) if part)
    from visbench.datasets.moving_shapes import VERSION

    videos = settings.get("num_videos")
    name = f"{kind}-{VERSION}-{settings.get('preset', 'easy')}-{split}"
    return f"{name}-first{videos}" if videos else name
