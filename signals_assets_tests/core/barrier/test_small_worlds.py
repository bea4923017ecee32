"""Brute force over the functions behind the other published tables: nothing that they say counts a few people."""

from collections.abc import Hashable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.cohorts import fix_effect
from signals_assets.core.correlations import friction_rates, intent_trends, labeller, release_correlations
from signals_assets.core.error_association import error_correlations
from signals_assets.core.leading_indicators import leading_indicators
from signals_assets.core.outcomes import fix_outcomes
from signals_assets.core.taxonomy import seed
from signals_assets.core.user_days import CountedType, Counts
from signals_assets.core.wording import Wording
from signals_assets.settings import Audience
from signals_assets.tables import TicketRow, UserDay, arrow_schema
from signals_assets_tests.core.barrier.worlds import Verdict, World, enumerate_worlds, told

FIRST = date(2026, 3, 2)
CHURN = CountedType("friction", "context_churn", "detector")
LABEL = labeller("company", (), b"key")
SCHEMA = arrow_schema(UserDay)
AUDIENCES: list[Audience] = ["team", "company"]
FEWEST: dict[Audience, int] = {"team": 4, "company": 7}
"""Users of one session each that are one too few."""
RELEASED = 6
"""Day of the release."""
LAST = FIRST + timedelta(days=9)


def row(user: int, day: int, kind: str, type_: str, sessions: int, **more: Any) -> dict[str, Any]:
    on = FIRST + timedelta(days=day)
    return {
        "day": on, "about_day": on, "known_on": on, "user_id": f"u{user}", "organization_id": f"o{user % 3}",
        "agent_name": "agent", "agent_version": "1.0", "intent": "unknown", "source": "detector", "kind": kind,
        "type": type_, "sessions": sessions, "weight": float(sessions), "events": sessions, "high": 0, "medium": 0,
        "taxonomy_version": 1,
    } | more  # fmt: skip


def counted(rows: list[dict[str, Any]]) -> Counts:
    return Counts.of(pa.Table.from_pylist(rows, SCHEMA))


