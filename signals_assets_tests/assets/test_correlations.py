"""Stage 6: counts that rates are made of, nothing published below the audience's size, labels that restate days."""

from pathlib import Path

import pytest

from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.tables import (
    ErrorCorrelation,
    EventLabel,
    FrictionEvent,
    FrictionRate,
    IntentTrend,
    LeadingIndicator,
    ReleaseCorrelation,
    SessionMetrics,
    UserDay,
)
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.factories import row_values
from signals_assets_tests.home import Home

PUBLISHED = (FrictionRate, ReleaseCorrelation, ErrorCorrelation, LeadingIndicator, IntentTrend)
STAGE = ("user_days", *(model.table for model in PUBLISHED))


def test_a_day_counts_its_own_sessions_by_user(lived: Home):
    sessions = lived.rows(SessionMetrics, LAST_DAY)
    counted = [row for row in lived.rows(UserDay, LAST_DAY) if row["kind"] == "session" and row["source"] == "detector"]
    assert {row["about_day"] for row in counted} == {LAST_DAY}
    assert sum(row["sessions"] for row in counted) == len(sessions)
    assert {row["user_id"] for row in counted} == {row["user_id"] for row in sessions}


def test_rates_are_shares_inside_their_intervals_with_one_source_per_type(lived: Home):
    rows = lived.rows(FrictionRate)
    assert rows
    for row in rows:
        assert 0 <= row["low"] <= row["rate"] <= row["high"] <= 1
        assert 0 < row["coverage"] <= 1
    sources: dict[str, set[str]] = {}
    for row in rows:
        sources.setdefault(row["type"], set()).add(row["source"])
    assert {len(found) for found in sources.values()} == {1}


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.table)
def test_what_is_published_names_nobody(lived: Home, model: type[FrictionRate]):
    people = {row[name] for row in lived.rows(SessionMetrics) for name in ("user_id", "session_id", "organization_id")}
    for row in lived.rows(model):
        assert not people & set(map(str, row.values()))


def test_four_users_are_enough_for_a_team_and_not_for_a_company(lived: Home, tmp_path: Path):
    few = sorted({row["user_id"] for row in lived.rows(UserDay, FIRST_DAY)})[:4]
    exposed = [
        UserDay(**row) for row in lived.rows(UserDay, FIRST_DAY)
        if row["user_id"] in few and row["kind"] == "session" and row["source"] == "detector"
    ]  # fmt: skip
    met = {"kind": "friction", "type": "error_event", "events": 1}
    rows = [row.model_copy(update={"sessions": 2 * row.sessions, "weight": 2 * row.weight}) for row in exposed]
    rows += [row.model_copy(update=met) for row in exposed]  # half of their sessions
    assert SHOWN["team"].users <= len(few) < SHOWN["company"].users
    shown, coverage = {}, {}
    for audience in ("team", "company"):
        with lived.copy(tmp_path / audience, audience=audience) as home:
            home.warehouse.replace(UserDay, FIRST_DAY, rows)
            home.materialize(FIRST_DAY, only=["friction_rates"], tags={"signals/republish": "fewer users"})
            shown[audience] = len(home.rows(FrictionRate, FIRST_DAY))
            coverage[audience] = home.metadata("friction_rates", FIRST_DAY)
    assert shown["team"] > shown["company"] == 0
    assert coverage["team"]["coverage/asked"] == coverage["company"]["coverage/asked"] > 0
    assert sum(count for name, count in coverage["company"].items() if "skipped" in name or "rejected" in name) > 0


def test_a_newer_label_restates_the_day_it_is_about_in_the_day_that_knew_it(lived: Home, tmp_path: Path):
    event = next(row for row in lived.rows(FrictionEvent, FIRST_DAY) if row["confidence"] > 0.6)
    stored = event["type"]
    assert stored != "escalation_tone"
    label = EventLabel(
        **row_values(
            EventLabel, day=LAST_DAY, event_id=event["event_id"], about_day=FIRST_DAY, session_id=event["session_id"],
            kind="friction", type="escalation_tone", previous_type=stored, taxonomy_version=2,
        )
    )  # fmt: skip
    with lived.copy(tmp_path / "home") as home:
        home.warehouse.replace(EventLabel, LAST_DAY, [label])
        before = home.rows(UserDay, FIRST_DAY)
        home.materialize(FIRST_DAY, LAST_DAY, only=["user_days"])
        assert home.rows(UserDay, FIRST_DAY) == before
        restated = [row for row in home.rows(UserDay, LAST_DAY) if row["about_day"] == FIRST_DAY]
        assert events(restated, "escalation_tone") == events(before, "escalation_tone") + 1
        assert events(restated, stored) == events(before, stored) - 1
        assert home.metadata("user_days", LAST_DAY)["restated_days"] == 1


def events(rows: list[dict[str, object]], type_: str) -> int:
    """Events of a friction type among rows of counts."""
    return sum(int(str(row["events"])) for row in rows if row["kind"] == "friction" and row["type"] == type_)


def test_the_newest_day_shows_its_rates_as_a_picture(lived: Home):
    shown = lived.metadata("friction_rates", LAST_DAY)
    for name in ("rates over time", "severity by type"):
        assert shown[name].startswith(f"![{name}](data:image/png;base64,")
        assert len(shown[name]) < 100_000
    assert "rates over time" not in lived.metadata("friction_rates", FIRST_DAY)
