"""Two cohorts: pairs by task, verdicts that planted changes bear out, and silence where nothing was planted."""

from dataclasses import replace

import numpy as np
import pytest

from signals_assets.core.comparing import Case, Measure, case_of, compare_cohorts, measures
from signals_assets_tests.core.detectors.script import agent, session, shell, user

ERROR = Measure("friction", "error_event", False)
PRAISE = Measure("delight", "positive_exclamation", True)
SUCCESS = Measure("outcome", "success", True)
REWARD = Measure("reward", "reward", True)
DAY = 20_000


def case(number, cohort="b", met=(), outcome="partial", **more):
    return Case(f"{cohort}{number}", DAY + number % 7, 10, outcome, frozenset(met), **more)


def cohort(name, rates, count=100, **more):
    """Sessions of which so many of a hundred have an error, praise and success; spread over tasks by a fixed order."""
    order = np.random.default_rng(7).permutation(count)
    cases = []
    for number in range(count):
        place = order[number] / count
        met = {(one.what, one.name) for one, rate in rates.items() if one is not SUCCESS and place < rate}
        cases.append(case(number, name, met, "success" if place < rates.get(SUCCESS, 0) else "partial", **more))
    return cases


def with_tasks(cases):
    return [replace(one, task=f"t{number}") for number, one in enumerate(cases)]


def verdicts(before, after, *wanted):
    found = compare_cohorts(before, after, wanted)
    return found, {one.measure: one.verdict for one in found.findings}


@pytest.mark.parametrize("tasks", [with_tasks, list], ids=["by task", "by session"])
def test_less_friction_and_more_delight_and_success_improve_and_the_reverse_regresses(tasks):
    worse = tasks(cohort("b", {ERROR: 0.5, PRAISE: 0.1, SUCCESS: 0.3}))
    better = tasks(cohort("a", {ERROR: 0.2, PRAISE: 0.4, SUCCESS: 0.7}))
    wanted = (ERROR, PRAISE, SUCCESS)
    assert verdicts(worse, better, *wanted)[1] == dict.fromkeys(wanted, "improved")
    found, reversed_ = verdicts(better, worse, *wanted)
    assert reversed_ == dict.fromkeys(wanted, "regressed")
    assert found.comparisons == 3
    for one in found.findings:
        assert one.low <= one.effect <= one.high
        assert one.effect == pytest.approx(one.after - one.before)


def test_pairs_of_hard_and_easy_tasks_show_what_sessions_alone_do_not():
    """Half of the tasks always fail and half succeed, but for eleven of forty that the new version solves."""
    before = [case(n, "b", task=f"t{n}", reward=float(n >= 40)) for n in range(80)]
    after = [case(n, "a", task=f"t{n}", reward=float(n >= 29)) for n in range(80)]
    paired, said = verdicts(before, after, REWARD)
    assert (paired.pairing, paired.shared, said[REWARD]) == ("task", 80, "improved")
    alone, said = verdicts(*([replace(one, task=None) for one in side] for side in (before, after)), REWARD)
    assert (alone.pairing, said[REWARD]) == ("session", "not enough data")
    assert paired.findings[0].effect == pytest.approx(alone.findings[0].effect, abs=0.01)


def test_a_task_that_was_tried_often_counts_once():
    before = [case(n, "b", task=f"t{n}", reward=0.0) for n in range(20)]
    after = [case(n, "a", task=f"t{n}", reward=0.0) for n in range(20)]
    after += [case(100 + n, "a", task="t0", reward=1.0) for n in range(30)]
    found, _ = verdicts(before, after, REWARD)
    assert found.findings[0].after == pytest.approx(30 / 31 / 20)


def test_tasks_of_one_cohort_only_are_left_out_and_counted():
    before = [case(n, "b", task=f"t{n}") for n in range(30)] + [case(90, "b")]
    after = [case(n, "a", task=f"t{n}") for n in range(5, 30)]
    found, _ = verdicts(before, after, ERROR)
    assert (found.pairing, found.shared, found.sessions) == ("task", 25, (25, 25))
    assert found.left_out == {"no_task": 1, "task_not_in_both": 5}


def test_where_few_tasks_are_shared_users_are_the_units_and_without_them_sessions():
    named = [[case(n, side, user=f"u{n % 20}", task=f"{side}{n}") for n in range(60)] for side in "ba"]
    found, _ = verdicts(*named, ERROR)
    assert (found.pairing, found.units, found.shared) == ("user", (20, 20), 20)
    nameless = [[replace(one, user=None) for one in side] for side in named]
    found, _ = verdicts(*nameless, ERROR)
    assert (found.pairing, found.units, found.shared) == ("session", (60, 60), 0)


