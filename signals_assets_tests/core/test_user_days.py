"""Counting sessions and events by user and day, and which counts are valid as of a day."""

from datetime import date, timedelta

import numpy as np

from signals_assets.core import user_days as user_days_module
from signals_assets.core.user_days import Counts, as_of, counted_types, records, source_of, user_days
from signals_assets.tables import UserDay, to_arrow

DAY = date(2026, 3, 2)
NEXT = DAY + timedelta(days=1)


def session(session_id, user="u1", day=DAY, known_on=None, **more):
    return {
        "session_id": session_id, "day": day, "known_on": known_on or day, "user_id": user, "organization_id": "o1",
        "agent_name": "agent", "agent_version": "1.0", "agent_model": "m", "prompt_version": None,
    } | more  # fmt: skip


def event(session_id, type_="error_event", source="detector", **more):
    return {
        "session_id": session_id, "day": DAY, "known_on": DAY, "event_id": f"e-{session_id}-{type_}-{source}",
        "type": type_, "severity": "low", "source": source, "confidence": 0.9,
    } | more  # fmt: skip


def analysis(session_id, weight=2.0, **more):
    return {
        "session_id": session_id,
        "day": DAY,
        "known_on": DAY,
        "state": "answered",
        "inclusion_weight": weight,
    } | more


def facet(session_id, name, value):
    return {"session_id": session_id, "day": DAY, "known_on": DAY, "facet": name, "value": value}


def label(event_id, type_, kind="friction", day=DAY, version=2, session_id=""):
    return {
        "event_id": event_id, "kind": kind, "type": type_, "day": day, "taxonomy_version": version,
        "session_id": session_id,
    }  # fmt: skip


def counted(day=DAY, about=(DAY,), **inputs):
    empty = dict.fromkeys(("metrics", "friction", "delight", "facets", "analyses", "unmet_needs", "labels"), ())
    return user_days(
        day,
        **(empty | inputs),
        about_days=about,
        publishable_intents=("bug fix",),
        min_confidence=0.5,
        taxonomy_version=3,
    )


def found(rows, source, kind, type_):
    return [row for row in rows if (row.source, row.kind, row.type) == (source, kind, type_)]


def test_every_session_is_exposure_and_sessions_without_a_user_stay_apart():
    rows = counted(metrics=[session("a"), session("b"), session("c", None), session("d", None)])
    exposure = found(rows, "detector", "session", "all")
    assert {row.user_id: row.sessions for row in exposure} == {"u1": 2, "anonymous:c": 1, "anonymous:d": 1}
    assert not found(rows, "analyst", "session", "all")
    assert rows.exposed == 4


def test_a_session_with_three_events_counts_once_with_its_worst_severity():
    events = [event("a", severity=severity, event_id=severity) for severity in ("low", "high", "medium")]
    rows = counted(metrics=[session("a"), session("b")], friction=[*events, event("b", severity="medium")])
    [row] = found(rows, "detector", "friction", "error_event")
    assert (row.sessions, row.events, row.high, row.medium, row.weight) == (2, 4, 1, 1, 2.0)


def test_severity_is_weighted_session_by_session_not_by_the_mean_of_a_row():
    rows = counted(
        metrics=[session("a"), session("b")],
        analyses=[analysis("a", weight=1.0), analysis("b", weight=9.0)],
        friction=[event("a", source="analyst", severity="high"), event("b", source="analyst", severity="medium")],
    )
    [row] = found(rows, "analyst", "friction", "error_event")
    assert (row.sessions, row.weight, row.high, row.medium) == (2, 10.0, 1.0, 9.0)
    cells = Counts.of([row.model_dump() for row in rows]).cells("analyst", [("friction", "error_event")], ("user",))
    assert (cells.high[0, 0], cells.medium[0, 0], cells.concerned[0, 0]) == (1.0, 9.0, 2.0)


def test_sessions_of_unequal_weight_are_worth_fewer():
    rows = counted(
        metrics=[session("a"), session("b", "u2")],
        analyses=[analysis("a", weight=1.0), analysis("b", weight=9.0)],
    )
    counts = Counts.of([row.model_dump() for row in rows])
    everyone = np.ones(2, dtype=bool)
    assert counts.cells("analyst", [], ("user",)).worth(everyone) == 100 / 82  # Kish: the sum's square over squares
    assert counts.cells("detector", [], ("user",)).worth(everyone) == 2


