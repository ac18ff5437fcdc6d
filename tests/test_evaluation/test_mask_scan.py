# SPDX-License-Identifier: Apache-2.0
"""Masks found in the text of a record are those that the JSON parser finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import InputError, evaluate, streams
from visbench.evaluation.mask_measures import measure_extents
from visbench.evaluation.mask_scan import MaskScan
from visbench.evaluation.mask_texts import FrameStrings, MaskTexts
from visbench.evaluation.plain_masks import PlainMasks
from visbench.evaluation.run_lengths import compress_runs
from visbench.evaluation.streams import iterate_records

SIZES = ([9, 12], [90, 7])


def as_json(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as the parser finds it, but that an empty object counts as no mask."""
    masks = record.get("segmentations")
    if isinstance(masks, PlainMasks):
        masks = masks.as_json()
    if isinstance(masks, list):
        return {**record, "segmentations": [None if mask == {} else mask for mask in masks]}
    return record


def read(path: Path) -> list[dict[str, Any]]:
    return [as_json(record) for record in iterate_records(path, plain=True)]


masks = st.fixed_dictionaries(
    {"size": st.sampled_from(SIZES), "counts": st.text(st.sampled_from("0Ako\\"), max_size=6)}
)
odd_entries = st.sampled_from(
    [
        *(0, "", {}, []),
        {"counts": "1", "size": [9, 12]},
        {"size": [9, 12], "counts": '"}'},
        {"size": [9, 12], "counts": [1]},
        {"size": [9, 12]},
        {"size": [9], "counts": "1"},
    ]
)
lists = st.one_of(
    st.lists(st.none() | masks, max_size=6),
    st.builds(
        lambda entries, size: [mask and {**mask, "size": size} for mask in entries],
        st.lists(st.none() | masks, max_size=6),
        st.sampled_from(SIZES),
    ),
    st.lists(st.none() | masks | odd_entries, max_size=4),
)
decoys = st.sampled_from(
    [
        1,
        None,
        "segmentations",
        '"segmentations":[{"size":[9,12],"counts":"1"}]',
        "back\\slash",
        "~",
        {"segmentations": [{"size": [9, 12], "counts": "1"}]},
        [{"size": [9, 12], "counts": "1"}, {"size": [9, 12], "counts": "2"}],
    ]
)


@st.composite
def record(draw: st.DrawFn) -> dict[str, Any]:
    fields = [("video_id", 1), ("segmentations", draw(lists))]
    fields += [(name, draw(decoys)) for name in draw(st.sets(st.sampled_from(["a", "b", "bb"])))]
    return dict(fields[:1] + draw(st.permutations(fields[1:])))


