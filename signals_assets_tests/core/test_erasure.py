"""What is whose, what is left of a row, tombstones, and the search for needles."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from signals_assets.core.erasure import (
    COLUMNS,
    NOBODYS,
    RECOUNTED,
    Needles,
    Tombstones,
    Traces,
    columns_of,
    lasting_tombstone,
    recounted_cluster,
    row_tables,
    samples_of,
    theirs,
    tombstone,
    without_evidence,
    without_first_sight,
    without_ids,
    without_support,
)
from signals_assets.core.identity import pseudonym
from signals_assets.tables import TABLES, Detection, EventLabel, UserDay, to_arrow
from signals_assets_tests.factories import row_values

KEY = b"a key of these tests"
GONE = Traces("user", ("u_1",), users=("u_1",), sessions=("s_1",), items=("e_1",), user_hashes=("h1",))


def batch(model: type, *changes: dict) -> pa.RecordBatch:
    rows = [model(**row_values(model, **change)) for change in changes]
    return to_arrow(model, rows).combine_chunks().to_batches()[0]


def test_every_column_of_ids_is_somebody_s_or_declared_to_be_nobody_s():
    ids = {
        name
        for model in TABLES.values()
        for name in model.model_fields
        if name.endswith(("_id", "_ids", "_hashes"))
    }  # fmt: skip
    assert ids == set(COLUMNS) | NOBODYS


def test_every_table_that_is_not_frozen_is_gone_through_row_by_row_or_recounted_or_holds_no_person():
    rest = {name for name, model in TABLES.items() if model.zone != "published"}
    rest -= {model.table for model in row_tables()} | set(RECOUNTED)
    assert rest == {"pull_requests"}
    assert not {model.table for model in row_tables()} & set(RECOUNTED)


def test_rows_are_theirs_by_user_session_or_item():
    rows = batch(
        Detection,
        {"session_id": "s_1", "user_id": None, "steps": [1]},
        {"session_id": "s_2", "user_id": "u_1"},
        {"session_id": "s_3", "user_id": "u_11"},
    )
    assert theirs(Detection, rows, GONE).to_pylist() == [True, True, False]
    labels = batch(EventLabel, {"event_id": "e_1", "session_id": "s_9"}, {"event_id": "e_2", "session_id": "s_9"})
    assert theirs(EventLabel, labels, GONE).to_pylist() == [True, False]
    days = batch(UserDay, {"user_id": "anonymous:s_1"}, {"user_id": "anonymous:s_2"}, {"user_id": "u_1"})
    assert theirs(UserDay, days, GONE).to_pylist() == [True, False, True]


def test_an_organisation_is_found_by_its_own_column():
    rows = batch(UserDay, {"organization_id": "o_1"}, {"organization_id": None})
    assert theirs(UserDay, rows, Traces("organization", ("o_1",))).to_pylist() == [True, False]
    assert "organization_id" in columns_of(UserDay)


def test_a_word_that_only_they_said_goes_and_a_shared_one_loses_them():
    assert without_support({"hash": "w", "user_hashes": ["h1"]}, GONE) is None
    assert without_support({"hash": "w", "user_hashes": ["h0", "h1"]}, GONE) == {"hash": "w", "user_hashes": ["h0"]}


def test_a_version_first_seen_in_their_session_is_dated_to_the_day_or_goes_with_them():
    at = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
    row = {"agent_name": "a", "kind": "version", "version": "1", "origin": "first_sight", "released_at": at}
    gone = Traces("user", ("u_1",), first_sights=(at.isoformat(),))
    kept = without_first_sight(row, gone, {("a", "version", "1")})
    assert kept == {**row, "released_at": datetime(2026, 1, 5, tzinfo=UTC)}
    assert without_first_sight(row, gone, set()) is None
    told = {**row, "origin": "record"}
    assert without_first_sight(told, gone, set()) == told


def test_a_cluster_counts_who_is_left_and_goes_when_nobody_is():
    row = {"cluster_id": "c", "items": 3, "users": 2, "sessions": 3}
    members = [{"item_id": "i1", "user_id": "u_2", "session_id": "s_2"}]
    assert recounted_cluster(row, members) == {"cluster_id": "c", "items": 1, "users": 1, "sessions": 1}
    assert recounted_cluster(row, []) is None


def test_a_proposal_that_loses_evidence_waits_to_be_judged_again():
    row = {
        "item_ids": ["e_1", "s_1:summary", "e_2"], "items": 3, "users": 2, "sessions": 2, "ready": True,
        "waiting_for": "", "examples": ["theirs alone", "shared"],
    }  # fmt: skip
    left = without_evidence(row, GONE, {"theirs alone"}, {"e_2": ("u_2", "s_2")})
    assert left is not None
    assert left["item_ids"] == ["e_2"]
    assert (left["items"], left["users"], left["sessions"], left["ready"]) == (1, 1, 1, False)
    assert left["examples"] == ["shared"]
    other = {**row, "item_ids": ["e_2"], "examples": ["shared"]}
    assert without_evidence(other, GONE, {"theirs alone"}, {}) == other
    assert without_evidence({**row, "item_ids": ["e_1"]}, GONE, set(), {}) is None


def test_ids_leave_payloads_wherever_they_stand():
    payload = {"item_ids": ["e_1", "e_2"], "user": "u_1", "nested": [{"session": "s_1", "n": 1}], "text": "u_1 said"}
    assert without_ids(payload, {"e_1", "u_1", "s_1"}) == {
        "item_ids": ["e_2"], "user": "erased", "nested": [{"session": "erased", "n": 1}], "text": "u_1 said",
    }  # fmt: skip


def test_a_tombstone_covers_its_person_and_tells_nothing():
    ann = pseudonym("user", "ann", KEY)
    stones = Tombstones(frozenset({tombstone(ann)}))
    assert ann not in tombstone(ann)
    assert stones.covers(None, ann)
    assert not stones.covers(pseudonym("user", "bob", KEY), None)
    assert stones.covers_source_id("user", "ann", KEY)
    assert not stones.covers_source_id("organization", "ann", KEY)
    lasting = Tombstones(frozenset({lasting_tombstone("session", "one", KEY)}))
    assert lasting.covers_source_id("session", "one", KEY)
    assert not lasting.covers_source_id("user", "one", KEY)


def test_traces_survive_their_file_and_add_up():
    assert Traces.from_json(GONE.to_json()) == GONE
    both = GONE.joined(Traces("user", ("u_1",), sessions=("s_0",)))
    assert both.sessions == ("s_0", "s_1")
    assert both.tombstones == sorted(map(tombstone, ("u_1", "s_0", "s_1")))


@pytest.mark.parametrize(
    ("data", "hits"),
    [
        (b'{"user_id":"user-1"}', 1),
        (b'{"user_id":"user-12"}', 0),
        (b"user-1 and user-1", 2),
        (b"xuser-1", 0),
        (b"ann", 1),
        (b"anna ann. annal", 1),
        (b"user-long-0001", 1),
        (b"user-long-0001x", 0),
        (b"user-long-0002", 0),
        ('"Jos\u00e9 Mart\u00edn 7"'.encode(), 1),
        (b'"Jos\\u00e9 Mart\\u00edn 7"', 1),
        (b"", 0),
    ],
)
def test_ids_are_found_as_whole_words_however_they_are_written(data, hits):
    needles = Needles(["user-1", "ann", "user-long-0001", "Jos\u00e9 Mart\u00edn 7"], whole=True)
    assert needles.count(data) == hits


def test_a_needle_is_found_wherever_it_stands_in_much_data(monkeypatch):
    monkeypatch.setattr("signals_assets.core.erasure._BLOCK", 64)
    needle = "s_0123456789abcdef0123"
    needles = Needles([needle], whole=True)
    for at in range(140):
        data = b" " * at + needle.encode() + b" " * (150 - at)
        assert needles.count(data) == 1, at


def test_samples_are_plain_word_sequences_of_the_text():
    text = 'short\n{"x": 1}\nthe deploy of the billing worker failed again after lunch\n' + "a" * 80
    [sample] = samples_of(text, 4)
    assert sample in text
    assert sample.count(" ") >= 3
    assert samples_of("", 4) == []
