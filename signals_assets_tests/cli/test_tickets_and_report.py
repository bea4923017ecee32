"""`signals tickets` and `signals report` on a home that was lived in."""

import json

from signals_assets.resources import resources_for
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
    ledger.append("decision", "one", {"type": "context_churn", "reason": "below", "inputs": {"large": 1}})
    ledger.append("decision", "two", {"type": "error_event", "reason": "below"})
    ledger.append("filing", "SIG-1", {"type": "context_churn", "ticket_key": "SIG-1"})
    file = tmp_path / "why.json"
    for asked, kinds in (("context_churn", ["decision", "filing"]), ("SIG-1", ["filing"]), ("nothing", [])):
        signals("tickets", "--why", asked, "--json", file)
        assert [row["kind"] for row in json.loads(file.read_bytes())] == kinds