def counts_of(world: World) -> dict[str, Any]:
    """Concerned and others of a world (users, concerned, users, concerned...) as secrets."""
    names = ("first", "second")[: len(world) // 2]
    found: dict[str, Any] = {}
    for index, name in enumerate(names):
        found[f"concerned in the {name}"] = lambda one, at=2 * index: one[at + 1]
        found[f"others in the {name}"] = lambda one, at=2 * index: one[at] - one[at + 1]
    return found


def pairs(fewest: int, most: int) -> list[World]:
    crowds = [(users, met) for users in range(fewest, most + 1) for met in range(users + 1)]
    return [(*one, *other) for one in crowds for other in crowds]


# --- releases and fixes -----------------------------------------------------------------------------------------


def released(world: World) -> list[dict[str, Any]]:
    """(users, concerned before, concerned after): the same people run two versions, two sessions a day."""
    users, before, after = world
    rows = []
    for day in range(10):
        version, met = ("1.0", before) if day < RELEASED else ("2.0", after)
        for user in range(users):
            # from the other end of the crowd after the release: who met it before is not who met it after
            concerned = user < met if day < RELEASED else users - 1 - user < met
            rows.append(row(user, day, "session", "all", 2, agent_version=version))
            if concerned:
                rows.append(row(user, day, "friction", CHURN.type, 2, agent_version=version))
    return rows


def shipped(version: str, day: int) -> dict[str, Any]:
    on = datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(days=day)
    return {"agent_name": "agent", "kind": "version", "version": version, "released_at": on, "known_on": on.date()}


RELEASES = [shipped("1.0", -20), shipped("2.0", RELEASED)]
TICKET = TicketRow(
    day=LAST, ticket_key="SIG-0A1B2C3D", cause_id="cause_1", type=CHURN.type, component="file_read", generation=1,
    state="released", filed_on=FIRST, reference="x.md", pull_request_id="1", merged_on=FIRST + timedelta(days=5),
    released_in="2.0", released_on=FIRST + timedelta(days=RELEASED),
)  # fmt: skip


def release_rows(counts: Counts, audience: Audience) -> list[Any]:
    return release_correlations(LAST, counts, RELEASES, types=(CHURN,), audience=audience, label=LABEL)[0]


def fix_rows(counts: Counts, audience: Audience) -> list[Any]:
    view = counts.as_of(LAST)

    def compare(kind: str, type_: str, versions: tuple[str, ...], ticket: TicketRow):
        own = (kind, type_) == (CHURN.kind, CHURN.type)
        return fix_effect(view, CHURN, versions, ticket.released_on or LAST) if own else None

    return fix_outcomes(LAST, [TICKET], compare, releases=RELEASES, wording=Wording(seed(), frozenset(), audience))


RELEASE_SECRETS = {
    "concerned before": lambda world: world[1],
    "others before": lambda world: world[0] - world[1],
    "concerned after": lambda world: world[2],
    "others after": lambda world: world[0] - world[2],
}


def wordless(one: Any) -> Any:
    """A row without its words of judgement.

    They stay where one side's rate is hidden: a friction that a release brought, or a fix ended, has next to nobody on
    one side. The word depends on all data; whoever knows everything else may learn from it on which side of the
    evidence's limit a hidden count lies. That is the one thing which these tests leave out.
    """
    return one.model_copy(
        update={"verdict": "inconclusive"} | ({"evidence": "none"} if hasattr(one, "evidence") else {})
    )


def release_family(audience: Audience, rows: Any) -> Verdict:
    fewest, most = (2, 9) if audience == "team" else (4, 13)
    worlds = [(n, b, a) for n in range(fewest, most + 1) for b in range(n + 1) for a in range(n + 1)]
    return enumerate_worlds(
        worlds,
        lambda world: told([wordless(one) for one in rows(counted(released(world)), audience)]),
        RELEASE_SECRETS,
        below=SHOWN[audience].users,
        edge=lambda world: world[0] == most,
        hidden={"concerned before": 1, "concerned after": 2},
        silent=lambda published: not any('"rate_before":0' in one or '"rate_before":1' in one for one in published),
    )


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("rows", [release_rows, fix_rows])
def test_before_and_after_a_release_no_few_are_counted(audience: Audience, rows: Any):
    verdict = release_family(audience, rows)
    assert verdict.leaks == {}
    assert (verdict.telling >= 20, verdict.judged >= 80, verdict.open) == (True, True, 0)
    if rows is release_rows:  # of a fix nothing at all is told without enough data to test, which is a judgement too
        assert verdict.alone == {}
        assert verdict.steps >= 200


# --- inside sessions --------------------------------------------------------------------------------------------

TYPES = [CountedType("friction", name, "detector") for name in ("error_event", "correction")]


def session(number: int) -> dict[str, Any]:
    return {
        "session_id": f"s{number}", "day": FIRST, "known_on": FIRST,
        "started_at": datetime(2026, 3, 2, 9, tzinfo=UTC), "duration_seconds": 3600.0, "user_id": f"u{number}",
        "organization_id": f"o{number % 3}", "steps": 100, "agentic_steps": 40,
    }  # fmt: skip


def event(number: int, seconds: float, type_: str, step: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}-{type_}-{step}", "session_id": f"s{number}", "day": FIRST, "known_on": FIRST,
        "type": type_, "source": "detector", "confidence": 0.9, "steps": [step], "seconds_from_start": seconds,
    }  # fmt: skip


