# SPDX-License-Identifier: Apache-2.0
"""What the official evaluator would miscount or crash on is one clear error."""

from __future__ import annotations

import copy
import gzip
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from visbench.evaluation import InputError, VideoEvaluator, evaluate, load_annotations

RLE = {"size": [4, 5], "counts": [3, 6, 11]}
Record = dict[str, Any]


def make_gt() -> Record:
    return {
        "videos": [
            {"id": 1, "height": 4, "width": 5, "file_names": ["a/0.jpg", "a/1.jpg"]},
            {"id": 2, "height": 4, "width": 5, "file_names": ["b/0.jpg"]},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": 1,
                "video_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "segmentations": [RLE, None],
                "areas": [6, None],
            },
            {"id": 2, "video_id": 2, "category_id": 2, "segmentations": [RLE]},
        ],
    }


def make_results() -> list[Record]:
    return [
        {"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": [RLE, None]},
        {"video_id": 2, "category_id": 2, "score": 0.8, "segmentations": [RLE]},
    ]


def change(**fields: Any) -> Callable[[list[Record]], None]:
    return lambda records: records[1].update(fields)


def drop(field: str) -> Callable[[list[Record]], None]:
    return lambda records: records[1].pop(field)


def rle(counts: Any, size: Any = (4, 5)) -> Callable[[list[Record]], None]:
    return change(segmentations=[{"size": list(size), "counts": counts}])


def insert(value: Any) -> Callable[[list[Any]], None]:
    return lambda records: records.__setitem__(1, value)


BAD_RESULTS: dict[str, tuple[Callable[[list[Any]], None], str, str]] = {
    "unknown video": (change(video_id=3), "video_id", "3 is not a video"),
    "video 0": (change(video_id=0), "video_id", "0 is not a video"),
    "text as video": (change(video_id="2"), "video_id", "must be an integer, found '2'"),
    "no video": (drop("video_id"), "video_id", "is missing"),
    "no category": (drop("category_id"), "category_id", "is missing"),
    "bool as category": (change(category_id=True), "category_id", "must be an integer"),
    "no score": (drop("score"), "score", "is missing"),
    "null score": (change(score=None), "score", "must be a number"),
    "nan": (change(score=float("nan")), "score", "must be a finite number, found nan"),
    "infinite": (change(score=float("inf")), "score", "finite"),
    "text as score": (change(score="0.5"), "score", "must be a number"),
    "no masks": (drop("segmentations"), "segmentations", "is missing"),
    "masks are no list": (change(segmentations=RLE), "segmentations", "must be a list"),
    "too many frames": (change(segmentations=[RLE, RLE]), "segmentations", "has 2 entries"),
    "too few frames": (change(segmentations=[]), "segmentations", "has 0 entries"),
    "mask is a number": (change(segmentations=[7]), "segmentations[0]", "RLE object, found 7"),
    "polygon": (change(segmentations=[[[0, 0, 2, 0, 2, 2]]]), "segmentations[0]", "polygons"),
    "other size": (rle([3, 6, 11], (5, 4)), "segmentations[0]", "size [5, 4] is not"),
    "no size": (rle([20], ()), "segmentations[0]", "'size' must be"),
    "size of text": (rle([20], ("4", "5")), "segmentations[0]", "'size' must be"),
    "negative size": (rle([20], (-4, -5)), "segmentations[0]", "'size' must be"),
    "vast size": (rle([10**12], (10**6, 10**6)), "segmentations[0]", "larger than any image"),
    "runs beyond the image": (rle([3, 6, 12]), "segmentations[0]", "cover 21 pixels, the image"),
    "runs short of the image": (rle([3, 6, 1]), "segmentations[0]", "cover 10 pixels, the image"),
    "negative run": (rle([3, 27, -10]), "segmentations[0]", "at least 0"),
    "fractional run": (rle([3.5, 16.5]), "segmentations[0]", "list of integers"),
    "ragged runs": (rle([[3], 17]), "segmentations[0]", "list of integers"),
    "no counts": (rle(None), "segmentations[0]", "'counts' must be"),
    "compressed beyond": (rle("36m0"), "segmentations[0]", "run of 29 pixels, the image has 20"),
    "compressed short": (rle("361"), "segmentations[0]", "cover 10 pixels, the image has 20"),
    "compressed negative": (rle("36<Cd0"), "segmentations[0]", "negative run"),
    "cut in a number": (rle("36m"), "segmentations[0]", "cut off"),
    "empty string": (rle(""), "segmentations[0]", "empty"),
    "outside the alphabet": (rle("36\x7f"), "segmentations[0]", "alphabet"),
    "not ascii": (rle("36é"), "segmentations[0]", "alphabet"),
    "endless number": (rle("ooooooooooooooooooo0"), "segmentations[0]", "too large"),
    "no record": (insert([1, 2]), "", "must be an object"),
    "null record": (insert(None), "", "must be an object"),
}


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_defect_in_results_names_record_and_field(name: str) -> None:
    damage, field, words = BAD_RESULTS[name]
    results = make_results()
    damage(results)
    with pytest.raises(InputError) as caught:
        evaluate(make_gt(), results)
    assert caught.value.place == "record 1"
    assert caught.value.field == field
    assert words in str(caught.value)


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_tolerant_skips_and_lists_the_record(name: str) -> None:
    results = make_results()
    BAD_RESULTS[name][0](results)
    found = evaluate(make_gt(), results, tolerant=True)
    assert len(found.skipped) == 1
    assert "record 1" in found.skipped[0]
    assert found.to_dict() == evaluate(make_gt(), results[:1]).to_dict()


