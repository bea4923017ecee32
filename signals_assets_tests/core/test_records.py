from datetime import UTC, date, datetime

import pytest

from signals_assets.core import records
from signals_assets.core.readers import Rejected
from signals_assets.core.sessions import Feedback, from_json
from signals_assets_tests.factories import DAY, NOON, make_session, make_step

KEY = b"key"


def test_a_raw_row_hides_ids_in_columns_and_keeps_the_session_whole():
    session = make_session(make_step(), organization_id="acme")
    row = records.raw_session_row(session, day=DAY, known_on=DAY, key=KEY)
    assert "ann" not in (row.user_id or "")
    assert "acme" not in (row.organization_id or "")
    assert row.session_id != "one"
    assert from_json(row.session).steps == session.steps


def test_a_session_without_a_user_has_none_not_a_shared_one():
    row = records.raw_session_row(make_session(user_id=None), day=DAY, known_on=DAY, key=KEY)
    assert row.user_id is None


def test_quarantine_names_the_reason_but_not_the_file():
    rejected = Rejected("invalid_json", "canonical", "line 3", "/home/ann/secret.jsonl", 10)
    row = records.quarantined_row(rejected, day=DAY, known_on=DAY, key=KEY)
    assert row.reason == "invalid_json"
    assert "secret" not in row.model_dump_json()


def session_row(**over):
    return {
        "agent_name": "helper", "agent_version": "1.0", "agent_model": "m", "prompt_version": None,
        "started_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
    } | over  # fmt: skip


def test_a_version_without_a_record_is_a_release_at_first_sight():
    rows, coverage = records.release_rows(DAY, [], sessions=[session_row(), session_row()], known=[], known_on=DAY)
    assert [(row.kind, row.version, row.origin) for row in rows] == [
        ("model", "m", "first_sight"), ("version", "1.0", "first_sight"),
    ]  # fmt: skip
    assert coverage.notes["first_sight"] == 2


def test_a_known_version_is_not_released_again():
    known = [("helper", "version", "1.0"), ("helper", "model", "m")]
    assert records.release_rows(DAY, [], sessions=[session_row()], known=known, known_on=DAY)[0] == []


def test_a_told_release_counts_once_and_wins_over_first_sight():
    told = {"agent_name": "helper", "kind": "version", "version": "1.0", "released_at": NOON}
    rows, coverage = records.release_rows(
        DAY, [told, told, {"rejected": "no_version"}], sessions=[session_row(agent_model=None)], known=[], known_on=DAY
    )
    assert [(row.version, row.origin) for row in rows] == [("1.0", "record")]
    assert (coverage.asked, coverage.answered, coverage.rejected, coverage.skipped) == (3, 1, 1, {"duplicate": 1})


def test_log_lines_name_sessions_by_the_pseudonym_of_the_sessions_table():
    line = {"logged_at": NOON, "service": "api", "level": "ERROR", "message": "boom", "session_id": "one"}
    rows, coverage = records.error_log_rows(DAY, [line, {"rejected": "no_time"}], key=KEY, known_on=DAY)
    assert rows[0].session_id == records.session_pseudonym("one", KEY)
    assert (coverage.asked, coverage.rejected) == (2, 1)


def test_bad_and_passed_over_lines_are_counted_by_their_reasons():
    line = {"logged_at": NOON, "service": "api", "level": "ERROR", "message": "boom"}
    bad = [{"rejected": "no_time"}, {"rejected": "invalid_json"}, {"rejected": "no_time"}]
    passed = {"skipped": "below_error_level", "count": 5}
    _, coverage = records.error_log_rows(DAY, [line, *bad, passed], key=KEY, known_on=DAY)
    assert (coverage.asked, coverage.answered, coverage.rejected) == (9, 1, 3)
    assert coverage.skipped == {"below_error_level": 5}
    assert coverage.notes == {"rejected.invalid_json": 1, "rejected.no_time": 2}


