"""Which day is an incident, and that no release is blamed for one."""

import numpy as np
import pytest

from signals_assets.core.releases import Line, Shipped, findings, incidents, judged
from signals_assets.core.user_days import Cells, CountedType

TYPES = 8
START = 20_000


def world(factor=lambda day, type_, later: 1.0, *, days=24, switch=14, late_users=0, users=60, seed=0):
    """A line of two releases; `factor` multiplies the rate of 20 % by day, type and whether the new one was run."""
    rng = np.random.default_rng(seed)
    user, day = (grid.ravel() for grid in np.meshgrid(np.arange(users), np.arange(days), indexing="ij"))
    later = (day >= switch) & (user >= late_users)
    n = np.full(len(user), 6.0)
    table = [[[factor(d, type_, ran) for ran in (False, True)] for d in range(days)] for type_ in range(TYPES)]
    rates = 0.2 * np.array(table)[:, day, later.astype(int)]
    events = rng.binomial(6, np.clip(rates, 0, 1)).astype(float)
    cells = Cells({"user": user, "about": day + START}, n, n, n, events, events, events, events)
    shipped = [Shipped("1", START - 100, True), Shipped("2", START + switch, True)]
    return Line("agent", "version", "detector", [CountedType("friction", str(t), "detector") for t in range(TYPES)],
                shipped, cells, later.astype(np.int64))  # fmt: skip


def until(line, day):
    """The same line as it was known at the end of a day."""
    known = line.cells.columns["about"] <= START + day
    names = ("sessions", "weight", "squares", "events", "high", "medium", "concerned")
    columns = {name: values[known] for name, values in line.cells.columns.items()}
    cells = Cells(columns, *(getattr(line.cells, name)[..., known] for name in names))
    return Line(line.agent, line.kind, line.source, line.types, line.shipped, cells, line.position[known])


def apart(line, day):
    return (incidents(until(line, day), START + day) - START).tolist()


def blamed(line, day):
    found = judged(findings(START + day, until(line, day)))
    return {one.finding.row for one in found if one.judgement.evidence in ("suspected", "confirmed")}


def outage(on):
    return lambda day, type_, later: 3.0 if day == on and type_ < 4 else 1.0


def test_ordinary_days_are_no_incidents():
    assert apart(world(), 23) == []


@pytest.mark.parametrize("late_users", [0, 30])
def test_an_outage_is_set_apart_and_not_blamed_on_the_release_of_the_day_before(late_users):
    line = world(outage(15), late_users=late_users)
    for day in (15, 16, 17, 20):
        assert 15 in apart(line, day)
        assert blamed(line, day) == set()


def test_an_outage_long_before_the_release_leaves_its_baseline():
    line = world(outage(9))
    assert apart(line, 20) == [9]
    assert blamed(line, 20) == set()


def test_a_release_that_breaks_everything_is_held_two_days_and_then_named():
    line = world(lambda day, type_, later: 3.0 if later and type_ < 4 else 1.0)
    assert (apart(line, 14), apart(line, 15)) == ([14], [14, 15])
    assert blamed(line, 15) == set()
    assert 14 not in apart(line, 16)
    assert blamed(line, 17) == {0, 1, 2, 3}


def test_a_release_that_breaks_everything_is_named_at_once_where_others_still_run_the_old_one():
    line = world(lambda day, type_, later: 3.0 if later and type_ < 4 else 1.0, late_users=30)
    assert apart(line, 14) == []
    assert blamed(line, 14) == {0, 1, 2, 3}


def test_one_type_that_jumps_is_a_finding_and_no_incident():
    line = world(lambda day, type_, later: 2.5 if later and type_ == 0 else 1.0)
    assert apart(line, 14) == []
    assert blamed(line, 14) == {0}


def test_findings_tell_how_many_days_since_the_release_were_set_apart():
    line = world(outage(15))
    assert {finding.incidents for finding in findings(START + 20, until(line, 20)) if finding.release == 1} == {1}


def test_a_line_without_sessions_has_no_incidents():
    line = world()
    assert incidents(until(line, -1), START).size == 0
