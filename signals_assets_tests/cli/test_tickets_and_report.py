"""`signals tickets` and `signals report` on a home that was lived in."""

import getpass
import json

import pytest

from signals_assets.resources import resources_for
from signals_assets.resources.filing import audit, audit_levels, broken_link
from signals_assets.settings import Settings
from signals_assets.tables import Cause, DailyReport, FrictionEvent, FrictionLevel, TicketRow
from signals_assets_tests.conftest import LAST_DAY
from signals_assets_tests.factories import row_values


def test_the_report_prints_the_newest_days_headlines_and_its_page(signals, lived_home, lived, tmp_path):
    file = tmp_path / "report.json"
    output = signals("report", "--json", file).output
    rows = json.loads(file.read_bytes())
    assert {row["headline"] for row in rows} == {row["headline"] for row in lived.rows(DailyReport, LAST_DAY)}
    assert {row["day"] for row in rows} == {LAST_DAY.isoformat()}
    assert output.splitlines()[-1] == str(lived_home / "reports" / "latest.html")


def test_the_thresholds_are_those_of_the_newest_day(signals, lived_home, lived, tmp_path):
    file = tmp_path / "tickets.json"
    signals("tickets", "--json", file)
    levels = json.loads(file.read_bytes())["levels"]
    expected = {row["type"] for row in lived.rows(FrictionLevel, LAST_DAY) if row["slice"] == "all"}
    assert {row["type"] for row in levels} == expected


def test_open_leaves_out_what_is_closed(signals, empty_home, tmp_path):
    rows = [
        TicketRow(**row_values(TicketRow, ticket_key=key, cause_id=key, state=state))
        for key, state in (("SIG-1", "open"), ("SIG-2", "closed"))
    ]
    resources_for(Settings())["warehouse"].replace(TicketRow, rows[0].day, rows)
    file = tmp_path / "tickets.json"
    for arguments, expected in (([], ["SIG-1", "SIG-2"]), (["--open"], ["SIG-1"])):
        output = signals("tickets", "--json", file, *arguments).output
        assert [row["ticket_key"] for row in json.loads(file.read_bytes())["tickets"]] == expected
        assert ("SIG-2" in output) is ("SIG-2" in expected)


def test_why_lists_decisions_about_a_type_or_a_ticket_oldest_first(signals, empty_home, tmp_path):
    ledger = resources_for(Settings())["ledger"]
    for number, (type_, crossed) in enumerate([("context_churn", True), ("context_churn", False), ("other", True)]):
        decision = {"state": "crossed" if crossed else "over", "crossed": crossed, "episode": f"{type_}@2026-01-05"}
        audit_levels(ledger, [{"inputs": {"type": type_, "day": f"2026-01-0{number + 1}"}, "decision": decision}])
    lever = {"lever": "wrong tool", "evidence": ["It rose.", "It fell."]}
    ledger.append("diagnosis", "cause_1:2026-01-05", {"type": "context_churn", "cause_id": "cause_1", **lever})
    filing = {"type": "context_churn", "cause_id": "cause_1", "episode": "context_churn@2026-01-05", "title": "Churn"}
    ledger.append("filing", "SIG-1", filing)
    ledger.append("filed", "SIG-1", {"reference": "tickets/SIG-1.md"})
    ledger.append("verdict", "SIG-1:1.1", {"ticket_key": "SIG-1", "type": "context_churn", "verdict": "improved"})
    ledger.append("filing", "SIG-2", {**filing, "cause_id": "cause_2", "type": "other", "episode": "other@2026-01-05"})
    file = tmp_path / "why.json"
    of_ticket = ["crossed", "diagnosis", "filing", "filed", "verdict"]
    of_type = ["crossed", "diagnosis", "filing", "verdict"]
    for asked, kinds in (("context_churn", of_type), ("SIG-1", of_ticket), ("nothing", [])):
        said = signals("tickets", "--why", asked, "--json", file)
        assert [row["kind"] for row in json.loads(file.read_bytes())] == kinds
        assert ("wrong tool; It rose., It fell." in said.output) is bool(kinds)


def test_a_person_stops_and_resumes_filing_and_both_are_audited(signals, empty_home):
    assert "kill switch is on" in signals("tickets", "stop").output
    assert "The kill switch is on" in signals("tickets").output
    assert "is off" in signals("tickets", "resume").output
    assert "The kill switch is on" not in signals("tickets").output
    ledger = resources_for(Settings())["ledger"]
    assert [entry.payload["on"] for entry in ledger.entries(["kill_switch"])] == [True, False]
    audited = ledger.entries(["audit"])
    assert [entry.payload["actor"] for entry in audited] == [getpass.getuser()] * 2
    assert broken_link(audited) is None


