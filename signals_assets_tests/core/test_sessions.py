from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.sessions import Feedback, format_time, from_json, parse_time, segments, to_json
from signals_assets_tests.factories import NOON, make_session, make_step


def test_a_session_survives_its_canonical_json():
    session = make_session(
        make_step(at=0),
        make_step("tool_call", None, tool_name="Read", tool_call_id="c1", arguments={"path": "a"}, at=1),
        make_step("tool_result", "no such file", tool_call_id="c1", status="error", at=2),
        feedback=[Feedback(0, 1, "nice", NOON)],
        ended_at=NOON + 2,
    )
    assert from_json(to_json(session)) == session


@given(st.text(), st.one_of(st.none(), st.text()))
def test_any_text_without_lone_surrogates_survives(text, user):
    clean = text.encode(errors="ignore").decode()
    session = make_session(make_step(text=clean), user_id=user and user.encode(errors="ignore").decode())
    assert from_json(to_json(session)).steps[0].text == clean


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-02T00:00:00Z", 86400.0),
        ("1970-01-02 00:00:00", 86400.0),
        ("1970-01-02T02:00:00+02:00", 86400.0),
        (86400, 86400.0),
        (1_767_614_400_000, 1_767_614_400.0),
        ("yesterday", None),
        (None, None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_times_are_read_as_utc_and_never_raise(written, seconds):
    assert parse_time(written) == seconds


def test_a_time_is_written_in_utc_with_milliseconds():
    assert format_time(86400.5) == "1970-01-02T00:00:00.500Z"


def test_a_stored_row_that_is_no_session_is_refused_without_its_content():
    with pytest.raises(ValueError, match="re-materialize") as caught:
        from_json(b'{"secret": 1}')
    assert "secret" not in str(caught.value)


def test_a_session_resumed_next_day_becomes_a_further_segment():
    session = make_session(
        make_step(at=0), make_step("assistant_message", "done", at=60), make_step(text="one more thing", at=86400),
        feedback=[Feedback(2, -1)],
    )  # fmt: skip
    first, second = segments(session)
    assert (first.key, second.key) == ("one", "one.1")
    assert [len(first.steps), len(second.steps)] == [2, 1]
    assert second.day == date(2026, 1, 6)
    assert second.feedback[0].step == 0
    assert not first.feedback


def test_working_past_midnight_without_a_pause_stays_one_session():
    steps = [make_step(at=3600 * hour) for hour in range(0, 16, 2)]
    assert len(list(segments(make_session(*steps)))) == 1


def test_agentic_steps_count_messages_of_the_agent_and_calls():
    session = make_session(make_step(), make_step("assistant_message"), make_step("tool_call"), make_step("event"))
    assert session.agentic_steps == 2
