"""The report: what it says, what it must not say, and that all of it is escaped."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from signals_assets import tables
from signals_assets.core.report import Report, build
from signals_assets.core.report.forms import SLACK_HEADER, SLACK_TEXT
from signals_assets.core.report.methods import METHODS
from signals_assets.core.rereading import Change, Reader
from signals_assets.core.taxonomy_history import Decision
from signals_assets.tables import ReaderAgreement
from signals_assets_tests.core.report_example import (
    COVERAGE,
    DAY,
    NAMES,
    behind,
    cluster,
    days_before,
    example,
    fix,
    indicator,
    intent,
    level,
    proposal,
    rate,
    release,
    row,
    ticket,
)

VOID = {"meta", "line", "rect", "circle", "polygon", "polyline", "link", "br", "img"}


def report(tables: dict[str, Any] | None = None, audience: Any = "company", **coverage: Any) -> Report:
    tables = example() if tables is None else tables
    standings = behind(tables.get("clusters", ()))
    return build(DAY, tables, names=NAMES, audience=audience, coverage=coverage, standings=standings)


def text_of(html: str) -> str:
    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.words: list[str] = []

        def handle_data(self, data: str) -> None:
            self.words.append(data)

    parser = Text()
    parser.feed(re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))
    return " ".join(" ".join(parser.words).split())


class Balanced(HTMLParser):
    """Raises when tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_every_link_leads_somewhere() -> None:
    page = Balanced()
    page.feed(report(None, **COVERAGE).html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids)) > 11
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_the_page_needs_no_network_and_no_script() -> None:
    html = report().html
    page = Balanced()
    page.feed(html)
    outside = [address for address in page.addresses if not address.startswith("#")]
    assert outside == ["https://tracker.example/SIG-9C0D1E2F"]
    assert "<script" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_equal_rows_in_any_order_give_equal_reports() -> None:
    tables = example()
    assert report(tables) == report({name: rows[::-1] for name, rows in reversed(tables.items())})


def test_no_rows_at_all_still_make_a_report_that_says_so() -> None:
    empty = report({})
    assert empty.headline == "Too few sessions or users on this day to say anything that holds"
    assert "No ticket has been filed yet." in text_of(empty.html)
    assert [row.section for row in empty.rows] == ["headline"]
    assert len(empty.blocks) == 2


@pytest.mark.parametrize(
    ("tables", "headline"),
    [
        ({"release_correlations": [release("correction", "3.0", 2, "regressed", "confirmed", rate_before=0.1,
                                           rate_after=0.3, effect=0.2, low=0.1, high=0.3)],
          "friction_levels": [level("error_event", 0.4, "crossed")]},
         "Correction got worse with 3.0: 10 % → 30 % of sessions; confirmed"),
        ({"friction_levels": [level("error_event", 0.4, "crossed")],
          "fix_outcomes": [fix("T", "correction", "improved", 0.3, 0.2, 0.05)]},
         "Error crossed its threshold: 40 % of sessions, ceiling 25 %"),
        ({"friction_levels": [level("correction", 0.3, "crossed", slice_kind="intent", slice="new feature"),
                              level("error_event", 0.1, "crossed", slice_kind="severity", slice="high")]},
         "Correction (intent: new feature) crossed its threshold: 30 % of the slice's sessions, ceiling 25 %"),
        ({"friction_levels": [level("error_event", 0.4, "crossed", slice_kind="severity", slice="high")]},
         "Error (severity: high) crossed its threshold: 40 % of sessions, ceiling 25 %"),
        ({"fix_outcomes": [fix("T", "correction", "regressed", 0.2, 0.3, 0.05)]},
         "The fix of correction in 2.5.0 made it worse"),
        ({"fix_outcomes": [fix("T", "correction", "improved", 0.3, 0.2, 0.05)]},
         "The fix in 2.5.0 works: correction went from 30 % to 20 % of sessions"),
        ({"release_correlations": [release("correction", "3.0", 2, "regressed", "suspected", effect=0.2)],
          "friction_rates": [rate("correction", 0.2)]},
         "No change is confirmed; most frequent is correction: 20 % (15.6 % to 24.4 %)"),
    ],
    ids=["a confirmed regression", "a crossed level", "a crossed slice", "a crossed severity", "a harmful fix",
         "a working fix", "only a suspicion"],
)  # fmt: skip
def test_the_headline_is_the_most_important_sure_thing(tables: dict[str, Any], headline: str) -> None:
    assert report(tables).headline.replace("\u202f", " ") == headline


