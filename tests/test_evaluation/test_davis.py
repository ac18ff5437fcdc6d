# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visbench.evaluation import InputError, evaluate, evaluate_davis
from visbench.evaluation.boundaries import boundary_pixels, dilate, tolerance
from visbench.evaluation.davis import evaluate_sequence, summarize_sequences


def slow_boundary(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    found = np.zeros(mask.shape, bool)
    for y, x in np.ndindex(height, width):
        below, right = min(y + 1, height - 1), min(x + 1, width - 1)
        others = mask[y, right], mask[below, x], mask[below, right]
        found[y, x] = any(other != mask[y, x] for other in others)
    return found


def slow_dilation(mask: np.ndarray, radius: int) -> np.ndarray:
    found = np.zeros(mask.shape, bool)
    for y, x in np.ndindex(*mask.shape):
        for v, u in np.argwhere(mask):
            found[y, x] |= (y - v) ** 2 + (x - u) ** 2 <= radius**2
    return found


def slow_j_and_f(truth: np.ndarray, found: np.ndarray, void: np.ndarray) -> tuple[float, float]:
    inter, union = int((truth & found & ~void).sum()), int(((truth | found) & ~void).sum())
    region = inter / union if union else 1.0
    first, second = slow_boundary(found & ~void), slow_boundary(truth & ~void)
    if not first.any() or not second.any():
        return region, float(first.any() == second.any())
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    precision = (first & slow_dilation(second, radius)).sum() / first.sum()
    recall = (second & slow_dilation(first, radius)).sum() / second.sum()
    total = precision + recall
    return region, 2 * precision * recall / total if total else 0.0


def labels_of(rng: np.random.Generator, highest: int, void: bool = False) -> np.ndarray:
    labels = np.zeros((7, 9), np.uint8)
    for label in range(1, highest + 1):
        y, x = rng.integers(7), rng.integers(9)
        labels[y : y + rng.integers(1, 6), x : x + rng.integers(1, 7)] = label
    if void and rng.random() < 0.5:
        labels[rng.integers(7), :] = 255
    return labels


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_sequence_equals_brute_force_over_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, objects, proposals = rng.integers([1, 1, 0], [5, 3, 4]).tolist()
    truth = np.stack([labels_of(rng, objects, void=True) for _ in range(frames)])
    truth[0, 0, :objects] = range(1, objects + 1)
    found = np.stack([labels_of(rng, proposals) for _ in range(frames)])
    result = evaluate_sequence("s", iter(truth), iter(found))
    rows = max(int(found.max()), objects)
    values = np.array(
        [
            [
                [slow_j_and_f(t == g, f == p, t == 255) for t, f in zip(truth, found, strict=True)]
                for g in range(1, objects + 1)
            ]
            for p in range(1, rows + 1)
        ]
    )
    np.testing.assert_allclose(result.mean_jf, values.mean(axis=(2, 3)), atol=1e-12)
    best = max(
        sum(result.mean_jf[p, g] for g, p in enumerate(chosen))
        for chosen in itertools.permutations(range(rows), objects)
    )
    pairs = {match.gt_id: match.proposal_id for match in result.matches}
    assert sorted(pairs) == list(range(1, objects + 1))
    assert sum(result.mean_jf[p - 1, g - 1] for g, p in pairs.items()) == pytest.approx(best)
    for match in result.matches:
        j, f = values[match.proposal_id - 1, match.gt_id - 1].T
        assert match.j_mean == pytest.approx(j.mean())
        assert match.f_mean == pytest.approx(f.mean())
        assert match.j_recall == (j > 0.5).mean()
        assert match.f_recall == (f > 0.5).mean()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), radius=st.integers(0, 5))
