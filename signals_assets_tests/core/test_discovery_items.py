from datetime import date

import numpy as np
import pytest

from signals_assets.core.analysis_rules import CAME, CITATIONS
from signals_assets.core.discovery import content_hash, embedding_rows, items_of, reclusters, window_of
from signals_assets.core.discovery_items import embedded, says_type, spoken
from signals_assets_tests.fakes.embedder import HashEmbedder

DAY = date(2026, 1, 5)


def row(**fields: object) -> dict:
    return {"day": DAY, "known_on": DAY, "session_id": "s_1", "user_id": "u_1"} | fields


def event(number: int, citation: str | None = "a tool call failed", **fields: object) -> dict:
    base = {"event_id": f"e_{number}", "type": "error_event", "source": "analyst", "organization_id": "o_1"}
    base |= {"confidence": 0.9}
    return row(**base | {"citation": citation} | fields)


def test_only_analysts_events_with_a_citation_are_items() -> None:
    items = items_of([], [event(1), event(2, None), event(3, source="detector")], [], [])
    assert [(item.item_id, item.type, item.kind) for item in items] == [("e_1", "error_event", "friction")]


def test_every_table_gives_its_kind_and_ids_do_not_collide() -> None:
    items = items_of(
        [row(summary="the agent fixed a defect"), row(session_id="s_2", summary=None)],
        [event(1)],
        [event(2, type="time_saved")],
        [row(number=0, need="export to a sheet"), row(number=1, need="work offline")],
    )
    assert sorted(item.kind for item in items) == ["delight", "friction", "summary", "unmet_need", "unmet_need"]
    assert len({item.item_id for item in items}) == 5


def test_summaries_and_needs_take_the_organisation_from_events_of_session_or_user() -> None:
    items = items_of(
        [row(summary="one"), row(session_id="s_2", summary="two"), row(session_id="s_3", user_id="u_3", summary="x")],
        [event(1)],
        [],
        [],
    )
    assert [item.organization_id for item in items if item.kind == "summary"] == ["o_1", "o_1", None]


def test_equal_texts_are_embedded_once_and_known_ones_not_at_all() -> None:
    items = items_of([], [event(1), event(2), event(3, "another thing"), event(4, "known thing")], [], [])
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return HashEmbedder().embed(texts)

    known = {content_hash("known thing"): HashEmbedder().embed(["known thing"])[0].tolist()}
    made_as_asked, coverage = embedding_rows(DAY, items, embed, known, "hash-for-tests")
    rows = list(made_as_asked)
    assert sorted(asked) == ["a tool call failed", "another thing"]
    assert [made.item_id for made in rows] == ["e_1", "e_2", "e_3", "e_4"]
    assert rows[0].vector == rows[1].vector
    assert rows[3].vector == known[content_hash("known thing")]
    assert coverage.as_dict()["answered"] == coverage.asked == 4
    assert coverage.notes == {"distinct_texts": 3, "embedded": 2, "reused": 1}


def test_without_an_embedder_every_item_is_skipped_and_said_so() -> None:
    items = items_of([], [event(1), event(2)], [], [])
    rows, coverage = embedding_rows(DAY, items, HashEmbedder().embed, {}, "none")
    assert list(rows) == []
    assert coverage.skipped == {"no_embedder": 2}


def test_nothing_to_embed_never_loads_the_model() -> None:
    def embed(texts):
        raise AssertionError

    assert embedding_rows(DAY, [], embed, {}, "a-model")[1].asked == 0


def test_a_window_holds_unit_vectors_in_a_stable_order_and_counts_what_is_missing() -> None:
    items = items_of([], [event(2), event(1), event(3)], [], [])
    window = window_of(reversed(items), {"e_1": [3.0, 0.0], "e_2": [0.0, 2.0]})
    assert [item.item_id for item in window.items] == ["e_1", "e_2"]
    assert window.missing == 1
    assert np.allclose(window.vectors, np.eye(2))


def test_an_empty_window_has_no_rows() -> None:
    window = window_of([], {})
    assert (window.items, len(window.vectors), len(window.of_kind("friction").items)) == ((), 0, 0)


@pytest.mark.parametrize(("day", "expected"), [(date(2026, 1, 5), True), (date(2026, 1, 6), False)])
def test_the_map_is_clustered_anew_on_mondays(day: date, expected: bool) -> None:
    assert reclusters(day) is expected


def test_an_item_knows_how_sure_the_analyst_is() -> None:
    assert [item.confidence for item in items_of([], [event(1, confidence=0.4)], [], [row(number=0, need="x")])] == [
        0.4,
        1.0,
    ]


def test_of_a_remark_and_of_what_has_no_type_only_the_topics_are_embedded() -> None:
    for name in ("other.remark", "positive_exclamation.remark", "other.unmet"):
        assert embedded(f"{CITATIONS[name]} about hours and offices.") == "hours and offices."
        assert not says_type(f"{CITATIONS[name]} about hours and offices.")


def test_a_sentence_that_says_a_type_is_embedded_whole() -> None:
    text = f"{CITATIONS['correction']} about hours and offices."
    assert (embedded(text), spoken(text), says_type(text)) == (text, "hours and offices.", True)
    bare = f"{CITATIONS['error_event.missing']}, several times in a row."
    assert (embedded(bare), spoken(bare), says_type(bare)) == (bare, "", True)


def test_a_text_that_no_rule_wrote_is_left_as_it_is() -> None:
    text = "The user was glad about the summary."
    assert (embedded(text), spoken(text), says_type(text)) == (text, text, False)


def test_remarks_with_equal_topics_share_a_vector() -> None:
    assert content_hash(f"{CITATIONS['other.remark']} about hours.") == content_hash("hours.")


# --- what users came for


def came(summary: str | None, value: str = "bug fix") -> dict[str, str]:
    facets = [row(facet="primary_intent", value=value), row(facet="outcome", value="success")]
    summaries = [row(summary=summary)] if summary is not None else []
    return {item.kind: item.text for item in items_of(summaries, [], [], [], facets)}


def test_what_a_user_came_for_is_the_first_sentence_of_the_summary() -> None:
    assert (
        came("The user asked to connect a database. The agent did.")["intent"]
        == "The user asked to connect a database."
    )


def test_without_a_summary_it_is_the_primary_intent() -> None:
    assert came(None) == {"intent": "bug fix"}


def test_of_a_wish_that_the_rules_wrote_only_its_topics_are_embedded() -> None:
    told = f"{CAME}question about code, about login and session."
    assert (embedded(told), spoken(told), says_type(told)) == ("login and session.", "login and session.", False)
    bare = f"{CAME}question about code."
    assert (embedded(bare), says_type(bare)) == (bare, True)