def annotation(**fields: Any) -> Callable[[Record], None]:
    return lambda gt: gt["annotations"][1].update(fields)


def video(**fields: Any) -> Callable[[Record], None]:
    return lambda gt: gt["videos"][1].update(fields)


def category(**fields: Any) -> Callable[[Record], None]:
    return lambda gt: gt["categories"][1].update(fields)


BAD_ANNOTATIONS: dict[str, tuple[Callable[[Record], None], str, str, str]] = {
    "duplicate annotation": (annotation(id=1), "annotations[1]", "id", "1 occurs twice"),
    "negative annotation": (annotation(id=-1), "annotations[1]", "id", "at least 0"),
    "unknown video": (annotation(video_id=9), "annotations[1]", "video_id", "9 is not among"),
    "unknown category": (annotation(category_id=9), "annotations[1]", "category_id", "9 is not"),
    "length": (annotation(segmentations=[RLE] * 3), "annotations[1]", "segmentations", "3 entries"),
    "size": (
        annotation(segmentations=[{"size": [9, 9], "counts": [81]}]),
        "annotations[1]",
        "segmentations[0]",
        "size [9, 9]",
    ),
    "areas": (annotation(areas=[float("nan")]), "annotations[1]", "areas", "list of numbers"),
    "polygon": (
        annotation(segmentations=[[[0, 0, 1]]]),
        "annotations[1]",
        "segmentations[0]",
        "six finite numbers",
    ),
    "endless polygon": (
        annotation(segmentations=[[[0, 0, 1e9, 0, 1e9, 1e9]]]),
        "annotations[1]",
        "segmentations[0]",
        "too long",
    ),
    "occlusion": (annotation(occlusion=["half"]), "annotations[1]", "occlusion", "unknown label"),
    "crowd": (annotation(iscrowd="no"), "annotations[1]", "iscrowd", "must be an integer"),
    "duplicate video": (video(id=1), "videos[1]", "id", "1 occurs twice"),
    "video 0": (video(id=0), "videos[1]", "id", "at least 1"),
    "video height": (video(height=0), "videos[1]", "height", "at least 1"),
    "vast video": (video(height=10**6, width=10**6), "videos[1]", "height", "larger than any"),
    "duplicate category": (category(id=1), "categories[1]", "id", "1 occurs twice"),
    "category 0": (category(id=0), "categories[1]", "id", "at least 1"),
    "no videos": (lambda gt: gt.pop("videos"), "", "videos", "is missing"),
    "videos object": (lambda gt: gt.update(videos={}), "", "videos", "must be a list"),
    "no categories": (lambda gt: gt.pop("categories"), "", "categories", "is missing"),
    "annotations object": (lambda gt: gt.update(annotations={}), "", "annotations", "be a list"),
}


@pytest.mark.parametrize("name", BAD_ANNOTATIONS)
def test_defect_in_annotations_names_record_and_field(name: str, tmp_path: Path) -> None:
    damage, place, field, words = BAD_ANNOTATIONS[name]
    gt = make_gt()
    damage(gt)
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(gt))
    with pytest.raises(InputError) as caught:
        evaluate(path, make_results())
    assert (caught.value.source, caught.value.place, caught.value.field) == (
        str(path),
        place,
        field,
    )
    assert words in str(caught.value)


@pytest.mark.parametrize("missing", ["absent", "null"])
def test_file_without_ground_truth_says_why_there_is_no_ap(missing: str) -> None:
    gt = make_gt()
    if missing == "absent":
        del gt["annotations"]
    else:
        gt["annotations"] = None
    assert load_annotations(gt).tracks is None
    with pytest.raises(InputError, match="AP cannot be computed"):
        evaluate(gt, make_results())


def test_defective_annotation_is_skipped_when_tolerant() -> None:
    gt = make_gt()
    gt["annotations"].append({"id": 3})
    found = evaluate(gt, make_results(), tolerant=True)
    assert found.metrics["youtube_vis"]["AP"] == pytest.approx(1.0)
    assert len(found.skipped) == 1
    assert "annotations[2]" in found.skipped[0]


