"""A harness that plays the attacker: all small worlds of a family, published by real functions, compared.

Worlds are tuples of counts of people. Worlds with equal publications are what an attacker cannot tell apart. A class
in which a count below the threshold has a single value is a leak. A class with two values is safe whatever larger
families would add; one with a single value that touches the family's edge stays open, since larger worlds may join.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

World = tuple[int, ...]
Secret = Callable[[World], int]


@dataclass
class Verdict:
    """What enumeration found about one family."""

    classes: int = 0
    telling: int = 0
    """Classes in which something is published at all."""
    judged: int = 0
    """Pairs of a telling class and a secret that were decided, one way or the other."""
    open: int = 0
    """Pairs that the family is too small to decide."""
    steps: int = 0
    """Pairs of worlds that differ by one person in a count that stays below the threshold."""
    leaks: dict[str, Any] = field(default_factory=dict)
    """Secret -> a class of worlds with one and the same small count, and what was published."""
    alone: dict[str, Any] = field(default_factory=dict)
    """Secret -> two worlds one person apart, below the threshold, whose publications differ."""


def told(rows: Sequence[Any]) -> Hashable:
    """Rows of a published table, every column of them, without order."""
    return tuple(sorted(row.model_dump_json() for row in rows))


def enumerate_worlds(
    worlds: Collection[World],
    publish: Callable[[World], Hashable],
    secrets: Mapping[str, Secret],
    *,
    below: int,
    edge: Callable[[World], bool],
    hidden: Mapping[str, int] | None = None,
    silent: Callable[[Any], bool] = lambda published: not published,
) -> Verdict:
    """Publish every world and judge the classes.

    hidden: secrets that are one of the world's numbers, with its place: one more with all else equal, both below the
    threshold, must not change anything. silent: whether a publication says nothing.
    """
    published = {world: publish(world) for world in worlds}
    classes: dict[Hashable, list[World]] = defaultdict(list)
    for world, said in published.items():
        classes[said].append(world)
    verdict = Verdict(classes=len(classes))
    for said, same in classes.items():
        telling = not silent(said)
        verdict.telling += telling
        for name, secret in secrets.items():
            values = {secret(world) for world in same}
            pinned = len(values) == 1 and min(values) < below
            if pinned and any(edge(world) for world in same):
                verdict.open += 1
                continue
            verdict.judged += telling
            if pinned:
                verdict.leaks[name] = (same, said)
    for name, place in (hidden or {}).items():
        for world, said in published.items():
            other = (*world[:place], world[place] + 1, *world[place + 1 :])
            if world[place] + 1 < below and other in published:
                verdict.steps += 1
                if published[other] != said:
                    verdict.alone[name] = (world, said, other, published[other])
    return verdict