def test_a_line_that_is_logged_late_leaves_the_ids_of_the_others():
    lines = [
        {"logged_at": NOON + second, "service": "api", "level": "ERROR", "message": f"at {second}"}
        for second in (0, 0, 1, 2)
    ]
    early, _ = records.error_log_rows(DAY, [lines[0], lines[1], lines[3]], key=KEY, known_on=DAY)
    late, _ = records.error_log_rows(DAY, lines, key=KEY, known_on=DAY)
    assert len({row.log_id for row in late}) == 4
    assert [row.log_id for row in late if row.message != "at 1"] == [row.log_id for row in early]


def test_the_same_thumb_from_records_and_session_counts_once():
    session = make_session(feedback=[Feedback(0, 1, None, NOON)])
    told = {"session_id": "one", "user_id": "ann", "step": 0, "rating": 1, "given_at": NOON}
    bad = {"session_id": "one", "rating": 5}
    rows, coverage = records.feedback_rows(DAY, [told, bad], sessions=[session], key=KEY, known_on=DAY)
    assert len(rows) == 1
    assert (coverage.asked, coverage.rejected, coverage.skipped) == (3, 1, {"duplicate": 1})


def test_a_pull_request_names_its_tickets_in_branch_title_or_body():
    assert records.ticket_keys("fix/sig-1a2b3c4d", None, "Fixes SIG-1A2B3C4D and SIG-FFFF0000.") == [
        "SIG-1A2B3C4D", "SIG-FFFF0000",
    ]  # fmt: skip


def test_only_the_newest_state_of_a_pull_request_is_kept():
    opened = {"pull_request_id": "7", "title": "t", "state": "open", "opened_at": NOON, "moved_at": NOON}
    merged = opened | {"state": "merged", "merged_at": NOON + 60, "moved_at": NOON + 60}
    for order in ([opened, merged], [merged, opened]):
        rows, coverage = records.pull_request_rows(DAY, order, known_on=DAY)
        assert [row.state for row in rows] == ["merged"]
        assert coverage.skipped == {"superseded": 1}


def test_tickets_that_a_record_lists_stand_beside_those_that_its_texts_name():
    told = {"pull_request_id": "7", "title": "t", "branch": "fix/sig-1a2b3c4d", "state": "open", "opened_at": NOON}
    rows, _ = records.pull_request_rows(DAY, [told | {"ticket_keys": ["ENG-12"]}], known_on=DAY)
    assert rows[0].ticket_keys == ["SIG-1A2B3C4D", "ENG-12"]


def test_a_users_outcome_is_kept_once_under_the_pseudonym():
    told = {"user_id": "ann", "outcome": "churned", "happened_at": NOON}
    rows, coverage = records.user_outcome_rows(DAY, [told, told], key=KEY, known_on=date(2026, 1, 6))
    assert [row.user_id for row in rows] == [records.user_pseudonym("ann", KEY)]
    assert coverage.skipped == {"duplicate": 1}


@pytest.mark.parametrize("name", ["claude-sonnet-4-5-20250929", "gpt-4.1-mini", "o3", "anthropic/claude-opus-4.1"])
def test_a_public_model_keeps_its_name(name: str):
    assert records.software_label("model", name) == name


@pytest.mark.parametrize("kind", ["version", "prompt", "model"])
@pytest.mark.parametrize(
    "text",
    ["db7.acme.internal", "Anna Karlsson", "3f9a2c7be01d3f9a2c7be01d3f9a2c7be01d3f9a", "10.142.7.91", "1.4.0+acme"],
)
def test_what_a_build_wrote_in_place_of_a_version_becomes_a_stable_opaque_label(kind: str, text: str):
    shown = records.software_label(kind, text)
    assert shown == records.software_label(kind, text)
    assert shown.startswith(f"{kind}-")
    assert text not in shown


def test_sessions_and_releases_name_an_odd_version_alike():
    session = make_session()
    session.agent.version = "release/anna"
    row = records.raw_session_row(session, day=DAY, known_on=DAY, key=KEY)
    told = {"agent_name": "a", "version": "release/anna", "released_at": 0.0}
    releases, _ = records.release_rows(DAY, [told], sessions=[], known=[], known_on=DAY)
    assert row.agent_version == releases[0].version != "release/anna"
