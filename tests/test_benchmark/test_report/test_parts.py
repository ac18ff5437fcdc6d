# SPDX-License-Identifier: Apache-2.0
"""The parts of a report by themselves, without a page."""

from __future__ import annotations

import itertools
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from rich.console import Console

from visbench.benchmark import Row, RowStore
from visbench.benchmark.report import ReportOptions, write_html_report
from visbench.benchmark.report.breakdowns import Numbers, best_threshold
from visbench.benchmark.report.collect import Spread, collect, slug
from visbench.benchmark.report.frames import (
    LOOKS,
    Drawing,
    choose_frames,
    encode,
    found_tracks,
    frames_beside,
    true_tracks,
)
from visbench.benchmark.report.gallery import Gallery, ShownVideo, Strip, fit_pictures
from visbench.benchmark.report.selection import Choice, video_for
from visbench.benchmark.report.tables import video_anchor
from visbench.benchmark.report.timeline import (
    Lane,
    Segment,
    Switch,
    Timeline,
    follow,
    make_timeline,
)
from visbench.evaluation import load_annotations
from visbench.evaluation.average_precision import Cell


def test_spread_is_mean_and_sample_deviation() -> None:
    spread = Spread.of([1.0, None, 4.0])
    assert spread is not None
    assert (spread.mean, spread.n) == (2.5, 2)
    assert spread.deviation == pytest.approx(np.std([1, 4], ddof=1))
    assert Spread.of([3.0]) == Spread(3.0, None, 1)
    assert Spread.of([None]) is None


def test_a_work_folder_that_moved_is_found(store: Any, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(store.work_dir, moved)
    for path in store.results.values():
        path.rename(path.with_suffix(".away"))
    try:
        runs = {run.row.method: run for run in collect(moved).runs}
        assert runs["Other"].results == moved / "runs/other__seed0__12345678/test/results.json"
        assert runs["Other"].notes == ()
        assert len(runs["Gone"].notes) == 3
        given = collect(moved, {"far": store.annotations})
        gone = next(run for run in given.runs if run.row.method == "Gone")
        assert gone.annotations == store.annotations
    finally:
        for path in store.results.values():
            path.with_suffix(".away").rename(path)


def test_boxes_and_masks_on_the_same_data_are_told_apart(fresh_store: Any) -> None:
    store = RowStore(fresh_store.work_dir / "rows")
    paths = {
        "results": str(fresh_store.results["Other", 0]),
        "annotations": str(fresh_store.annotations),
    }
    details = {"metrics": {"imagenet_vid/AP": 0.5}}
    store.add(Row("Boxes", "boxes.py", "tiny", 0, AP=50.0, details=details, **paths))
    runs = {run.row.method: run for run in collect(fresh_store.work_dir).runs}
    numbers = Numbers()
    for method in ("Other", "Boxes"):
        numbers.add(runs[method])
    assert list(numbers.analyses) == [runs["Other"].key]
    assert numbers.notes == {
        runs["Boxes"].key: "imagenet_vid is of boxes, other rows of masks on these data; "
        "no breakdown"
    }


def test_a_failure_counts_until_its_own_data_are_done(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "rows")
    done = Row("A", "a.py", "easy", 0, AP=1.0, config_hash="1")
    failures = [replace(done, dataset=name, status="failed") for name in ("easy", "long", "")]
    for row in (done, *failures):
        store.add(row)
    (lost,) = collect(tmp_path).failed
    assert lost.row.dataset == "long"


def test_groups_are_ranked_within_their_data(store: Any) -> None:
    groups = collect(store.work_dir).groups
    assert [group.dataset for group in groups] == ["far", "tiny", "tiny", "tiny"]
    assert groups[-1].row.kind == "control"
    first, second = (group.spread("AP") for group in groups[1:3])
    assert first is not None
    assert second is not None
    assert first.mean >= second.mean
    assert [len(group.runs) for group in groups if group.label.startswith("<")] == [2]


def _cell(scores: list[float], ious: list[list[float]]) -> Cell:
    g = len(ious[0]) if ious else 1
    return Cell(
        video_id=1,
        category_id=1,
        result_index=np.arange(len(scores)),
        scores=np.array(scores, np.float64),
        areas=np.ones(len(scores)),
        ious=np.array(ious, np.float64).reshape(len(scores), g),
        gt_ids=np.arange(g),
        gt_areas=np.ones(g),
        gt_crowd=np.zeros(g, np.bool_),
        gt_occlusion=np.zeros(g),
    )


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.9, 0.7, 0.5, 0.3]), st.sampled_from([0.0, 0.6, 0.8])),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 3),
)
def test_the_threshold_has_the_best_f1(predictions: list[tuple[float, float]], copies: int) -> None:
    predictions = sorted(predictions, reverse=True)
    scores = [score for score, _ in predictions]
    cell = _cell(scores, [[iou] for _, iou in predictions])
    found = best_threshold([cell] * copies)

    def f1(threshold: float) -> float:
        kept = [iou for score, iou in predictions if score >= threshold]
        hits = copies * any(iou >= 0.5 for iou in kept)
        return 2 * hits / (copies * len(kept) + copies)

    if any(iou >= 0.5 for _, iou in predictions):
        best = max(map(f1, scores))
        assert f1(found) == pytest.approx(best)
        assert found == max(score for score in scores if f1(score) == pytest.approx(best))
    else:
        assert found in scores