def test_every_rate_stands_with_its_interval_its_bands_and_its_coverage() -> None:
    tables = {"friction_rates": [rate("correction", 0.2, coverage=0.87, low=0.11, high=0.33)]}
    words = text_of(report(tables).html).replace("\u202f", " ")
    for figure in ("20 %", "11 % to 33 %", "200–499 sessions", "50–99 users", "87 %", "detector"):
        assert figure in words


def test_detectors_and_analyst_are_never_added_or_mixed() -> None:
    tables = {"friction_rates": [rate("correction", 0.2), rate("correction", 0.5, source="analyst", coverage=0.3)]}
    one = report(tables)
    assert [row.headline.replace("\u202f", " ") for row in one.rows if row.section == "hurts"] == [
        "Correction: 20 % of sessions (15.6 % to 24.4 %)"
    ]
    assert "The same as the analyst sees it" in one.html


def test_rows_of_other_days_are_left_out_where_only_the_day_counts() -> None:
    yesterday = {"day": DAY.replace(day=28)}
    tables = {name: [{**row, **yesterday} for row in rows] for name, rows in example().items()}
    assert report(tables).headline.startswith("Too few")


def test_words_of_the_abstracted_zone_are_shown_to_oneself_only() -> None:
    tables = {"taxonomy_proposals": [proposal(1, "silent partial answer", 40)], "clusters": [cluster(1, 1, 40)]}
    for audience in ("team", "company", "public"):
        other = report(tables, audience)
        everything = other.html + json.dumps(other.blocks) + repr(other.rows)
        assert "silent partial answer" not in everything
        assert "timeout" not in everything
    own = report(tables, "self").html
    assert "silent partial answer" in own
    assert "search, timeout, again" in own


def test_an_accepted_name_of_a_cluster_is_shown_to_everybody() -> None:
    tables = {"clusters": [cluster(1, 1, 40)]}
    names, standings = {**NAMES, "C-001": "Slow search"}, behind(tables["clusters"])
    one = build(DAY, tables, names=names, audience="company", coverage={}, standings=standings)
    assert "Slow search" in one.html


def test_what_concerns_too_few_people_leaves_no_trace() -> None:
    tables = {"taxonomy_proposals": [proposal(7, "rare", 2, organizations=1)], "clusters": [cluster(3, 1, 2)]}
    html = report(tables).html
    assert "P-0007" not in html
    assert "C-003" not in html
    assert html == report({}).html


def test_exact_counts_of_users_do_not_leave() -> None:
    tables = {"taxonomy_proposals": [proposal(1, "a", 37, sessions=83, items=117)], "clusters": [cluster(1, 1, 37)]}
    words = text_of(report(tables).html)
    assert not {"37", "74", "83", "111", "117"} & set(re.findall(r"\d+", words))


HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y>&"


def test_every_text_is_escaped_wherever_it_stands() -> None:
    tables = example()
    spoiled = {
        name: [
            {
                key: HOSTILE if isinstance(value, str) and key in TEXTS else value
                for key, value in row.items()
            }
            for row in rows
        ]
        for name, rows in tables.items()
    }  # fmt: skip
    for audience in ("self", "company"):
        one = build(
            DAY,
            spoiled,
            names=dict.fromkeys(NAMES, HOSTILE),
            audience=audience,
            coverage={HOSTILE: {"asked": 1, "answered": 1, f"notes.{HOSTILE}": 1}},
        )
        assert "<script" not in one.html
        assert "<img" not in one.html
        page = Balanced()
        page.feed(one.html)
        assert page.open == []


