"""Stage 9: the day's page stands alone, names nobody, and is made once more when a day is repeated."""

import re
from pathlib import Path

import dagster as dg

from signals_assets.tables import TABLES, DailyReport, RawSession, SessionMetrics
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import Home


def people(home: Home) -> set[str]:
    """Everything that stands for a person, a session or an organisation, as the source and as the pseudonyms say it."""
    named = {row[name] for row in home.rows(SessionMetrics) for name in ("session_id", "user_id", "organization_id")}
    return {str(name) for name in named | {row["source_session_id"] for row in home.rows(RawSession)} if name}


def test_every_day_has_a_page_and_the_newest_one_is_the_latest(lived: Home):
    reports = lived.folder / "reports"
    pages = [path.stem for path in sorted(reports.glob("????-??-??.html"))]
    assert pages == [day.isoformat() for day in lived.warehouse.days(DailyReport)]
    assert (reports / "latest.html").read_bytes() == (reports / f"{LAST_DAY}.html").read_bytes()


def test_a_page_loads_nothing_from_anywhere(lived: Home):
    page = (lived.folder / f"reports/{LAST_DAY}.html").read_text()
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)[^"']""", page)
    assert not re.search(r"""url\((?!["']?data:)""", page)


def test_no_page_no_published_row_and_no_metadata_names_anybody(lived: Home):
    names = people(lived)
    assert len(names) > 50
    texts = {path.name: path.read_text() for path in (lived.folder / "reports").glob("*.html")}
    texts |= {path.name: path.read_text() for path in (lived.folder / "reports").glob("*.json")}
    for name, model in TABLES.items():
        if model.zone == "published":
            texts[name] = str(lived.rows(model))
        records = lived.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(name)), limit=100
        ).records
        texts[f"metadata of {name}"] = str([record.asset_materialization for record in records])
    for where, text in texts.items():
        found = names & set(re.findall(r"[\w:.-]+", text))
        assert not found, where


def test_the_headlines_are_the_rows_of_the_table(lived: Home):
    rows = lived.rows(DailyReport, LAST_DAY)
    assert rows
    positions: dict[str, list[int]] = {}
    for row in rows:
        positions.setdefault(row["section"], []).append(row["position"])
    assert all(found == sorted(set(found)) for found in positions.values())


def test_a_repeated_day_has_the_same_page(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home") as home:
        page = home.folder / f"reports/{FIRST_DAY}.html"
        before = page.read_bytes()
        page.unlink()
        home.materialize(FIRST_DAY, only=["daily_report"])
        assert page.read_bytes() == before
        assert home.ledger.newest_day() == LAST_DAY