def test_without_predictions_there_is_no_threshold() -> None:
    assert best_threshold([]) == 0.0


@settings(deadline=None, max_examples=50)
@given(st_numpy.arrays(np.float64, (4, 2, 2), elements=st.sampled_from([0.0, 0.55, 0.7, 0.9])))
def test_objects_are_followed_one_to_one_and_pairs_stay(ious: np.ndarray) -> None:
    owner = follow(ious)
    before = [-1, -1]
    for frame, row in enumerate(owner):
        used = [track for track in row if track >= 0]
        assert len(used) == len(set(used))
        assert all(ious[frame, track, g] >= 0.5 for g, track in enumerate(row) if track >= 0)
        stays = [g for g in (0, 1) if before[g] >= 0 and ious[frame, before[g], g] >= 0.5]
        assert all(row[g] == before[g] for g in stays)
        if not stays and all(track < 0 for track in before):
            pairs = [
                [(0, 0), (1, 1)],
                [(0, 1), (1, 0)],
            ]
            best = max(sum(v for p in pair if (v := ious[(frame, *p)]) >= 0.5) for pair in pairs)
            got = sum(ious[frame, track, g] for g, track in enumerate(row) if track >= 0)
            assert got == pytest.approx(best)
        before = [int(track) if track >= 0 else before[g] for g, track in enumerate(row)]
        for g, h in itertools.permutations((0, 1)):
            if row[g] < 0 and before[g] == row[h]:
                before[g] = -1


def test_a_swap_of_ids_is_two_switches(store: Any) -> None:
    truth = load_annotations(store.annotations)
    found = found_tracks(truth, store.results["Other", 0], [1, 2])
    assert [len(found[video].tracks) for video in (1, 2)] == [1, 2], "one track per mask list"
    assert [len(found[video].predictions) for video in (1, 2)] == [2, 4]
    names = list(truth.categories.values())
    line = make_timeline(found[2], true_tracks(truth, 2), names, 0.3)
    assert (line.length, line.switches, line.missed, line.strays) == (4, 2, 0, ())
    first, second = line.objects
    assert first == Lane("disc", 1, (Segment(0, 1, 0), Segment(2, 3, 1)), (Switch(2, 0, 1),))
    assert second.switches == (Switch(2, 1, 0),)
    alone = make_timeline(found[1], true_tracks(truth, 1), names, 0.3)
    assert alone.missed == 1
    assert alone.objects[0].segments == (Segment(0, 3, None),)
    nothing = make_timeline(found[2], true_tracks(truth, 2), names, 2.0)
    assert nothing.missed == 2


def test_a_track_on_no_object_is_a_stray(store: Any) -> None:
    truth = load_annotations(store.annotations)
    found = found_tracks(truth, store.results["Other", 0], [2])[2]
    nobody = true_tracks(truth, 2)
    nobody.tracks.clear()
    nobody.predictions.clear()
    line = make_timeline(found, nobody, list(truth.categories.values()), 0.3)
    assert line.objects == ()
    assert [lane.segments for lane in line.strays] == [(Segment(0, 3, 0),), (Segment(0, 3, 1),)]


