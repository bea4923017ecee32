"""Brute force: whoever sees everything that is published cannot count a few people, nor miss one.

All worlds of a family are published by the real functions; worlds with equal publications are what an attacker
cannot tell apart. In no such class may a number of people below the threshold have a single value, over slices,
windows and days. Classes that touch the family's edge are left out: larger worlds would join them.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from signals_assets.core.barrier.thresholds import SHOWN, band, concerned_shown, part_shown, rounded_interval
from signals_assets.core.correlations import friction_rates, labeller
from signals_assets.core.levels import LevelInput
from signals_assets.core.statistics import interval
from signals_assets.core.user_days import CountedType, Counts
from signals_assets.settings import Audience
from signals_assets.tables import UserDay, arrow_schema
from signals_assets_tests.core.test_levels import Life

FIRST = date(2026, 3, 2)
CHURN = CountedType("friction", "context_churn", "detector")
LABEL = labeller("company", (), b"key")
SCHEMA = arrow_schema(UserDay)

Crowd = tuple[int, int, int]
"""Users; of them with the friction in all sessions; of them with it in one of two. Others have one session."""
Secret = Callable[[Any], int]
NOBODY_THERE = 1_000_000
"""In place of a count in a slice without users: that a version was not run says nothing of anybody."""


def crowds(most: int) -> list[Crowd]:
    return [(u, x, h) for u in range(most + 1) for x in range(u + 1) for h in range(u - x + 1)]


def rows(crowd: Crowd, day: int = 0, version: str = "1.0", first: int = 0) -> list[dict[str, Any]]:
    """`user_days` of a crowd; two organisations."""
    users, whole, half = crowd
    on = FIRST + timedelta(days=day)
    found = []
    for number in range(users):
        common = {
            "day": on, "about_day": on, "known_on": on, "user_id": f"u{first + number}",
            "organization_id": f"o{number % 2}", "agent_name": "agent", "agent_version": version, "intent": "unknown",
            "source": "detector", "events": 0, "high": 0, "medium": 0, "taxonomy_version": 1,
        }  # fmt: skip
        sessions = 2 if whole <= number < whole + half else 1
        found.append({**common, "kind": "session", "type": "all", "sessions": sessions, "weight": float(sessions)})
        if number < whole + half:
            found.append({**common, "kind": "friction", "type": CHURN.type, "sessions": 1, "weight": 1.0, "events": 1})
    return found


def published(counted: list[dict[str, Any]], day: int, audience: Audience) -> Hashable:
    """Everything `friction_rates` says on a day."""
    counts = Counts.of(pa.Table.from_pylist(counted, SCHEMA))
    told, _ = friction_rates(FIRST + timedelta(days=day), counts, types=(CHURN,), audience=audience, label=LABEL)
    return tuple(sorted(str(one.model_dump()) for one in told))


def pinned(
    worlds: Iterable[Any],
    publish: Callable[[Any], Hashable],
    secrets: dict[str, Secret],
    *,
    below: int,
    edge: Callable[[Any], bool],
) -> tuple[dict[str, Any], int]:
    """Secrets that some publication gives away, each with a class that does; and how many classes were judged."""
    classes: dict[Hashable, list[Any]] = defaultdict(list)
    for world in worlds:
        classes[publish(world)].append(world)
    judged = [same for same in classes.values() if not any(edge(world) for world in same)]
    found = {}
    for same in judged:
        for name, secret in secrets.items():
            values = {secret(world) for world in same}
            if len(values) == 1 and values.pop() < below:
                found[name] = same
    return found, len(judged)


def concerned(crowd: Crowd) -> int:
    return crowd[1] + crowd[2]


def others(crowd: Crowd) -> int:
    """Users with a session without it."""
    return crowd[0] - crowd[1]


def test_a_test_that_can_fail_finds_the_exact_counts_of_the_audience_self():
    found, _ = pinned(
        crowds(4), lambda crowd: published(rows(crowd), 0, "self"), {"concerned": concerned}, below=3,
        edge=lambda crowd: crowd[0] == 4,
    )  # fmt: skip
    assert "concerned" in found


@pytest.mark.parametrize(("audience", "most"), [("team", 10), ("company", 12)])
def test_one_slice_over_a_week_gives_no_small_count_away(audience: Audience, most: int):
    found, judged = pinned(
        crowds(most), lambda crowd: published(rows(crowd), 0, audience),
        {"users": lambda crowd: crowd[0], "concerned": concerned, "others": others},
        below=SHOWN[audience].users, edge=lambda crowd: crowd[0] == most,
    )  # fmt: skip
    assert found == {}
    assert judged >= 2 or audience == "company"


def test_slices_beside_their_total_give_no_small_count_away():
    most = 5

    def publish(world: tuple[Crowd, Crowd]) -> Hashable:
        return published(rows(world[0]) + rows(world[1], 0, "2.0", 50), 0, "team")

    found, judged = pinned(
        [(one, other) for one in crowds(most) for other in crowds(most) if one <= other],
        publish,
        {
            "concerned in a slice": lambda world: concerned(world[0]) if world[0][0] else NOBODY_THERE,
            "others in a slice": lambda world: others(world[1]) if world[1][0] else NOBODY_THERE,
            "concerned": lambda world: concerned(world[0]) + concerned(world[1]),
            "others": lambda world: others(world[0]) + others(world[1]),
        },
        below=SHOWN["team"].users, edge=lambda world: most in (world[0][0], world[1][0]),
    )  # fmt: skip
    assert found == {}
    assert judged >= 2


def test_the_difference_of_two_days_gives_no_small_count_away():
    most = 5

    @cache
    def first_day(crowd: Crowd) -> Hashable:
        return published(rows(crowd), 0, "team")

    def publish(world: tuple[Crowd, Crowd]) -> Hashable:
        counted = rows(world[0]) + rows(world[1], 1, first=50)
        return first_day(world[0]), published(counted, 1, "team")

    found, judged = pinned(
        [(one, other) for one in crowds(most) for other in crowds(most)],
        publish,
        {
            "concerned on the first day": lambda world: concerned(world[0]),
            "concerned on the second": lambda world: concerned(world[1]),
            "others on the first": lambda world: others(world[0]),
            "others on the second": lambda world: others(world[1]),
            "users on the second": lambda world: world[1][0],
        },
        below=SHOWN["team"].users, edge=lambda world: most in (world[0][0], world[1][0]),
    )  # fmt: skip
    assert found == {}
    assert judged >= 1


@pytest.mark.parametrize("audience", ["team", "company"])
def test_rate_interval_and_bands_of_larger_groups_never_pin_a_count(audience: Audience):
    """Every number of sessions and of sessions concerned up to a few hundred, one session a user."""
    import numpy as np

    least, most = SHOWN[audience], 260
    classes: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
    for n in range(least.sessions, most):
        events = np.tril(np.ones((n + 1, n)), -1)
        estimates = interval(np.ones(n), events, float(n))
        for k in range(n + 1):
            if part_shown(audience, k, n - k):
                told = rounded_interval(estimates.of(k), n, n, audience)
                classes[told, band(n, audience)].append((n, k))
    inner = [same for same in classes.values() if all(n < 200 for n, _ in same)]
    assert len(inner) > 20
    for same in inner:
        assert len({k for _, k in same}) > 1 or min(k for _, k in same) >= least.users
        assert len({n - k for n, k in same}) > 1 or min(n - k for n, k in same) >= least.users


@pytest.mark.parametrize("audience", ["team", "company"])
def test_a_person_more_or_less_shows_only_where_a_threshold_band_or_grid_ends(audience: Audience):
    """The share of steps from k to k + 1 concerned users of 100 that change anything at all."""
    import numpy as np

    n = 100
    estimates = interval(np.ones(n), np.tril(np.ones((n + 1, n)), -1), float(n))
    told = [
        rounded_interval(estimates.of(k), n, n, audience) if part_shown(audience, k, n - k) else None
        for k in range(n + 1)
    ]
    few = SHOWN[audience].users
    assert {one is None for one in told[:few]} == {True}
    assert not concerned_shown(audience, few - 1)
    changed = sum(one != other for one, other in pairwise(told))
    assert changed <= 0.75 * n


def test_a_level_of_few_people_is_the_same_row_whatever_happens_to_them():
    """All numbers of users below the threshold, any rate, over three days: one and the same publication."""
    seen = set()
    for users in range(5):
        for rate in (0.0, 0.1, 0.5, 1.0):
            life = Life(audience="company")
            for _ in range(3):
                life.live(LevelInput(rate, rate * 0.9, rate, users, 4 * users, 2, 40))
            seen.add(str([row.model_dump() for row in life.rows]))
    assert len(seen) == 1
