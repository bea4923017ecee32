"""What every warehouse must hold: subclass `WarehouseContract` and give it a `warehouse` fixture."""

import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from signals_assets.resources.warehouse import Warehouse, WarehouseError
from signals_assets.tables import (
    TABLES,
    Detection,
    Embedding,
    FrictionEvent,
    Quarantined,
    RawSession,
    Row,
    WordSupport,
    admitted_columns,
    arrow_schema,
    to_arrow,
)
from signals_assets.zones import _unpickled
from signals_assets_tests.factories import row_values

DAY = date(2026, 3, 2)
NEXT = date(2026, 3, 3)
ABSTRACTED = [model for model in TABLES.values() if model.zone == "abstracted"]
WITH_ADMITTED = [model for model in TABLES.values() if admitted_columns(model)]


def quarantined(number: int, day: date = DAY, **changes: object) -> Quarantined:
    values = {"known_on": day, "record_id": f"r{number}", "source_format": "canonical", "reason": "too_deep"}
    return Quarantined.model_validate({"day": day, **values, **changes})


def event(number: int, text: str | None) -> FrictionEvent:
    return FrictionEvent(
        day=DAY, known_on=DAY, session_id=f"s{number}", event_id=f"e{number}", agent_name="agent",
        type="error_event", steps=[1, 4], citation=None if text is None else _unpickled(text),
        source="detector", confidence=0.75, taxonomy_version=1,
    )  # fmt: skip


def raw_session(number: int, text: str = "{}") -> RawSession:
    return RawSession(
        day=DAY, known_on=DAY, session_id=f"s{number}", source_session_id=f"source-{number}", agent_name="agent",
        started_at=datetime(2026, 3, 2, 23, 59, 59, 123456, tzinfo=UTC), steps=1, agentic_steps=0,
        source_format="canonical", session=text,
    )  # fmt: skip


class OldNote(Row):
    table, stage, zone, key = "notes", "metrics", "abstracted", ("note",)
    note: str


class NewNote(Row):
    table, stage, zone, key = "notes", "metrics", "abstracted", ("note",)
    weight: float | None = None
    note: str


def ids(table: pa.Table) -> list[str]:
    return table.column("record_id").to_pylist()


