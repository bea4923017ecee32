import pickle
from datetime import UTC, date, datetime

import pytest

from signals_assets.core.metrics import MetricsChunk, measure_chunk, percentile, turn_seconds, wait_seconds
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
    assert (measured.median_wait_seconds, measured.p95_wait_seconds) == ((7 + 30) / 2, 30)
    assert measured.started_at == datetime(2026, 1, 5, 12, 34, tzinfo=UTC)
    assert measured.characters == sum(len(step.text or "") for step in spoken.steps)


def test_turns_are_counted_by_what_the_agent_had_done_before(spoken):
    answered = make_step(text="and again", at=120)
    (measured,) = measure_chunk(MetricsChunk(DAY, [row(make_session(*spoken.steps, answered))])).metrics
    found = measured.turns_after_answer, measured.turns_after_tool, measured.turns_after_failed_tool
    assert found == (1, 0, 1)


def test_components_are_those_of_the_tools_that_were_called(spoken):
    other = make_step("tool_call", None, tool_name="own_tool", tool_call_id="b")
    (measured,) = measure_chunk(MetricsChunk(DAY, [row(make_session(*spoken.steps, other))])).metrics
    assert measured.components == ["shell"]
    (measured,) = measure_chunk(MetricsChunk(DAY, [row(spoken)], {"build": ["Bash"]})).metrics
    assert measured.components == ["build"]


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
    assert (by_type["error_event"].antecedent, by_type["correction"].antecedent) == ("agent", "answer")


def test_a_session_that_cannot_be_measured_is_counted_and_the_rest_goes_on(spoken):
    result = measure_chunk(MetricsChunk(DAY, [row(spoken, session="{}"), row(spoken, session_id="s_2", user_id=None)]))
    assert [item.session_id for item in result.metrics] == ["s_2"]
    assert (result.coverage.asked, result.coverage.answered, result.coverage.failed) == (2, 1, 1)
    assert result.coverage.notes == {"failed.ValueError": 1, "without_user": 1}


def test_chunks_add_up_to_the_same_as_the_whole(spoken):
    rows = [row(spoken, session_id=f"s_{n}") for n in range(4)]
    whole = measure_chunk(MetricsChunk(DAY, rows))
    parts = [measure_chunk(MetricsChunk(DAY, rows[:1])), measure_chunk(MetricsChunk(DAY, rows[1:]))]
    assert parts[0].metrics + parts[1].metrics == whole.metrics
    assert parts[0].detections + parts[1].detections == whole.detections
    assert parts[0].coverage + parts[1].coverage == whole.coverage


def test_chunk_and_result_can_be_pickled(spoken):
    chunk = MetricsChunk(DAY, [row(spoken)])
    assert measure_chunk(pickle.loads(pickle.dumps(chunk))) == pickle.loads(pickle.dumps(measure_chunk(chunk)))


def test_a_session_without_times_has_no_waits():
    timeless = make_session(make_step(), *edit("a"), started_at=None)
    (measured,) = measure_chunk(MetricsChunk(date(1970, 1, 1), [row(timeless)])).metrics
    assert turn_seconds(timeless) == wait_seconds(timeless) == []
    assert measured.median_turn_seconds is None
    assert measured.median_wait_seconds is None
    assert measured.p95_wait_seconds is None
    assert measured.duration_seconds == 0


def call(at, ident="a", **over):
    return make_step("tool_call", None, tool_name="Bash", tool_call_id=ident, at=at, **over)


def result(at, ident="a", status="ok"):
    return make_step("tool_result", "", tool_name="Bash", tool_call_id=ident, status=status, at=at)


def says(at):
    return make_step("assistant_message", "I look.", at=at)


def happens(name, at):
    return make_step("event", None, name=name, at=at)


@pytest.mark.parametrize(
    ("steps", "waits"),
    [
        ([make_step(at=0), says(4), call(5), result(65), says(70), make_step(at=500), says(502)], [70, 2]),
        ([make_step(at=0), call(3), result(40)], [40]),
        ([make_step(at=0), call(3), result(100, status="rejected"), says(104)], [3 + 4]),
        ([make_step(at=0), call(3), result(30, status="interrupted"), happens("interrupt", 30)], [3]),
        ([make_step(at=0), says(9), call(300, by="user"), result(320), says(325)], [9 + 5]),
        ([make_step(at=0), says(9), happens("slash_command", 300), says(310)], [9 + 10]),
        ([make_step(at=0), happens("api_error", 60), says(90)], [90]),
        ([make_step(at=0), call(3), result(1803), says(1810)], [3 + 1800 + 7]),
        ([make_step(at=0), call(3), result(1804), says(1811)], [3 + 7]),
        ([make_step(at=0), call(5, "a"), call(6, "b"), result(20, "b"), result(12, "a"), says(25)], [25]),
        ([make_step(at=0), make_step(at=10), says(15)], [5]),
        ([make_step(at=0), happens("interrupt", 8), make_step(at=10)], []),
        ([make_step(at=0), says(1801)], []),
        ([says(0), call(5), result(9)], []),
        ([make_step(at=None), says(5), make_step(at=10), says(None), call(14), result(None)], [4]),
    ],
    ids=[
        "a turn ends with the agent's last step, and what the user thinks over is no wait",
        "a tool result at the end counts",
        "a rejected call is the user's time, what follows it is not",
        "an interrupted call is left out",
        "a command of the user's own and its result are left out",
        "a slash command is the user's",
        "the time of an error of the service is waited for",
        "a gap of half an hour counts",
        "a longer gap is an absence",
        "results out of order count once",
        "a message without an answer has no wait",
        "a turn stopped before the agent began has no wait",
        "an absence alone is no wait",
        "what comes before the first message is nobody's wait",
        "steps without a time are passed over",
    ],
)
def test_the_whole_wait_is_the_sum_of_the_gaps_that_are_the_agents(steps, waits):
    assert wait_seconds(make_session(*steps)) == waits


@pytest.mark.parametrize(
    ("values", "expected"), [([7], 7), ([2, 1], 2), (range(1, 20), 19), (range(20, 0, -1), 19), (range(1, 41), 38)]
)
def test_the_percentile_is_the_least_value_that_ninety_five_of_a_hundred_do_not_exceed(values, expected):
    assert percentile(list(values)) == expected
