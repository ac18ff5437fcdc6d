# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from visbench.evaluation.side_by_side import named_results


def test_names_come_from_the_words_or_the_files() -> None:
    words = ["ours=a/x.json", "b/sam.json.gz", "submission.zip", "masks/"]
    assert list(named_results(words)) == ["ours", "sam", "submission", "masks"]


def test_equal_file_names_are_told_apart_by_their_folders() -> None:
    words = ["a/results.json", "b/results.json", "ours=c/results.json"]
    assert named_results(words) == {
        "a/results.json": "a/results.json",
        "b/results.json": "b/results.json",
        "ours": "c/results.json",
    }
    with pytest.raises(ValueError, match=r"two results are named 'a'; write OTHER=y\.json"):
        named_results(["a=x.json", "a=y.json"])


def test_a_file_may_have_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "threshold=0.5.json"
    path.write_text("[]")
    assert named_results([str(path)]) == {"threshold=0.5": str(path)}