def test_accepted_oddities() -> None:
    gt, results = make_gt(), make_results()
    results[0]["segmentations"] = [RLE, {}]
    results[1]["segmentations"] = [{"size": [4, 5], "counts": [3, 2, 0, 4, 11, 0]}]
    results.append({**results[1], "category_id": 99, "score": 1.0})
    results.append({**results[1], "category_id": 99, "score": 0.1})
    results.append({**results[1], "video_id": 2.0, "segmentations": [None]})
    found = evaluate(gt, results)
    assert found.metrics["youtube_vis"]["AP"] == pytest.approx(1.0)
    assert len(found.warnings) == 1
    assert "2 predictions of unknown categories ignored: 99" in found.warnings[0]


def test_no_predictions_is_zero_with_a_warning() -> None:
    found = evaluate(make_gt(), [])
    assert found.metrics["youtube_vis"]["AP"] == 0.0
    assert found.metrics["youtube_vis"]["APl"] == -1.0
    assert "no predictions" in found.warnings[0]


def test_no_objects_is_undefined_with_a_warning() -> None:
    found = evaluate({**make_gt(), "annotations": []}, make_results())
    assert set(found.metrics["youtube_vis"].values()) == {-1.0}
    assert "not a single object" in found.warnings[0]


def test_objects_without_occlusion_labels_count_as_visible_with_a_warning() -> None:
    found = evaluate(make_gt(), make_results(), "ovis")
    assert found.metrics["ovis"]["AP_light"] == pytest.approx(1.0)
    assert found.metrics["ovis"]["AP_heavy"] == -1.0
    assert "2 objects have no occlusion labels" in found.warnings[0]


def test_box_defects() -> None:
    gt = make_gt()
    for track, boxes in zip(gt["annotations"], ([[0, 0, 2, 3], None], [[0, 0, 2, 3]]), strict=True):
        track["bboxes"] = boxes
    results = [{"video_id": 2, "category_id": 2, "score": 0.8, "bboxes": [[0, 0, 2, 3]]}]
    assert evaluate(gt, results, "imagenet_vid").metrics["imagenet_vid"]["AP"] == pytest.approx(0.5)
    for box in ([0, 0, 2], [0, 0, -2, 3], [0, 0, 2, None], "box", [0, 0, 2, float("inf")]):
        with pytest.raises(InputError, match=r"record 0: field 'bboxes\[0\]'"):
            evaluate(gt, [{**results[0], "bboxes": [box]}], "imagenet_vid")
    with pytest.raises(InputError, match="has 2 entries"):
        evaluate(gt, [{**results[0], "bboxes": [None, None]}], "imagenet_vid")
    del gt["annotations"][1]["bboxes"]
    with pytest.raises(InputError, match=r"annotations\[1\]: field 'bboxes': is missing"):
        evaluate(gt, results, "imagenet_vid")


def test_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="youtube_vis, ovis, imagenet_vid"):
        evaluate(make_gt(), make_results(), "mota")


def test_results_must_be_a_list() -> None:
    with pytest.raises(InputError, match="must be a list of records"):
        evaluate(make_gt(), {"results": {}})


def test_video_is_given_once_and_known() -> None:
    evaluator = VideoEvaluator(make_gt())
    evaluator.update(1, make_results()[:1])
    with pytest.raises(InputError, match="video 1 was given before"):
        evaluator.update(1, [])
    with pytest.raises(InputError, match="7 is not a video"):
        evaluator.update(7, [])
    with pytest.raises(InputError, match="where video 2 is updated"):
        evaluator.update(2, make_results()[:1])


def test_video_id_of_a_record_may_be_left_out() -> None:
    evaluator = VideoEvaluator(make_gt())
    for record in make_results():
        evaluator.update(record.pop("video_id"), [record])
    assert evaluator.compute().metrics["youtube_vis"]["AP"] == pytest.approx(1.0)


def test_input_is_not_changed() -> None:
    gt, results = make_gt(), make_results()
    before = copy.deepcopy((gt, results))
    evaluate(gt, results)
    assert (gt, results) == before


def test_numpy_values_are_accepted() -> None:
    import numpy as np

    results = make_results()
    results[0].update(video_id=np.int64(1), score=np.float32(0.9))
    results[1]["segmentations"] = [{"size": np.array([4, 5]), "counts": np.array([3, 6, 11])}]
    assert evaluate(make_gt(), results).metrics["youtube_vis"]["AP"] == pytest.approx(1.0)


def test_hostile_sizes_do_not_allocate(tmp_path: Path) -> None:
    gt = make_gt()
    gt["videos"][1].update(height=46_000, width=46_000)
    gt["annotations"].pop()
    total = 46_000**2
    hostile = {"size": [46_000, 46_000], "counts": [0, total]}
    results = [{**make_results()[1], "segmentations": [hostile]}] * 3
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"[")
        for _ in range(64):
            file.write(b" " * (1 << 20))
        file.write(json.dumps(results)[1:].encode())
    tracemalloc.start()
    evaluate(gt, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_archive_with_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"holds readme.txt. A submission holds exactly"):
        evaluate(make_gt(), path)