def test_one_heavy_user_s_sessions_are_not_many_users():
    """Thirty sessions with the friction are one person's: no verdict, though as many strangers' would be one."""
    heavy = [case(n, "a", {("friction", "error_event")} if n < 30 else (), user="u0" if n < 30 else f"u{n}")
             for n in range(100)]  # fmt: skip
    calm = [case(n, "b", user=f"w{n}") for n in range(100)]
    assert verdicts(calm, heavy, ERROR)[1][ERROR] == "not enough data"
    strangers = [replace(one, user=f"u{number}") for number, one in enumerate(heavy)]
    assert verdicts(calm, strangers, ERROR)[1][ERROR] == "regressed"


def test_the_same_rate_in_many_pairs_is_unchanged_and_in_few_not_enough_data():
    def side(name, count):
        return [
            case(n, name, {("friction", "error_event")} if n % 3 == 0 else (), task=f"t{n}", reward=float(n % 2))
            for n in range(count)
        ]

    assert set(verdicts(side("b", 300), side("a", 300), ERROR, REWARD)[1].values()) == {"unchanged"}
    _, said = verdicts(side("b", 9), side("a", 9), ERROR, REWARD)
    assert set(said.values()) == {"not enough data"}


def test_nothing_met_in_either_cohort_is_no_certainty():
    found, said = verdicts(with_tasks(cohort("b", {}, 40)), with_tasks(cohort("a", {}, 40)), ERROR)
    assert said[ERROR] == "not enough data"
    assert found.findings[0].q is None
    assert found.findings[0].smallest_detectable > 0.05
    assert found.comparisons == 0


def test_sessions_of_both_cohorts_are_left_out_of_both():
    same = cohort("s", {ERROR: 0.5}, 20)
    found, _ = verdicts([*same, *cohort("b", {})], [*same, *cohort("a", {})], ERROR)
    assert found.left_out == {"in_both_cohorts": 40}
    assert found.sessions == (100, 100)


def test_rewards_of_any_scale_keep_their_scale():
    rng = np.random.default_rng(3)
    before = [case(n, "b", task=f"t{n}", reward=float(r)) for n, r in enumerate(rng.normal(-40, 10, 60))]
    after = [case(n, "a", task=f"t{n}", reward=float(r)) for n, r in enumerate(rng.normal(20, 10, 60))]
    found, said = verdicts(before, after, REWARD)
    assert said[REWARD] == "improved"
    assert 50 < found.findings[0].low < found.findings[0].effect < found.findings[0].high < 70


def test_a_reward_that_no_session_has_is_absent():
    found, _ = verdicts(cohort("b", {}), cohort("a", {}), REWARD, ERROR)
    assert [one.measure for one in found.findings] == [ERROR]


def test_false_verdicts_are_rare_where_nothing_changed():
    """Ten types and a reward at the same rates, resembling each other within tasks; 60 pairs, 100 comparisons."""
    rng = np.random.default_rng(11)
    types = [Measure("friction", f"type_{n}", False) for n in range(10)]
    wrong = 0
    for _ in range(100):
        hard = rng.beta(2, 4, (60, len(types)))
        sides = [
            [case(n, side, {("friction", t.name) for t, p in zip(types, hard[n], strict=True) if rng.random() < p},
                  task=f"t{n}", reward=float(rng.random() < hard[n, 0])) for n in range(60)]
            for side in "ba"
        ]  # fmt: skip
        _, said = verdicts(*sides, REWARD, *types)
        wrong += any(verdict in ("improved", "regressed") for verdict in said.values())
    assert wrong <= 5 + 2 * 2.2  # 5 % of a hundred and two standard errors


def test_a_session_becomes_what_its_detectors_say():
    told = session(user("build it"), shell("a", "make", "make: *** boom", "error"), agent("It failed."))
    found = case_of(told, 0.5, task="t1", reward=0.5)
    assert ("friction", "error_event") in found.met
    assert (found.key, found.user, found.task, found.reward, found.steps) == ("one", "ann", "t1", 0.5, 4)
    assert case_of(told, 1.01, task=None, reward=None).met == frozenset()


def test_everything_of_the_taxonomy_but_other_is_measured():
    wanted = measures(["error_event", "other"], ["time_saved"])
    assert [(one.what, one.name) for one in wanted] == [
        ("reward", "reward"), ("outcome", "success"), ("outcome", "abandoned"), ("friction", "all"),
        ("friction", "error_event"), ("delight", "time_saved"),
    ]  # fmt: skip
