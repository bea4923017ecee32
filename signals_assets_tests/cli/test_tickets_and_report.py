"""`signals tickets` and `signals report` on a home that was lived in."""

import json

from signals_assets.resources import resources_for
from signals_assets.resources.filing import audit_levels
from signals_assets.settings import Settings
from signals_assets.tables import DailyReport, FrictionLevel, TicketRow
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
