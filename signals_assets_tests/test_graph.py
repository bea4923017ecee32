"""The whole graph, on an instance in memory: a range, again, day by day, on empty days, with late and lost sessions."""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signals_assets.assets import sessions as sessions_stage
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.sessions import from_json, to_json
from signals_assets.partitions import between
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.simulation import World
from signals_assets.tables import (
    TABLES,
    Analysis,
    AnalysisRequestRow,
    DailyReport,
    Detection,
    Facet,
    FeedbackRecord,
    FrictionEvent,
    FrictionLevel,
    FrictionRate,
    PullRequest,
    RawSession,
    Release,
    Row,
    SessionMetrics,
    UserDay,
    arrow_schema,
    to_arrow,
)
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY, NEXT_DAY
from signals_assets_tests.home import Home, Tables, failures

DAYS = list(between(FIRST_DAY, LAST_DAY))
PUBLISHED = [name for name, model in TABLES.items() if model.zone == "published"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def day_of(time: str) -> date:
    return date.fromisoformat(time[:10])


def sessions_lived(world: World) -> list[dict[str, Any]]:
    """The simulation's truth about the sessions of the days that were materialized."""
    return [row for row in lines(world.out / "truth/sessions.jsonl") if day_of(row["day"]) <= LAST_DAY]


def assert_same(tables: Tables, expected: Tables) -> None:
    """Table by table, so that a failure names the table and day instead of printing everything."""
    for name, days in expected.items():
        assert list(tables[name]) == list(days), name
        for day, rows in days.items():
            assert tables[name][day] == rows, f"{name} of {day}"


# --- one ranged run ----------------------------------------------------------------------------------------------


def test_one_ranged_run_stores_every_day_of_every_table(lived: Home):
    for name, model in TABLES.items():
        assert lived.warehouse.days(model) == DAYS, name


def test_nothing_of_the_source_is_lost_on_its_way(lived: Home, world: World):
    truth = sessions_lived(world)
    assert len(truth) > 30
    for day in DAYS:
        of_day = sum(row["day"] == day.isoformat() for row in truth)
        for model in (RawSession, SessionMetrics, AnalysisRequestRow, Analysis):
            assert len(lived.rows(model, day)) == of_day, (model.table, day)
        assert sum(row["facet"] == "outcome" for row in lived.rows(Facet, day)) == of_day
    assert {row["state"] for row in lived.rows(Analysis)} == {"answered"}


def test_the_outside_s_records_arrive_on_their_days(lived: Home, world: World):
    def told(name: str, time: str) -> list[dict[str, Any]]:
        paths = sorted((world.out / "records").glob(f"{name}*/*")) or [world.out / f"records/{name}.jsonl"]
        return [row for path in paths for row in lines(path) if FIRST_DAY <= day_of(row[time]) <= LAST_DAY]

    releases = {row["version"]: day_of(row["released_at"]) for row in told("releases", "released_at")}
    stored = {row["version"]: row["day"] for row in lived.rows(Release) if row["origin"] == "record"}
    assert stored == releases
    assert len(lived.rows(FeedbackRecord)) == len(told("feedback", "given_at")) > 0
    opened = {row["pull_request_id"] for row in told("pull_requests", "opened_at")}
    assert {row["pull_request_id"] for row in lived.rows(PullRequest)} == opened != set()


def test_what_was_planted_often_is_seen_and_counted(lived: Home, world: World):
    truth = sessions_lived(world)
    planted = [item["type"] for row in truth for item in row["friction"]]
    often = {name for name in planted if planted.count(name) >= 4}
    assert often
    for model in (Detection, FrictionEvent, UserDay):
        assert often <= {row["type"] for row in lived.rows(model)}, model.table
    exposed = [row for row in lived.rows(UserDay) if row["kind"] == "session" and row["source"] == "detector"]
    assert sum(row["sessions"] for row in exposed) == len(truth)
    enough = {
        name for name in often
        if len({row["user_id"] for row in lived.rows(UserDay) if row["type"] == name and row["kind"] == "friction"})
        >= SHOWN["team"].users
    }  # fmt: skip
    assert enough
    assert (
        enough
        <= {row["type"] for row in lived.rows(FrictionRate, LAST_DAY)}
        <= {row["type"] for row in lived.rows(UserDay)}
    )


def test_the_day_is_noted_as_complete_and_its_page_is_there(lived: Home):
    assert lived.ledger.newest_day() == LAST_DAY
    assert lived.rows(DailyReport, LAST_DAY)
    assert all((lived.folder / f"reports/{day}.html").is_file() for day in DAYS)


def test_the_ui_sees_row_counts_and_coverage_of_every_day(lived: Home):
    for name, model in TABLES.items():
        for day in DAYS:
            assert lived.metadata(name, day)["dagster/partition_row_count"] == len(lived.rows(model, day)), name
    metadata = lived.metadata("raw_sessions", LAST_DAY)
    assert metadata["coverage/asked"] == metadata["dagster/partition_row_count"] > 0


def test_the_friction_types_are_partitions_after_a_run(lived: Home):
    types = {row["type"] for row in lived.rows(FrictionLevel)}
    assert set(lived.instance.get_dynamic_partitions("friction_type")) == types
    assert "error_event" in types


# --- again ---------------------------------------------------------------------------------------------------------


def test_the_same_range_again_gives_equal_rows_and_keeps_what_was_published(lived: Home, tmp_path: Path):
    before = lived.tables(FIRST_DAY, LAST_DAY)
    with lived.copy(tmp_path / "home") as again:
        again.materialize(FIRST_DAY, LAST_DAY)
        assert_same(again.tables(FIRST_DAY, LAST_DAY), before)
        for name in PUBLISHED:
            assert {again.metadata(name, day)["kept"] for day in DAYS} == {"same"}, name


def test_a_single_middle_day_again_gives_equal_rows_everywhere(lived: Home, tmp_path: Path):
    before = lived.tables(FIRST_DAY, LAST_DAY)
    with lived.copy(tmp_path / "home") as again:
        again.materialize(DAYS[1])
        assert_same(again.tables(FIRST_DAY, LAST_DAY), before)
        assert {again.metadata(name, DAYS[1])["kept"] for name in PUBLISHED} == {"same"}


def test_day_by_day_in_runs_of_their_own_gives_the_rows_of_the_range(lived: Home, world: World, tmp_path: Path):
    with Home(tmp_path / "home", world.out) as daily:
        for day in DAYS:
            daily.materialize(day)
        assert_same(daily.tables(FIRST_DAY, LAST_DAY), lived.tables(FIRST_DAY, LAST_DAY))


SPEAK_OF_NOTHING = ("friction_levels", "leading_indicators", "loop_metrics", "daily_report")
"""Tables that say of what there is no data."""


def test_days_without_any_session_or_record_go_through_the_whole_graph(world: World, tmp_path: Path):
    empty = date(2026, 3, 2)
    with Home(tmp_path / "home", world.out) as home:
        home.materialize(empty, empty + timedelta(days=1))
        for name, days in home.tables(empty, empty + timedelta(days=1)).items():
            assert list(days) == [empty, empty + timedelta(days=1)], name
            if name not in SPEAK_OF_NOTHING:
                assert not any(days.values()), name
        assert {row["state"] for row in home.rows(FrictionLevel)} == {"not_enough_data"}


# --- late and lost -------------------------------------------------------------------------------------------------


def add_late_session(home: Home, folder: Path) -> Home:
    """The home with one more file: a session of the first day, like another one of that day but by its id."""
    assert home.world
    session = from_json((home.world / f"sessions/{FIRST_DAY}.jsonl").read_bytes().splitlines()[0])
    session.session_id = "arrived-late"
    late = folder / "late"
    late.mkdir()
    (late / "late.jsonl").write_bytes(to_json(session) + b"\n")
    return home.copy(folder / "home", sessions=[home.world / "sessions", late], records=home.world / "records")


def test_a_late_session_counts_from_the_day_it_became_known_and_published_days_stay(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sessions_stage, "today", lambda: NEXT_DAY)
    before = lived.tables(FIRST_DAY, LAST_DAY)
    with add_late_session(lived, tmp_path) as home:
        home.materialize(FIRST_DAY)
        stored = home.rows(RawSession, FIRST_DAY)
        late = [row for row in stored if row["source_session_id"] == "arrived-late"]
        assert [row["known_on"] for row in late] == [NEXT_DAY]
        assert {row["known_on"] for row in stored if row not in late} == {FIRST_DAY}
        assert late[0]["session_id"] in {row["session_id"] for row in home.rows(SessionMetrics, FIRST_DAY)}
        assert_same(published(home.tables(FIRST_DAY, LAST_DAY)), published(before))
        assert {home.metadata(name, FIRST_DAY)["kept"] for name in PUBLISHED} <= {"same", "different"}

        home.materialize(FIRST_DAY, NEXT_DAY)
        after = home.tables(FIRST_DAY, NEXT_DAY)
        assert_same({"user_days": {day: after["user_days"][day] for day in DAYS}}, {"user_days": before["user_days"]})
        assert_same(published(home.tables(FIRST_DAY, LAST_DAY)), published(before))
        restated = [row for row in after["user_days"][NEXT_DAY] if row["about_day"] == FIRST_DAY]
        assert exposure(restated) == exposure(before["user_days"][FIRST_DAY]) + 1
        assert max(row["known_on"] for row in restated) == NEXT_DAY


def published(tables: Tables) -> Tables:
    return {name: tables[name] for name in PUBLISHED}


def exposure(rows: Iterable[dict[str, Any]]) -> int:
    return sum(row["sessions"] for row in rows if row["kind"] == "session" and row["source"] == "detector")


def test_a_day_that_lost_sessions_fails_clearly_and_writes_nothing(lived: Home, tmp_path: Path):
    assert lived.world
    kept = tmp_path / "sessions"
    kept.mkdir()
    content = (lived.world / f"sessions/{FIRST_DAY}.jsonl").read_bytes().splitlines(keepends=True)
    (kept / "some.jsonl").write_bytes(b"".join(content[:-2]))
    with lived.copy(tmp_path / "home", sessions=[kept], records=lived.world / "records") as home:
        before = home.tables(FIRST_DAY, LAST_DAY)
        result = home.materialize(FIRST_DAY, fails=True)
        [said] = failures(result).values()
        assert f"no longer has 2 of {len(content)} stored sessions; nothing was written" in said
        assert "signals/allow_shrink" in said
        assert_same(home.tables(FIRST_DAY, LAST_DAY), before)

        home.materialize(FIRST_DAY, tags={"signals/allow_shrink": "yes"}, only=["raw_sessions", "quarantine"])
        assert len(home.rows(RawSession, FIRST_DAY)) == len(content) - 2


# --- contracts -----------------------------------------------------------------------------------------------------


class _Careless(ParquetWarehouse):
    """Writes one table with every row twice, past the warehouse's own refusals."""

    def replace(self, model: type[Row], day: date, rows: Any) -> int:
        count = super().replace(model, day, rows)
        if model is SessionMetrics:
            stored = self.read(model, day)
            path = self.folder / model.zone / model.table / f"{day.isoformat()}.parquet"
            pq.write_table(pa.concat_tables([stored, stored]), path)
        return count


def test_a_table_that_breaks_its_contract_stops_everything_after_it(world: World, tmp_path: Path):
    with Home(tmp_path / "home", world.out, {"warehouse": _Careless(tmp_path / "tables")}) as home:
        result = home.materialize(FIRST_DAY, fails=True)
        [check] = [item for item in result.get_asset_check_evaluations() if not item.passed]
        assert check.asset_key.to_user_string() == "session_metrics"
        assert check.metadata["repeated_key"].value == len(home.rows(RawSession, FIRST_DAY))
        stored = {name for name, model in TABLES.items() if home.warehouse.days(model)}
        beside = {"quarantine", "releases", "error_logs", "feedback", "pull_requests", "user_outcomes", "detections"}
        assert stored <= {"raw_sessions", "session_metrics", *beside}  # nothing that reads it was written
        assert home.ledger.newest_day() is None


# --- what flows back -----------------------------------------------------------------------------------------------


def test_an_accepted_type_is_known_from_the_next_day_on_and_has_its_partition(lived: Home, tmp_path: Path):
    before = lived.tables(FIRST_DAY, LAST_DAY)
    accepted = {"action": "accept", "kind": "friction", "slug": "wrong_time_zone", "name": "Wrong time zone",
                "definition": "Times come in another time zone than the user's."}  # fmt: skip
    with lived.copy(tmp_path / "home") as home:
        home.ledger.append("taxonomy", "accept:wrong_time_zone", accepted)
        home.materialize(DAYS[1], NEXT_DAY)
        assert_same(home.tables(FIRST_DAY, LAST_DAY), before)  # what was written after a day never reaches it
        versions = {row["taxonomy_version"] for row in home.rows(UserDay, NEXT_DAY)}
        assert versions == {row["taxonomy_version"] + 1 for row in home.rows(UserDay, LAST_DAY)}
        assert "wrong_time_zone" in {row["type"] for row in home.rows(FrictionLevel, NEXT_DAY)}
        assert "wrong_time_zone" in home.instance.get_dynamic_partitions("friction_type")


def test_an_empty_table_has_the_columns_of_its_model_everywhere():
    for name, model in TABLES.items():
        assert to_arrow(model, []).schema.names == arrow_schema(model).names == list(model.model_fields), name