def without(record_id: str) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A change that takes one record out."""
    return lambda batch: batch.filter(pa.array([found != record_id for found in batch.column("record_id").to_pylist()]))


class WarehouseContract:
    def test_what_was_written_is_read_back_in_order(self, warehouse: Warehouse) -> None:
        assert warehouse.replace(Quarantined, DAY, [quarantined(2), quarantined(1)]) == 2
        table = warehouse.read(Quarantined, DAY)
        assert ids(table) == ["r2", "r1"]
        assert table.schema == arrow_schema(Quarantined)

    def test_writing_a_day_again_replaces_it(self, warehouse: Warehouse) -> None:
        for _ in range(2):
            warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(2)])
        assert warehouse.read(Quarantined, DAY).num_rows == 2
        warehouse.replace(Quarantined, DAY, [quarantined(3)])
        assert ids(warehouse.read(Quarantined, DAY)) == ["r3"]

    def test_other_days_are_left_alone(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        warehouse.replace(Quarantined, NEXT, [quarantined(2, NEXT)])
        assert ids(warehouse.read(Quarantined, [NEXT, DAY, NEXT])) == ["r1", "r2"]
        assert ids(warehouse.read(Quarantined, NEXT)) == ["r2"]

    def test_a_day_that_is_not_stored_adds_nothing(self, warehouse: Warehouse) -> None:
        assert warehouse.read(Quarantined, DAY).num_rows == 0
        assert warehouse.read(Quarantined, DAY).schema == arrow_schema(Quarantined)
        assert warehouse.read(Quarantined, []).num_rows == 0
        assert list(warehouse.stream(Quarantined, DAY)) == []
        assert warehouse.days(Quarantined) == []

    def test_no_rows_clear_the_day_and_leave_it_stored(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        assert warehouse.replace(Quarantined, DAY, []) == 0
        assert warehouse.days(Quarantined) == [DAY]
        assert warehouse.read(Quarantined, DAY).num_rows == 0

    def test_a_first_day_without_rows_can_be_queried(self, warehouse: Warehouse) -> None:
        warehouse.replace(FrictionEvent, DAY, [])
        assert warehouse.query("select count(*) as n from friction_events").to_pylist() == [{"n": 0}]

    def test_a_table_without_days_can_be_queried(self, warehouse: Warehouse) -> None:
        assert warehouse.query("select event_id, steps from friction_events").num_rows == 0

    def test_columns_go_by_name_not_by_position(self, warehouse: Warehouse) -> None:
        table = to_arrow(Quarantined, [quarantined(1)])
        warehouse.replace(Quarantined, DAY, table.select(table.column_names[::-1]))
        row = warehouse.read(Quarantined, DAY).to_pylist()[0]
        assert (row["record_id"], row["reason"]) == ("r1", "too_deep")

    def test_a_nullable_column_may_be_left_out(self, warehouse: Warehouse) -> None:
        warehouse.replace(RawSession, DAY, to_arrow(RawSession, [raw_session(1)]).drop_columns(["agent_version"]))
        assert warehouse.read(RawSession, DAY, ["agent_version"]).to_pylist() == [{"agent_version": None}]

    @pytest.mark.parametrize(
        "as_arrow",
        [lambda table: table, lambda table: table.to_batches(), lambda table: iter(table.to_batches())],
        ids=["table", "batches", "stream of batches"],
    )
    @pytest.mark.parametrize(
        "model", [model for model in TABLES.values() if model.zone == "abstracted"], ids=lambda model: model.table
    )
    def test_the_abstracted_zone_takes_rows_of_its_models_only(self, warehouse: Warehouse, model, as_arrow) -> None:
        row = model(**row_values(model, day=DAY))
        assert warehouse.replace(model, DAY, [row]) == 1
        with pytest.raises(WarehouseError, match=f"takes rows of {model.__name__} only"):
            warehouse.replace(model, DAY, as_arrow(to_arrow(model, [row])))
        assert warehouse.read(model, DAY).num_rows == 1

    @pytest.mark.parametrize(
        "model", [model for model in TABLES.values() if admitted_columns(model)], ids=lambda model: model.table
    )
    def test_text_that_the_barrier_did_not_admit_is_refused_from_rows_built_past_their_validation(
        self, warehouse: Warehouse, model
    ) -> None:
        row = model(**row_values(model, day=DAY))
        for column in admitted_columns(model):
            kept = getattr(row, column)
            for text in ("secret words", ["secret words"]):
                forged = model.model_construct(**{**row.__dict__, column: text})
                with pytest.raises(WarehouseError, match="the barrier did not admit") as refusal:
                    warehouse.replace(model, DAY, [forged])
                assert "secret" not in str(refusal.value)
                assert refusal.value.__cause__ is None
            assert getattr(row, column) == kept
        assert warehouse.days(model) == []

    def test_a_rewrite_takes_admitted_text_away_and_brings_none(self, warehouse: Warehouse) -> None:
        warehouse.replace(FrictionEvent, DAY, [event(1, "the tool failed"), event(2, "the user")])

        def putting(*texts: str | None) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
            def change(batch: pa.RecordBatch) -> pa.RecordBatch:
                at = batch.schema.get_field_index("citation")
                return batch.set_column(at, batch.schema.field(at), pa.array(texts, pa.string()))

            return change

        with pytest.raises(WarehouseError, match="citation") as refusal:
            warehouse.rewrite(FrictionEvent, DAY, putting("the tool failed", "secret words"))
        assert "secret" not in str(refusal.value)
        assert warehouse.read(FrictionEvent, DAY).column("citation").to_pylist() == ["the tool failed", "the user"]
        assert warehouse.rewrite(FrictionEvent, DAY, putting("the tool failed", None)) == 1
        assert warehouse.read(FrictionEvent, DAY).column("citation").to_pylist() == ["the tool failed", None]

    def test_days_stored_before_a_column_existed_have_nulls_in_it(self, warehouse: Warehouse) -> None:
        warehouse.replace(OldNote, DAY, [OldNote(day=DAY, note="old")])
        warehouse.replace(NewNote, NEXT, [NewNote(day=NEXT, note="new", weight=0.5)])
        assert warehouse.read(NewNote, [DAY, NEXT], ["note", "weight"]).to_pylist() == [
            {"note": "old", "weight": None},
            {"note": "new", "weight": 0.5},
        ]

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda table: table.drop_columns(["reason"]),
            lambda table: table.append_column("extra", pa.array(["x"])),
            lambda table: table.append_column("reason", table.column("reason")),
            lambda table: table.set_column(table.column_names.index("bytes"), "bytes", pa.array(["many"])),
            lambda table: table.set_column(table.column_names.index("reason"), "reason", pa.nulls(1, pa.string())),
            lambda table: pa.concat_tables([table, table]),
            lambda table: to_arrow(Quarantined, [quarantined(1, NEXT)]),
        ],
        ids=["missing column", "foreign column", "column twice", "wrong type", "null", "key twice", "another day"],
    )
    def test_what_breaks_the_contract_is_refused_and_the_old_rows_stay(self, warehouse: Warehouse, spoil) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(7)])
        with pytest.raises(WarehouseError, match=r"quarantine \(2026-03-02\)") as refusal:
            warehouse.replace(Quarantined, DAY, spoil(to_arrow(Quarantined, [quarantined(1)])))
        assert "too_deep" not in str(refusal.value)
        assert "many" not in str(refusal.value)
        assert ids(warehouse.read(Quarantined, DAY)) == ["r7"]

    def test_rows_of_another_model_are_refused(self, warehouse: Warehouse) -> None:
        with pytest.raises(WarehouseError, match="FrictionEvent"):
            warehouse.replace(Quarantined, DAY, [event(1, None)])
        assert warehouse.days(Quarantined) == []

    def test_a_key_that_comes_again_much_later_in_a_stream_is_refused(self, warehouse: Warehouse) -> None:
        rows = [*(quarantined(number) for number in range(9000)), quarantined(0)]
        with pytest.raises(WarehouseError, match="more than once"):
            warehouse.replace(Quarantined, DAY, rows)

    def test_keys_may_hold_lists(self, warehouse: Warehouse) -> None:
        def detection(*steps: int) -> Detection:
            return Detection(
                day=DAY, known_on=DAY, session_id="s", kind="friction", type="error_event", confidence=1.0,
                steps=list(steps),
            )  # fmt: skip

        assert warehouse.replace(Detection, DAY, [detection(1), detection(1, 2)]) == 2
        with pytest.raises(WarehouseError):
            warehouse.replace(Detection, DAY, [detection(1), detection(1)])

    def test_a_stream_that_breaks_midway_keeps_the_old_rows(self, warehouse: Warehouse) -> None:
        warehouse.replace(RawSession, DAY, [raw_session(0)])

        def breaking() -> Iterator[RawSession]:
            for number in range(40):
                yield raw_session(number, "x" * 2**19)
            raise ConnectionError("the source went away")

        with pytest.raises(ConnectionError):
            warehouse.replace(RawSession, DAY, breaking())
        assert warehouse.read(RawSession, DAY, ["session_id"]).to_pylist() == [{"session_id": "s0"}]

    def test_record_batches_can_be_streamed_in(self, warehouse: Warehouse) -> None:
        batches = (to_arrow(Quarantined, [quarantined(n)]).to_batches()[0] for n in range(3))
        assert warehouse.replace(Quarantined, DAY, batches) == 3
        assert ids(warehouse.read(Quarantined, DAY)) == ["r0", "r1", "r2"]

    def test_a_day_can_be_streamed_out_in_small_batches(self, warehouse: Warehouse) -> None:
        warehouse.replace(RawSession, DAY, [raw_session(n) for n in range(10)])
        batches = list(warehouse.stream(RawSession, DAY, ["session_id", "session"], rows_per_batch=4))
        assert [batch.num_rows for batch in batches] == [4, 4, 2]
        assert batches[0].schema.names == ["session_id", "session"]

    def test_chunks_hold_a_day_in_order_and_can_be_read_elsewhere(self, warehouse: Warehouse) -> None:
        warehouse.replace(RawSession, DAY, [raw_session(n) for n in range(150)])
        chunks = [pickle.loads(pickle.dumps(chunk)) for chunk in warehouse.chunks(RawSession, DAY)]
        assert [row for chunk in chunks for row in chunk] == warehouse.read(RawSession, DAY).to_pylist()
        ids_of = [chunk.column("session_id") for chunk in chunks]
        assert [name for part in ids_of for name in part] == [f"s{n}" for n in range(150)]
        narrow = [row for chunk in warehouse.chunks(RawSession, DAY, ["session_id", "steps"]) for row in chunk]
        assert narrow[0] == {"session_id": "s0", "steps": 1}

    def test_a_day_that_is_not_stored_has_no_chunks(self, warehouse: Warehouse) -> None:
        assert list(warehouse.chunks(RawSession, DAY)) == []

    def test_vectors_and_lists_come_back_as_they_were(self, warehouse: Warehouse) -> None:
        row = Embedding(
            day=DAY, known_on=DAY, item_id="i", kind="summary", session_id="s", content_hash="h", embedder="e",
            vector=[0.5, -0.25, 0.0],
        )  # fmt: skip
        warehouse.replace(Embedding, DAY, [row])
        stored = warehouse.read(Embedding, DAY)
        assert stored.column("vector").to_pylist() == [[0.5, -0.25, 0.0]]
        assert stored.schema.field("vector").type == pa.list_(pa.float32())
        warehouse.replace(WordSupport, DAY, [WordSupport(day=DAY, hash="h", user_hashes=[])])
        assert warehouse.read(WordSupport, DAY).column("user_hashes").to_pylist() == [[]]

    def test_times_come_back_in_utc_to_the_microsecond(self, warehouse: Warehouse) -> None:
        warehouse.replace(RawSession, DAY, [raw_session(1)])
        stored = warehouse.read(RawSession, DAY, ["started_at", "ended_at"]).to_pylist()[0]
        assert stored["started_at"] == datetime(2026, 3, 2, 23, 59, 59, 123456, tzinfo=UTC)
        assert stored["ended_at"] is None

    def test_admitted_text_is_stored_as_text(self, warehouse: Warehouse) -> None:
        warehouse.replace(FrictionEvent, DAY, [event(1, "user asked again"), event(2, None)])
        assert warehouse.read(FrictionEvent, DAY, ["citation"]).to_pylist() == [
            {"citation": "user asked again"},
            {"citation": None},
        ]

    def test_columns_come_in_the_order_asked_and_unknown_ones_are_refused(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        assert warehouse.read(Quarantined, DAY, ["reason", "day"]).column_names == ["reason", "day"]
        with pytest.raises(WarehouseError, match="weather"):
            warehouse.read(Quarantined, DAY, ["weather"])

    def test_days_are_listed_in_order_and_can_be_deleted(self, warehouse: Warehouse) -> None:
        for day in (NEXT, DAY):
            warehouse.replace(Quarantined, day, [])
        assert warehouse.days(Quarantined) == [DAY, NEXT]
        assert warehouse.delete_days(Quarantined, [DAY, date(2020, 1, 1)]) == 1
        assert warehouse.days(Quarantined) == [NEXT]

    def test_a_limited_warehouse_reads_everything_and_writes_its_zones_only(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        limited = warehouse.limited_to(["abstracted"])
        assert limited.read(Quarantined, DAY).num_rows == 1
        assert limited.replace(FrictionEvent, DAY, [event(1, None)]) == 1
        with pytest.raises(WarehouseError, match="restricted"):
            limited.replace(Quarantined, DAY, [])
        with pytest.raises(WarehouseError):
            limited.delete_days(Quarantined, [DAY])
        with pytest.raises(WarehouseError):
            limited.limited_to(["restricted"]).replace(Quarantined, DAY, [])
        assert ids(warehouse.read(Quarantined, DAY)) == ["r1"]

    def test_a_rewritten_day_loses_the_rows_it_should_and_keeps_the_others_and_its_age(
        self, warehouse: Warehouse
    ) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(2), quarantined(3)])
        warehouse.replace(Quarantined, NEXT, [quarantined(2, NEXT)])
        kept = warehouse.read(Quarantined, DAY).take([0, 2])
        written = warehouse.written_on(Quarantined, DAY)
        assert warehouse.rewrite(Quarantined, DAY, without("r2")) == 1
        assert warehouse.read(Quarantined, DAY).equals(kept)
        assert warehouse.written_on(Quarantined, DAY) == written
        assert ids(warehouse.read(Quarantined, NEXT)) == ["r2"]
        assert warehouse.rewrite(Quarantined, DAY, without("r2")) == 0
        assert warehouse.rewrite(Quarantined, date(2020, 1, 1), without("r2")) == 0

    def test_a_rewritten_day_may_become_empty_and_stays_stored(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        assert warehouse.rewrite(Quarantined, DAY, without("r1")) == 1
        assert warehouse.days(Quarantined) == [DAY]
        assert warehouse.read(Quarantined, DAY).num_rows == 0

    def test_a_rewrite_that_breaks_off_keeps_the_day(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(2)])

        def breaking(batch: pa.RecordBatch) -> pa.RecordBatch:
            raise ConnectionError

        with pytest.raises(ConnectionError):
            warehouse.rewrite(Quarantined, DAY, breaking)
        assert ids(warehouse.read(Quarantined, DAY)) == ["r1", "r2"]

    def test_a_rewrite_counts_changed_rows_and_knows_days_of_an_older_form(self, warehouse: Warehouse) -> None:
        warehouse.replace(OldNote, DAY, [OldNote(day=DAY, note="old"), OldNote(day=DAY, note="other")])

        def louder(batch: pa.RecordBatch) -> pa.RecordBatch:
            notes = [note.replace("old", "OLD") for note in batch.column("note").to_pylist()]
            return batch.set_column(batch.schema.get_field_index("note"), batch.schema.field("note"), pa.array(notes))

        assert warehouse.rewrite(NewNote, DAY, louder) == 1
        assert warehouse.read(NewNote, DAY, ["note"]).column("note").to_pylist() == ["OLD", "other"]

    def test_a_limited_warehouse_refuses_to_rewrite_another_zone(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        with pytest.raises(WarehouseError, match="restricted"):
            warehouse.limited_to(["abstracted"]).rewrite(Quarantined, DAY, without("r1"))

    def test_queries_join_days_and_take_parameters(self, warehouse: Warehouse) -> None:
        warehouse.replace(FrictionEvent, DAY, [event(1, "a"), event(2, "the")])
        answer = warehouse.query("select session_id from friction_events where event_id = ? and day = ?", ["e2", DAY])
        assert answer.to_pylist() == [{"session_id": "s2"}]

    def test_queries_do_not_see_the_restricted_zone_unless_asked(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        with pytest.raises(WarehouseError):
            warehouse.query("select * from quarantine")
        assert warehouse.query("select record_id from quarantine", zones=["restricted"]).num_rows == 1

    @pytest.mark.parametrize(
        "sql",
        [
            "delete from friction_events",
            "drop view friction_events",
            "create table mine as select 1",
            "select 1; select 2",
            "insert into friction_events select * from friction_events",
            "",
            "selekt 1",
        ],
    )
    def test_anything_but_one_reading_statement_is_refused(self, warehouse: Warehouse, sql: str) -> None:
        with pytest.raises(WarehouseError):
            warehouse.query(sql)

    def test_the_doctor_gets_an_answer(self, warehouse: Warehouse) -> None:
        warehouse.replace(Quarantined, DAY, [])
        assert "1 tables, 1 table days" in warehouse.check()