def indicator_rows(world: World, audience: Audience) -> list[Any]:
    """(with an error, of them corrected later and giving up, without an error, of them the same)."""
    users, hits, others, other_hits = world
    events = [event(number, 600.0, "error_event", 10) for number in range(users)]
    corrected = [*range(hits), *range(users, users + other_hits)]
    events += [event(number, 1200.0, "correction", 20) for number in corrected]
    facets = [
        {"session_id": f"s{number}", "day": FIRST, "known_on": FIRST, "facet": "outcome", "inclusion_weight": 1.0,
         "value": "abandoned" if number in corrected else "success"}
        for number in range(users + others)
    ]  # fmt: skip
    return leading_indicators(
        FIRST, friction=events, delight=[], facets=facets,
        metrics=[session(number) for number in range(users + others)], outcomes=[], label=LABEL, labels=[],
        types=TYPES, audience=audience, min_confidence=0.5,
    )[0]  # fmt: skip


@pytest.mark.parametrize("audience", AUDIENCES)
def test_what_comes_after_friction_counts_no_few(audience: Audience):
    fewest = FEWEST[audience]
    most = fewest + 4
    verdict = enumerate_worlds(
        pairs(fewest, most),
        lambda world: told(indicator_rows(world, audience)),
        counts_of((0, 0, 0, 0)),
        below=SHOWN[audience].users,
        edge=lambda world: most in (world[0], world[2]),
        hidden={"concerned in the first": 1, "concerned in the second": 3},
    )
    assert verdict.leaks == {}
    assert verdict.alone == {}
    assert (verdict.telling >= 2, verdict.judged >= 6, verdict.steps >= 500) == (True, True, True)


def error_rows(world: World, audience: Audience) -> list[Any]:
    """(users with the error, of them with it shortly before each of three frictions; in the others after them)."""
    users, hits = world
    events, logs = [], []
    for number in range(users):
        events += [event(number, 2000.0 + 100 * i, "correction", 10 + i) for i in range(3)]
        at = datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(seconds=1900 if number < hits else 3000)
        logs.append({"day": FIRST, "known_on": FIRST, "message": "shard 3 unavailable", "service": "search",
                     "logged_at": at, "session_id": f"s{number}"})  # fmt: skip
    return error_correlations(
        FIRST, logs=[logs], friction=events, metrics=[session(number) for number in range(2 * users + 5)], labels=[],
        types=TYPES, audience=audience, label=LABEL, publishable=str, min_confidence=0.5,
    )[0]  # fmt: skip


@pytest.mark.parametrize("audience", AUDIENCES)
def test_errors_before_friction_count_no_few(audience: Audience):
    most = 24
    verdict = enumerate_worlds(
        [(users, hits) for users in range(2, most + 1) for hits in range(users + 1)],
        lambda world: told(error_rows(world, audience)),
        counts_of((0, 0)),
        below=SHOWN[audience].users,
        edge=lambda world: world[0] == most,
        hidden={"concerned in the first": 1},
    )
    assert verdict.leaks == {}
    assert verdict.alone == {}
    assert (verdict.telling >= 50, verdict.judged >= 100, verdict.steps >= 40) == (True, True, True)


# --- intents ----------------------------------------------------------------------------------------------------


def intent_rows(world: World, audience: Audience) -> list[Any]:
    """(users with one intent, of them with friction and giving up, users with another, of them the same)."""
    rows = []
    for name, users, met, first in (("debug", world[0], world[1], 0), ("explain", world[2], world[3], 100)):
        for user in range(first, first + users):
            more = {"intent": name, "source": "analyst"}
            rows.append(row(user, 0, "session", "all", 1, **more))
            concerned = user - first < met
            if concerned:
                rows.append(row(user, 0, "friction", "all", 1, high=1, **more))
            rows.append(row(user, 0, "outcome", "abandoned" if concerned else "success", 1, **more))
    return intent_trends(FIRST, counted(rows), audience=audience)[0] if rows else []