TEXTS = {
    "version", "agent_name", "template", "service", "users", "sessions", "indicator", "intent", "reason", "name",
    "definition", "proposal_id", "nearest", "waiting_for", "cluster_id", "ticket_key", "component", "reference",
    "pull_request_id", "released_in", "guardrails", "cohort", "metric", "users_after", "sessions_after",
}  # fmt: skip


def test_only_web_addresses_become_links() -> None:
    for reference in ("javascript:alert(1)", "/home/somebody/tickets/T.md", "http://plain.example"):
        html = report({"ticket_states": [ticket("T", "correction", "open", 2, reference=reference)]}).html
        assert reference not in html


def test_slack_blocks_are_plain_text_within_slacks_limits() -> None:
    tables = example()
    tables["release_correlations"] = [
        release(type_, f"{version}-{'long' * 60}", 2, "regressed", "confirmed", effect=0.1, rate_before=0.1)
        for type_ in NAMES
        for version in range(4)
    ]
    blocks = report(tables).blocks
    texts = [block["text"] for block in blocks if "text" in block]
    texts += [element for block in blocks for element in block.get("elements", [])]  # type: ignore[attr-defined]
    assert len(blocks) <= 50
    assert {text["type"] for text in texts} == {"plain_text"}  # type: ignore[index]
    assert max(len(text["text"]) for text in texts) <= SLACK_TEXT  # type: ignore[index]
    assert len(blocks[0]["text"]["text"]) == SLACK_HEADER  # type: ignore[index]


def test_rows_have_unique_keys_and_the_headline_first() -> None:
    rows = report().rows
    assert (rows[0].section, rows[0].position) == ("headline", 0)
    assert len({(row.section, row.position) for row in rows}) == len(rows)
    assert all(row.day == DAY for row in rows)


def test_coverage_says_what_became_of_everything() -> None:
    words = text_of(report({}, **COVERAGE).html)
    for said in ("Raw sessions", "without user 10", "over budget 10", "cost usd cents 180"):
        assert said in words


def test_counts_of_another_form_than_asked_and_answered_are_shown_to_tens() -> None:
    one = report({}, sessions={"read": 409, "set_aside": 3}, analysis={"asked": 7, "state.refused": 2})
    words = text_of(one.html)
    assert "Sessions read 410" in words
    assert "set aside 0" in words
    assert "asked 10, state refused 0" in words


def test_what_asking_a_model_cost_is_told_in_rounded_sums_and_the_rules_cost_nothing() -> None:
    cost = {
        "sessions": 103, "unpriced": 0, "input_tokens": 812_345, "cached_tokens": 204_000, "output_tokens": 41_000,
        "micro_usd": 1_234_567, "micro_usd_per_session": 11_986, "percent_seen": 81,
    }  # fmt: skip
    words = text_of(report({}, cost=cost).html)
    for said in ("Sessions asked about 100", "Input tokens 700,000", "Price of the day $1", "per session $0.01"):
        assert said in words
    assert "1.23" not in words
    assert "$1.235" in text_of(report({}, "self", cost=cost).html)
    few = text_of(report({}, cost=cost | {"sessions": 2, "unpriced": 2, "micro_usd": 0}).html)
    assert "Sessions asked about 10" in few
    assert "not known" in few
    free = text_of(report({}, cost=dict.fromkeys(cost, 0)).html)
    assert "nothing was sent to a model, and nothing was paid" in free


