"""What every source of sessions must do, as tests that a test module runs against its own source.

Subclass `SessionSourceContract` beside a fixture `source(sessions, erased=None)` that gives a source of these canonical
sessions (as objects), in a table or folder of its own. `None` in the place of steps stands for steps that are no list.
"""

from datetime import UTC, date, datetime, timedelta

from signals_assets.core.readers import Rejected
from signals_assets.resources.session_source import ERASED

DAY = date(2026, 1, 5)


def at(hour, day=DAY):
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)).isoformat()


def session(name, hour=9.0, steps=3, day=DAY, **more):
    """A session of so many steps, a minute apart, the first one a user's."""
    kinds = ("user_message", "assistant_message", "tool_call", "tool_result")
    told = [
        {"kind": kinds[number % 4], "text": f"{name} {number}", "at": at(hour + number / 60, day)}
        for number in range(steps)
    ]
    return {"session_id": name, "user_id": f"user of {name}", "agent": {"name": "helper"}, "started_at": at(hour, day),
            "steps": told} | more  # fmt: skip


def resumed(name, day=DAY, after=1):
    """A session that a user resumed so many days later."""
    later = session(name, hour=10, day=day + timedelta(days=after))["steps"]
    return session(name, day=day) | {"steps": session(name, day=day)["steps"] + later}


def sessions_of(source, day=DAY):
    return [item for item in source.sessions(day) if not isinstance(item, Rejected)]


def reasons_of(source, day=DAY):
    found = [(item.reason, item.count) for item in source.sessions(day) if isinstance(item, Rejected)]
    return {reason: sum(count for name, count in found if name == reason) for reason, _ in found}


class SessionSourceContract:
    def test_sessions_come_on_the_day_of_their_start_in_a_stable_order(self, source):
        found = source([session("b"), session("a", hour=3), session("c", day=DAY + timedelta(days=1))])
        assert found.days() == [DAY, DAY + timedelta(days=1)]
        assert sorted(item.session_id for item in sessions_of(found)) == ["a", "b"]
        assert [item.session_id for item in sessions_of(found)] == [item.session_id for item in sessions_of(found)]
        assert sessions_of(found, DAY + timedelta(days=5)) == []

    def test_a_session_is_told_with_its_user_agent_times_and_steps(self, source):
        tool = {
            "kind": "tool_call",
            "tool_name": "search",
            "tool_call_id": "1",
            "arguments": {"q": ["x", 1]},
            "by": "agent",
        }
        result = {"kind": "tool_result", "tool_call_id": "1", "status": "error", "text": "späte Antwort \U0001f600"}
        steps = [{"kind": "user_message", "text": "go", "at": at(9)}, tool | {"at": at(9.1)}, result | {"at": at(9.2)}]
        given = session("a") | {"steps": steps, "organization_id": "org"}
        given["agent"] = {"name": "helper", "version": "1.2", "model": "m", "prompt_version": "p"}
        (told,) = sessions_of(source([given]))
        assert (told.user_id, told.organization_id) == ("user of a", "org")
        assert (told.agent.version, told.agent.model, told.agent.prompt_version) == ("1.2", "m", "p")
        assert [step.kind for step in told.steps] == ["user_message", "tool_call", "tool_result"]
        assert (told.steps[1].tool_name, told.steps[1].arguments, told.steps[1].by) == (
            "search",
            {"q": ["x", 1]},
            "agent",
        )
        assert (told.steps[2].status, told.steps[2].text) == ("error", "späte Antwort \U0001f600")
        assert (told.started_at, told.ended_at) == (told.steps[0].at, told.steps[2].at)

    def test_a_session_resumed_on_the_next_day_is_a_further_segment_of_that_day(self, source):
        found = source([resumed("a")])
        assert [(item.key, len(item.steps)) for item in sessions_of(found)] == [("a", 3)]
        assert [(item.key, len(item.steps)) for item in sessions_of(found, DAY + timedelta(days=1))] == [("a.1", 3)]
        assert [step.text for step in sessions_of(found, DAY + timedelta(days=1))[0].steps] == ["a 0", "a 1", "a 2"]

    def test_who_was_erased_is_passed_over_and_counted_without_a_name(self, source):
        found = source([session("a"), session("b")], erased=lambda: lambda user, *_: user == "user of a")
        assert [item.session_id for item in sessions_of(found)] == ["b"]
        (gone,) = [item for item in found.sessions(DAY) if isinstance(item, Rejected)]
        assert (gone.reason, gone.count, gone.position, gone.source) == (ERASED, 1, "", "")

    def test_a_session_that_cannot_be_read_is_set_aside_with_its_reason(self, source):
        found = source([session("a"), session("", hour=10), session("b")])
        assert [item.session_id for item in sessions_of(found)] == ["a", "b"]
        assert reasons_of(found) == {"bad_session_id": 1}

    def test_counts_are_what_a_day_tells_and_grow_with_late_sessions(self, source):
        found = source([session("a"), session("b")])
        told = len(sessions_of(found))
        assert found.counts() == {DAY: told} == {DAY: 2}
        source.add([session("c", hour=11)])
        assert found.counts() == {DAY: 3}
        assert len(sessions_of(found)) == 3

    def test_nothing_of_a_forgotten_session_is_left_with_the_source(self, source, tmp_path):
        found = source(
            [session("forgotten-session-7"), session("b")], erased=lambda: lambda u, o, s: u is not None and "7" in u
        )
        list(found.sessions(DAY))
        found.forget({"forgotten-session-7"})
        left = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
        assert all(b"forgotten-session-7" not in path.read_bytes() for path in left)

    def test_everybody_is_named_with_each_segment_erased_or_not(self, source):
        nobody = lambda: lambda *_: True  # noqa: E731
        found = source([resumed("a"), session("b") | {"organization_id": "org"}], erased=nobody)
        assert sessions_of(found) == []
        assert sorted(found.everybody(), key=str) == [
            ("user of a", None, "a"), ("user of a", None, "a.1"), ("user of b", "org", "b"),
        ]  # fmt: skip
