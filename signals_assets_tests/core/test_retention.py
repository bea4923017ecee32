"""How long each table is kept."""

from signals_assets.core import discovery_items
from signals_assets.core.retention import EXPIRING, KEYED, PERSONLESS, VECTORS, WINDOW_DAYS, WINDOWED, days_kept
from signals_assets.settings import Settings
from signals_assets.tables import TABLES


def test_every_restricted_table_has_a_term_or_holds_no_person():
    restricted = {name for name, model in TABLES.items() if model.zone == "restricted"}
    assert restricted == {*EXPIRING, *WINDOWED, *VECTORS, *KEYED, *PERSONLESS}
    for name in PERSONLESS:
        assert not {"user_id", "session_id"} & set(TABLES[name].model_fields)


def test_every_table_under_pseudonyms_expires_and_the_published_zone_is_kept():
    settings = Settings(retention_days=3, abstracted_retention_days=60)
    kept = {name: days_kept(model, settings) for name, model in TABLES.items()}
    assert {kept[name] for name in EXPIRING} == {3}
    assert {kept[name] for name in WINDOWED} == {WINDOW_DAYS}
    assert {kept[name] for name, model in TABLES.items() if model.zone == "abstracted"} == {60}
    assert {kept[name] for name, model in TABLES.items() if model.zone == "published"} == {None}
    keyed = {name for name, model in TABLES.items() if {"user_id", "session_id"} & set(model.model_fields)}
    assert not {name for name in keyed if kept[name] is None}


def test_abstractions_are_never_kept_shorter_than_what_they_are_made_of():
    assert days_kept(TABLES["facets"], Settings(retention_days=200)) == 200


def test_a_day_that_may_be_repeated_finds_the_vectors_of_its_whole_window():
    settings = Settings(retention_days=14)
    vectors, raw = days_kept(TABLES["embeddings"], settings), days_kept(TABLES["raw_sessions"], settings)
    assert vectors is not None
    assert raw is not None
    assert vectors - raw >= discovery_items.WINDOW_DAYS


def test_vectors_do_not_outlive_the_texts_that_they_are_made_of():
    assert days_kept(TABLES["embeddings"], Settings(retention_days=40, abstracted_retention_days=56)) == 56