def test_coverage_and_cost_are_sentences_too_which_a_message_can_carry() -> None:
    cost = dict.fromkeys(("unpriced", "input_tokens", "cached_tokens", "output_tokens", "percent_seen"), 0)
    paid = cost | {"sessions": 103, "micro_usd": 1_234_567, "micro_usd_per_session": 11_986}
    free = cost | {"sessions": 0, "micro_usd": 0, "micro_usd_per_session": 0}

    def told(**coverage: Any) -> dict[str, str]:
        return {row.headline: row.reference for row in report({}, **coverage).rows if row.section == "coverage"}

    assert told(sessions={"read": 409, "set_aside": 13}, analyses={"asked": 130, "answered": 121}, cost=paid) == {
        "Sessions: read 410, set aside 10": "raw_sessions",
        "Analyses: 120 of 130 answered": "analyses",
        "Cost: $1 for 100 sessions asked about": "analyses",
    }
    assert told(cost=free) == {"Cost: nothing was sent to a model, and nothing was paid": "analyses"}
    assert told() == {}


def test_the_audiences_thresholds_are_told() -> None:
    assert "fewer than 5 users or 8 sessions, or 2 organisations" in text_of(report({}).html)
    assert "fewer than 1 users or 1 sessions (audience self)" in text_of(report({}, "self").html)


# --- the readers ---------------------------------------------------------------------------------------------------

OLD, NEW = (
    Reader("openai", "gpt-5", "analyze_session.v1@aaaaaa"),
    Reader("openai", "gpt-5.2", "analyze_session.v2@bbbbbb"),
)
CHANGE = Change(days_before(3), OLD, NEW)


def beside(type_: str, difference: float, half: float, **over: Any) -> dict[str, Any]:
    values = {
        "reader": "former", "reason": "change", "first": NEW.name, "second": OLD.name, "kind": "friction",
        "type": type_, "days": 2, "first_day": CHANGE.day, "sessions": 100, "users": 60, "organizations": 9,
        "largest": 20, "both": 40, "only_first": 9, "only_second": 9, "users_concerned": 30, "users_spared": 30,
        "difference": difference, "difference_low": difference - half, "difference_high": difference + half,
        "f1": 0.8, "f1_low": 0.6, "f1_high": 0.9,
    }  # fmt: skip
    return row(ReaderAgreement, **(values | over))


def of_readers(rows: list[dict[str, Any]], changes: tuple[Change, ...] = (CHANGE,), audience: Any = "company") -> str:
    return text_of(build(DAY, {"reader_agreement": rows}, NAMES, audience, {}, changes).html)


def test_a_new_reader_is_told_with_what_it_finds_more_or_less_of_and_what_cannot_be_said() -> None:
    rows = [beside("correction", 0.2, 0.08), beside("error_event", -0.2, 0.08), beside("backtracking", 0.02, 0.08)]
    said = of_readers(rows)
    assert "openai gpt-5 analyze_session.v1 → openai gpt-5.2 analyze_session.v2" in said
    assert "finds more correction" in said.lower()
    assert "finds less" in said
    assert said.count("inconclusive") == of_readers([]).count("inconclusive") + 1
    assert "+20" in said
    assert "@" not in said


def test_many_types_make_a_single_one_less_sure() -> None:
    one = beside("correction", 0.09, 0.085)
    assert "finds more" in of_readers([one])
    more = [beside(f"type_{n}", 0.001, 0.09) for n in range(12)]
    assert "what it finds more or less of is inconclusive" in of_readers([one, *more])


def test_a_change_that_nobody_read_beside_or_too_few_is_still_told() -> None:
    assert "not known: no session was read by both" in of_readers([])
    few = [beside("correction", 0.2, 0.01, users=3, sessions=6)]
    assert "not known: too few sessions were read by both" in of_readers(few)
    assert "finds more" not in of_readers([beside("correction", 0.2, 0.01, users_spared=1)])
    assert "finds more" in of_readers(few, audience="self")


