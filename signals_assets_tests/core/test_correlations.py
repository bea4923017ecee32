"""Rates, release verdicts and intent trends: planted changes are found, small groups stay unpublished."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from signals_assets.core.correlations import friction_rates, intent_trends, labeller, release_correlations
from signals_assets.core.user_days import CountedType, Counts
from signals_assets.tables import UserDay, to_arrow

FIRST = date(2026, 3, 2)
CHURN = CountedType("friction", "context_churn", "detector")
PRAISE = CountedType("delight", "time_saved", "detector")
PLAIN = labeller("company", (), b"key")


def row(user, day, kind, sessions, type_="all", version="1.0", **more):
    return UserDay(
        **{
            "day": FIRST + timedelta(days=day), "about_day": FIRST + timedelta(days=day),
            "known_on": FIRST + timedelta(days=day), "user_id": f"u{user}", "organization_id": f"o{user % 3}",
            "agent_name": "agent", "agent_version": version, "source": "detector", "kind": kind, "type": type_,
            "sessions": sessions, "weight": float(sessions), "taxonomy_version": 1,
        } | more
    )  # fmt: skip


def cell(user, day, sessions, events, version="1.0", type_=CHURN, **more):
    """Exposure and, where there are any, the events of one user and day."""
    rows = [row(user, day, "session", sessions, version=version, **more)]
    return rows + ([row(user, day, type_.kind, events, type_.type, version, **more)] if events else [])


def counts(rows):
    return Counts.of(to_arrow(UserDay, rows))


def release(version, day, kind="version", agent="agent"):
    on = FIRST + timedelta(days=day)
    at = datetime(on.year, on.month, on.day, 9, tzinfo=UTC)
    return {"agent_name": agent, "kind": kind, "version": version, "released_at": at, "known_on": on}


def history(rates, users=20, type_=CHURN, sessions=6, seed=0, switch_late=()):
    """Users run `sessions` a day; `rates`: (version, first day, last day, rate); some keep to the first version."""
    rng = np.random.default_rng(seed)
    rows = []
    for version, first, last, rate in rates:
        for day in range(first, last + 1):
            for user in range(users):
                ran, chance = (rates[0][0], rates[0][3]) if user in switch_late else (version, rate)
                rows += cell(user, day, sessions, int(rng.binomial(sessions, chance)), ran, type_)
    return rows


def verdicts(rows, releases, day, types=(CHURN,), audience="self", label=PLAIN):
    found, coverage = release_correlations(
        FIRST + timedelta(days=day), counts(rows), releases, types=types, audience=audience, label=label
    )
    assert coverage.asked == coverage.answered + sum(coverage.skipped.values())
    return {(row.version, row.type): row for row in found}


# --- rates ------------------------------------------------------------------------------------------------------


def rates(rows, day=0, audience="self", types=(CHURN,)):
    return friction_rates(FIRST + timedelta(days=day), counts(rows), types=types, audience=audience, label=PLAIN)


def test_a_rate_is_the_share_of_sessions_with_its_interval_around():
    rows = [part for user in range(10) for part in cell(user, 0, 10, 3)]
    found, _ = rates(rows)
    [one] = [r for r in found if (r.slice_kind, r.window_days) == ("all", 1)]
    assert one.rate == pytest.approx(0.3)
    assert 0.15 < one.low < 0.3 < one.high < 0.5
    assert (one.users, one.sessions, one.coverage) == ("10", "100", 1.0)


def test_windows_of_one_and_seven_days_count_their_own_days():
    rows = [part for user in range(10) for day in range(8) for part in cell(user, day, 5, 5 if day == 7 else 0)]
    found, _ = rates(rows, day=7)
    by_window = {r.window_days: r.rate for r in found if r.slice_kind == "all"}
    assert by_window[1] == 1.0
    assert by_window[7] == pytest.approx(1 / 7, abs=1e-3)


def test_slices_are_rates_of_their_own_sessions_and_unknown_ones_are_no_slice():
    rows = [part for user in range(6) for part in cell(user, 0, 10, 1, "1.0")]
    rows += [part for user in range(6, 12) for part in cell(user, 0, 10, 5, "2.0")]
    rows += [part for user in range(12, 18) for part in cell(user, 0, 10, 9, None)]
    found, _ = rates(rows)
    by_version = {r.slice: r.rate for r in found if r.slice_kind == "agent_version" and r.window_days == 1}
    assert by_version == {"1.0": pytest.approx(0.1), "2.0": pytest.approx(0.5)}
    assert not [r for r in found if r.slice_kind == "intent"]


def test_agents_languages_and_organisations_are_slices_where_they_may_be_shown():
    rows = [part for user in range(6) for part in cell(user, 0, 10, 1, language="python")]
    rows += [part for user in range(6, 12) for part in cell(user, 0, 10, 5, language="rust", agent_name="other")]

    def slices(rows, audience):
        return {(r.slice_kind, r.slice): r.rate for r in rates(rows, audience=audience)[0] if r.window_days == 7}

    found = slices(rows, "team")
    assert found["language", "rust"] == pytest.approx(0.5, abs=0.03)  # on the grid of a team
    assert found["agent", PLAIN("agent", "other")] == pytest.approx(0.5, abs=0.03)
    assert ("language", "rust") in slices(rows, "company")
    shown = {audience: {kind for kind, _ in slices(rows, audience)} for audience in ("self", "team", "company")}
    assert [audience for audience, kinds in shown.items() if "organization" in kinds] == ["self"]
    assert "agent" not in {kind for kind, _ in slices(rows[:12], "team")}  # one agent is the total again


def test_small_groups_and_small_numerators_are_withheld_and_counted():
    many = [part for user in range(9) for part in cell(user, 0, 10, 3 if user < 4 else 0)]
    found, coverage = rates(many, audience="company")
    assert not found
    assert coverage.skipped == {"small_numerator": 2, "too_few_users": 2}  # the week; a day asks for more users
    found, coverage = rates([part for user in range(4) for part in cell(user, 0, 10, 3)], audience="company")
    assert not found
    assert set(coverage.skipped) == {"too_few_users"}
    found, coverage = rates([part for user in range(9) for part in cell(user, 0, 10, 0)], audience="company")
    assert not found
    assert coverage.skipped == {"small_numerator": 2, "too_few_users": 2}  # nobody looks like a few
    found, coverage = rates([part for user in range(9) for part in cell(user, 0, 10, 0)])
    assert {one.rate for one in found} == {0.0}
    assert coverage.asked == coverage.answered


def test_a_small_slice_takes_the_next_smallest_with_it_for_it_is_what_the_total_leaves():
    rows = [part for user in range(12) for part in cell(user, 0, 10, 3, "1.0")]
    rows += [part for user in range(12, 20) for part in cell(user, 0, 10, 3, "2.0")]
    rows += [part for user in range(20, 23) for part in cell(user, 0, 10, 3, "3.0")]
    found, coverage = rates(rows, audience="company")
    assert {one.slice for one in found if one.slice_kind == "agent_version"} == {"1.0"}
    assert coverage.skipped == {"too_few_users": 5}
    without = [part for part in rows if part.agent_version != "3.0"]
    assert {r.slice for r in rates(without, audience="company")[0]} == {"all", "1.0", "2.0"}


def test_few_concerned_users_in_one_slice_hide_the_next_smallest_number_of_the_type():
    rows = [part for user in range(12) for part in cell(user, 0, 10, 3, "1.0")]
    rows += [part for user in range(12, 20) for part in cell(user, 0, 10, 3, "2.0")]
    rows += [part for user in range(20, 30) for part in cell(user, 0, 10, 3 if user < 22 else 0, "3.0")]
    found, _ = rates(rows, audience="company")
    assert {one.slice for one in found if one.slice_kind == "agent_version"} == {"1.0"}


def test_all_but_a_few_is_as_telling_as_a_few():
    everybody = [part for user in range(30) for part in cell(user, 0, 10, 10)]
    assert not rates(everybody, audience="company")[0]
    assert rates([part for user in range(30) for part in cell(user, 0, 10, 9)], audience="company")[0]


def test_a_single_day_asks_for_four_times_the_users_that_a_week_asks_for():
    def windows(users):
        found, _ = rates([part for user in range(users) for part in cell(user, 0, 10, 4)], audience="company")
        return {one.window_days for one in found}

    assert (windows(19), windows(20)) == ({7}, {1, 7})


def test_severity_of_few_is_not_told():
    rows = [row(user, 0, "session", 10) for user in range(10)]
    rows += [row(user, 0, "friction", 4, "context_churn", high=int(user < 4)) for user in range(10)]
    assert {one.severe_share for one in rates(rows, audience="company")[0]} == {None}


def test_a_rate_after_a_fix_that_few_still_meet_is_absent_and_the_verdict_stays():
    rows = history([("1.0", 0, 13, 0.4), ("2.0", 14, 20, 0.0)])
    rows += [part for part in cell(0, 20, 6, 2, "2.0") if part.kind == "friction"]
    one = verdicts(rows, [release("1.0", 0), release("2.0", 14)], 20, audience="company")["2.0", "context_churn"]
    assert (one.verdict, one.rate_after, one.effect, one.e_value) == ("improved", None, None, None)
    assert one.rate_before == pytest.approx(0.4, abs=0.05)


def test_sessions_without_a_user_are_one_user_for_the_threshold():
    rows = [part for user in range(30) for part in cell(user, 0, 1, 1, user_id=f"anonymous:s{user}")]
    found, _ = rates(rows, audience="company")
    assert not found


def test_the_analysts_rates_are_weighted_and_say_what_they_covered():
    rows = [part for user in range(10) for part in cell(user, 0, 10, 0)]
    drift = CountedType("friction", "drift", "analyst")
    for user in range(10):
        weight = 3.0 if user < 5 else 1.0
        rows += [
            row(user, 0, "session", 1, source="analyst", weight=weight),
            *([row(user, 0, "friction", 1, "drift", source="analyst", weight=weight)] if user < 5 else []),
        ]
    found, _ = rates(rows, types=(drift,))
    [one] = [r for r in found if (r.slice_kind, r.window_days) == ("all", 1)]
    assert one.rate == pytest.approx(15 / 20)
    assert one.coverage == pytest.approx(0.2)


def test_severity_is_a_share_of_the_sessions_concerned():
    rows = [row(user, 0, "session", 10) for user in range(10)]
    rows += [row(user, 0, "friction", 4, "context_churn", high=1) for user in range(10)]
    found, _ = rates(rows)
    assert {one.severe_share for one in found} == {0.25}


def test_splitting_a_users_rows_or_shuffling_them_changes_no_rate():
    whole = [part for user in range(8) for part in cell(user, 0, 10, user % 4)]
    split = []
    for user in range(8):
        split += cell(user, 0, 4, 0, prompt_version="a") + cell(user, 0, 6, user % 4, prompt_version="b")
    first = [r for r in rates(whole)[0] if r.slice_kind == "all"]
    second = [r for r in rates(split[::-1])[0] if r.slice_kind == "all"]
    assert first == second


def test_words_from_outside_are_published_from_the_allow_list_only():
    label = labeller("company", ["search"], b"key")
    assert label("service", "search") == "search"
    assert label("agent_version", "2.1.0") == "2.1.0"
    hidden = label("agent_version", "acme-hotfix")
    assert hidden.startswith("agent_version-")
    assert "acme" not in hidden
    assert hidden != labeller("company", (), b"other")("agent_version", "acme-hotfix")
    assert labeller("self", (), b"key")("agent_version", "acme-hotfix") == "acme-hotfix"


# --- releases ---------------------------------------------------------------------------------------------------


def test_a_release_that_made_it_worse_is_confirmed_after_a_week_of_baseline():
    rows = history([("1.0", 0, 6, 0.08), ("2.0", 7, 11, 0.35)])
    found = verdicts(rows, [release("1.0", 0), release("2.0", 7)], 11)
    worse = found["2.0", "context_churn"]
    assert (worse.verdict, worse.evidence) == ("regressed", "confirmed")
    assert worse.low > 0.15
    assert worse.rate_before == pytest.approx(0.08, abs=0.03)
    assert found["1.0", "context_churn"].evidence == "not_enough_data"


def test_a_fix_is_compared_with_what_came_since_the_harm_not_with_the_good_old_days():
    rows = history([("1.0", 0, 9, 0.08), ("2.0", 10, 17, 0.35), ("3.0", 18, 23, 0.08)])
    releases = [release("1.0", 0), release("2.0", 10), release("3.0", 18)]
    found = verdicts(rows, releases, 23)
    fixed, harm = found["3.0", "context_churn"], found["2.0", "context_churn"]
    assert (fixed.verdict, fixed.evidence) == ("improved", "confirmed")
    assert fixed.rate_before == pytest.approx(0.35, abs=0.04)
    assert (harm.verdict, harm.evidence) == ("regressed", "confirmed")
    assert harm.rate_after == pytest.approx(0.35, abs=0.04)


def test_a_later_release_that_changed_nothing_is_not_blamed_for_the_one_before():
    rows = history([("1.0", 0, 13, 0.08), ("2.0", 14, 19, 0.3), ("3.0", 20, 23, 0.3)])
    found = verdicts(rows, [release("1.0", 0), release("2.0", 14), release("3.0", 20)], 23)
    assert found["2.0", "context_churn"].verdict == "regressed"
    assert found["3.0", "context_churn"].verdict not in ("regressed", "improved")
    assert found["3.0", "context_churn"].evidence == "none"


def test_more_delight_is_an_improvement():
    rows = history([("1.0", 0, 13, 0.1), ("2.0", 14, 20, 0.4)], type_=PRAISE)
    found = verdicts(rows, [release("1.0", 0), release("2.0", 14)], 20, types=(PRAISE,))
    assert found["2.0", "time_saved"].verdict == "improved"


def test_users_who_stay_on_the_old_version_belong_to_the_comparison():
    rows = history([("1.0", 0, 13, 0.1), ("2.0", 14, 20, 0.4)], switch_late=range(10))
    found = verdicts(rows, [release("1.0", 0), release("2.0", 14)], 20)
    assert found["2.0", "context_churn"].users_after == "10"
    assert found["2.0", "context_churn"].rate_before == pytest.approx(0.1, abs=0.03)
    assert found["2.0", "context_churn"].verdict == "regressed"


def test_sessions_without_a_version_are_placed_by_date():
    rows = [
        part.model_copy(update={"agent_version": None})
        for part in history([("1.0", 0, 14, 0.08), ("2.0", 15, 20, 0.35)])
    ]
    found = verdicts(rows, [release("1.0", 0), release("2.0", 14)], 20)
    assert found["2.0", "context_churn"].verdict == "regressed"


def test_a_new_prompt_is_a_release_too():
    rows = [
        part.model_copy(update={"agent_version": "1.0", "prompt_version": part.agent_version})
        for part in history([("7", 0, 13, 0.08), ("8", 14, 20, 0.35)])
    ]
    found = verdicts(rows, [release("7", 0, "prompt"), release("8", 14, "prompt")], 20)
    assert found["8", "context_churn"].release_kind == "prompt"
    assert found["8", "context_churn"].verdict == "regressed"


def test_equal_rates_with_much_data_are_called_unchanged():
    rows = history([("1.0", 0, 20, 0.2), ("2.0", 21, 30, 0.2)], users=60, sessions=10)
    found = verdicts(rows, [release("1.0", 0), release("2.0", 21)], 30)
    assert found["2.0", "context_churn"].verdict == "unchanged"


def test_releases_close_after_two_weeks():
    rows = history([("1.0", 0, 6, 0.1), ("2.0", 7, 25, 0.1)])
    assert verdicts(rows, [release("2.0", 7)], 20)
    assert not verdicts(rows, [release("2.0", 7)], 21)


def test_a_day_reads_only_what_was_known_on_it():
    rows = history([("1.0", 0, 6, 0.08), ("2.0", 7, 13, 0.35)])
    releases = [release("1.0", 0), release("2.0", 7)]
    early = [part for part in rows if part.day <= FIRST + timedelta(days=9)]
    assert verdicts(rows, releases, 9) == verdicts(early, releases, 9)
    assert ("2.0", "context_churn") not in verdicts(rows, releases, 6)


def test_the_order_of_rows_does_not_matter():
    rows = history([("1.0", 0, 6, 0.08), ("2.0", 7, 11, 0.3)])
    releases = [release("1.0", 0), release("2.0", 7)]
    assert verdicts(rows, releases, 11) == verdicts(rows[::-1], releases[::-1], 11)


def test_few_users_are_neither_judged_nor_counted_out_loud():
    rows = history([("1.0", 0, 13, 0.1), ("2.0", 14, 20, 0.6)], users=4)
    one = verdicts(rows, [release("1.0", 0), release("2.0", 14)], 20, audience="company")["2.0", "context_churn"]
    assert (one.verdict, one.evidence, one.users_after) == ("inconclusive", "not_enough_data", "<5")
    assert one.rate_before is one.rate_after is one.effect is one.q is None


# --- intents ----------------------------------------------------------------------------------------------------


def of_intent(user, day, intent, sessions, troubled):
    more = {"source": "analyst", "intent": intent}
    rows = [row(user, day, "session", sessions, **more)]
    if troubled:
        rows += [
            row(user, day, "friction", troubled, medium=troubled, **more),
            row(user, day, "outcome", troubled, "abandoned", **more),
        ]
    return rows


def test_an_intents_share_friction_and_change_are_those_of_its_week():
    rows = []
    for user in range(10):
        rows += of_intent(user, 1, "bug fix", 5, 0) + of_intent(user, 1, "question", 5, 0)
        rows += of_intent(user, 10, "bug fix", 8, 4) + of_intent(user, 10, "question", 2, 0)
    found, coverage = intent_trends(FIRST + timedelta(days=13), counts(rows), audience="self")
    by_intent = {one.intent: one for one in found}
    fix = by_intent["bug fix"]
    assert (fix.share, fix.friction_rate, fix.abandoned_rate) == (0.8, 0.5, 0.5)
    assert fix.change == pytest.approx(0.3)
    assert fix.low < 0.5 < fix.high
    assert by_intent["question"].friction_rate == 0.0
    assert coverage.answered == 2


def test_intents_stand_in_the_order_of_what_they_cost_with_the_trend_of_their_friction():
    """Two weeks of 40 users: friction of bug fixes rises from 10 to 50 %, that of questions stays at 20 %."""
    rows = []
    for user in range(40):
        for day in range(14):
            rows += of_intent(user, day, "bug fix", 4, (2 if day >= 7 else int(user % 10 < 4)))
            rows += of_intent(user, day, "question", 2, int(user % 5 < 2))
    found, _ = intent_trends(FIRST + timedelta(days=13), counts(rows), audience="self")
    assert [one.intent for one in found] == ["bug fix", "question"]
    fix, question = found
    assert fix.cost == pytest.approx(4 / 6 * 0.5, abs=1e-3)
    assert question.cost == pytest.approx(2 / 6 * 0.2, abs=1e-3)
    assert (fix.friction_change, fix.verdict) == (pytest.approx(0.4), "regressed")
    assert fix.abandoned_change == pytest.approx(0.4)
    assert question.friction_change == pytest.approx(0.0)
    assert question.verdict in ("unchanged", "inconclusive")


def test_a_week_without_one_before_has_no_trend():
    rows = [part for user in range(10) for part in of_intent(user, 10, "bug fix", 8, 4)]
    [row], _ = intent_trends(FIRST + timedelta(days=13), counts(rows), audience="self")
    assert (row.change, row.friction_change, row.success_change, row.verdict) == (None, None, None, "inconclusive")


def test_a_new_reader_changes_no_intent():
    rows = []
    for user in range(10):
        rows += of_intent(user, 1, "bug fix", 5, 0) + of_intent(user, 1, "question", 5, 0)
        rows += of_intent(user, 10, "bug fix", 8, 4) + of_intent(user, 10, "question", 2, 0)
    for since, known in ((0, True), (5, False), (9, False)):
        found, _ = intent_trends(
            FIRST + timedelta(days=13), counts(rows), audience="self", since=FIRST + timedelta(days=since)
        )
        assert {one.change is not None for one in found} == {known}
        assert {one.intent for one in found} == {"bug fix", "question"}


def test_a_new_reader_s_step_is_laid_to_no_release():
    """The analyst finds twice as much from the day on which a release ships: blamed, unless its days stay apart."""
    drift = CountedType("friction", "drift", "analyst")
    seen = history([("1.0", 0, 20, 0.1), ("2.0", 21, 30, 0.4)], type_=drift)
    rows = [part.model_copy(update={"source": "analyst"}) for part in seen]
    day = FIRST + timedelta(days=30)
    shipped = [release("1.0", 0), release("2.0", 21)]

    def verdict(since):
        steady = counts(rows).of_one_reader(since)
        found, _ = release_correlations(day, steady, shipped, types=(drift,), audience="self", label=PLAIN)
        return {row.version: row.evidence for row in found}["2.0"]

    assert verdict(None) == "confirmed"
    assert verdict(FIRST + timedelta(days=21)) == "not_enough_data"


def test_detectors_are_the_same_whoever_the_analyst_is():
    rows = [part for user in range(10) for part in cell(user, 0, 10, 4)]
    assert len(counts(rows).of_one_reader(FIRST + timedelta(days=9))) == len(rows)


def test_an_intent_of_few_users_is_withheld():
    rows = [part for user in range(10) for part in of_intent(user, 0, "bug fix", 5, 0)]
    rows += [part for user in range(20) for part in of_intent(user, 0, "question", 9, 5)]
    rows += [part for user in range(3) for part in of_intent(user, 0, "secret plan", 9, 0)]
    found, coverage = intent_trends(FIRST, counts(rows), audience="company")
    assert [one.intent for one in found] == ["question"]  # with the next smallest: shares add up to one
    assert coverage.skipped == {"too_few_users": 2}


def test_empty_days_give_no_rows():
    assert rates([])[0] == []
    assert verdicts([], [release("1.0", 0)], 1)["1.0", "context_churn"].evidence == "not_enough_data"
    assert intent_trends(FIRST, counts([]), audience="self")[0] == []
