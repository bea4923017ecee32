"""Stage 4: what is kept of sessions is admitted, agrees with its inputs, and holds nobody's words."""

import re
from collections import Counter
from pathlib import Path

from signals_assets.core.sessions import from_json
from signals_assets.tables import (
    TABLES,
    AbstractedSummary,
    Agreement,
    Analysis,
    DelightEvent,
    Detection,
    FeedbackLink,
    FeedbackRecord,
    FrictionEvent,
    RawSession,
    SessionMetrics,
)
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.home import Home

WORDS = 6
"""So many words of a user in a row are a quotation."""


def word_runs(text: str) -> set[str]:
    words = re.findall(r"[a-z']+", text.lower())
    return {" ".join(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)}


def test_every_analysed_session_has_its_summary_or_the_rule_that_rejected_it(lived: Home):
    summaries = {row["session_id"]: row for row in lived.rows(AbstractedSummary)}
    assert set(summaries) == {row["session_id"] for row in lived.rows(Analysis)}
    for row in summaries.values():
        assert (row["summary"] is None) == (row["rejected_rule"] is not None)
    assert sum(row["summary"] is not None for row in summaries.values()) > 0.8 * len(summaries)


def test_no_text_of_the_abstracted_or_published_zone_quotes_a_session(lived: Home):
    said = set()
    for row in lived.rows(RawSession):
        for step in from_json(row["session"]).steps:
            said |= word_runs(step.text) if step.kind == "user_message" and step.text else set()
    assert len(said) > 1000
    for name, model in TABLES.items():
        if model.zone != "restricted":
            for row in lived.rows(model):
                text = " . ".join(value for value in row.values() if isinstance(value, str))
                assert not word_runs(text) & said, name


def test_every_detection_is_an_event_with_its_steps(lived: Home):
    for kind, model in (("friction", FrictionEvent), ("delight", DelightEvent)):
        found = Counter((row["session_id"], row["type"], tuple(row["steps"])) for row in lived.rows(Detection)
                        if row["kind"] == kind)  # fmt: skip
        events = Counter((row["session_id"], row["type"], tuple(row["steps"])) for row in lived.rows(model)
                         if row["source"] == "detector")  # fmt: skip
        assert found == events


def test_events_carry_the_user_and_version_of_their_session(lived: Home):
    sessions = {row["session_id"]: row for row in lived.rows(SessionMetrics)}
    for row in lived.rows(FrictionEvent):
        session = sessions[row["session_id"]]
        assert (row["user_id"], row["agent_version"]) == (session["user_id"], session["agent_version"])
        assert all(0 <= step < session["steps"] for step in row["steps"])


def test_agreement_counts_the_sessions_that_both_looked_at(lived: Home):
    answered = sum(row["state"] == "answered" for row in lived.rows(Analysis, FIRST_DAY))
    rows = lived.rows(Agreement, FIRST_DAY)
    assert rows
    for row in rows:
        assert row["both"] + row["detector_only"] + row["analyst_only"] <= row["sessions"] == answered


def test_every_thumb_is_linked_to_the_version_that_answered(lived: Home):
    thumbs = {row["feedback_id"]: row for row in lived.rows(FeedbackRecord)}
    sessions = {row["session_id"]: row for row in lived.rows(SessionMetrics)}
    linked = lived.rows(FeedbackLink)
    assert linked
    for row in linked:
        assert row["rating"] == thumbs[row["feedback_id"]]["rating"]
        if row["session_id"] in sessions:
            assert row["agent_version"] == sessions[row["session_id"]]["agent_version"]


def test_word_support_decides_in_the_zone_of_many_and_not_for_oneself(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home", audience="self") as home:
        home.materialize(FIRST_DAY, only=["abstracted_summaries", "facets", "friction_events", "delight_events",
                                          "unmet_needs"])  # fmt: skip
        for model in (AbstractedSummary, FrictionEvent):
            assert admitted(home, model) >= admitted(lived, model)


def admitted(home: Home, model: type[AbstractedSummary] | type[FrictionEvent]) -> int:
    """How many texts of the first day passed the barrier."""
    column = "summary" if model is AbstractedSummary else "citation"
    return sum(row[column] is not None for row in home.rows(model, FIRST_DAY))