def test_the_newest_rows_of_the_right_readers_count_and_old_changes_are_forgotten() -> None:
    stale = beside("correction", -0.3, 0.01) | {"day": days_before(1)}
    other = beside("correction", -0.3, 0.01, second="openai other p")
    assert "finds less" not in of_readers([stale, other, beside("correction", 0.2, 0.05)])
    old = Change(days_before(40), OLD, NEW)
    assert "analyst is the same as four weeks ago" in of_readers([beside("correction", 0.2, 0.05)], (old,))


def test_a_second_model_and_a_person_stand_beside_it() -> None:
    second = beside(
        "correction", 0.0, 0.1, reader="second", reason="sample", second="openai-compatible open-weights p@c"
    )
    person = beside("correction", 0.0, 0.1, reader="person", reason="review", first="detector", second="person",
                    f1=None, confirmed=0.7, confirmed_low=0.5, confirmed_high=0.8)  # fmt: skip
    said = of_readers([second, person], ())
    assert "openai-compatible open-weights p" in said
    assert "a person on the detector" in said
    assert "70 %" in said


def test_the_public_learns_nothing_of_readers() -> None:
    assert "finds more" not in of_readers([beside("correction", 0.2, 0.01)], audience="public")


def test_series_of_the_analyst_are_marked_where_it_changed_and_those_of_detectors_are_not() -> None:
    def drawn(source: str) -> str:
        rates = [rate("correction", 0.2, days_before(back), source=source) for back in range(8)]
        return build(DAY, {"friction_rates": rates}, NAMES, "company", {}, (CHANGE,)).html

    assert ">analyst changed<" in drawn("analyst")
    assert ">analyst changed<" not in drawn("detector")


def decision(seq: int, action: str, slug: str, **changes: Any) -> Decision:
    values = {
        "seq": seq, "version": seq + 1, "after": days_before(3), "action": action, "kind": "friction", "slug": slug,
        "into": (), "author": "ada", "proposal_id": f"p_{seq}", "evidence": {}, "undone_by": None, "applied": True,
    }  # fmt: skip
    return Decision(**{**values, **changes})


def told(audience: Any = "company", tables: dict[str, Any] | None = None, **inputs: Any) -> str:
    tables = example() if tables is None else tables
    one = build(DAY, tables, names=NAMES, audience=audience, coverage={}, **inputs)
    return text_of(one.html).replace("\u202f", " ")


def test_the_history_says_version_author_evidence_and_what_was_taken_back() -> None:
    evidence = {"users": 34, "sessions": 71, "days_seen": 9, "stability": 0.92}
    words = told(decisions=[
        decision(1, "accept", "correction", evidence=evidence),
        decision(2, "reject", "rude_word", applied=True),
        decision(3, "merge", "backtracking", into=("context_churn",), undone_by=5, applied=False),
    ])  # fmt: skip
    assert "Version 2 accepted friction “Correction” counts from 27 Mar, by ada" in words
    assert "20–49 users, 50–99 sessions, 9 days" in words
    assert "merged friction “Backtracking” into “Context churn” taken back by version 5" in words
    assert "34 users" not in words


def test_words_that_are_not_in_force_are_told_to_nobody_else() -> None:
    history = [decision(2, "reject", "rude_word"), decision(4, "accept", "secret_name", undone_by=6, applied=False)]
    words = told(decisions=history)
    assert "rejected friction p_2" in words
    assert not [word for word in ("rude", "secret") if word in words]
    assert "Rude word" in told("self", decisions=history)


def test_drift_and_retirement_are_said_and_small_categories_are_not_measured() -> None:
    def review(slug: str, users: int, **changes: Any) -> dict[str, Any]:
        values = {
            "kind": "friction", "slug": slug, "since_version": 1, "items": users, "users": users, "sessions": 2 * users,
            "same_meaning": 0.71, "drifts": False, "retire": False, "reason": "", "taxonomy_version": 1,
        }  # fmt: skip
        return row(tables.TaxonomyReview, **{**values, **changes})

    words = told(tables={"taxonomy_reviews": [
        review("correction", 40, drifts=True),
        review("backtracking", 0, retire=True, reason="no_longer_occurs", same_meaning=None),
        review("context_churn", 2, drifts=True),
    ]})  # fmt: skip
    assert "1 category has moved away from the definition, 1 is proposed for retirement" in words
    assert "hardly anybody meets it any more" in words
    assert "Context churn" not in words