def test_type_all_counts_a_session_with_several_types_once():
    rows = counted(metrics=[session("a")], friction=[event("a"), event("a", "correction")])
    [row] = found(rows, "detector", "friction", "all")
    assert (row.sessions, row.events) == (1, 2)


def test_analysed_sessions_are_weighted_and_the_two_sources_never_added():
    rows = counted(
        metrics=[session("a"), session("b")],
        analyses=[analysis("a"), analysis("b", state="refused")],
        friction=[event("a", source="analyst"), event("a"), event("b", source="analyst")],
    )
    assert [row.weight for row in found(rows, "analyst", "session", "all")] == [2.0]
    assert [(row.sessions, row.weight) for row in found(rows, "analyst", "friction", "error_event")] == [(1, 2.0)]
    assert [(row.sessions, row.weight) for row in found(rows, "detector", "friction", "error_event")] == [(1, 1.0)]


def test_unsure_events_are_material_for_discovery_and_counted_only_once_they_have_a_type_of_their_own():
    rows = counted(
        metrics=[session("a")],
        analyses=[analysis("a")],
        friction=[event("a", confidence=0.4), event("a", source="analyst", confidence=0.4)],
    )
    assert not found(rows, "detector", "friction", "error_event")
    assert not found(rows, "analyst", "friction", "error_event")
    relabelled = counted(
        metrics=[session("a")],
        analyses=[analysis("a")],
        friction=[event("a", "other", source="analyst", confidence=0.4)],
        labels=[label("e-a-other-analyst", "new_type")],
    )
    assert found(relabelled, "analyst", "friction", "new_type")
    undone = counted(
        metrics=[session("a")],
        analyses=[analysis("a")],
        friction=[event("a", "other", source="analyst", confidence=0.4)],
        labels=[label("e-a-other-analyst", "new_type"), label("e-a-other-analyst", "other", version=3)],
    )
    assert not found(undone, "analyst", "friction", "other")


def test_the_newest_label_known_on_the_day_overrides_the_stored_type():
    labels = [
        label("e-a-other-analyst", "new_type"),
        label("e-a-other-analyst", "newer_type", version=3),
        label("e-a-other-analyst", "tomorrows_type", version=4, day=NEXT),
    ]
    rows = counted(
        metrics=[session("a")], analyses=[analysis("a")], friction=[event("a", "other", "analyst")], labels=labels
    )
    assert found(rows, "analyst", "friction", "newer_type")
    assert not found(rows, "analyst", "friction", "other")


def test_intents_are_published_ones_other_or_unknown():
    rows = counted(
        metrics=[session("a"), session("b", "u2"), session("c", "u3")],
        analyses=[analysis("a"), analysis("b")],
        facets=[facet("a", "primary_intent", "bug fix"), facet("b", "primary_intent", "a rare thing")],
    )
    intents = {row.user_id: row.intent for row in found(rows, "detector", "session", "all")}
    assert intents == {"u1": "bug fix", "u2": "other", "u3": "unknown"}


def test_a_session_is_of_its_one_language_of_several_or_of_none():
    rows = counted(
        metrics=[session("a"), session("b"), session("c")],
        analyses=[analysis("a"), analysis("b"), analysis("c")],
        facets=[
            facet("a", "programming_languages", "python"),
            facet("b", "programming_languages", "python"),
            facet("b", "programming_languages", "rust"),
        ],
    )
    exposure = {row.language: row.sessions for row in rows if row.kind == "session" and row.source == "detector"}
    assert exposure == {"python": 1, "several": 1, None: 1}


