import typing
from datetime import date

import pyarrow as pa
import pytest

from signals_assets.tables import TABLES, FrictionEvent, Row, arrow_schema, to_arrow
from signals_assets.zones import Abstracted, _unpickled
from signals_assets_tests.factories import row_values


@pytest.mark.parametrize("model", TABLES.values(), ids=list(TABLES))
def test_rows_of_every_table_become_arrow_and_back(model):
    row = model(**row_values(model))
    table = to_arrow(model, [row])
    assert table.schema.equals(arrow_schema(model))
    assert table.to_pylist()[0]["day"] == row.day


@pytest.mark.parametrize("model", TABLES.values(), ids=list(TABLES))
def test_every_table_has_a_typed_empty_form(model):
    assert to_arrow(model, []).num_rows == 0


def test_admitted_text_is_stored_as_its_text():
    row = FrictionEvent(**row_values(FrictionEvent, citation=_unpickled("the tool failed")))
    assert to_arrow(FrictionEvent, [row]).column("citation").to_pylist() == ["the tool failed"]


def test_a_column_without_a_storage_type_is_named():
    class Odd(Row):
        """A row no store could keep."""

        table = "odd"
        stage = "sessions"
        zone = "restricted"
        key = ("day",)
        what: complex

    with pytest.raises(TypeError, match=r"odd\.what"):
        arrow_schema(Odd)


def test_optional_columns_are_nullable_and_others_are_not():
    schema = arrow_schema(FrictionEvent)
    assert schema.field("citation").nullable
    assert not schema.field("session_id").nullable
    assert schema.field("steps").type == pa.list_(pa.int64())


def test_no_published_table_holds_admitted_session_text_or_people():
    for name, model in TABLES.items():
        if model.zone != "published":
            continue
        assert not {"session_id", "user_id", "organization_id"} & set(model.model_fields), name
        for column, info in model.model_fields.items():
            kinds = {info.annotation, *typing.get_args(info.annotation)}
            assert Abstracted not in kinds, f"{name}.{column}"


def test_unknown_columns_are_refused():
    with pytest.raises(ValueError, match="extra"):
        FrictionEvent(**row_values(FrictionEvent), day_of_week=date(2026, 1, 5))
