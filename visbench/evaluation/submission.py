# SPDX-License-Identifier: Apache-2.0
"""Check results before they are sent to a server, and write the archive it accepts."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from visbench.evaluation.annotation_files import load_annotations
from visbench.evaluation.annotations import Annotations
from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields, shorten
from visbench.evaluation.mask_fields import read_masks
from visbench.evaluation.results import ResultReader, iterate_results
from visbench.files import replacing

__all__ = ["CheckReport", "check_results", "write_submission"]

MAX_BYTES = 2**31 - 1
"""Largest results.json that an archive can hold without the zip64 extension."""

_LISTED = 20


@dataclass
class CheckReport:
    """What :func:`check_results` found.

    Attributes:
        source: The results.
        problems: One message per record with a defect, and one if the file is too large.
        warnings: Remarks that do not keep a server from accepting the results.
        records: Number of records.
        videos: Number of videos with at least one record.
    """

    source: str
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    records: int = 0
    videos: int = 0

    @property
    def passed(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def require(self) -> None:
        """Check that there are no problems.

        Raises:
            InputError: There are; the message lists the first of them.
        """
        if self.problems:
            listed = "\n  ".join(self.problems[:_LISTED])
            more = len(self.problems) - _LISTED
            tail = f"\n  ... and {more} more" if more > 0 else ""
            raise InputError(
                self.source, "", "", f"{len(self.problems)} problems:\n  {listed}{tail}"
            )


def check_results(
    results: str | Path | Iterable[Any],
    annotations: str | Path | Mapping[str, Any] | Annotations | None = None,
) -> CheckReport:
    """Check everything a server would reject or silently count wrong.

    Args:
        results: Results (json, json.gz or a submission zip), or a list of records.
        annotations: Annotation file of the split; its ground truth is not needed. Without it ids,
            lengths and mask sizes cannot be checked.

    Returns:
        All defects found: ids, categories, lengths, mask sizes and encodings, score range, size.

    Raises:
        InputError: A file cannot be read at all.
    """
    source, records = iterate_results(results)
    check = _Check(source, _load(annotations))
    size = 0
    for record in records:
        size += check.add(record)
    check.finish(size)
    return check.report


def _load(
    annotations: str | Path | Mapping[str, Any] | Annotations | None,
) -> Annotations | None:
    return None if annotations is None else load_annotations(annotations, masks=False)


class _Check:
    """Checks records one by one."""

    def __init__(self, source: str, annotations: Annotations | None) -> None:
        self.report = CheckReport(source)
        self.annotations = annotations
        known = annotations or Annotations(source, {}, {}, None)
        self.reader = ResultReader(known, source)
        self.seen: set[int] = set()

    def add(self, record: Any) -> int:
        """Check a record and return its size in the file in bytes."""
        index, self.report.records = self.report.records, self.report.records + 1
        try:
            self._check(index, record)
        except InputError as error:
            self.report.problems.append(str(error))
        try:
            return len(_dump(record)) + 2
        except TypeError:
            return 0

    def _check(self, index: int, record: Any) -> None:
        place = f"record {index}"
        if not isinstance(record, Mapping):
            raise InputError(
                self.report.source, place, "", f"must be an object, found {shorten(record)}"
            )
        fields = Fields(self.report.source, place, record)
        score = fields.number("score")
        if not 0 <= score <= 1:
            raise fields.error("score", f"{score} is outside [0, 1]", "Write a confidence")
        _check_encoding(fields)
        if self.annotations is not None:
            if self.reader.read(index, record) is None:
                known = sorted(self.annotations.categories)
                raise fields.error(
                    "category_id",
                    f"{record['category_id']} is not a category of {self.annotations.source}",
                    f"Its ids are {shorten(known) if len(known) > 50 else known}",
                )
        else:
            fields.integer("video_id")
            fields.integer("category_id")
            read_masks(fields, (1, 1), any_size=True)
        self.seen.add(fields.integer("video_id"))

    def finish(self, size: int) -> None:
        report = self.report
        report.videos = len(self.seen)
        if size > MAX_BYTES:
            report.problems.append(
                f"{report.source}: results.json takes {size} bytes, more than {MAX_BYTES}. Keep "
                "fewer predictions per video (100 per category are evaluated)"
            )
        if not report.records:
            report.warnings.append(f"{report.source}: no predictions at all")
        if self.annotations is not None:
            missing = len(set(self.annotations.videos) - self.seen)
            if missing:
                report.warnings.append(
                    f"{report.source}: {missing} of {len(self.annotations.videos)} videos have no "
                    "prediction"
                )


def _check_encoding(fields: Fields) -> None:
    for frame, mask in enumerate(fields.list("segmentations")):
        if isinstance(mask, Mapping) and mask and not isinstance(mask.get("counts"), str):
            raise fields.error(
                f"segmentations[{frame}]",
                f"'counts' must be a string, found {shorten(mask.get('counts'))}",
                "Servers read compressed masks only; write_submission converts them",
            )


def write_submission(
    results: str | Path | Iterable[Any],
    out_zip: str | Path,
    annotations: str | Path | Mapping[str, Any] | Annotations | None = None,
) -> Path:
    """Check results and write the archive that the YouTube-VIS and OVIS servers accept.

    Args:
        results: Results (json, json.gz or zip), or a list of records; counts that are bytes or
            lists of run lengths become compressed strings.
        out_zip: The archive to write; it will hold exactly ``results.json`` at top level. An
            existing file is replaced only when everything went well.
        annotations: Annotation file of the split, for a full check.

    Returns:
        Path of the archive.

    Raises:
        InputError: The results have defects; nothing is written.
    """
    out = Path(out_zip)
    if out.suffix != ".zip":
        raise InputError(str(out), "", "", "the name of a submission must end in .zip")
    source, records = iterate_results(results)
    check = _Check(source, _load(annotations))
    with replacing(out) as partial:
        with (
            zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("results.json", "w") as file,
        ):
            for piece in _pieces(records, check):
                file.write(piece)
        check.report.require()
    return out


def _pieces(records: Iterable[Any], check: _Check) -> Iterator[bytes]:
    """Yield the text of results.json; after the first defect only the check goes on."""
    size = 0
    yield b"["
    for index, record in enumerate(records):
        plain = _plain(record)
        size += check.add(plain)
        if size <= MAX_BYTES and check.report.passed:
            yield b",\n" * bool(index) + _dump(plain)
    yield b"]\n"
    check.finish(size)


def _plain(record: Any) -> Any:
    """Return a copy of a record with all masks as compressed strings."""
    if not isinstance(record, Mapping) or not isinstance(
        record.get("segmentations"), (list, tuple)
    ):
        return record
    return {**record, "segmentations": [_plain_mask(mask) for mask in record["segmentations"]]}


def _plain_mask(mask: Any) -> Any:
    if not isinstance(mask, Mapping) or isinstance(mask.get("counts"), str):
        return mask
    counts = mask.get("counts")
    if isinstance(counts, bytes):
        return {**mask, "counts": counts.decode("ascii", "replace")}
    fields = Fields("", "", {"segmentations": [mask]})
    try:
        track = read_masks(fields, (1, 1), any_size=True)
    except InputError:
        return mask
    rle = track.rles[0]
    return mask if rle is None else {**mask, "counts": rle["counts"]}


def _dump(record: Any) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
