"""A type's life on the whole graph: accepted with one command, in force from its beginning, undone without a trace."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.core.correlations import with_restated
from signals_assets.core.taxonomy import TaxonomyError, fold
from signals_assets.core.taxonomy_sql import as_of_version
from signals_assets.partitions import FRICTION_TYPES, between
from signals_assets.resources.decisions import acceptance, decide, proposal, taxonomy_of, version_of
from signals_assets.simulation import World
from signals_assets.tables import (
    TABLES,
    EventLabel,
    FrictionEvent,
    FrictionRate,
    RestatedRate,
    TaxonomyProposal,
    TaxonomyReview,
    UserDay,
)
from signals_assets_tests.factories import row_values
from signals_assets_tests.home import QUIET, Home

FIRST = date(2026, 1, 5)
BORN, NEXT, AFTER = FIRST + timedelta(5), FIRST + timedelta(6), FIRST + timedelta(7)
SLUG = "late_word"
STAMPS = {"taxonomy_version", "ledger_seq", "since_version", "request_id", "batch_id"}
"""Columns that say how many decisions there were, and not what they decided: a request is one under its version."""


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose first six days went through the graph; on the newest a group of its events is proposed."""
    folder = tmp_path_factory.mktemp("life")
    world = World(3, 12, FIRST, folder / "world", users=12, organizations=3)
    world.step(8)
    with Home(folder / "home", world.out, audience="self") as home:
        home.materialize(FIRST, BORN)
        propose(home)
        yield home


def propose(home: Home) -> None:
    """A proposal of all corrections, as discovery would write it: a week is too short for a real one."""
    events = [
        row
        for row in home.rows(FrictionEvent)
        if row["source"] == "analyst" and row["type"] == "correction" and row["citation"] is not None
    ]
    ids = sorted(row["event_id"] for row in events)
    assert len(ids) >= 8
    values: dict[str, Any] = {
        "day": BORN, "proposal_id": "p_late", "kind": "friction", "slug": SLUG, "item_ids": ids, "items": len(ids),
        "first_day": FIRST, "ready": True,
    }  # fmt: skip
    home.warehouse.replace(TaxonomyProposal, BORN, [TaxonomyProposal(**row_values(TaxonomyProposal, **values))])


def accept(home: Home) -> Any:
    """What `signals taxonomy accept` does."""
    entry, _ = decide(home.ledger, acceptance(home.warehouse, proposal(home.warehouse, SLUG)), author="ada")
    return entry


def plain(home: Home, *days: date) -> dict[str, Any]:
    """All tables of the days without the stamps of decisions; labels as they stand at the end."""
    found: dict[str, Any] = {}
    for name, model in TABLES.items():
        if model is EventLabel:
            continue  # an undone label is two rows: compared by what they say together
        for day in days:
            rows = home.rows(model, day)
            found[f"{name} of {day}"] = [{k: v for k, v in row.items() if k not in STAMPS} for row in rows]
    return found


def types_in_force(home: Home) -> dict[str, str]:
    """What each event counts as in the end."""
    newest = {row["event_id"]: row["type"] for row in home.rows(FrictionEvent)}
    newest |= {row["event_id"]: row["type"] for row in home.rows(EventLabel)}
    return newest


@pytest.fixture
def copy(early: Home, tmp_path: Path) -> Iterator[Any]:
    """Makes copies of the early home."""
    made: list[Home] = []

    def make() -> Home:
        made.append(early.copy(tmp_path / f"home{len(made)}"))
        return made[-1]

    yield make
    for home in made:
        home.instance.dispose()


def test_an_accepted_type_is_in_force_from_its_true_beginning(copy: Any) -> None:
    home = copy()
    accept(home)
    home.materialize(NEXT)
    labels = [row for row in home.rows(EventLabel, NEXT) if row["type"] == SLUG]
    assert {row["about_day"] for row in labels} > {FIRST}
    assert {row["taxonomy_version"] for row in labels} == {2}
    counted = [row for row in home.rows(UserDay, NEXT) if row["type"] == SLUG]
    assert {row["about_day"] for row in counted} >= {FIRST}
    assert {row["taxonomy_version"] for row in counted} == {2}

    past = home.rows(RestatedRate, NEXT)
    assert {row["type"] for row in past} == {SLUG}
    assert min(row["about_day"] for row in past if row["window_days"] == 1) == FIRST
    assert max(row["about_day"] for row in past) == BORN
    trend = with_restated(home.rows(FrictionRate), home.rows(RestatedRate), taxonomy_of(home.ledger))
    drawn = {row["day"] for row in trend if row["type"] == SLUG and row["slice_kind"] == "all"}
    assert drawn >= {FIRST, BORN, NEXT}
    assert SLUG in home.instance.get_dynamic_partitions(FRICTION_TYPES.name)
    assert SLUG in {row["slug"] for row in home.rows(TaxonomyReview, NEXT)}


def test_undo_brings_everything_back(copy: Any) -> None:
    never, undone = copy(), copy()
    never.materialize(NEXT, AFTER)
    entry = accept(undone)
    undone.materialize(NEXT)
    assert SLUG in types_in_force(undone).values()
    decide(undone.ledger, {"action": "undo", "undoes": entry.seq}, author="ada")
    undone.materialize(AFTER)
    assert types_in_force(undone) == types_in_force(never)
    expected, found = plain(never, AFTER), plain(undone, AFTER)
    for name in expected:
        if name.startswith("user_days"):
            continue  # the days that the acceptance had restated are restated once more
        if name.startswith("daily_report"):
            continue  # its history tells the decision, and that it was taken back
        assert found[name] == expected[name], name
    assert standing(undone) == standing(never)