def test_a_person_approves_a_type_of_the_taxonomy_or_a_cause_and_nothing_else(signals, empty_home):
    ledger = resources_for(Settings())["ledger"]
    held = {"type": "context_churn", "cause_id": "cause_1", "component": "search", "episode": "e", "title": "Churn",
            "filed_on": "2026-01-05", "body": "Users repeat themselves.\n"}  # fmt: skip
    ledger.append("ticket_draft", "SIG-0A1B2C3D:2026-01-05", held)
    assert "approve TYPE" in signals("tickets").output
    assert "Users repeat themselves." in signals("tickets", "draft", "SIG-0A1B2C3D").output
    for subject in ("context_churn", "cause_1"):
        assert "approved;" in signals("tickets", "approve", subject).output
        assert "approved before" in signals("tickets", "approve", subject).output
    assert "no friction type" in signals("tickets", "approve", "cause_2", code=1).output
    assert [entry.key for entry in ledger.entries(["approval"])] == ["context_churn", "cause_1"]
    assert "approve TYPE" not in signals("tickets").output


@pytest.fixture
def ticket_with_events(lived_home):
    """A ticket in the ledger whose cause has two events of the lived home."""
    doors = resources_for(Settings())
    events = doors["warehouse"].read(FrictionEvent, LAST_DAY).to_pylist()[:2]
    rows = [
        Cause(**row_values(Cause, event_id=event["event_id"], cause_id="cause_1", day=LAST_DAY, about_day=LAST_DAY))
        for event in events
    ]
    doors["warehouse"].replace(Cause, LAST_DAY, rows)
    filing = {"type": events[0]["type"], "cause_id": "cause_1", "component": "search", "generation": 1, "episode": "e",
              "filed_on": LAST_DAY.isoformat()}  # fmt: skip
    doors["ledger"].append("filing", "SIG-0A1B2C3D", filing)
    return "SIG-0A1B2C3D", events


def test_evidence_is_shown_zone_by_zone_and_every_reading_is_audited(signals, ticket_with_events, tmp_path):
    key, events = ticket_with_events
    file = tmp_path / "evidence.json"
    for zones, expected in (
        ([], {"published", "abstracted"}), (["restricted"], {"restricted"}), (["published"], {"published"}),
    ):  # fmt: skip
        signals("evidence", key, "--json", file, *(part for zone in zones for part in ("--zone", zone)))
        shown = json.loads(file.read_bytes())
        assert set(shown) == expected
        if "abstracted" in shown:
            assert {row["event_id"] for row in shown["abstracted"]} == {event["event_id"] for event in events}
        if "restricted" in shown:
            asked = {(event["event_id"], step) for event in events for step in event["steps"]}
            assert {(row["event_id"], row["step"]) for row in shown["restricted"]} == asked
    read = resources_for(Settings())["ledger"].entries(["evidence_read"])
    assert [entry.payload["zones"] for entry in read] == [["abstracted", "published"], ["restricted"], ["published"]]
    assert {entry.payload["actor"] for entry in read} == {getpass.getuser()}


def test_evidence_of_an_unknown_ticket_says_where_to_look(signals, empty_home):
    assert "signals tickets lists them" in signals("evidence", "SIG-FFFFFFFF", code=1).output


def test_why_says_what_a_cause_was_recognised_as_and_what_was_decided(signals, empty_home, tmp_path):
    ledger = resources_for(Settings())["ledger"]
    weighed = {"what": "ticket", "reference": "ENG-7", "place": "same", "alike": 0.2, "symptom": 0.91}
    decided = {"action": "comment", "reason": "an open ticket by a person is about this cause", "reference": "ENG-7"}
    payload = {"type": "context_churn", "cause_id": "cause_1", "component": "search", "bounds": {}}
    ledger.append("deduplication", "cause_1:2026-01-05", {**payload, "decided": decided, "evidence": [weighed]})
    with ledger.transaction() as writer:
        subject = "filing:context_churn:intent=docs@2026-01-05:cause_1:2026-01-05:refuse:the kill switch is on"
        audit(writer, subject, {"action": "refuse", "reason": "the kill switch is on", "key": "SIG-1"})
    file = tmp_path / "why.json"
    for asked in ("context_churn", "cause_1"):
        said = signals("tickets", "--why", asked, "--json", file).output
        assert [row["kind"] for row in json.loads(file.read_bytes())] == ["deduplication", "decided"]
        assert "comment ENG-7: an open ticket by a person is about this cause" in " ".join(said.split())
        assert "0.91" in said
        assert "the kill switch is on" in said
    signals("tickets", "--why", "SIG-1", "--json", file)
    assert [row["kind"] for row in json.loads(file.read_bytes())] == ["decided"]


def test_a_slice_is_named_beside_its_type(signals, empty_home, tmp_path):
    of_slice = {"slice_kind": "severity", "slice": "high", "state": "crossed", "crossed": True, "level": 0.2}
    rows = [FrictionLevel(**row_values(FrictionLevel, day=LAST_DAY, type="correction", **more))
            for more in ({"slice_kind": "all", "slice": "all"}, of_slice)]  # fmt: skip
    resources_for(Settings())["warehouse"].replace(FrictionLevel, LAST_DAY, rows)
    file = tmp_path / "tickets.json"
    assert "severity: high" in signals("tickets", "--json", file).output
    assert [row["slice"] for row in json.loads(file.read_bytes())["levels"]] == ["", "severity: high"]
    assert "severity: high" in signals("tickets", "--why", "correction").output
