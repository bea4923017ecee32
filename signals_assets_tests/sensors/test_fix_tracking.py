"""The fix_tracking sensor: every verdict is told to its ticket once, what was left half done is completed; no more."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.partitions import FRICTION_TYPES
from signals_assets.resources.ledger import Entry
from signals_assets.resources.tracker import FileTracker, TicketAtTracker, TicketText
from signals_assets.sensors.fix_tracking import HEAL_AFTER, due, half_done, to_heal
from signals_assets.tables import FixOutcome, FrictionLevel
from signals_assets_tests.conftest import LAST_DAY
from signals_assets_tests.factories import row_values
from signals_assets_tests.home import Home


def verdicts(*keys: tuple[str, str]) -> list[Entry]:
    return [Entry(number, "outcome", key, None, {"type": type_}) for number, (key, type_) in enumerate(keys)]


@pytest.mark.parametrize(
    ("outcomes", "told", "expected"),
    [
        ([], [], {}),
        ([("T1:1.0", "a")], [], {"a": ["T1:1.0"]}),
        ([("T1:1.0", "a")], ["T1:1.0"], {}),
        ([("T1:1.0", "a")], ["T1:0.9"], {"a": ["T1:1.0"]}),
        ([("T2:1.0", "b"), ("T3:1.0", "a"), ("T1:1.0", "a")], [], {"a": ["T1:1.0", "T3:1.0"], "b": ["T2:1.0"]}),
    ],
)
def test_due(outcomes: Any, told: list[str], expected: dict[str, list[str]]):
    assert due(verdicts(*outcomes), frozenset(told)) == expected
    assert list(due(verdicts(*outcomes[::-1]), frozenset(told))) == sorted(expected)


@pytest.fixture
def filed(crossing: Callable[..., Home]) -> Home:
    """A home with one filed ticket."""
    home = crossing("repeated_rephrasing")
    [request] = home.tick("friction_threshold").run_requests
    assert home.run(request).success
    return home


def judge(home: Home, verdict: str, type_: str = "repeated_rephrasing") -> None:
    """A verdict on a fix, as `fix_outcomes` notes it."""
    [ticket] = home.tickets()
    values = {"day": LAST_DAY, "ticket_key": ticket.stem, "type": type_, "version": "1.4.1", "verdict": verdict}
    outcome = FixOutcome(**row_values(FixOutcome, **values))
    home.ledger.append("outcome", f"{ticket.stem}:1.4.1", outcome.model_dump(mode="json"))


def test_a_fix_that_works_closes_its_ticket_once(filed: Home):
    assert filed.tick("fix_tracking").run_requests == []
    judge(filed, "improved")
    [request] = filed.tick("fix_tracking").run_requests
    assert request.partition_key == "repeated_rephrasing"
    assert filed.run(request).success
    [ticket] = filed.tickets()
    text = ticket.read_text()
    assert "state: closed" in text
    assert "The fix works." in text
    assert filed.tick("fix_tracking").run_requests == []
    assert filed.run(request).success  # launched twice
    assert ticket.read_text() == text


def test_a_fix_that_makes_no_difference_leaves_its_ticket_open(filed: Home):
    judge(filed, "unchanged")
    [request] = filed.tick("fix_tracking").run_requests
    assert filed.run(request).success
    [ticket] = filed.tickets()
    assert "state: closed" not in ticket.read_text()
    assert "stays open for another fix" in ticket.read_text()


def test_telling_a_verdict_files_no_further_cause_of_an_episode_that_goes_on(
    crossing: Callable[..., Home], tmp_path: Path
):
    home = crossing("error_event", tickets={"per_day": 1})
    [request] = home.tick("friction_threshold").run_requests
    assert home.run(request).success
    over = [row | {"crossed": False, "state": "over"} for row in home.rows(FrictionLevel, LAST_DAY)]
    assert max(len(row["causes"]) for row in over) > len(home.tickets()) == 1
    home.warehouse.replace(FrictionLevel, LAST_DAY, [FrictionLevel(**row) for row in over])
    judge(home, "improved", "error_event")
    with home.copy(tmp_path / "again", tickets={"per_day": 9}) as again:
        [request] = again.tick("fix_tracking").run_requests
        assert again.run(request).success
        [ticket] = again.tickets()
        assert "state: closed" in ticket.read_text()


def test_a_failed_run_is_asked_for_again_under_a_new_key_a_few_times_only(filed: Home):
    judge(filed, "improved")
    keys = set()
    for _ in range(6):
        [request] = filed.tick("fix_tracking").run_requests
        keys.add(request.run_key)
        filed.instance.create_run_for_job(
            filed.definitions.resolve_job_def("act"), status=dg.DagsterRunStatus.FAILURE, tags=request.tags
        )
    assert len(keys) == 4


class Killed(BaseException):
    """Ends the process like a signal: nothing catches it."""


class Dying(FileTracker):
    """A tracker whose process is killed while it is asked to create: before (b) of a filing."""

    def create(self, ticket: TicketText) -> TicketAtTracker:
        raise Killed


def test_a_filing_that_a_kill_left_half_done_is_completed_by_a_tick_with_nothing_new_to_file(
    crossing: Callable[..., Home], tmp_path: Path
):
    home = crossing("repeated_rephrasing")
    [asked] = home.tick("friction_threshold").run_requests
    dying = Dying(tmp_path / "nowhere")
    with home.copy(tmp_path / "dying", doors={"tracker": dying}) as killed, pytest.raises(Killed):
        killed.run(asked)
    with Home(tmp_path / "dying", home.world, **home.given) as healed:
        over = [row | {"crossed": False, "state": "over"} for row in healed.rows(FrictionLevel, LAST_DAY)]
        healed.warehouse.replace(FrictionLevel, LAST_DAY, [FrictionLevel(**row) for row in over])
        healed.instance.add_dynamic_partitions(str(FRICTION_TYPES.name), ["repeated_rephrasing"])
        assert healed.tickets() == []
        assert healed.tick("friction_threshold").run_requests == []
        first = healed.tick("fix_tracking")
        assert first.run_requests == []  # its run may still be going
        earlier = {key: at - HEAL_AFTER for key, at in json.loads(first.cursor).items()}
        [request] = healed.tick("fix_tracking", json.dumps(earlier)).run_requests
        assert healed.run(request).success
        [ticket] = healed.tickets()
        assert [ticket.stem] == [entry.key for entry in healed.ledger.entries(["filed"])]
        assert json.loads(healed.tick("fix_tracking", json.dumps(earlier)).cursor) == {}


def test_what_is_half_done_is_asked_for_again_after_a_while_and_forgotten_when_done():
    entries = [
        Entry(1, "filing", "SIG-1", None, {"type": "a"}),
        Entry(2, "filing", "SIG-2", None, {"type": "a"}),
        Entry(3, "filed", "SIG-1", None, {}),
    ]
    waiting = half_done(entries)
    assert waiting == {"SIG-2": "a"}
    since, none = to_heal(waiting, {}, 1000.0)
    assert (since, none) == ({"SIG-2": 1000.0}, {})
    names = [to_heal(waiting, since, 1000.0 + wait)[1] for wait in (HEAL_AFTER, HEAL_AFTER + 60, 2 * HEAL_AFTER)]
    assert names[0] == names[1] != names[2]  # one run each quarter of an hour
    assert to_heal({}, since, 1e9) == ({}, {})