def test_outcomes_and_unmet_needs_are_counted_for_analysed_sessions():
    needs = [{"session_id": "a", "number": number, "known_on": DAY} for number in (0, 1)]
    rows = counted(
        metrics=[session("a")],
        analyses=[analysis("a")],
        facets=[facet("a", "outcome", "abandoned")],
        unmet_needs=needs,
        labels=[label("a:need:1", "calendar", kind="unmet_need", session_id="a")],
    )
    assert found(rows, "analyst", "outcome", "abandoned")[0].weight == 2.0
    assert found(rows, "analyst", "unmet_need", "calendar")[0].events == 1
    assert found(rows, "analyst", "unmet_need", "other")[0].events == 1


def test_what_became_known_later_is_left_out_of_the_day():
    late = session("late", known_on=NEXT)
    assert not list(counted(metrics=[late]))
    [row] = counted(day=NEXT, metrics=[late])
    assert (row.day, row.about_day, row.known_on) == (NEXT, DAY, NEXT)


def test_the_order_of_inputs_does_not_matter_and_tables_read_like_dicts():
    metrics = [session("a"), session("b", "u2"), session("c")]
    events = [event("a"), event("c", "correction")]
    rows = counted(metrics=metrics, friction=events)
    assert list(rows) == list(counted(metrics=metrics[::-1], friction=events[::-1]))
    table = to_arrow(UserDay, rows)
    assert list(records(table, ("user_id", "missing"))) == [(row.user_id, None) for row in rows]


def test_a_table_is_read_whole_however_many_rows_are_there_at_a_time(monkeypatch):
    table = to_arrow(UserDay, counted(metrics=[session(str(n), f"u{n}") for n in range(5)]))
    whole = list(records(table, ("user_id", "day", "missing")))
    monkeypatch.setattr(user_days_module, "AT_A_TIME", 2)
    assert list(records(table, ("user_id", "day", "missing"))) == whole
    assert [row[0] for row in whole] == [f"u{n}" for n in range(5)]


def test_the_newest_partition_up_to_the_day_counts_for_each_about_day():
    first = to_arrow(UserDay, counted(metrics=[session("a")]))
    restated = to_arrow(UserDay, counted(day=NEXT, metrics=[session("a"), session("b", known_on=NEXT)]))
    import pyarrow as pa

    both = pa.concat_tables([restated, first])
    assert as_of(both, DAY).column("sessions").to_pylist() == [1]
    assert as_of(both, NEXT).column("sessions").to_pylist() == [2]
    counts = Counts.of(both)
    assert counts.as_of(DAY)["sessions"].tolist() == [1.0]
    assert counts.as_of(NEXT)["sessions"].tolist() == [2.0]
    assert len(as_of(both, DAY - timedelta(days=1))) == 0


def test_types_are_counted_from_one_source_each():
    assert source_of("error_event", ("error_event", "other")) == "detector"
    assert source_of("other", ("error_event", "other")) == "analyst"
    assert source_of("specification_drift", ("error_event",)) == "analyst"
    types = counted_types({"friction": ["error_event", "drift"], "delight": ["time_saved"]}, {"error_event"})
    assert [(item.kind, item.type, item.source) for item in types] == [
        ("friction", "error_event", "detector"), ("friction", "drift", "analyst"), ("delight", "time_saved", "analyst"),
    ]  # fmt: skip


def test_cells_add_up_events_beside_their_exposure():
    rows = counted(
        metrics=[session("a"), session("b"), session("c", "u2", agent_version="2.0")],
        friction=[event("a"), event("b"), event("c")],
    )
    cells = Counts.of([row.model_dump() for row in rows]).cells(
        "detector", [("friction", "error_event"), ("friction", "never")], ("agent_version",)
    )
    assert cells.weight.tolist() == [2.0, 1.0]
    assert cells.events.tolist() == [[2.0, 1.0], [0.0, 0.0]]


def test_users_for_thresholds_count_all_unknown_ones_as_one():
    rows = counted(metrics=[session("a"), session("b", None), session("c", None)])
    counts = Counts.of(to_arrow(UserDay, rows))
    assert len(np.unique(counts["user"])) == 3
    assert counts.users(counts["user"]) == 2


def test_no_rows_make_empty_counts():
    counts = Counts.of(to_arrow(UserDay, []))
    assert len(counts.as_of(DAY)) == 0
    assert len(counts.cells("detector", [("friction", "error_event")], ("user",)).weight) == 0