def standing(home: Home) -> list[dict[str, Any]]:
    """The counts that count in the end: of every day the newest."""
    newest: dict[date, date] = {}
    for row in home.rows(UserDay):
        newest[row["about_day"]] = max(row["day"], newest.get(row["about_day"], row["day"]))
    return sorted(
        (
            {name: value for name, value in row.items() if name not in STAMPS | {"day"}}
            for row in home.rows(UserDay)
            if row["day"] == newest[row["about_day"]]
        ),
        key=str,
    )


def test_a_decision_and_its_undo_on_one_day_leave_no_trace_but_in_the_history(copy: Any) -> None:
    never, undone = copy(), copy()
    entry = accept(undone)
    decide(undone.ledger, {"action": "undo", "undoes": entry.seq}, author="ada")
    for home in (never, undone):
        home.materialize(NEXT)
    found, expected = (
        {name: rows for name, rows in plain(home, NEXT).items() if not name.startswith("daily_report")}
        for home in (undone, never)
    )
    assert found == expected
    assert undone.rows(EventLabel, NEXT) == never.rows(EventLabel, NEXT) == []


def test_the_same_day_again_reads_the_decisions_that_it_read(copy: Any) -> None:
    home = copy()
    entry = accept(home)
    home.materialize(NEXT)
    first = home.tables(NEXT, NEXT)
    decide(home.ledger, {"action": "undo", "undoes": entry.seq}, author="ada")
    home.materialize(NEXT)
    assert home.tables(NEXT, NEXT) == first


def test_the_job_in_the_ui_decides_like_the_command(copy: Any) -> None:
    home = copy()
    job = home.definitions.resolve_job_def("taxonomy")

    def run(fails: bool = False, **decision: Any) -> dg.ExecuteInProcessResult:
        config = {**QUIET, "ops": {"decide_taxonomy": {"config": {"author": "grace", **decision}}}}
        return job.execute_in_process(run_config=config, instance=home.instance, raise_on_error=not fails)

    assert run(action="accept", slug=SLUG, name="Late word").success
    taxonomy = taxonomy_of(home.ledger)
    accepted = taxonomy.get("friction", SLUG)
    assert accepted is not None
    assert accepted.name == "Late word"
    assert taxonomy.changes[-1].payload["author"] == "grace"
    assert taxonomy.changes[-1].payload["evidence"]["items"] >= 8
    assert taxonomy.changes[-1].payload["centre"]["embedder"] == "hash-for-tests"
    assert SLUG in home.instance.get_dynamic_partitions(FRICTION_TYPES.name)
    assert run(action="merge", slug=SLUG, into="correction").success
    assert taxonomy_of(home.ledger).current("friction", SLUG) == "correction"
    assert run(action="undo").success
    assert run(action="undo", entry=accepted_entry(home)).success
    assert taxonomy_of(home.ledger).get("friction", SLUG) is None
    assert not run(fails=True, action="accept", slug="nothing_such").success
    assert len(home.ledger.entries(["taxonomy"])) == 4


def accepted_entry(home: Home) -> int:
    return next(change.seq for change in fold(home.ledger.entries(["taxonomy"])).accepted())


def test_ready_proposals_are_accepted_without_a_person_only_where_the_setting_says_so(
    early: Home, copy: Any, tmp_path: Path
) -> None:
    assert copy().tick("auto_acceptance").run_requests == []
    with early.copy(tmp_path / "auto", discovery={"auto_accept": True}) as home:
        (asked,) = home.tick("auto_acceptance").run_requests
        config = {**QUIET, **asked.run_config}
        job = home.definitions.resolve_job_def("taxonomy")
        assert job.execute_in_process(run_config=config, instance=home.instance).success
        assert taxonomy_of(home.ledger).changes[-1].payload["author"] == "auto-accept"
        assert home.tick("auto_acceptance").run_requests == []


def test_all_days_are_there(early: Home) -> None:
    for model in (TaxonomyReview, RestatedRate):
        assert early.warehouse.days(model) == list(between(FIRST, BORN))


def test_tables_can_be_asked_as_a_version_knew_them(copy: Any) -> None:
    home = copy()
    accept(home)
    home.materialize(NEXT)

    def asked(version: int, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = home.warehouse.query(
            as_of_version(query, version_of(home.ledger, version))
        ).to_pylist()
        return rows

    by_type = "with e as (select type, count(*) n from friction_events group by type) select * from e order by type"
    before = {row["type"]: row["n"] for row in asked(1, by_type)}
    after = {row["type"]: row["n"] for row in asked(2, by_type)}
    today = {row["type"]: row["n"] for row in home.warehouse.query(by_type).to_pylist()}
    assert before == today  # what is stored is never rewritten
    newest = {row["event_id"]: row["type"] for row in home.rows(EventLabel)}
    assert after[SLUG] == len([type_ for type_ in newest.values() if type_ == SLUG])
    assert sum(after.values()) == sum(before.values())
    assert asked(1, f"select * from user_days where day = date '{NEXT}'") == []
    assert asked(2, f"select count(*) > 0 as some from user_days where day = date '{NEXT}'") == [{"some": True}]
    assert {row["type"] for row in asked(1, "select distinct type from unmet_needs")} <= {"other"}
    assert (
        asked(1, "select count(*) n from facets") == home.warehouse.query("select count(*) n from facets").to_pylist()
    )


def test_a_version_that_never_was_and_a_table_of_today_are_refused(early: Home) -> None:
    with pytest.raises(TaxonomyError, match="versions 1 to 1"):
        version_of(early.ledger, 2)
    with pytest.raises(TaxonomyError, match="today's"):
        as_of_version("select * from main.friction_events", version_of(early.ledger, 1))
