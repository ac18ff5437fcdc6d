# SPDX-License-Identifier: Apache-2.0
"""Claims as data: directions of published ablations, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from visbench.engine.config_files import config_folder
from visbench.engine.errors import UserError

CLAIMS_FILE = Path(__file__).resolve().parents[1] / "data" / "claims.yaml"
"""The claims of the four papers."""

SIGNS = {"+": 1, "-": -1}
ANY = "any"


@dataclass(frozen=True)
class ClaimData:
    """Data that a claim is checked on.

    Args:
        name: Name in the file of claims.
        dataset: Name of the validation data in rows.
        options: Values by dotted field that both configs get.
    """

    name: str
    dataset: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """The paper's numbers of both rows, in points.

    Args:
        data: The paper's data.
        a: Number of the first row.
        b: Number of the second row.
    """

    data: str
    a: float
    b: float


@dataclass(frozen=True)
class Claim:
    """A direction: the metric of one config minus that of another has a sign.

    Args:
        id: Short name, unique in the file.
        statement: What is claimed, in one sentence.
        a: The first config.
        b: The second config.
        data: What both are trained and tested on.
        metric: Name as in tables, without the kind of metric: ``AP``, ``AR100``.
        sign: Expected sign of ``a - b``: 1 or -1.
        paper: Where the claim stands.
        table: Its table or figure.
        published: The paper's numbers; None where it prints none.
        note: What else is to be known.
    """

    id: str
    statement: str
    a: Path
    b: Path
    data: ClaimData
    metric: str
    sign: int
    paper: str
    table: str
    published: Published | None = None
    note: str = ""


@dataclass(frozen=True)
class ClaimBook:
    """A file of claims.

    Args:
        claims: The claims in the order of the file.
        data: Their data by name.
        acts_at_test: By type of model, the fields of ``model`` that act at test only: ``"any"``,
            or the number from which on all values train alike.
    """

    claims: tuple[Claim, ...]
    data: Mapping[str, ClaimData]
    acts_at_test: Mapping[str, Mapping[str, Any]]

    def chosen(self, ids: Sequence[str] | None) -> tuple[Claim, ...]:
        """Return claims by their ids, or all.

        Raises:
            UserError: If there is no such claim.
        """
        if not ids:
            return self.claims
        known = {claim.id: claim for claim in self.claims}
        unknown = [name for name in ids if name not in known]
        if unknown:
            raise UserError(f"claim {unknown[0]!r} does not exist; there are {', '.join(known)}")
        return tuple(known[name] for name in dict.fromkeys(ids))


def read_claims(path: str | Path = CLAIMS_FILE) -> ClaimBook:
    """Read a file of claims; ``visbench/benchmark/data/claims.yaml`` is the model of one.

    Args:
        path: The file. Its configs are relative to it; those of the package's own file are
            relative to the folder of configs.

    Raises:
        UserError: If the file is missing or has a mistake; the message names claim and field.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"claims {path} cannot be read ({error}); check path and text") from error
    if not isinstance(content, dict):
        raise UserError(f"claims {path} must be a mapping with the fields 'data' and 'claims'")
    folder = _shown(config_folder()) if path == CLAIMS_FILE else path.parent
    data = {
        name: ClaimData(
            name,
            _text(value, "dataset", f"{path}, data {name!r}"),
            dict(value.get("options") or {}),
        )
        for name, value in (content.get("data") or {}).items()
    }
    claims = [_claim(entry, data, folder, path) for entry in content.get("claims") or []]
    ids = [claim.id for claim in claims]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice:
        raise UserError(f"{path}: two claims have the id {twice!r}; rename one")
    return ClaimBook(tuple(claims), data, content.get("acts_at_test") or {})


def _shown(folder: Path) -> Path:
    return Path(folder.name) if folder.parent == Path.cwd() else folder


def _claim(entry: Any, data: Mapping[str, ClaimData], folder: Path, path: Path) -> Claim:
    where = f"{path}, claim {entry.get('id') if isinstance(entry, dict) else entry!r}"
    expected = _text(entry, "expected", where)
    if expected not in SIGNS:
        raise UserError(f"{where}: 'expected' is {expected!r}; it must be '+' or '-'")
    name = _text(entry, "data", where)
    if name not in data:
        raise UserError(f"{where}: 'data' is {name!r}; the file has {', '.join(data) or 'none'}")
    configs = [folder / _text(entry, key, where) for key in ("a", "b")]
    for config in configs:
        if not config.is_file():
            raise UserError(f"{where}: config {config} does not exist; check the path")
    return Claim(
        id=_text(entry, "id", where),
        statement=_text(entry, "statement", where),
        a=configs[0],
        b=configs[1],
        data=data[name],
        metric=_text(entry, "metric", where),
        sign=SIGNS[expected],
        paper=_text(entry, "paper", where),
        table=str(entry.get("table", "")),
        published=_published(entry.get("published"), where),
        note=str(entry.get("note", "")),
    )


def _published(value: Any, where: str) -> Published | None:
    if value is None:
        return None
    try:
        return Published(str(value["data"]), float(value["a"]), float(value["b"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where}: 'published' is {value!r}; it must have 'data' and the numbers 'a' and 'b'"
        ) from error


def _text(entry: Any, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: the field {key!r} is {value!r}; it must be a text")
    return value
