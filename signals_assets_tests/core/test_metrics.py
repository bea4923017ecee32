import pickle
from datetime import UTC, date, datetime

import pytest

from signals_assets.core.metrics import MetricsChunk, measure_chunk, turn_seconds
from signals_assets.core.sessions import to_json
from signals_assets_tests.core.detectors.script import edit
from signals_assets_tests.factories import DAY, make_session, make_step


def row(spoken_session, **over):
    values = {
        "session_id": "s_pseudonym", "user_id": "u_1", "organization_id": "o_1", "known_on": DAY,
        "agent_name": "helper", "agent_version": "1.0.0", "agent_model": "m", "prompt_version": None,
        "started_at": datetime(2026, 1, 5, 12, 34, 56, tzinfo=UTC), "session": to_json(spoken_session).decode(),
    }  # fmt: skip
    return values | over


@pytest.fixture
def spoken():
    return make_session(
        make_step(text="write a parser", at=0),
        make_step("assistant_message", "Done.", at=7),
        make_step(text="that is still not working, the header is wrong", at=60),
        make_step("tool_call", None, tool_name="Bash", tool_call_id="a", arguments={"command": "make"}, at=61),
        make_step("tool_result", "boom", tool_name="Bash", tool_call_id="a", status="error", at=90),
    )


def test_counts_and_times_are_measured(spoken):
    (measured,) = measure_chunk(MetricsChunk(DAY, [row(spoken)])).metrics
    assert (measured.user_messages, measured.assistant_messages, measured.tool_calls, measured.tool_errors) == (
        2,
        1,
        1,
        1,
    )
    assert measured.agentic_steps == 2
    assert measured.duration_seconds == 90
    assert measured.median_turn_seconds == 4
    assert measured.max_turn_seconds == 7
    assert measured.started_at == datetime(2026, 1, 5, 12, 34, tzinfo=UTC)
    assert measured.characters == sum(len(step.text or "") for step in spoken.steps)


def test_rows_carry_the_pseudonym_of_the_row_and_never_the_sessions_own_id(spoken):
    result = measure_chunk(MetricsChunk(DAY, [row(spoken)]))
    assert {item.session_id for item in [*result.metrics, *result.detections]} == {"s_pseudonym"}


def test_detections_carry_component_and_time_from_start(spoken):
    result = measure_chunk(MetricsChunk(DAY, [row(spoken)], {"build": ["Bash"]}))
    by_type = {item.type: item for item in result.detections}
    assert by_type["error_event"].component == "build"
    assert by_type["error_event"].steps == [4]
    assert by_type["error_event"].seconds_from_start == 90
    assert by_type["correction"].component == "unknown"


def test_a_session_that_cannot_be_measured_is_counted_and_the_rest_goes_on(spoken):
    result = measure_chunk(MetricsChunk(DAY, [row(spoken, session="{}"), row(spoken, session_id="s_2", user_id=None)]))
    assert [item.session_id for item in result.metrics] == ["s_2"]
    assert (result.coverage.asked, result.coverage.answered, result.coverage.failed) == (2, 1, 1)
    assert result.coverage.notes == {"failed.ValueError": 1, "without_user": 1}


def test_chunks_add_up_to_the_same_as_the_whole(spoken):
    rows = [row(spoken, session_id=f"s_{n}") for n in range(4)]
    whole = measure_chunk(MetricsChunk(DAY, rows))
    assert measure_chunk(MetricsChunk(DAY, rows[:1])) + measure_chunk(MetricsChunk(DAY, rows[1:])) == whole


def test_chunk_and_result_can_be_pickled(spoken):
    chunk = MetricsChunk(DAY, [row(spoken)])
    assert measure_chunk(pickle.loads(pickle.dumps(chunk))) == pickle.loads(pickle.dumps(measure_chunk(chunk)))


def test_a_session_without_times_has_no_waits():
    timeless = make_session(make_step(), *edit("a"), started_at=None)
    (measured,) = measure_chunk(MetricsChunk(date(1970, 1, 1), [row(timeless)])).metrics
    assert turn_seconds(timeless) == []
    assert measured.median_turn_seconds is None
    assert measured.duration_seconds == 0
