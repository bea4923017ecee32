"""Before anything happened: no command crashes, and each says what to do."""

import json

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], ["Daily report: none.", "signals run --from DAY"]),
        (["tickets"], ["Tickets: none.", "Thresholds: none.", "signals run --from DAY"]),
        (["tickets", "--why", "context_churn"], ["Decisions about context_churn: none.", "never crossed"]),
        (["taxonomy", "proposals"], ["Proposals: none.", "no day is materialized yet"]),
        (["taxonomy", "list"], ["Taxonomy, version 1", "context_churn", "History, with what was taken back: none."]),
        (["sql", "show tables"], ["friction_rates", "daily_report"]),
        (["sql", "select count(*) as n from friction_rates"], ["1 row ", "0"]),
        (["doctor"], ["What your volume shows: none.", "signals run --from DAY", "--sessions-per-day 200"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_command_in_an_empty_home_says_what_to_do(signals, empty_home, arguments, said):
    output = " ".join(signals(*arguments).output.split())
    for words in said:
        assert words in output


def test_an_empty_home_as_json_is_empty_lists(signals, empty_home, tmp_path):
    file = tmp_path / "tickets.json"
    signals("tickets", "--json", file)
    assert json.loads(file.read_bytes()) == {"tickets": [], "waiting": [], "levels": []}
