"""The canonical reader."""

import io

import orjson
import pytest

from signals_assets.core.readers import Limits, read_stream
from signals_assets.core.sessions import Session, format_time, from_json, to_json
from signals_assets_tests.core.readers.reading import jsonl, one, outline, read

STEP = {"kind": "user_message", "at": "2026-01-05T10:00:00Z", "text": "hello"}
SESSION = {"session_id": "s1", "agent": {"name": "shop-bot", "version": "1.2"}, "steps": [STEP]}


def test_what_we_write_is_what_we_read():
    step = {"kind": "tool_call", "tool_name": "find", "tool_call_id": "t1", "arguments": {"q": [1]}, "by": "user"}
    result = {"kind": "tool_result", "tool_call_id": "t1", "status": "rejected", "user_comment": "no"}
    data = {
        **SESSION,
        "user_id": "u",
        "organization_id": "o",
        "segment": 2,
        "steps": [STEP, step, result, {"kind": "event", "name": "interrupt"}],
        "feedback": [{"step": 1, "rating": -1, "comment": "meh"}],
    }
    session = one(jsonl(data))
    assert from_json(to_json(session)).steps == session.steps
    assert outline(session) == [
        ("user_message", None),
        ("tool_call", "find"),
        ("tool_result", "rejected"),
        ("event", "interrupt"),
    ]
    assert (session.user_id, session.organization_id, session.segment) == ("u", "o", 2)
    assert (session.feedback[0].rating, session.feedback[0].comment) == (-1, "meh")
    assert session.steps[2].user_comment == "no"
    assert session.notes == {}


@pytest.mark.parametrize(
    "text", ["2026-01-05T10:00:00Z", "2026-01-05 10:00:00", "2026-01-05T11:00:00+01:00", 1767607200]
)
def test_times_are_read_in_the_usual_ways_and_without_a_zone_are_utc(text):
    assert format_time(one(jsonl({**SESSION, "started_at": text})).started_at) == "2026-01-05T10:00:00.000Z"


def test_a_session_without_a_start_has_that_of_its_first_step():
    session = one(jsonl({**SESSION, "started_at": None, "ended_at": None, "user_id": None}))
    assert (session.start_known_from, session.started_at) == ("first_step", session.steps[0].at)
    assert session.user_id is None


def test_a_session_without_any_time_says_so():
    session = one(jsonl({**SESSION, "steps": [{"kind": "user_message", "text": "hi"}]}))
    assert (session.start_known_from, session.started_at) == ("unknown", None)


def test_bad_lines_are_rejected_and_the_rest_goes_on():
    data = (
        jsonl(SESSION) + b"{broken\n" + jsonl({"a": 1}, {**SESSION, "session_id": "s\n"}, {**SESSION, "session_id": 7})
    )
    sessions, rejected = read(data)
    assert [session.session_id for session in sessions] == ["s1", "7"]
    assert [(item.reason, item.position) for item in rejected] == [
        ("invalid_json", "line 2"),
        ("not_a_session", "line 3"),
        ("bad_session_id", "line 4"),
    ]


def test_caps_reject_the_session_and_not_the_file():
    deep: dict[str, object] = {}
    for _ in range(70):
        deep = {"d": deep}
    data = jsonl(
        {**SESSION, "session_id": "large", "steps": [{**STEP, "text": "x" * 5000}]},
        {**SESSION, "session_id": "many", "steps": [{"kind": "event"}] * 60},
        {**SESSION, "session_id": "deep", "steps": [{"kind": "tool_call", "arguments": deep}]},
        SESSION,
    )
    sessions, rejected = read(data, limits=Limits(record_bytes=2000, steps=50))
    assert [item.reason for item in rejected] == ["too_large", "too_many_steps", "too_deep"]
    assert [session.session_id for session in sessions] == ["s1"]


def test_a_step_that_cannot_be_understood_keeps_its_place():
    session = one(jsonl({**SESSION, "steps": ["what", {"kind": "dance", "text": "x"}, STEP]}))
    assert outline(session)[2] == ("user_message", None)
    assert session.notes == {"step_unreadable": 1, "step_kind_unknown": 1}


def test_unknown_statuses_and_odd_fields_are_left_out():
    step = {"kind": "tool_result", "status": "fine", "text": {"a": 1}, "tool_name": None, "by": "nobody"}
    read_step = one(jsonl({**SESSION, "steps": [step]})).steps[0]
    assert (read_step.status, read_step.text, read_step.tool_name, read_step.by) == (None, '{"a":1}', None, None)


def test_feedback_that_is_no_thumb_is_counted():
    session = one(jsonl({**SESSION, "feedback": [{"step": 0, "rating": 5}, {"step": "0", "rating": 1}]}))
    assert [(item.step, item.rating) for item in session.feedback] == [(None, 1)]
    assert session.notes == {"feedback_unreadable": 1}


def test_a_user_can_come_from_another_field():
    assert one(jsonl({**SESSION, "meta": {"who": "ann"}}), user_field="meta.who").user_id == "ann"


@pytest.mark.data
@pytest.mark.parametrize("name", ["coding_sessions", "support_sessions", "more_sessions"])
def test_the_real_files_are_read_whole(data_dir, name):
    path = data_dir / f"{name}.jsonl.gz"
    with path.open("rb") as stream:
        sessions = list(read_stream(stream, path.name))
    assert all(isinstance(session, Session) for session in sessions)
    assert len(sessions) == {"coding_sessions": 107, "support_sessions": 120, "more_sessions": 110}[name]
    assert all(not session.notes for session in sessions)


def test_a_long_file_is_read_as_a_stream():
    line = orjson.dumps(SESSION) + b"\n"

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            data = (line * (len(buffer) // len(line) + 1))[: len(buffer) // len(line) * len(line)]
            buffer[: len(data)] = data
            return len(data)

    items = read_stream(Endless(), "endless.jsonl")
    assert all(next(items).session_id == "s1" for _ in range(10_000))
