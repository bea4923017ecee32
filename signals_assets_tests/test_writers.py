"""Who may write what: an asset writes the zones of its own tables only; nothing free reaches the published zone."""

import inspect
import types
import typing
from datetime import date
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pytest

from signals_assets import automation
from signals_assets.resources.warehouse import ParquetWarehouse, WarehouseError
from signals_assets.tables import TABLES, Row
from signals_assets.zones import ZONES, Abstracted, Raw
from signals_assets_tests.home import Home

DAY = date(2026, 3, 2)

WRITTEN_BY = {
    "taxonomy name": {
        "friction_rates.type", "restated_rates.type",
        "release_correlations.type", "error_correlations.type", "leading_indicators.indicator",
        "leading_indicators.outcome", "intent_trends.intent", "friction_levels.type", "ticket_states.type",
        "fix_outcomes.type",
    },
    "allow-listed or opaque label": {
        "friction_rates.slice", "release_correlations.agent_name", "release_correlations.version",
        "error_correlations.template", "error_correlations.service", "friction_levels.version",
        "friction_levels.versions_blamed", "ticket_states.component", "ticket_states.released_in",
        "fix_outcomes.version",
    },
    "word of the code": {
        "friction_rates.slice_kind", "friction_levels.slice", "friction_levels.slice_kind",
        "fix_outcomes.cohort", "loop_metrics.metric",
        "loop_metrics.unit", "daily_report.section", "daily_report.reference",
    },
    "band": {
        "friction_rates.users", "friction_rates.sessions", "restated_rates.users", "restated_rates.sessions",
        "release_correlations.users_after",
        "release_correlations.sessions_after", "error_correlations.users", "error_correlations.sessions",
        "leading_indicators.users", "leading_indicators.sessions", "intent_trends.users", "intent_trends.sessions",
        "friction_levels.users", "friction_levels.sessions", "fix_outcomes.users_after",
        "fix_outcomes.sessions_after",
    },
    "id": {
        "error_correlations.template_id", "friction_levels.episode", "friction_levels.causes",
        "ticket_states.ticket_key", "ticket_states.cause_id", "ticket_states.reference",
        "ticket_states.pull_request_id", "fix_outcomes.ticket_key",
    },
    "template sentence": {"friction_levels.reason", "fix_outcomes.guardrails", "daily_report.headline"},
}  # fmt: skip
"""Where the text of every published column comes from. A new text column fails until someone says."""


def is_free_text(annotation: Any) -> bool:
    """Whether a column can hold any text: a string, also optional or in a list; a Literal cannot."""
    if typing.get_origin(annotation) is Literal:
        return False
    if typing.get_origin(annotation) in (list, typing.Union, types.UnionType):
        return any(is_free_text(part) for part in typing.get_args(annotation))
    return annotation in (str, Abstracted) or annotation is Raw


def test_the_text_of_every_published_column_comes_from_a_named_source():
    known = [column for columns in WRITTEN_BY.values() for column in columns]
    assert len(known) == len(set(known))
    found = {
        f"{name}.{column}"
        for name, model in TABLES.items()
        if model.zone == "published"
        for column, info in model.model_fields.items()
        if is_free_text(info.annotation)
    }
    assert found == set(known)


def written_by(definition: dg.AssetsDefinition) -> list[type[Row]]:
    return [TABLES[key.to_user_string()] for key in definition.keys if key.to_user_string() in TABLES]


def test_every_table_has_one_writer_and_its_stated_zone_is_the_table_s(lived: Home):
    graph = lived.definitions.resolve_asset_graph()
    for name, model in TABLES.items():
        node = graph.get(dg.AssetKey(name))
        assert node.tags["zone"] == model.zone, name


@pytest.fixture(params=sorted(TABLES))
def model(request: pytest.FixtureRequest) -> type[Row]:
    return TABLES[request.param]


def test_a_writer_s_warehouse_refuses_the_tables_of_other_zones(model: type[Row], tmp_path: Path):
    """The real wrapper of every asset, around a body that tries to write each table."""
    refused: dict[str, bool] = {}

    def body(_: object, warehouse: ParquetWarehouse) -> None:
        for name, other in TABLES.items():
            try:
                warehouse.replace(other, DAY, [])
                warehouse.delete_days(other, [DAY])
                refused[name] = False
            except WarehouseError:
                refused[name] = True

    wrapped = automation._needing([], body, [model])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automation, "days_of", lambda _: [DAY])
        wrapped(None, warehouse=ParquetWarehouse(tmp_path))
    assert refused == {name: other.zone != model.zone for name, other in TABLES.items()}


def test_every_asset_of_the_real_graph_is_wrapped_and_writes_one_zone(lived: Home):
    definitions = {id(one): one for one in lived.definitions.assets or []}
    wrapped = 0
    for definition in definitions.values():
        assert isinstance(definition, dg.AssetsDefinition)
        models = written_by(definition)
        if not models:
            assert {key.to_user_string() for key in definition.keys} <= set(automation.ACTING)
            continue
        body = typing.cast(Any, definition.op.compute_fn).decorated_fn
        zones = inspect.getclosurevars(inspect.unwrap(body, stop=lambda f: "limited" in _free(f))).nonlocals
        limited = inspect.getclosurevars(zones["limited"]).nonlocals["zones"]
        assert limited == sorted({one.zone for one in models})
        wrapped += len(models)
    assert wrapped == len(TABLES)


def _free(function: Any) -> tuple[str, ...]:
    return function.__code__.co_freevars


def test_no_asset_that_reads_raw_text_writes_the_published_zone_directly_but_from_counts(lived: Home):
    """Column lineage over the real graph: what published tables read of restricted ones, and why."""
    allowed = {
        "friction_rates": {"releases"}, "release_correlations": {"releases"}, "error_correlations": {"error_logs"},
        "leading_indicators": {"user_outcomes"},
        "ticket_states": {"pull_requests", "releases"}, "fix_outcomes": {"releases"}, "loop_metrics": {"pull_requests"},
        "daily_report": {
            "analyses", "analysis_batches", "raw_sessions", "error_logs", "quarantine", "releases",
                "rereadings", "user_outcomes",
        },
    }  # fmt: skip
    graph = lived.definitions.resolve_asset_graph()
    for name, model in TABLES.items():
        if model.zone != "published":
            continue
        parents = {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys}
        restricted = {parent for parent in parents if parent in TABLES and TABLES[parent].zone == "restricted"}
        assert restricted <= allowed.get(name, set()), name


def test_zones_are_the_three():
    assert {model.zone for model in TABLES.values()} == set(ZONES)
