"""The simulated developer: reads tickets that were filed as files, decides what to open."""

import pytest

from signals_assets.simulation import Action
from signals_assets.simulation.developer import Ticket, decide, read_tickets, scheduled_ticket_key

CHURN = Ticket("SIG-A", "context_churn", "editor", "open", 1)
ERROR = Ticket("SIG-B", "error_event", "query-gateway", "open", 1)


def write(folder, name, *fields, body="text"):
    (folder / name).write_text("\n".join(["---", *fields, "---", "", body]), encoding="utf-8")


def test_tickets_are_read_from_their_front_matter(tmp_path):
    (tmp_path / "open").mkdir()
    write(
        tmp_path / "open",
        "b.md",
        "key: SIG-B",
        "type: error_event",
        'component: "query-gateway"',
        "state: open",
        "generation: 2",
    )
    write(tmp_path, "a.md", "key: SIG-A", "type: context_churn", "title: it: rises", body="key: not this")
    assert read_tickets(tmp_path) == [
        Ticket("SIG-A", "context_churn", "unknown", "open", 1),
        Ticket("SIG-B", "error_event", "query-gateway", "open", 2),
    ]


def test_other_files_are_no_tickets(tmp_path):
    (tmp_path / "README.md").write_text("# Tickets\nkey: SIG-X\ntype: y\n")
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "unfinished.md").write_text("---\nkey: SIG-Y\ntype: correction\n")
    write(tmp_path, "note.md", "author: somebody")
    assert read_tickets(tmp_path) == []
    assert read_tickets(tmp_path / "absent") == []


def test_a_generation_that_is_no_number_is_an_error(tmp_path):
    write(tmp_path, "a.md", "key: SIG-A", "type: correction", "generation: second")
    with pytest.raises(ValueError, match=r"a\.md: generation"):
        read_tickets(tmp_path)


def test_context_churn_is_fixed_at_once_and_an_error_event_is_not():
    assert decide([CHURN, ERROR], []) == [
        Action("SIG-A", "context_churn", "editor", True),
        Action("SIG-B", "error_event", "query-gateway", False),
    ]


def test_an_open_ticket_gets_one_pull_request():
    assert decide([CHURN, ERROR], decide([CHURN, ERROR], [])) == []


@pytest.mark.parametrize("state", ["reopened", "failed"])
def test_the_second_fix_of_a_ticket_that_came_back_works(state):
    first = decide([ERROR], [])
    again = Ticket("SIG-B", "error_event", "query-gateway", state, 1)
    second = decide([again], first)
    assert [action.works for action in second] == [True]
    assert decide([again], first + second) == []


def test_a_second_generation_works():
    (action,) = decide([Ticket("SIG-C", "error_event", "query-gateway", "open", 2)], [])
    assert action.works
    assert action.generation == 2


@pytest.mark.parametrize("state", ["in_progress", "merged", "released", "verified", "closed", "suppressed"])
def test_tickets_in_other_states_wait(state):
    assert decide([Ticket("SIG-A", "context_churn", "editor", state, 1)], []) == []


def test_other_fixes_work_by_chance_and_by_seed():
    tickets = [Ticket(f"SIG-{number}", "correction", "editor", "open", 1) for number in range(200)]
    works = [action.works for action in decide(tickets, [], seed=1)]
    assert works == [action.works for action in decide(tickets, [], seed=1)]
    assert 0.4 < sum(works) / len(works) < 0.8


def test_scheduled_keys_are_plain_and_differ():
    keys = [scheduled_ticket_key("context_churn", "editor"), scheduled_ticket_key("error_event", "query-gateway")]
    assert keys == ["SIG-SIMULATED1", "SIG-SIMULATED2"]
    with pytest.raises(ValueError, match="no fix is scheduled"):
        scheduled_ticket_key("correction", "editor")
