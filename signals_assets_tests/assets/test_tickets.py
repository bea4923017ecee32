"""Stage 7: causes and levels by day, and what an acting run leaves for one friction type."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from signals_assets.resources.filing import AUDIT_KIND, broken_link
from signals_assets.tables import (
    Cause,
    ErrorCorrelation,
    Facet,
    FrictionEvent,
    FrictionLevel,
    Quarantined,
    SessionMetrics,
    TicketRow,
    UserDay,
)
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY, NEXT_DAY
from signals_assets_tests.factories import row_values
from signals_assets_tests.home import Home, failures

REPHRASING = dg.RunRequest(partition_key="repeated_rephrasing")


def test_every_counted_friction_event_has_one_cause_of_its_type(lived: Home):
    events = {row["event_id"]: row for row in lived.rows(FrictionEvent)}
    causes = lived.rows(Cause)
    assert causes
    assert {row["event_id"] for row in causes} <= set(events)
    ids: dict[str, set[tuple[str, str]]] = {}
    for row in causes:
        ids.setdefault(row["cause_id"], set()).add((row["type"], row["component"]))
    assert {len(found) for found in ids.values()} == {1}


def test_every_friction_type_has_a_level_every_day(lived: Home):
    days: dict[object, list[str]] = {}
    for row in lived.rows(FrictionLevel):
        days.setdefault(row["day"], []).append(row["type"])
    assert len({tuple(types) for types in days.values()}) == 1
    assert len(days) == 4


def test_every_decision_is_in_an_unbroken_audit(lived: Home):
    entries = lived.ledger.entries([AUDIT_KIND])
    assert len(entries) >= len(lived.rows(FrictionLevel))
    assert broken_link(entries) is None


def test_a_day_again_adds_nothing_to_the_audit(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home") as home:
        before = home.ledger.entries([AUDIT_KIND])
        home.materialize(LAST_DAY, only=["friction_levels"])
        assert home.ledger.entries([AUDIT_KIND]) == before


def test_acting_before_any_day_fails_clearly(tmp_path: Path):
    with Home(tmp_path / "home") as home:
        home.instance.add_dynamic_partitions("friction_type", ["repeated_rephrasing"])
        job = home.definitions.resolve_job_def("act")
        result = job.execute_in_process(
            run_config={"loggers": {"console": {}}}, instance=home.instance, partition_key="repeated_rephrasing",
            raise_on_error=False,
        )  # fmt: skip
        [said] = failures(result).values()
        assert "friction_levels has no day yet: materialize the daily graph first" in said


def test_a_type_that_did_not_cross_gets_no_ticket(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home") as home:
        assert home.run(REPHRASING).success
        assert home.tickets() == []
        assert home.ledger.entries(["filing", "episode", "diagnosis"]) == []


def test_an_acting_run_leaves_a_diagnosis_a_ticket_and_a_word_about_a_draft(crossing: Callable[..., Home]):
    home = crossing("repeated_rephrasing")
    [request] = home.tick("friction_threshold").run_requests
    assert home.run(request).success
    [ticket] = home.tickets()
    [diagnosis] = home.ledger.entries(["diagnosis"])
    [filing] = home.ledger.entries(["filing"])
    [draft] = home.ledger.entries(["fix_draft"])
    assert diagnosis.payload["cause_id"] == filing.payload["cause_id"] == draft.payload["cause_id"]
    assert filing.key == ticket.stem
    assert filing.payload["filed_on"] == LAST_DAY.isoformat()
    assert draft.payload["reason"]
    people = {row[name] for row in home.rows(FrictionEvent) for name in ("user_id", "session_id", "event_id")}
    assert not any(str(person) in ticket.read_text() for person in people)
    command = re.search(r'`signals sql "([^"]+)"`', ticket.read_text())
    assert command
    of_cause = {row["event_id"] for row in home.rows(Cause) if row["cause_id"] == filing.payload["cause_id"]}
    assert home.warehouse.query(command[1]).num_rows == len(of_cause) > 0


def test_a_slice_that_crossed_gets_a_ticket_that_counts_its_sessions_alone(lived: Home, tmp_path: Path):
    met: Counter[tuple[str, str]] = Counter()
    for row in lived.rows(UserDay):
        if (row["kind"], row["source"]) == ("friction", "detector") and row["intent"] not in ("unknown", "other"):
            met[row["type"], row["intent"]] += row["sessions"]
    (type_, intent) = next(found for found, _ in met.most_common() if found[0] != "all")
    part = {"type": type_, "slice_kind": "intent", "slice": intent, "ceiling": 0.01}
    thresholds = {"consecutive": 1, "default_ceiling": 0.99, "slices": [part]}
    with lived.copy(tmp_path / "home", audience="self", thresholds=thresholds) as home:
        home.materialize(LAST_DAY, only=["friction_levels"], tags={"signals/republish": "a slice"})
        [crossed] = [row for row in home.rows(FrictionLevel, LAST_DAY) if row["crossed"]]
        assert (crossed["slice_kind"], crossed["slice"]) == ("intent", intent)
        [request] = home.tick("friction_threshold").run_requests
        assert home.run(request).success
        [ticket] = [path.read_text() for path in home.tickets()]
        inside = {row["session_id"] for row in home.rows(Facet) if row["value"] == intent}
        events = [row for row in home.rows(Cause) if row["cause_id"] == crossed["causes"][0]]
        sessions = {row["session_id"] for row in events} & inside
        assert f" users and {len(sessions)} sessions " in ticket
        assert f"of the sessions of the slice (intent: {intent}) have this friction" in ticket
        assert home.tick("friction_threshold").run_requests == []


def test_nothing_is_filed_on_a_day_whose_data_cannot_be_trusted_and_the_crossing_stays_due(
    crossing: Callable[..., Home],
):
    home = crossing("repeated_rephrasing")
    [request] = home.tick("friction_threshold").run_requests
    sessions = len(home.rows(SessionMetrics, LAST_DAY))
    broken = row_values(Quarantined, day=LAST_DAY, known_on=LAST_DAY, count=sessions + 1)
    home.warehouse.replace(Quarantined, LAST_DAY, [Quarantined(**broken)])
    assert home.run(request).success
    assert home.tickets() == []
    [breaker] = home.ledger.entries(["breaker"])
    assert breaker.payload["inputs"]["quarantined"] == sessions + 1
    [refused] = home.ledger.entries(["not_filed"])
    assert refused.payload["reason"] == "; ".join(breaker.payload["reasons"])
    assert home.ledger.entries(["episode"]) == []


def test_a_ticket_is_a_row_from_the_day_after_it_was_filed(crossing: Callable[..., Home]):
    home = crossing("repeated_rephrasing")
    [request] = home.tick("friction_threshold").run_requests
    home.run(request)
    home.materialize(FIRST_DAY, LAST_DAY, only=["ticket_states"], tags={"signals/republish": "to see them again"})
    assert home.rows(TicketRow) == []
    home.materialize(NEXT_DAY)
    [row] = home.rows(TicketRow, NEXT_DAY)
    assert (row["ticket_key"], row["type"], row["state"]) == (home.tickets()[0].stem, "repeated_rephrasing", "open")
    assert row["filed_on"] == LAST_DAY


def test_what_is_shown_only_after_the_crossing_stands_in_the_ticket(crossing: Callable[..., Home]):
    home = crossing("repeated_rephrasing")
    [request] = home.tick("friction_threshold").run_requests
    assert request.tags["signals/day"] == LAST_DAY.isoformat()
    home.materialize(NEXT_DAY)
    shown_later = row_values(
        ErrorCorrelation, day=NEXT_DAY, type="repeated_rephrasing", verdict="coincides", ratio=3.0, low=2.0, high=5.0
    )
    home.warehouse.replace(ErrorCorrelation, NEXT_DAY, [ErrorCorrelation(**shown_later)])
    assert home.run(request).success
    [diagnosis] = home.ledger.entries(["diagnosis"])
    [ticket] = [path.read_text() for path in home.tickets()]
    assert (diagnosis.payload["day"], diagnosis.payload["tables_of"]) == (LAST_DAY.isoformat(), NEXT_DAY.isoformat())
    assert diagnosis.payload["lever"] == "backend"
    assert f"Read from the tables of {NEXT_DAY}." in ticket
    assert "- Backend error " in ticket
    assert f"in the 7 days to {LAST_DAY}" in ticket


def written_by_a_person(home: Home) -> Path:
    written = home.folder / "tickets" / "again.md"
    written.parent.mkdir(exist_ok=True)
    written.write_text("# Users have to state the same request several times in other words\n", encoding="utf-8")
    return written


def test_a_persons_open_ticket_about_the_cause_gets_a_comment_and_none_is_filed(crossing: Callable[..., Home]):
    home = crossing("repeated_rephrasing")
    written = written_by_a_person(home)
    [request] = home.tick("friction_threshold").run_requests
    assert home.run(request).success
    [decision] = home.ledger.entries(["deduplication"])
    assert decision.payload["decided"]["action"] == "comment"
    assert "several times" not in str(decision.payload)
    assert home.tickets() == []
    assert "Crossed again" in written.read_text(encoding="utf-8")
    assert [entry.payload["created"] for entry in home.ledger.entries(["episode"])] == [0]


def test_a_comment_that_a_dry_run_holds_back_leaves_the_crossing_open(
    crossing: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
):
    home = crossing("repeated_rephrasing")
    written = written_by_a_person(home)
    [request] = home.tick("friction_threshold").run_requests
    monkeypatch.setattr("signals_assets.resources.filing.is_dry", lambda *_: True)
    assert home.run(request).success
    assert "Crossed again" not in written.read_text(encoding="utf-8")
    assert home.ledger.entries(["episode"]) == []
    assert "held back" in home.ledger.entries(["not_filed"])[0].payload["reason"]
