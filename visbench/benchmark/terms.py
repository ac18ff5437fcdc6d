# SPDX-License-Identifier: Apache-2.0
"""What each training was given, read from its config, and where methods differ in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visbench.benchmark.data_choice import dataset_name
from visbench.benchmark.rows import FINISHED, Row

BACKBONE = "backbone"
INITIALISATION = "initialisation"
TRAINING_DATA = "training data"
TRAINING_RESOLUTION = "training resolution"
TEST_RESOLUTION = "test resolution"
ITERATIONS = "iterations"
BATCH = "clips per iteration"
FRAMES_SEEN = "frames seen"
TERMS = (
    *(BACKBONE, INITIALISATION, TRAINING_DATA, TRAINING_RESOLUTION, TEST_RESOLUTION),
    *(ITERATIONS, BATCH, FRAMES_SEEN),
)
"""Keys of :attr:`Row.terms <visbench.benchmark.rows.Row>`, in the order in which they are shown."""

_NATIVE = "as in the data"
_GUIDANCE_FRAMES = 2

Settings = Mapping[str, Any]


def read_terms(config: Settings, test_settings: Settings | None = None) -> dict[str, Any]:
    """Read the terms of a training from its loaded config.

    Args:
        config: The config; nothing of it is built.
        test_settings: Settings of the data that it is tested on; its validation data by default.

    Returns:
        Texts and numbers by :data:`TERMS`; what cannot be read off is left out.
    """
    train = config["train_dataloader"]
    tested = test_settings or config["val_dataloader"]["dataset"]
    iterations, batch = config["train_cfg"].get("max_iters"), _batch(config)
    found = {
        BACKBONE: _backbone(config["model"]),
        INITIALISATION: _initialisation(config),
        TRAINING_DATA: _data(train["dataset"]),
        TRAINING_RESOLUTION: _resolution(train["dataset"]),
        TEST_RESOLUTION: _resolution(tested),
        ITERATIONS: iterations,
        BATCH: batch,
        FRAMES_SEEN: _frames_seen(train["dataset"], batch, iterations),
    }
    return {name: value for name, value in found.items() if value is not None}


def _settings(value: Any) -> Iterator[Settings]:
    """Yield a setting and all inside it, outer ones first."""
    if isinstance(value, Mapping):
        yield value
        for item in value.values():
            yield from _settings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _settings(item)


def _backbone_settings(model: Settings) -> Settings:
    return next((part["backbone"] for part in _settings(model) if "backbone" in part), {})


def _backbone(model: Settings) -> str | None:
    backbone = _backbone_settings(model)
    if "type" not in backbone:
        return None
    name = str(backbone["type"]).split(".")[-1]
    if "depth" in backbone:
        name += f"-{backbone['depth']}"
    sizes = {
        "groups": backbone.get("groups", 1) != 1,
        "base_width": "base_width" in backbone,
        "base_channels": backbone.get("base_channels", 64) != 64,
        "embed_dims": "embed_dims" in backbone,
        "num_stages": backbone.get("num_stages", 4) != 4,
    }
    parts = [f"{key} {backbone[key]}" for key, told in sizes.items() if told]
    return f"{name} ({', '.join(parts)})" if parts else name


def _initialisation(config: Settings) -> str:
    if config.get("load_from"):
        return f"all from {config['load_from']}"
    checkpoints = _checkpoints(config["model"])
    if not checkpoints:
        return "from scratch"
    own = checkpoints == _checkpoints(_backbone_settings(config["model"]))
    return f"{'backbone' if own else 'weights'} from {', '.join(checkpoints)}"


def _checkpoints(settings: Settings) -> list[str]:
    given = [part["init_cfg"] for part in _settings(settings) if part.get("init_cfg")]
    found = [part["checkpoint"] for part in _settings(given) if part.get("checkpoint")]
    return list(map(str, dict.fromkeys(found)))


def _data(settings: Settings) -> str:
    parts = settings.get("datasets")
    return " + ".join(map(_data, parts)) if parts else dataset_name(settings)


def _resolution(settings: Settings) -> str:
    """Return the sizes that the pipelines of a data set resize frames to."""
    sizes = [
        _size(part.get("scales") or part.get("scale"))
        for part in _settings(settings)
        if str(part.get("type", "")).endswith("Resize")
    ]
    return ", ".join(dict.fromkeys(filter(None, sizes))) or _NATIVE


def _size(value: Any) -> str:
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple)):
        low, high = _size(value[0]), _size(value[-1])
        return low if low == high else f"{low} to {high}"
    return "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")


def _batch(config: Settings) -> int | None:
    size = config["train_dataloader"].get("batch_size")
    return size and size * config["train_cfg"].get("batches_per_update", 1)


def _frames_seen(settings: Settings, batch: int | None, iterations: int | None) -> int | None:
    if not iterations or not batch:
        return None
    draws = iterations * batch
    parts = settings.get("datasets") or [settings]
    # Of a mixture only the sum of the draws is known: its clips must all be equally long.
    counts = {_frames(part["clip"], draws) if part.get("clip") else draws for part in parts}
    return counts.pop() if len(counts) == 1 else None


def _frames(clip: Settings, draws: int) -> int | None:
    """Return the number of frames of so many clips."""
    if "lengths" in clip:
        starts = [start for start, _ in clip["lengths"]]
        ends = [*starts[1:], draws]
        return sum(
            length * max(0, min(end, draws) - start)
            for (start, length), end in zip(clip["lengths"], ends, strict=True)
        )
    kind = str(clip.get("type", "")).split(".")[-1]
    per_clip: int | None = {
        "SampleKeyReference": 1 + int(clip.get("num_references", 1)),
        "SampleGuidance": _GUIDANCE_FRAMES,
    }.get(kind, clip.get("num_frames"))
    return None if per_clip is None else draws * per_clip


def term_notes(rows: Sequence[Row]) -> list[str]:
    """Return in words what is equal for all trainings of a table and what differs.

    Args:
        rows: Rows of any kind; those of methods are looked at.
    """
    trained = [row for row in rows if row.kind == "method" and row.status == FINISHED]
    known = [row for row in trained if row.terms]
    notes = []
    equal: list[str] = []
    for term in TERMS:
        values: dict[str, list[str]] = {}
        for row in known:
            values.setdefault(_text(row.terms.get(term)), []).append(_label(row, known))
        if len(values) == 1:
            equal.append(f"{term} {next(iter(values))}")
        elif values:
            parts = [f"{value} ({', '.join(dict.fromkeys(who))})" for value, who in values.items()]
            notes.append(f"Differs: {term}: {'; '.join(parts)}.")
    if equal:
        notes.insert(0, f"Equal for all: {'; '.join(equal)}.")
    unknown = dict.fromkeys(_label(row, trained) for row in trained if not row.terms)
    if unknown:
        notes.append(f"Terms not recorded: {', '.join(unknown)}.")
    foreign = dict.fromkeys(row.method for row in rows if row.kind == "foreign")
    if foreign:
        notes.append(f"Made elsewhere, on terms that are not known here: {', '.join(foreign)}.")
    return notes


def _text(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _label(row: Row, rows: Sequence[Row]) -> str:
    """Return the method's name, with the config where several have that name."""
    configs = {other.config for other in rows if other.method == row.method}
    return row.method if len(configs) == 1 else f"{row.method} ({row.config_name})"
