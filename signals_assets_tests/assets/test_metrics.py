"""Stage 2: one pass over all sessions, components by the settings, no words of the session."""

from collections.abc import Callable

from signals_assets.tables import Detection, SessionMetrics
from signals_assets_tests.factories import DAY, make_session, make_step
from signals_assets_tests.home import Home

FIRST_STAGES = ("raw_sessions", "quarantine", "session_metrics", "detections")


def failing(session_id: str) -> object:
    return make_session(
        make_step("user_message", "please run the report", at=0.0),
        make_step("tool_call", None, tool_name="run_query", tool_call_id="c1", arguments={"q": "select 1"}, at=2.0),
        make_step("tool_result", "Error: connection refused", tool_call_id="c1", status="error", at=4.0),
        make_step("assistant_message", "The database could not be reached.", at=6.0),
        session_id=session_id,
    )


def test_every_session_is_measured_and_its_friction_found(own: Callable[..., Home]):
    home = own([failing("one"), make_session(session_id="two")])
    home.materialize(DAY, only=FIRST_STAGES)
    metrics = {row["steps"]: row for row in home.rows(SessionMetrics, DAY)}
    assert set(metrics) == {4, 1}
    assert (metrics[4]["tool_calls"], metrics[4]["tool_errors"], metrics[4]["duration_seconds"]) == (1, 1, 6.0)
    [event] = home.rows(Detection, DAY)
    assert (event["kind"], event["type"], event["steps"]) == ("friction", "error_event", [2])
    assert event["session_id"] == metrics[4]["session_id"]


def test_a_component_is_named_by_the_settings_map(own: Callable[..., Home]):
    home = own([failing("one")], components={"warehouse": ["run_query"]})
    home.materialize(DAY, only=FIRST_STAGES)
    assert [row["component"] for row in home.rows(Detection, DAY)] == ["warehouse"]


def test_coverage_counts_every_session(own: Callable[..., Home]):
    home = own([failing("one"), make_session(session_id="two")])
    home.materialize(DAY, only=FIRST_STAGES)
    shown = home.metadata("detections", DAY)
    assert (shown["coverage/asked"], shown["coverage/answered"]) == (2, 2)
