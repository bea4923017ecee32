from datetime import date

from signals_assets.core.causes import cause_facts, cause_id, causes
from signals_assets.core.taxonomy import fold, seed
from signals_assets_tests.fakes.ledger import MemoryLedger

DAY = date(2026, 3, 9)


def event(event_id="e1", **columns):
    return {
        "event_id": event_id,
        "type": "context_churn",
        "source": "detector",
        "confidence": 0.9,
        "component": "file_read",
        "steps": [20],
        "session_id": "s_1",
        "user_id": "u_1",
        "organization_id": "o_1",
    } | columns


def label(event_id, type_, **columns):
    return {
        "event_id": event_id,
        "kind": "friction",
        "type": type_,
        "day": DAY,
        "taxonomy_version": 2,
        "ledger_seq": 1,
    } | columns


def made(friction, labels=(), previous=(), taxonomy=None, day=DAY, named=()):
    return causes(day, friction, labels, previous, taxonomy=taxonomy or seed(), named=named)


def failed(step=17, **columns):
    return event("failed", type="error_event", component="gateway", steps=[step]) | columns


def place(words, *failures, named=("gateway",)):
    return next(row.component for row in made([*failures, words], named=named) if row.event_id == words["event_id"])


WORDS = event("words", type="correction", component="unknown")


def test_words_without_a_component_are_of_the_named_one_that_failed_just_before():
    assert place(WORDS, failed()) == "gateway"


def test_words_are_not_put_down_to_a_failure_long_before_after_or_in_another_session():
    assert place(WORDS, failed(step=5)) == "unknown"
    assert place(WORDS, failed(step=21)) == "unknown"
    assert place(WORDS, failed(session_id="s_2")) == "unknown"


def test_of_two_failures_before_the_words_the_later_one_counts():
    assert place(WORDS, failed(step=18), failed(15, event_id="z", component="editor"), named=("gateway", "editor")) == (
        "gateway"
    )


def test_words_are_not_put_down_to_a_family_of_tools():
    assert place(WORDS, failed(component="shell")) == "unknown"


def test_what_has_a_component_keeps_it_whatever_failed_before():
    assert place(WORDS | {"component": "editor"}, failed()) == "editor"


def test_a_failure_between_the_statements_of_a_request_counts():
    assert place(WORDS | {"steps": [4, 11, 25]}, failed()) == "gateway"


def test_same_symptom_in_same_component_is_one_cause_and_another_component_is_another():
    rows = made([event("a"), event("b", session_id="s_2"), event("c", component="search")])
    assert rows[0].cause_id == rows[1].cause_id == cause_id("context_churn", "file_read")
    assert rows[2].cause_id != rows[0].cause_id


def test_a_built_in_type_counts_from_the_detectors_and_other_from_the_analyst():
    rows = made([event("a", source="analyst"), event("b", type="other"), event("c", type="other", source="analyst")])
    assert [row.event_id for row in rows] == ["c"]


def test_uncertain_events_are_not_counted():
    assert made([event(confidence=0.49)]) == []


def test_the_newest_label_decides_the_type_and_an_accepted_type_counts_from_the_analyst():
    labels = [label("a", "lost_draft", ledger_seq=3), label("a", "correction", ledger_seq=2)]
    rows = made([event("a", type="other", source="analyst")], labels)
    assert [row.type for row in rows] == ["lost_draft"]


def test_a_renamed_component_keeps_its_causes_and_is_called_by_its_new_name():
    renamed = {"reader": "file_reader", "file_reader": "file_read"}
    before = causes(date(2026, 3, 8), [event("a")], [], taxonomy=seed())
    after = causes(DAY, [event("b", component="reader")], [], taxonomy=seed(), renamed=renamed)
    facts = cause_facts([row.model_dump() for row in (*after, *before)], "company")
    [(identifier, fact)] = facts.items()
    assert identifier == cause_id("context_churn", "file_read")
    assert (fact.component, fact.events) == ("reader", 2)


def test_a_component_with_a_new_name_that_nobody_tied_to_the_old_one_begins_anew():
    rows = [*made([event("a")]), *made([event("b", component="reader")])]
    assert len(cause_facts([row.model_dump() for row in rows], "company")) == 2


def test_a_label_of_another_kind_does_not_relabel_friction():
    assert made([event("a")], [label("a", "x", kind="unmet_need")])[0].type == "context_churn"


def test_an_earlier_event_with_a_newer_label_is_restated_today_with_its_own_day():
    earlier = made([event("a", type="other", source="analyst")], day=date(2026, 3, 1))[0].model_dump()
    restated = made([], [label("a", "lost_draft")], [earlier])
    assert [(row.type, row.about_day, row.day) for row in restated] == [("lost_draft", date(2026, 3, 1), DAY)]
    facts = cause_facts([earlier, restated[0].model_dump()], "company")
    assert set(facts) == {cause_id("lost_draft", "file_read")}


def test_an_earlier_event_whose_label_stands_is_not_repeated():
    earlier = made([event("a")], day=date(2026, 3, 1))[0].model_dump()
    assert made([], [], [earlier]) == []


def test_events_of_a_merged_type_follow_the_merge():
    ledger = MemoryLedger()
    ledger.append(
        "taxonomy", "1", {"action": "merge", "kind": "friction", "slug": "correction", "into": "backtracking"}
    )
    assert made([event(type="correction")], taxonomy=fold(ledger.entries(["taxonomy"])))[0].type == "backtracking"


def test_facts_count_people_once_and_all_sessions_without_a_user_as_one():
    rows = made(
        [
            event("a"),
            event("b"),
            event("c", session_id="s_2", user_id=None),
            event("d", session_id="s_3", user_id=None, organization_id=None),
        ]
    )
    fact = cause_facts([row.model_dump() for row in rows], "company")[cause_id("context_churn", "file_read")]
    assert (fact.users, fact.sessions, fact.organizations, fact.events) == (2, 3, 1, 4)


def test_organisations_are_unknown_where_none_is_named():
    rows = made([event(organization_id=None)])
    assert next(iter(cause_facts([row.model_dump() for row in rows], "company").values())).organizations is None


def test_one_account_supports_a_few_causes_a_day_only_and_its_events_still_count():
    day = date(2026, 3, 2)
    rows = [
        {"event_id": f"e{n}", "day": day, "about_day": day, "cause_id": f"cause_{n}", "type": "x", "component": "y",
         "session_id": f"s{n}", "user_id": "one", "organization_id": "o"}
        for n in range(9)
    ]  # fmt: skip
    facts = cause_facts(rows, "company")
    assert sum(fact.users for fact in facts.values()) == 3
    assert sum(fact.events for fact in facts.values()) == 9
    assert sum(fact.users for fact in cause_facts(rows, "self").values()) == 9


def test_accounts_made_for_the_purpose_support_nothing_and_their_events_still_count():
    rows = [event(f"e{n}", session_id=f"s_{n}", user_id=f"u_{n}", organization_id=f"o_{n}") for n in range(12)]
    stored = [row.model_dump() for row in made(rows)]
    [fact] = cause_facts(stored, "company", {f"u_{n}" for n in range(2, 12)}).values()
    assert (fact.users, fact.sessions, fact.organizations, fact.events) == (2, 2, 2, 12)