def test_a_relabelled_past_is_drawn_dashed_and_said_in_words() -> None:
    rows = [rate("correction", 0.2, days_before(age)) for age in range(6)]
    past = [
        {**one, "about_day": one["day"], "day": days_before(2)} for one in rows if one["day"] <= days_before(3)
    ]  # fmt: skip
    found, history = {"friction_rates": rows, "restated_rates": past}, [decision(1, "accept", "correction")]
    one = build(DAY, found, names=NAMES, audience="company", coverage={}, decisions=history)
    assert 'class="value past"' in one.html
    assert "24 Mar to 26 Mar, relabelled from the past after the type was accepted as version 2" in text_of(one.html)
    plain = build(DAY, {"friction_rates": rows}, names=NAMES, audience="company", coverage={})
    assert 'class="value past"' not in plain.html
    assert "relabelled from the past" not in plain.html


def test_the_map_says_growth_steadiness_and_outliers() -> None:
    now = example()["clusters"]
    found = [{**one, "outlier_share": 0.1, "stability": 0.8} for one in now] + [
        {**one, "day": days_before(7)} for one in now
    ]
    words = told(tables={"clusters": found}, standings=behind(now))
    assert "10 % of the moments fit no pattern" in words
    assert "patterns were there a week before under the same id" in words
    assert "10 % → 20 %" in words


def test_every_verdict_has_its_method_one_click_away() -> None:
    page = Balanced()
    page.feed(report(None, **COVERAGE).html)
    linked = {address for address in page.addresses if address.startswith("#method-")}
    assert {"#method-rates", "#method-releases", "#method-errors", "#method-early", "#method-fixes"} <= linked
    assert linked <= {f"#{one.id}" for one in METHODS}


@pytest.mark.parametrize(
    ("verdict", "evidence", "words"),
    [
        ("regressed", "confirmed", "Sure: it is worse"),
        ("improved", "suspected", "It looks better, and may still be chance"),
        ("unchanged", "none", "a larger difference is ruled out"),
        ("inconclusive", "not_enough_data", "Nobody can tell yet"),
        ("inconclusive", "none", "the true change lies between −5 and +6 points"),
    ],
)
def test_a_verdict_is_said_in_words(verdict: str, evidence: str, words: str) -> None:
    one = release("correction", "3.0", 2, verdict, evidence, effect=0.01, low=-0.05, high=0.06)
    assert words in told(tables={"release_correlations": [one]})


def test_a_chance_after_each_stage_is_a_curve_and_what_is_left_is_counted() -> None:
    stages = [
        {
            **indicator(f"repeated_rephrasing statements>={times}", "one more statement", chance, 0.2),
            "rate_with": chance,
        }
        for times, chance in ((3, 0.5), (4, 0.4))
    ]
    words = told(tables={"leading_indicators": stages})
    assert "One more statement after k statements of the same (repeated rephrasing)" in words
    assert "Of 100 who came so far, 50 go on after 3, 20 after 4." in words


def test_a_chance_of_success_stage_by_stage_is_not_multiplied():
    stages = [
        indicator(f"repeated_rephrasing statements>={times}", "outcome=success", chance, 0.7)
        for times, chance in ((3, 0.6), (4, 0.5))
    ]
    assert "go on after" not in told(tables={"leading_indicators": stages})


