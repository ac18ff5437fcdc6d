# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from visbench.evaluation import InputError, json_files
from visbench.evaluation.json_files import read_json


def test_annotation_file_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "MIN_SUSPICIOUS_SIZE", 1000)
    path = tmp_path / "gt.json.gz"
    path.write_bytes(gzip.compress(b" " * 10**6 + b"{}"))
    with pytest.raises(InputError, match="unpacks to more than"):
        read_json(path)