@settings(max_examples=300, deadline=None)
@given(
    records=st.lists(record(), max_size=8),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    block=st.integers(1, 900),
)
def test_same_as_the_parser_finds(
    records: list[dict[str, Any]],
    separators: tuple[str, str],
    block: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("scan") / "r.json"
    path.write_text(json.dumps(records, separators=separators))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_SIZE", block)
        assert read(path) == [as_json(record) for record in records]


TOKENS = (*'{}[]:,"\\ 0', "e5", ".5", "null", "[]", "{}", '"segmentations"', '"counts"', "\\u0073")


@settings(max_examples=300, deadline=None)
@given(
    where=st.floats(0, 1),
    removed=st.integers(0, 4),
    inserted=st.lists(st.sampled_from(TOKENS), max_size=2),
    spaced=st.booleans(),
)
def test_damage_makes_no_difference(
    where: float,
    removed: int,
    inserted: list[str],
    spaced: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A file that is changed anywhere is read as without looking for masks, or refused as such."""
    entries = [None, {"size": [9, 12], "counts": "1\\k"}, {"size": [9, 12], "counts": "22"}, None]
    records = [{"video_id": k, "segmentations": entries, "score": 0.5} for k in range(12)]
    text = json.dumps(records, separators=(", ", ": ") if spaced else (",", ":"))
    position = int(where * len(text))
    path = tmp_path_factory.mktemp("scan") / "r.json"
    path.write_text(text[:position] + "".join(inserted) + text[position + removed :])
    found: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_SIZE", 400)
        for plain in (False, True):
            try:
                found.append([as_json(record) for record in iterate_records(path, plain=plain)])
            except InputError:
                found.append(InputError)
    assert found[0] == found[1]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_usual_files_are_not_parsed(
    separators: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [None, *({"size": [9, 12], "counts": f"\\{k}o\\\\"} for k in range(5)), None, None]
    records = [
        {"video_id": k, "segmentations": [*entries[k % 3 :], *entries], "score": 0.5}
        for k in range(60)
    ]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(records, separators=separators))
    found: list[bool] = []
    original = MaskScan.record

    def spy(*args: Any) -> Any:
        result = original(*args)
        found.append(result is not None)
        return result

    monkeypatch.setattr(MaskScan, "record", spy)
    monkeypatch.setattr(streams, "BLOCK_SIZE", 4000)
    assert read(path) == records
    assert all(found)
    assert len(found) > 30


@pytest.mark.parametrize(
    "damage",
    [
        (b'"}, {"size"', b'"} {"size"'),
        (b'"}, {"size"', b'"}, nul, {"size"'),
        (b'"}, {"size"', b'"}], {"size"'),
        (b'"counts": "1"', b'"counts": "1\\"'),
        (b'"counts": "1"', b'"counts": "\\q1"'),
        (b'"score": 0.5', b'"score": 0.5.'),
        (b'"}], "score"', b'"}e5], "score"'),
        (b'"}], "score"', b'"}.5], "score"'),
        (b'"}], "score"', b'"}1], "score"'),
    ],
)
@pytest.mark.parametrize("block", [400, 1 << 20])
def test_damage_is_noticed(
    damage: tuple[bytes, bytes], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_SIZE", block)
    mask = {"size": [9, 12], "counts": "1"}
    records = [{"video_id": 1, "segmentations": [mask] * 3, "score": 0.5}] * 30
    text = json.dumps(records).encode()
    # Not in the last record, whose end no other record gives away.
    before, _, behind = text[: len(text) * 3 // 4].rpartition(damage[0])
    path = tmp_path / "r.json"
    path.write_bytes(before + damage[1] + behind + text[len(text) * 3 // 4 :])
    with pytest.raises(InputError, match=r"JSON|list is not closed"):
        read(path)


@pytest.mark.parametrize("block", [400, 1 << 20])
def test_a_bare_control_character_is_refused(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_SIZE", block)
    gt = {
        "videos": [{"id": 1, "height": 9, "width": 12, "file_names": ["0"]}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [],
    }
    mask = {"size": [9, 12], "counts": compress_runs([108], 9, 12)}
    result = {"video_id": 1, "category_id": 1, "segmentations": [mask], "score": 0.5}
    good = json.dumps([result] * 30)
    middle = good.index(mask["counts"] + '"', len(good) // 2)
    path = tmp_path / "r.json"
    path.write_text(good)
    evaluate(gt, path, workers=1)
    path.write_text(good[:middle] + "\n" + good[middle:])
    with pytest.raises(InputError, match=r"JSON|alphabet"):
        evaluate(gt, path, workers=1)


@pytest.mark.parametrize("character", ["~", "!", "\x7f", "é", "€", " ", '"', "p", "/"])
def test_wrong_characters_are_named(character: str, tmp_path: Path) -> None:
    good = {"size": [9, 12], "counts": compress_runs([5, 4, 99], 9, 12)}
    bad = {**good, "counts": good["counts"] + character + "1"}
    gt = {
        "videos": [{"id": 1, "height": 9, "width": 12, "file_names": ["0", "1"]}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [good, None]},
        ],
    }
    records = [
        {"video_id": 1, "category_id": 1, "segmentations": [good, good], "score": 0.5}
        for _ in range(9)
    ]
    records[6]["segmentations"] = [good, bad]
    for ascii_only in (True, False):
        path = tmp_path / "r.json"
        path.write_text(json.dumps(records, ensure_ascii=ascii_only), "utf-8")
        with pytest.raises(InputError, match="alphabet") as caught:
            evaluate(gt, path, workers=1)
        assert "record 6" in str(caught.value)
        assert "segmentations[1]" in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_masks_of_several_texts_are_measured_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts, areas, strings = [], [], []
    for _ in range(rng.integers(1, 5)):
        runs = [[*rng.integers(1, 4000, 7).tolist(), 10] for _ in range(rng.integers(1, 5))]
        runs = [[*r, 40_000 - sum(r)] for r in runs]
        found = [compress_runs(r, 200, 200) for r in runs]
        areas += [sum(r[1::2]) for r in runs]
        strings += found
        if rng.random() < 0.5:
            parts.append(MaskTexts.of(found))
            continue
        gaps = ["x" * int(n) + '\\\\"' for n in rng.integers(0, 20, len(found))]
        escaped = [text.replace("\\", "\\\\") for text in found]
        text = "".join(gap + word for gap, word in zip(gaps, escaped, strict=True)) + '"'
        slashes = np.array([k for k, c in enumerate(text) if c == "\\"], np.int64)
        lengths = np.array([*map(len, escaped)])
        stops = np.cumsum(lengths + np.array([*map(len, gaps)]))
        parts.append(MaskTexts(text.encode(), stops - lengths, stops, slashes[1::2]))
    assert [text for part in parts for text in part.strings()] == strings
    assert MaskTexts.join(parts).strings() == strings
    found_areas = measure_extents(parts, np.full(len(strings), 40_000)).areas
    assert found_areas.tolist() == areas


def test_strings_by_frame() -> None:
    texts = MaskTexts.of(["1", "22"])
    found = FrameStrings(texts.encoded, np.array([1, 3]), 5)
    assert list(found) == [None, "1", None, "22", None]
    assert found.encoded == [None, b"1", None, b"22", None]