def test_boundary_and_dilation(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    mask = labels_of(rng, 1) > 0
    mask ^= rng.random(mask.shape) < rng.choice([0.0, 0.1])
    pixels = boundary_pixels(mask)
    assert pixels.tolist() == np.flatnonzero(slow_boundary(mask)).tolist()
    expected = slow_dilation(slow_boundary(mask), radius)
    assert (
        dilate(pixels, mask.shape[0], mask.shape[1], radius).tolist()
        == expected.reshape(-1).tolist()
    )


def test_tolerance_is_eight_pixels_at_480p() -> None:
    assert tolerance(480, 854) == 8


def test_decay_of_long_sequences_wraps_only_with_official_bugs() -> None:
    truth = np.ones((400, 1, 4), np.uint8)
    found = np.ones((400, 1, 4), np.uint8)
    found[300:, :, 2:] = 0
    (match,) = evaluate_sequence("long", truth, found).matches
    assert match.j_decay == pytest.approx(1.0 - 0.5, abs=0.01)
    (wrapped,) = evaluate_sequence("long", truth, found, official_bugs=True).matches
    assert wrapped.j_decay != match.j_decay


def test_nothing_at_all_is_undefined() -> None:
    empty = np.zeros((2, 4, 5), np.uint8)
    result = evaluate_sequence("s", empty, empty)
    assert result.matches == []
    assert set(summarize_sequences([result]).values()) == {-1.0}


@pytest.mark.parametrize(
    ("truth", "found", "words"),
    [
        (np.ones((2, 3, 4), np.uint8), np.full((2, 3, 4), 21, np.uint8), "more than 20 proposals"),
        (np.ones((2, 3, 4), np.uint8), np.full((2, 3, 4), 255, np.uint8), "label 255"),
        (np.ones((2, 3, 4), np.uint8), np.ones((2, 4, 3), np.uint8), "size"),
        (np.ones((2, 3, 4), np.uint8), np.ones((1, 3, 4), np.uint8), "differ in length"),
        (np.ones((0, 3, 4), np.uint8), np.ones((0, 3, 4), np.uint8), "no frames"),
        (np.ones((1, 3, 4), np.uint8), np.ones((1, 3, 4)), "must be integers"),
    ],
)
def test_bad_arrays(truth: np.ndarray, found: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate_sequence("s", truth, found)


def test_frames_are_consumed_one_at_a_time() -> None:
    alive: list[int] = []

    def frames(step: int) -> Iterator[np.ndarray]:
        for _ in range(5):
            alive.append(step)
            yield np.ones((3, 4), np.uint8)

    evaluate_sequence("s", frames(1), frames(2))
    assert alive == [1, 2] * 5


def save(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for t, labels in enumerate(frames):
        image = Image.fromarray(labels.astype(np.uint8)).convert("P")
        image.putdata(labels.reshape(-1).tolist())
        image.save(folder / f"{t:05d}.png")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    for name in ("bear", "dance"):
        truth = np.stack([labels_of(rng, 2) for _ in range(3)])
        truth[0, 0, :2] = 1, 2
        save(tmp_path / "truth" / name, truth)
        save(tmp_path / "found" / name, truth)
    return tmp_path / "truth", tmp_path / "found"


def test_folders(folders: tuple[Path, Path]) -> None:
    truth, found = folders
    save(found / "extra", np.zeros((1, 2, 2)))
    result = evaluate(truth, found, "davis")
    assert result.metrics["davis"]["J&F-Mean"] == 1.0
    assert list(result.metrics["davis"]) == [
        "J&F-Mean",
        "J-Mean",
        "J-Recall",
        "J-Decay",
        "F-Mean",
        "F-Recall",
        "F-Decay",
    ]
    assert [len(s.matches) for s in result.details["davis"]] == [2, 2]
    assert "extra" in result.warnings[0]
    assert evaluate(truth, found, "all").to_dict() == result.to_dict()
    assert "J&F-Mean" in result.summary()


def test_missing_sequence_and_frame_and_size_are_errors(folders: tuple[Path, Path]) -> None:
    truth, found = folders
    (found / "dance" / "00001.png").unlink()
    with pytest.raises(InputError, match=r"dance: 1 of 3 frames are missing, the first is 00001"):
        evaluate_davis(truth, found)
    assert evaluate_davis(truth, found, tolerant=True).metrics["davis"]["J&F-Mean"] == 1.0
    Image.new("P", (3, 3)).save(found / "dance" / "00001.png")
    with pytest.raises(InputError, match=r"dance: frame 1: result has size"):
        evaluate_davis(truth, found)
    Image.new("RGB", (9, 7)).save(found / "dance" / "00001.png")
    with pytest.raises(InputError, match=r"00001.png: is a RGB image"):
        evaluate_davis(truth, found)
    (found / "dance" / "00001.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"00001.png: cannot be read"):
        evaluate_davis(truth, found)
    for path in (found / "dance").iterdir():
        path.unlink()
    (found / "dance").rmdir()
    with pytest.raises(InputError, match=r"dance: sequence is missing"):
        evaluate_davis(truth, found)
    assert len(evaluate_davis(truth, found, tolerant=True).skipped) == 1


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        evaluate_davis(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match="holds no sequence"):
        evaluate_davis(tmp_path, tmp_path)
    (tmp_path / "bear").mkdir()
    with pytest.raises(InputError, match="holds no PNG frame"):
        evaluate_davis(tmp_path, tmp_path)
    with pytest.raises(InputError, match="takes two folders"):
        evaluate(tmp_path, [], "davis")
