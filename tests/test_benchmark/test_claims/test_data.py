# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from visbench.benchmark.claims.data import CLAIMS_FILE, read_claims
from visbench.benchmark.claims.training import key_of
from visbench.benchmark.identity import config_hash
from visbench.engine.config_files import config_folder
from visbench.engine.errors import UserError

PUBLISHED = CLAIMS_FILE.parent / "published.yaml"
SOURCES = {
    "InsPro": "InsPro",
    "Propose-Reduce": "Propose-Reduce",
    "IAI": "IAI",
    "IDOL": "IDOL-supplementary",
}
DATA = {"YouTube-VIS 2019 val": "youtube-vis-2019-val", "OVIS val": "ovis-val"}


def test_the_directions_of_all_four_papers() -> None:
    claims = read_claims().claims
    assert len(claims) >= 20
    assert {claim.paper for claim in claims} == set(SOURCES)
    assert len({(claim.a, claim.b, claim.metric) for claim in claims}) == len(claims)


def test_published_numbers_have_the_stated_sign() -> None:
    for claim in read_claims().claims:
        if claim.published is None:
            assert claim.note, f"{claim.id}: say why there are no numbers"
        else:
            assert (claim.published.a - claim.published.b) * claim.sign > 0, claim.id


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="no published.yaml in this tree")
def test_published_numbers_are_those_of_the_tables() -> None:
    rows = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))["rows"]
    for claim in read_claims().claims:
        if claim.published is None:
            continue
        data, _, backbone = claim.published.data.partition(", ")
        table = claim.table.split(" ")[0]
        values = [
            row.get(claim.metric)
            for row in rows
            if (row["source"], row["table"]) == (SOURCES[claim.paper], table)
            and row["dataset"] == DATA[data]
            and {"": row["backbone"], "X101": "ResNeXt-101", "R50": "ResNet-50"}[backbone]
            == row["backbone"]
        ]
        assert claim.published.a in values, claim.id
        assert claim.published.b in values, claim.id


def test_configs_exist_and_differ() -> None:
    for claim in read_claims().claims:
        assert config_hash(claim.a) != config_hash(claim.b), claim.id
        assert claim.a.name.endswith("_demo_movingshapes.py"), claim.id


def test_configs_that_differ_at_test_only_share_a_training() -> None:
    book = read_claims()
    data = book.data["easy"]

    def key(path: str) -> str:
        return key_of(config_folder() / path, data, book)

    demo = key("propose_reduce/propose_reduce_demo_movingshapes.py")
    for row in ("4-no-reduction", "5-category-aware", "7-k1"):
        assert key(f"propose_reduce/ablations/propose-reduce_{row}_demo_movingshapes.py") == demo
    idol = "idol/ablations/idol_{}_demo_movingshapes.py".format
    assert key(idol("2-multi-cues")) == key(idol("3-embeddings"))
    assert key(idol("3-embeddings")) != key(idol("4-optimal-transport"))
    assert key(idol("4-optimal-transport")) == key("idol/idol_demo_movingshapes.py")
    bank = "inspro/ablations/inspro_2c-bank{}_demo_movingshapes.py".format
    assert key(bank(9)) == key(bank(18)) != key(bank(1))
    assert key_of(config_folder() / idol("1-id-head"), book.data["occluded"], book) != key(
        idol("1-id-head")
    )


VALID = """
data: {here: {dataset: d}}
claims:
- {id: one, statement: A beats B., a: a.py, b: b.py, data: here, metric: AP, expected: '+',
   paper: P, table: 1}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'+'", "'0'", r"claim 'one': 'expected' is '0'; it must be '\+' or '-'"),
        ("data: here", "data: there", "claim 'one': 'data' is 'there'; the file has here"),
        ("b.py", "c.py", r"claim 'one': config .*c\.py does not exist"),
        ("statement: A beats B.", "statement: ''", "claim 'one': the field 'statement' is ''"),
        ("table: 1", "published: {a: 1}", "claim 'one': 'published' is"),
        ("data: {here: {dataset: d}}", "data: [", "cannot be read"),
        ("{dataset: d}", "{}", "data 'here': the field 'dataset' is None"),
    ],
)
def test_mistakes_name_claim_and_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("")
    file = tmp_path / "claims.yaml"
    file.write_text(VALID)
    (claim,) = read_claims(file).claims
    assert (claim.a, claim.sign) == (tmp_path / "a.py", 1)
    file.write_text(VALID.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        read_claims(file)


def test_an_unknown_id_lists_the_known_ones(tmp_path: Path) -> None:
    book = read_claims()
    with pytest.raises(UserError, match="'nothing' does not exist; there are inspro-2a-"):
        book.chosen(["iai-4-both", "nothing"])
    assert [claim.id for claim in book.chosen(["iai-4-both"])] == ["iai-4-both"]


def test_two_claims_with_one_id(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("")
    file = tmp_path / "claims.yaml"
    file.write_text(VALID + VALID.split("claims:\n")[1])
    with pytest.raises(UserError, match="two claims have the id 'one'"):
        read_claims(file)