def test_frames_with_switches_are_shown() -> None:
    lanes = (Lane("disc", 1, (), (Switch(7, 0, 1), Switch(9, 1, 0))),)
    assert choose_frames(12, 3, []) == [1, 5, 9]
    assert choose_frames(12, 3, [Timeline(12, lanes, ())]) == [1, 7, 9]
    assert choose_frames(2, 6, []) == [0, 1]


def test_a_number_leads_to_the_worst_fitting_video() -> None:
    ap = {1: 50.0, 2: 10.0, 3: None}
    assert video_for([1, 2, 3], ap) == 2
    assert video_for([1, 2, 3], ap, frozenset({1, 3})) == 1
    assert video_for([1], ap, frozenset({2})) is None


@pytest.mark.parametrize(
    ("annotations", "frames"),
    [
        ("valid.json", "valid/JPEGImages"),
        ("valid/instances.json", "valid"),
        ("annotations/instances_train_sub.json", "train/JPEGImages"),
        ("annotations_train.json", "train"),
        ("annotations/youtube_vis_2021_train.json", "train/JPEGImages"),
        ("annotations/train_holdout-val.json", "train/JPEGImages"),
    ],
)
def test_frames_are_found_beside_annotations(tmp_path: Path, annotations: str, frames: str) -> None:
    frame = tmp_path / frames / "a" / "0.png"
    frame.parent.mkdir(parents=True)
    frame.touch()
    assert frames_beside(tmp_path / annotations, "a/0.png") == tmp_path / frames
    assert frames_beside(tmp_path / annotations, "b/0.png") is None


def _gallery(videos: int) -> Gallery:
    generator = np.random.default_rng(0)
    shown = []
    for video in range(videos):
        image = generator.integers(0, 255, (256, 384, 3)).astype(np.uint8)
        strips = (Strip("ground truth", (Drawing(0, image, "nothing"),)),)
        shown.append(ShownVideo("d", Choice(video, ("why",)), f"v{video}", 1, strips))
    return Gallery(tuple(shown))


def test_pictures_become_smaller_before_videos_go() -> None:
    gallery = _gallery(3)
    _, pictures, look = fit_pictures({"d": gallery}, 10**7)
    assert (look, len(pictures)) == (LOOKS[0], 3)
    full = sum(map(len, pictures.values()))
    kept, pictures, look = fit_pictures({"d": gallery}, full // 2)
    assert look in LOOKS[1:]
    assert len(kept["d"].videos) == len(pictures) == 3
    assert sum(map(len, pictures.values())) <= full // 2
    smallest = len(encode(gallery.videos[0].strips[0].drawings[0].image, LOOKS[-1]))
    kept, pictures, _ = fit_pictures({"d": gallery}, int(1.5 * smallest))
    assert [video.name for video in kept["d"].videos] == ["v0"], "the last ones go first"
    assert len(kept["d"].notes) == 2
    assert len(pictures) == 1


def test_anchors_are_plain() -> None:
    assert re.fullmatch("a-b-c-d-e-[0-9a-f]{8}", slug('A <b> "c" d/e'))
    assert re.fullmatch("x-[0-9a-f]{8}", slug("***"))
    assert slug("movingshapes-v1-easy-val") == "movingshapes-v1-easy-val"


def test_names_that_differ_in_punctuation_have_anchors_of_their_own(tmp_path: Path) -> None:
    names = ("A-B", "A.B", "a b", "(a-b)", "a-b", "a-b-")
    store = RowStore(tmp_path / "rows")
    for number, name in enumerate(names):
        for place, data in enumerate(names):
            store.add(Row(name, f"{number}.py", data, 0, AP=1.0, config_hash=f"{place}"))
    found = collect(tmp_path)
    assert len({group.key for group in found.groups}) == len(names) ** 2
    assert len({video_anchor(data, 1) for data in found.datasets}) == len(names)
    out = write_html_report(tmp_path, None, ReportOptions(), Console(quiet=True))
    ids = re.findall(r'\bid="([^"]+)"', out.read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids)) > len(names) ** 2
