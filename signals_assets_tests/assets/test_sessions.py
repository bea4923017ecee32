"""Stage 1: what is read, set aside, and when it became known."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from signals_assets.assets import sessions as stage
from signals_assets.core.records import software_label
from signals_assets.core.sessions import Feedback
from signals_assets.tables import ErrorLog, FeedbackRecord, Quarantined, RawSession, Release
from signals_assets_tests.factories import DAY, NOON, make_session, make_step
from signals_assets_tests.home import Home

LATER = DAY + timedelta(days=20)
Own = Callable[..., Home]
SESSIONS = ("raw_sessions", "quarantine")


def write_records(folder: Path, kind: str, *rows: dict[str, Any]) -> None:
    (folder / "records").mkdir(exist_ok=True)
    (folder / f"records/{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_users_and_sessions_are_pseudonyms_and_the_source_s_own_id_stays_in_the_restricted_zone(own: Own):
    home = own([make_session(session_id="one", user_id="ann"), make_session(session_id="two", user_id="ann")])
    home.materialize(DAY, only=SESSIONS)
    rows = home.rows(RawSession, DAY)
    assert {row["source_session_id"] for row in rows} == {"one", "two"}
    assert len({row["user_id"] for row in rows}) == 1
    assert {"one", "two", "ann"}.isdisjoint({value for row in rows for value in (row["session_id"], row["user_id"])})


def test_what_cannot_be_read_is_set_aside_with_a_reason_and_the_rest_goes_on(own: Own):
    home = own([make_session()], b"{this is no json")
    home.materialize(DAY, only=SESSIONS)
    assert len(home.rows(RawSession, DAY)) == 1
    [quarantined] = home.rows(Quarantined, DAY)
    assert quarantined["reason"] == "invalid_json"
    assert "this is no json" not in str(quarantined)
    shown = home.metadata("raw_sessions", DAY)
    assert (shown["coverage/asked"], shown["coverage/answered"], shown["coverage/rejected"]) == (2, 1, 1)


def test_sessions_without_a_user_are_counted(own: Own):
    home = own([make_session(user_id=None), make_session(session_id="two")])
    home.materialize(DAY, only=SESSIONS)
    assert home.metadata("raw_sessions", DAY)["coverage/notes.without_user"] == 1
    assert sum(row["user_id"] is None for row in home.rows(RawSession, DAY)) == 1


def test_what_a_redo_adds_is_known_from_that_date_and_the_rest_keeps_its_own(own: Own, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "today", lambda: LATER)
    own([make_session(session_id="one")]).materialize(DAY, only=SESSIONS)
    home = own([make_session(session_id="one"), make_session(session_id="two")])
    home.materialize(DAY, only=SESSIONS)
    known = {row["source_session_id"]: row["known_on"] for row in home.rows(RawSession, DAY)}
    assert known == {"one": DAY, "two": LATER}
    monkeypatch.setattr(stage, "today", lambda: LATER + timedelta(days=1))
    home.materialize(DAY, only=SESSIONS)
    assert {row["source_session_id"]: row["known_on"] for row in home.rows(RawSession, DAY)} == known


def test_records_that_a_redo_adds_are_known_from_that_date(own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "today", lambda: LATER)
    release = {"agent_name": "helper", "version": "2.0.0", "released_at": f"{DAY}T09:00:00Z"}
    write_records(tmp_path, "releases", release)
    home = own([make_session()])
    home.materialize(DAY, only=[*SESSIONS, "releases"])
    write_records(tmp_path, "releases", release, release | {"version": "2.0.1"})
    home.materialize(DAY, only=["releases"])
    known = {row["version"]: row["known_on"] for row in home.rows(Release, DAY) if row["origin"] == "record"}
    assert known == {"2.0.0": DAY, "2.0.1": LATER}


def test_a_version_is_released_at_first_sight_once(own: Own):
    tomorrow = make_session(session_id="two", started_at=NOON + 86400)
    home = own([make_session(session_id="one"), tomorrow])
    home.materialize(DAY, DAY + timedelta(days=1), only=[*SESSIONS, "releases"])
    seen = [(row["day"], row["kind"], row["version"], row["origin"]) for row in home.rows(Release)]
    assert seen == [
        (DAY, "model", software_label("model", "some-model"), "first_sight"),
        (DAY, "version", "1.0.0", "first_sight"),
    ]


def test_a_day_without_records_is_stored_empty(own: Own):
    home = own([make_session()])
    home.materialize(DAY, only=["error_logs"])
    assert home.warehouse.days(ErrorLog) == [DAY]
    assert home.rows(ErrorLog) == []


def test_a_thumb_inside_a_session_is_feedback_under_the_session_s_pseudonym(own: Own):
    steps = [make_step(), make_step("assistant_message", "done")]
    home = own([make_session(*steps, feedback=[Feedback(step=1, rating=-1)])])
    home.materialize(DAY, only=[*SESSIONS, "feedback"])
    [thumb] = home.rows(FeedbackRecord, DAY)
    assert (thumb["step"], thumb["rating"]) == (1, -1)
    assert thumb["session_id"] == home.rows(RawSession, DAY)[0]["session_id"]


def test_a_day_that_lost_a_session_is_refused_and_with_the_tag_it_goes(own: Own):
    own([make_session(session_id="one"), make_session(session_id="two")]).materialize(DAY, only=SESSIONS)
    home = own([make_session(session_id="one"), make_session(session_id="three")])
    home.materialize(DAY, only=SESSIONS, fails=True)
    assert {row["source_session_id"] for row in home.rows(RawSession, DAY)} == {"one", "two"}
    home.materialize(DAY, only=SESSIONS, tags={stage.SHRINK_TAG: "yes"})
    assert {row["source_session_id"] for row in home.rows(RawSession, DAY)} == {"one", "three"}


def test_the_first_day_of_a_range_is_written_even_if_a_later_one_is_refused(own: Own):
    tomorrow = make_session(session_id="two", started_at=NOON + 86400)
    own([make_session(session_id="one"), tomorrow]).materialize(DAY, DAY + timedelta(days=1), only=SESSIONS)
    home = own([make_session(session_id="one"), make_session(session_id="late")])
    home.materialize(DAY, DAY + timedelta(days=1), only=SESSIONS, fails=True)
    assert len(home.rows(RawSession, DAY)) == 2
    assert len(home.rows(RawSession, date(2026, 1, 6))) == 1
