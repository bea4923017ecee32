"""The laws of the house: who imports whom, data flows one way, one noun in one place."""

import ast
from pathlib import Path

import pytest

import signals_assets
from signals_assets.tables import STAGES, TABLES

PACKAGE = Path(signals_assets.__file__).parent
LEVELS = [
    {"zones"},
    {"tables", "prompts", "settings"},
    {"core"},
    {"resources", "simulation"},
    {"partitions", "guard", "metadata", "automation", "checks"},
    {"assets"},
    {"sensors"},
    {"definitions"},
    {"benchmarks"},
    {"cli", "__main__"},
]
FREE_INSIDE = {"core", "resources", "simulation", "benchmarks", "cli"}
"""Packages whose modules may import each other. benchmarks and cli, the top, share a helper module each."""
PURE_BANS = {
    "dagster",
    "openai",
    "google",
    "requests",
    "httpx",
    "httpx2",
    "sqlalchemy",
    "duckdb",
    "os",
    "subprocess",
    "socket",
}


def level_of(top: str) -> int:
    return next(number for number, names in enumerate(LEVELS) if top in names)


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_lower_levels(path: Path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imports_of(path):
        if not name.startswith("signals_assets."):
            continue
        other = name.split(".")[1:]
        if other[0] == "__version__":
            continue
        higher, mine = level_of(other[0]), level_of(own[0])
        if other[0] == own[0]:
            assert own[0] in FREE_INSIDE or own[0] in {"sensors"}, f"{own} imports its sibling {name}"
        else:
            small_helpers = {own[0], other[0]} <= LEVELS[4]
            assert higher < mine or small_helpers or own[0] == "__main__", (
                f"{'.'.join(own)} (level {mine}) imports {name} (level {higher})"
            )


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_core_is_pure(path: Path):
    tops = {name.split(".")[0] for name in imports_of(path)}
    assert not tops & PURE_BANS
    source = path.read_text()
    for clock in ("datetime.now(", "date.today(", "time.time(", "datetime.utcnow("):
        assert clock not in source, f"the core takes time as an argument, not from {clock}"


def test_no_module_postpones_annotations():
    for path in modules():
        assert "from __future__ import annotations" not in path.read_text(), path


def test_only_the_barrier_holds_the_key_of_abstracted_text():
    holders = {path.relative_to(PACKAGE).parts[:2] for path in modules() if "_BARRIER_KEY" in path.read_text()}
    assert holders <= {("zones.py",), ("core", "barrier")}


def test_every_table_has_a_description_for_every_column_and_a_key_of_its_own_columns():
    for name, model in TABLES.items():
        assert model.stage in STAGES
        assert model.__doc__, name
        for column, info in model.model_fields.items():
            assert info.description, f"{name}.{column}"
        assert set(model.key) <= set(model.model_fields), name


def test_the_asset_graph_flows_one_way_through_the_stages():
    from signals_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        for parent in node.parent_keys:
            above, below = graph.get(parent).group_name, node.group_name
            assert STAGES.index(above) <= STAGES.index(below), f"{parent} ({above}) -> {key} ({below})"


def test_every_table_is_an_asset_and_every_daily_asset_a_table():
    from signals_assets.automation import ACTING
    from signals_assets.definitions import defs

    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert keys == set(TABLES) | set(ACTING)