@pytest.mark.parametrize("audience", AUDIENCES)
def test_intents_count_no_few(audience: Audience):
    fewest = FEWEST[audience]
    most = fewest + 4
    verdict = enumerate_worlds(
        pairs(fewest, most),
        lambda world: told(intent_rows(world, audience)),
        counts_of((0, 0, 0, 0)),
        below=SHOWN[audience].users,
        edge=lambda world: most in (world[0], world[2]),
        hidden={"concerned in the first": 1, "concerned in the second": 3},
    )
    assert verdict.leaks == {}
    assert verdict.alone == {}
    assert (verdict.telling >= 2, verdict.judged >= 6, verdict.steps >= 500) == (True, True, True)


# --- a day beside its week --------------------------------------------------------------------------------------


def week_rows(world: World, audience: Audience) -> Hashable:
    """(users of the last day, concerned, users of the six days before, concerned): the rates of both windows."""
    users, met, earlier, met_earlier = world
    rows = []
    for day, first, many, hit in ((6, 0, users, met), (3, 100, earlier, met_earlier)):
        for user in range(first, first + many):
            rows.append(row(user, day, "session", "all", 2))
            if user - first < hit:
                rows.append(row(user, day, "friction", CHURN.type, 1))
    day = FIRST + timedelta(days=6)
    return told(friction_rates(day, counted(rows), types=(CHURN,), audience=audience, label=LABEL)[0])


@pytest.mark.parametrize("audience", AUDIENCES)
def test_a_day_beside_its_week_counts_no_few_of_the_other_days(audience: Audience):
    few = SHOWN[audience].users
    least, most, rest = 4 * few - 1, 4 * few + 2, few + 1
    worlds = [
        (users, met, earlier, met_earlier)
        for users in range(least, most + 1)
        for met in range(0, users + 1, 1 if audience == "team" else 2)
        for earlier in range(rest + 1)
        for met_earlier in range(earlier + 1)
    ]
    verdict = enumerate_worlds(
        worlds,
        lambda world: week_rows(world, audience),
        {**counts_of((0, 0, 0, 0)), "users of the other days": lambda world: world[2]},
        below=few,
        edge=lambda world: world[0] in (least, most) or world[2] == rest,
    )
    assert verdict.leaks == {}
    assert (verdict.telling >= 2, verdict.judged >= 6) == (True, True)


# --- tests that can fail ----------------------------------------------------------------------------------------


def exactly(rows: Any) -> Any:
    """The same table without any rounding: what the audience `self` sees, in the place of another audience."""
    return lambda world, audience: rows(world, "self")


@pytest.mark.parametrize(
    ("rows", "worlds"),
    [
        (indicator_rows, pairs(4, 6)),
        (intent_rows, pairs(4, 6)),
        (error_rows, [(users, hits) for users in range(4, 12) for hits in range(users + 1)]),
    ],
)
def test_without_rounding_the_harness_finds_the_counts(rows: Any, worlds: list[World]):
    most = max(world[0] for world in worlds)
    verdict = enumerate_worlds(
        worlds,
        lambda world: told(exactly(rows)(world, "team")),
        counts_of(worlds[0]),
        below=SHOWN["team"].users,
        edge=lambda world: most in world[::2],
        hidden={"concerned in the first": 1},
    )
    assert verdict.leaks
    assert verdict.alone


def test_without_rounding_the_harness_finds_the_counts_around_a_release():
    for rows in (release_rows, fix_rows):
        verdict = release_family("team", lambda counts, _, rows=rows: rows(counts, "self"))
        assert "concerned before" in verdict.leaks
        assert "others after" in verdict.leaks


def test_a_rate_to_two_digits_is_found_as_a_leak_though_the_counts_are_bands():
    """The planted leak that reads harmlessly: a band of users and a rate without a grid."""
    verdict = enumerate_worlds(
        [(users, met) for users in range(3, 12) for met in range(users + 1)],
        lambda world: (f"{5 * (world[0] // 5)}+", round(world[1] / world[0], 2)),
        counts_of((0, 0)),
        below=3,
        edge=lambda world: world[0] == 11,
    )
    assert "concerned in the first" in verdict.leaks
    assert "others in the first" in verdict.leaks
