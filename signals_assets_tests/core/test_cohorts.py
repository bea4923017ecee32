"""Who is in which cohort: a type's week, and sessions with a fix against sessions without it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from signals_assets.core.cohorts import (
    BEFORE_DAYS,
    diagnosed_users,
    fix_effect,
    level_inputs,
    level_parts,
    newcomers,
    outdated_versions,
    severe_events,
    slice_sessions,
)
from signals_assets.core.discovery_items import intent_id
from signals_assets.core.user_days import CountedType, Counts
from signals_assets.settings import SliceThreshold, ThresholdSettings
from signals_assets.tables import UserDay

DAY = date(2026, 3, 30)
CHURN = CountedType("friction", "context_churn", "detector")
ERROR = CountedType("friction", "error_event", "detector")
OTHER = CountedType("friction", "other", "analyst")
RELEASED = DAY - timedelta(days=9)


def exposure(user, sessions, *, day=DAY, version="1.0", organization="o1", source="detector", **over):
    """Sessions of a user on a day: what every rate is divided by."""
    values = {
        "day": day, "about_day": day, "known_on": day, "user_id": user, "organization_id": organization,
        "agent_name": "agent", "agent_version": version, "agent_model": "m", "prompt_version": None,
        "intent": "bug fix",
        "source": source, "kind": "session", "type": "all", "sessions": sessions, "weight": float(sessions),
        "events": 0, "high": 0, "medium": 0, "taxonomy_version": 1,
    }  # fmt: skip
    return UserDay(**(values | over)).model_dump()


def concerned(user, sessions, item=CHURN, **over):
    """Sessions of a user on a day that have the type."""
    return exposure(user, sessions, kind=item.kind, type=item.type, source=item.source, events=sessions, **over)


def week_of(rows, types=(CHURN,), days=7):
    return level_inputs(DAY, Counts.of(rows), types=types, days=days)


def test_a_level_is_the_share_of_the_weeks_sessions_with_those_concerned_counted():
    rows = [exposure(f"u{i}", 2, organization=f"o{i % 3}") for i in range(10)]
    rows += [concerned(f"u{i}", 1, organization=f"o{i % 3}") for i in range(4)]
    found = week_of(rows)["context_churn"]
    assert found.rate == pytest.approx(4 / 20)
    assert found.low < found.rate < found.high
    assert (found.n, found.users, found.sessions, found.organizations) == (20, 4, 4, 3)


def test_a_type_without_events_has_the_rate_zero_and_nobody_concerned():
    found = week_of([exposure(f"u{i}", 3) for i in range(5)], types=(CHURN, ERROR))
    assert set(found) == {"context_churn", "error_event"}
    assert (found["error_event"].rate, found["error_event"].users, found["error_event"].sessions) == (0.0, 0, 0)
    assert found["error_event"].high > 0


def test_a_type_whose_source_looked_at_no_session_is_absent():
    rows = [exposure(f"u{i}", 3) for i in range(5)]
    assert set(week_of(rows, types=(CHURN, OTHER))) == {"context_churn"}
    assert week_of([], types=(CHURN,)) == {}
    assert week_of(rows, types=()) == {}


def test_only_the_trailing_days_count():
    rows = [exposure(f"u{i}", 1) for i in range(6)]
    inside, outside = DAY - timedelta(days=6), DAY - timedelta(days=7)
    for day in (inside, outside):
        rows += [exposure(f"u{i}", 1, day=day) for i in range(6)]
        rows += [concerned(f"u{i}", 1, day=day) for i in range(6)]
    found = week_of(rows)["context_churn"]
    assert (found.n, found.rate) == (12, pytest.approx(0.5))


def test_a_later_day_is_not_seen():
    tomorrow = DAY + timedelta(days=1)
    rows = [exposure("a", 4), exposure("b", 4), exposure("a", 9, day=tomorrow), concerned("a", 9, day=tomorrow)]
    assert week_of(rows)["context_churn"].n == 8


def seen(**days_ago):
    return Counts.of([exposure(u, 1, day=DAY - timedelta(n)) for u, ago in days_ago.items() for n in ago])


LONG_AGO = DAY - timedelta(13)


def test_who_was_first_seen_less_than_a_week_ago_is_new():
    counts = seen(old=[13, 0], known=[7, 1], young=[6, 0], today=[0], forgotten=[20, 0])
    assert newcomers(DAY, counts, LONG_AGO, "company") == {"young", "today", "forgotten"}


def test_a_later_day_s_sessions_make_nobody_older_or_newer():
    rows = seen(young=[6, 0])
    assert newcomers(DAY - timedelta(6), rows, LONG_AGO - timedelta(6), "company") == {"young"}


@pytest.mark.parametrize(("first_day", "audience"), [
    (LONG_AGO + timedelta(1), "company"), (LONG_AGO, "team"), (LONG_AGO, "self"),
])  # fmt: skip
def test_nobody_is_new_among_the_known_and_before_a_fortnight_was_seen(first_day, audience):
    assert newcomers(DAY, seen(young=[0]), first_day, audience) == frozenset()


def test_without_any_organisation_their_number_is_unknown_and_not_zero():
    rows = [exposure(f"u{i}", 1, organization=None) for i in range(4)] + [concerned("u0", 1, organization=None)]
    assert week_of(rows)["context_churn"].organizations is None
    mixed = [exposure("a", 1), exposure("b", 1, organization=None), concerned("b", 1, organization=None)]
    assert week_of(mixed)["context_churn"].organizations == 0


def life(fixed_rate, broken_rate, *, users=40, days=8, since=RELEASED):
    """Every user has ten sessions a day: `days` before `since` with 1.0 and as many from it on with 1.1."""
    rows = []
    for offset in range(-days, days):
        version, rate = ("1.1", fixed_rate) if offset >= 0 else ("1.0", broken_rate)
        day = since + timedelta(days=offset)
        for user in range(users):
            rows.append(exposure(f"u{user}", 10, day=day, version=version))
            events = round(10 * rate) + (user + offset) % 2  # people and days differ a little
            rows.append(concerned(f"u{user}", events, day=day, version=version))
    return Counts.of(rows)


def test_a_fix_that_helps_lowers_the_rate_of_the_sessions_that_ran_it():
    found = fix_effect(life(0.1, 0.4), CHURN, ["1.1"], RELEASED)
    assert found is not None
    assert found.effect == pytest.approx(-0.3, abs=0.05)
    assert found.high < 0
    assert found.rate_after < found.rate_before
    assert (found.users_after, found.sessions_after, found.organizations_after) == (40, 40 * 8 * 10, 1)


def test_a_fix_that_does_nothing_has_no_effect():
    found = fix_effect(life(0.3, 0.3), CHURN, ["1.1"], RELEASED)
    assert found is not None
    assert found.low < 0.02
    assert found.high > -0.02
    assert found.effect == pytest.approx(0, abs=0.03)


def test_without_a_session_on_either_side_there_is_no_effect():
    counts = life(0.1, 0.4)
    assert fix_effect(counts, CHURN, ["2.0"], RELEASED) is None
    assert fix_effect(counts, CHURN, ["1.0", "1.1"], RELEASED) is None
    assert fix_effect(Counts.of([]), CHURN, ["1.1"], RELEASED) is None


def test_outdated_versions_and_days_too_long_ago_are_no_comparison():
    counts = life(0.1, 0.4)
    assert fix_effect(counts, CHURN, ["1.1"], RELEASED, outdated=["1.0"]) is None
    long_ago = Counts.of([
        *[exposure(f"u{i}", 9, day=RELEASED - timedelta(days=BEFORE_DAYS + 1)) for i in range(30)],
        *[exposure(f"u{i}", 9, day=RELEASED, version="1.1") for i in range(30)],
    ])  # fmt: skip
    assert fix_effect(long_ago, CHURN, ["1.1"], RELEASED) is None


def test_sessions_after_the_release_that_ran_an_older_version_are_compared_too():
    rows = []
    for offset in range(8):
        day = RELEASED + timedelta(days=offset)
        for user in range(40):
            version, rate = ("1.1", 0.1) if user % 2 else ("1.0", 0.4)
            rows.append(exposure(f"u{user}", 10, day=day, version=version))
            rows.append(concerned(f"u{user}", round(10 * rate) + (user // 2 + offset) % 2, day=day, version=version))
    found = fix_effect(Counts.of(rows), CHURN, ["1.1"], RELEASED)
    assert found is not None
    assert found.users_after == 20
    assert found.effect == pytest.approx(-0.3, abs=0.05)


def selected(diagnosed, others, *, users=60, filed=RELEASED - timedelta(3)):
    """A ticket was filed for a week that was bad for a third of the users by chance; `others` is the true rate."""
    rows = []
    for offset in range(-14, 8):
        day = RELEASED + timedelta(days=offset)
        for user in range(users):
            fixed = offset >= 0 and user % 2 == 0
            bad = user % 3 == 0 and filed - timedelta(6) <= day <= filed
            rate = diagnosed if bad else 0 if filed - timedelta(6) <= day <= filed else others
            seen = {"day": day, "version": "1.1" if fixed else "1.0"}
            rows.append(exposure(f"u{user}", 10, **seen))
            events = round(10 * rate) + (user // 2 + offset) % 2 if rate else 0
            rows += [concerned(f"u{user}", events, **seen)] if events else []
    return Counts.of(rows), filed


def test_where_they_suffice_a_fix_is_measured_on_users_outside_the_diagnosis():
    counts, filed = selected(0.8, 0.2)
    inside = diagnosed_users(counts, CHURN, filed, 7)
    assert inside == {f"u{n}" for n in range(0, 60, 3)}
    found = fix_effect(counts, CHURN, ["1.1"], RELEASED, diagnosed=inside, filed_on=filed)
    assert found is not None
    assert found.cohort == "users outside the diagnosis"
    assert (found.users_after, found.sessions_after) == (20, 20 * 8 * 10)
    assert found.low < 0 < found.high  # the bad week made nobody look better


def test_where_they_do_not_suffice_all_users_count_and_the_verdict_says_so():
    counts, filed = selected(0.8, 0.2)
    everybody = {f"u{n}" for n in range(60)}
    found = fix_effect(counts, CHURN, ["1.1"], RELEASED, diagnosed=everybody, filed_on=filed)
    assert found is not None
    assert (found.cohort, found.users_after) == ("all users", 30)


def release(version, day, kind="version"):
    return {"version": version, "kind": kind, "released_at": datetime(day.year, day.month, day.day, 9, tzinfo=UTC)}


def change(day, type_="context_churn", kind="friction", evidence="confirmed"):
    return {"type": type_, "kind": kind, "evidence": evidence, "released_on": day}


RELEASES = [release(f"1.{n}", date(2026, 3, 1 + 5 * n)) for n in range(4)]  # 1, 6, 11, 16 March


def test_versions_before_the_last_confirmed_change_are_outdated():
    changes = [change(date(2026, 3, 6)), change(date(2026, 3, 11))]
    assert outdated_versions("context_churn", date(2026, 3, 16), changes, RELEASES) == ["1.0", "1.1"]


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [change(date(2026, 3, 16))],
        [change(date(2026, 3, 11), type_="error_event")],
        [change(date(2026, 3, 11), kind="delight")],
        [change(date(2026, 3, 11), evidence="suspected")],
    ],
    ids=["none", "the fix itself", "another type", "another kind", "only suspected"],
)
def test_without_a_confirmed_earlier_change_of_the_type_no_version_is_outdated(changes):
    assert outdated_versions("context_churn", date(2026, 3, 16), changes, RELEASES) == []


def test_prompts_and_models_are_not_versions():
    releases = [*RELEASES, release("p1", date(2026, 3, 1), "prompt")]
    assert outdated_versions("context_churn", date(2026, 3, 16), [change(date(2026, 3, 6))], releases) == ["1.0"]


# --- slices


def parts_of(rows, *slices, audience="company"):
    return level_parts(
        DAY,
        Counts.of(rows),
        types=(CHURN,),
        days=7,
        thresholds=ThresholdSettings(slices=list(slices)),
        audience=audience,
        sessions=lambda part: [f"session of {part[1]}"],
    )


def version(value):
    return SliceThreshold(slice_kind="agent_version", slice=value, ceiling=0.2)


def people(value, users, sessions=3, met=1):
    """Users of a version, the first third of whom met the type."""
    rows = [exposure(f"{value}-{i}", sessions, version=value, organization=f"o{i % 3}") for i in range(users)]
    hit = range(users // 3)
    return rows + [concerned(f"{value}-{i}", met, version=value, organization=f"o{i % 3}") for i in hit]


def test_the_week_of_a_slice_counts_its_sessions_alone():
    [part] = parts_of([*people("1.0", 30), *people("2.0", 60)], version("2.0"))
    assert (part.slice_kind, part.slice, set(part.sessions)) == ("agent_version", "2.0", {"session of 2.0"})
    found = part.levels["context_churn"]
    assert (found.n, found.users, found.sessions) == (180, 20, 20)
    assert found.rate == pytest.approx(20 / 180)
    assert found.told


def test_a_slice_that_leaves_a_few_people_over_is_not_told_unless_for_oneself():
    rows = [*people("1.0", 3), *people("2.0", 60)]
    assert [part.levels["context_churn"].told for part in parts_of(rows, version("2.0"))] == [False]
    assert [part.levels["context_churn"].told for part in parts_of(rows, version("2.0"), audience="self")] == [True]
    assert [part.levels["context_churn"].told for part in parts_of(rows, version("2.0"), audience="public")] == [False]


def test_a_slice_named_for_several_types_is_one_part_and_none_is_none():
    rows = people("2.0", 60)
    of_type = version("2.0").model_copy(update={"type": "error_event"})
    assert [part.slice for part in parts_of(rows, version("2.0"), of_type)] == ["2.0"]
    assert parts_of(rows) == []
    [unknown] = parts_of(rows, version("9.9"))
    assert unknown.levels == {}


def facet(session, name, value, known_on=DAY):
    return {"session_id": session, "known_on": known_on, "facet": name, "value": value}


def sessions_of(kind, value, metrics=(), facets=(), labels=()):
    return slice_sessions((kind, value), metrics=metrics, facets=facets, labels=labels, day=DAY)


def test_the_sessions_of_an_agent_or_version_are_those_that_ran_it():
    metrics = [
        {"session_id": "a", "known_on": DAY, "agent_name": "shop", "agent_version": "2.0"},
        {"session_id": "b", "known_on": DAY, "agent_name": "shop", "agent_version": "1.0"},
        {"session_id": "later", "known_on": DAY + timedelta(1), "agent_name": "shop", "agent_version": "2.0"},
    ]
    assert sessions_of("agent_version", "2.0", metrics) == {"a"}
    assert sessions_of("agent", "shop", metrics) == {"a", "b"}


def test_the_sessions_of_an_intent_follow_its_newest_label():
    facets = [facet("a", "primary_intent", "bug fix"), facet("b", "primary_intent", "new feature")]
    label = {
        "event_id": intent_id("b"), "kind": "intent", "type": "bug fix", "taxonomy_version": 2, "day": DAY,
    }  # fmt: skip
    assert sessions_of("intent", "bug fix", facets=facets) == {"a"}
    assert sessions_of("intent", "bug fix", facets=facets, labels=[label]) == {"a", "b"}
    assert sessions_of("intent", "new feature", facets=facets, labels=[label]) == frozenset()


def test_a_session_of_several_languages_is_of_none_of_them():
    facets = [facet("a", "programming_languages", "python"), facet("b", "programming_languages", "python")]
    facets += [facet("b", "programming_languages", "rust")]
    assert sessions_of("language", "python", facets=facets) == {"a"}


# --- severities


def at_severity(rows, severity="high", audience="company"):
    thresholds = ThresholdSettings(severity_ceilings={severity: 0.1})
    [part] = level_parts(
        DAY, Counts.of(rows), types=(CHURN,), days=7, thresholds=thresholds, audience=audience,
        sessions=lambda _: (), events=lambda least: [f"event at {least}"],
    )  # fmt: skip
    return part


def severe(users, of=60, high=2, medium=0):
    """`of` users with ten sessions each, half of whom met the type in four; the first `users` at the severity."""
    rows = [exposure(f"u{i}", 10, organization=f"o{i % 3}") for i in range(of)]
    met = [(i, {"high": high, "medium": medium} if i < users else {}) for i in range(of // 2)]
    return rows + [concerned(f"u{i}", 4, organization=f"o{i % 3}", **worst) for i, worst in met]


def test_the_week_at_a_severity_counts_sessions_that_met_the_type_that_badly():
    part = at_severity(severe(12))
    assert (part.slice_kind, part.slice, set(part.events)) == ("severity", "high", {"event at high"})
    found = part.levels["context_churn"]
    assert (found.n, found.users, found.sessions, found.organizations, found.largest) == (600, 12, 24, 3, 8)
    assert found.rate == pytest.approx(24 / 600)
    assert 0 < found.low < found.rate
    assert found.told


def test_medium_counts_what_is_worse_too():
    rows = severe(12, high=1, medium=1)
    assert [at_severity(rows, least).levels["context_churn"].sessions for least in ("medium", "high")] == [24, 12]


@pytest.mark.parametrize(("users", "told"), [(4, False), (12, True), (27, False), (30, True)])
def test_a_severity_of_few_people_or_of_all_but_few_is_not_told(users, told):
    assert at_severity(severe(users)).levels["context_churn"].told is told


def test_events_of_a_severity_are_those_and_worse():
    rows = [{"event_id": level, "severity": level} for level in ("low", "medium", "high")]
    assert severe_events(rows, "high") == {"high"}
    assert severe_events(rows, "medium") == {"medium", "high"}