def test_sessions_not_given_up_are_a_curve_beside_those_without_friction():
    rows = [
        {
            **indicator("friction>=1", f"abandoned within {steps} steps", chance - 0.02, chance - 0.05),
            "rate_with": chance,
            "rate_without": 0.02,
        }
        for steps, chance in ((5, 0.05), (20, 0.1), (80, 0.2))
    ]
    page = report({"leading_indicators": rows}).html
    words = text_of(page).replace("\u202f", " ")
    assert "80 % go on or ended otherwise 80 steps after their first friction, 98 % of sessions" in words
    # The axis begins at 70 %, below the interval's lower end; the last point of the line is at 80 %, two thirds down.
    assert '<polyline class="value" points="0.00,0.00 6.25,16.67 25.00,33.33 100.00,66.67"/>' in page
    # Only one distance is a row of the table as well.
    assert text_of(page).count("abandoned within") == 1
    assert "Not given up" not in told(tables={"leading_indicators": rows[:1]})


def test_errors_stand_under_the_friction_they_coincide_with() -> None:
    found = example()
    (hit, *_) = [one for one in found["error_correlations"] if one["verdict"] == "coincides"]
    days = {days_before(age): 0.1 if age else None for age in range(28)}
    one = build(DAY, found, names=NAMES, audience="company", coverage={}, errors={hit["template_id"]: days})
    assert one.html.count('class="day"') == 27
    assert "Below: share of each day's sessions with" in text_of(one.html)


def test_a_question_without_an_answer_is_asked_in_words():
    figures = ("rate_with", "rate_without", "difference", "low", "high", "q", "lead_steps", "lead_minutes")
    asked = {**indicator("correction>=1", "outcome=abandoned", 0.2, 0.1), **dict.fromkeys(figures)}
    words = told(tables={"leading_indicators": [asked]})
    assert "1 question with not enough data for an answer" in words
    assert "After correction: the session ends abandoned?" in words


def test_the_intent_that_costs_most_comes_first_and_a_shown_change_is_said():
    common = {**intent("new_feature", 0.6, 0.1), "cost": 0.06, "friction_change": 0.1, "verdict": "inconclusive"}
    dear = {**intent("bug_fix", 0.2, 0.8), "cost": 0.16, "friction_change": 0.1, "verdict": "regressed"}
    words = told(tables={"intent_trends": [common, dear]})
    table = words[words.index("What costs most comes first") :]
    assert table.index("Bug fix") < table.index("New feature")
    assert words.count("worse (+10 points)") == 1


def test_an_incident_is_said_to_be_no_release_s_fault() -> None:
    rows = [release("correction", "3.0", 2, "inconclusive", "none", incidents=days) for days in (0, 1)]
    assert "1 day on which many types moved at once, whatever was run, is taken for an incident" in told(
        tables={"release_correlations": rows}
    )
    assert "taken for an incident" not in told(tables={"release_correlations": rows[:1]})


def test_an_incident_is_told_once_and_by_a_row_only_where_it_had_fewer_days() -> None:
    rows = [release("correction", f"3.{days}", 2, "inconclusive", "none", incidents=days) for days in (2, 1)]
    words = told(tables={"release_correlations": rows})
    assert words.count("2 days") == 1
    assert words.count("1 day set apart as an incident") == 1


def test_a_slice_over_its_ceiling_is_named_in_page_and_message_and_one_that_may_not_be_told_is_not() -> None:
    of_slice = {"slice_kind": "intent", "reason": "Correction (intent: new feature) is over."}
    rows = [
        level("correction", 0.3, "crossed", slice="new feature", **of_slice),
        level("correction", None, "over", slice="secret", lower_bound=None, slice_kind="intent", reason="no"),
        level("correction", 0.1, "ok", slice="docs", slice_kind="intent", reason="fine"),
    ]  # fmt: skip
    one = report({"friction_levels": rows, "friction_rates": [rate("correction", 0.2)]})
    words = text_of(one.html)
    assert "Correction (intent: new feature)" in words
    assert "secret" not in words
    assert "intent: docs" not in words
    assert "Correction (intent: new feature) is over." in [row.headline for row in one.rows]
