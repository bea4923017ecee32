import math
from datetime import date

import pytest

from signals_assets.core.causes import CauseFacts
from signals_assets.core.diagnosis import diagnose
from signals_assets.core.diagnosis_sessions import in_intents, lacks, preceded_by, rate_ratio, session_facts
from signals_assets.core.taxonomy import seed
from signals_assets.core.wording import Wording

DAY = date(2026, 3, 9)
WORDING = Wording(seed(), frozenset({"editor"}))


def cause(type_="correction", component="unknown"):
    return CauseFacts("cause_1", type_, component, 20, 40, 4, 60, DAY)


def metrics(number, **columns):
    turns = {"turns_after_failed_tool": 1, "turns_after_tool": 3, "turns_after_answer": 2}
    return {"session_id": f"s_{number}", "user_id": f"u_{number % 41}", "components": []} | turns | columns


def met(number, type_="correction"):
    who = {"session_id": f"s_{number}", "user_id": f"u_{number % 41}"}
    return who | {"event_id": f"e_{number}", "day": DAY, "type": type_, "component": "unknown"}


def facet(number, name, value):
    return {"session_id": f"s_{number}", "facet": name, "value": value}


def test_a_ratio_is_of_rates_and_its_interval_is_by_person():
    base = {f"u_{number}": 10.0 for number in range(50)}
    twice = dict.fromkeys(base, 2.0)
    once = dict.fromkeys(base, 1.0)
    even = rate_ratio(twice, base, once, base)
    assert even is not None
    assert even.ratio == 2
    assert even.low == even.high == 2  # nobody differs from anybody
    one_person = rate_ratio({"u_0": 100.0}, base, once, base)
    assert one_person is not None
    assert one_person.low < 1 < one_person.ratio
    assert (one_person.users, one_person.users_beside) == (1, 50)


def test_the_spread_of_a_ratio_is_that_of_its_persons():
    base = {f"u_{number}": 1.0 for number in range(40)}
    half = {name: float(number % 2) for number, name in enumerate(base)}
    found = rate_ratio(half, base, dict.fromkeys(base, 1.0), base)
    assert found is not None
    spread = 1.96 * math.sqrt(40 * (1 / 40) ** 2 * 40 / 39)  # each is one share over or under the mean of 20
    assert (found.low, found.high) == pytest.approx((0.5 * math.exp(-spread), 0.5 * math.exp(spread)))


def test_few_moments_are_no_evidence():
    base = {f"u_{number}": 1.0 for number in range(40)}
    assert rate_ratio({"u_0": 9.0}, base, dict.fromkeys(base, 1.0), base) is None
    assert rate_ratio({"u_0": 12.0}, base, {}, base) is None


def test_sessions_without_a_user_are_one_person_for_the_threshold():
    known = session_facts([metrics(number, user_id=None) for number in range(30)])
    window = [met(number) for number in range(30)]
    events = [{"event_id": f"e_{number}", "antecedent": "failed_tool" if number else "tool"} for number in range(30)]
    assert preceded_by(cause(), window, events, known, "company") == (None, [])
    assert preceded_by(cause(), window, events, known, "self")[0] == "failed_tool"


@pytest.mark.parametrize(
    ("before", "lever"),
    [
        ("failed_tool", "tool returned bad data"),
        ("tool", "right data, wrong answer"),
        ("answer", "misread intent"),
    ],
)
def test_the_turns_that_it_follows_name_the_lever(before, lever):
    others = {"failed_tool": "tool", "tool": "answer", "answer": "tool"}
    sessions = session_facts([metrics(number) for number in range(120)])
    window = [met(number) for number in range(120)]
    events = [
        {"event_id": f"e_{number}", "antecedent": others[before] if number % 8 == 0 else before}
        for number in range(120)
    ]
    found = diagnose(cause(), wording=WORDING, causes_window=window, events=events, sessions=sessions)
    assert found.lever == lever
    assert len(found.evidence) == 1
    assert found.evidence[0].startswith("It follows turns in which")


def test_what_mostly_follows_the_most_frequent_turns_is_no_evidence():
    sessions = session_facts([metrics(number) for number in range(120)])
    window = [met(number) for number in range(120)]
    events = [
        {
            "event_id": f"e_{number}",
            "antecedent": ("failed_tool", "tool", "tool", "tool", "answer", "answer")[number % 6],
        }
        for number in range(120)
    ]
    found = diagnose(cause(), wording=WORDING, causes_window=window, events=events, sessions=sessions)
    assert (found.lever, found.evidence) == ("cannot say", ())


def test_an_intent_whose_sessions_meet_it_more_often_is_named_and_others_are_not():
    facets = [facet(number, "primary_intent", "fix a bug" if number % 3 else "refactor code") for number in range(300)]
    known = Wording(seed(), frozenset({"fix a bug", "refactor code"}))
    sessions = session_facts([metrics(number) for number in range(300)], facets)
    window = [met(number) for number in range(300) if number % 3 == 0 or number % 12 == 1]
    intents, words = in_intents(cause(), window, sessions, known)
    assert intents == ["refactor code"]
    assert len(words) == 1
    assert words[0].startswith("It concentrates in intent refactor code: ")
    assert in_intents(cause(), [met(number) for number in range(300)], sessions, known) == ([], [])


def test_what_sessions_of_the_intent_that_end_well_call_is_told():
    facets = [facet(number, "primary_intent", "refactor code") for number in range(200)]
    facets += [facet(number, "outcome", "success") for number in range(200) if number % 2]
    window = [met(number) for number in range(200) if number % 2 == 0]
    rows = [
        metrics(number, components=["editor"] if (number % 2 and number % 10 != 1) or number % 4 == 0 else [])
        for number in range(200)
    ]
    words = lacks(cause(), window, session_facts(rows, facets), WORDING, ["refactor code"])
    assert len(words) == 1
    assert words[0].startswith("Sessions with the same intent that end well call component editor 1.5 times")
    assert lacks(cause(), window, session_facts(rows, facets), WORDING, []) == []


def test_an_intent_is_told_once_whatever_tables_show_it():
    facets = [facet(number, "primary_intent", "fix a bug" if number % 3 else "refactor code") for number in range(300)]
    known = Wording(seed(), frozenset({"fix a bug", "refactor code"}))
    sessions = session_facts([metrics(number) for number in range(300)], facets)
    window = [met(number) for number in range(300) if number % 3 == 0 or number % 12 == 1]
    common = {"kind": "friction", "type": cause().type, "window_days": 7, "source": "detector"}
    rates = [
        {**common, "slice_kind": "all", "slice": "all", "rate": 0.4, "low": 0.35, "high": 0.45},
        {**common, "slice_kind": "intent", "slice": "refactor code", "rate": 0.9, "low": 0.8, "high": 0.95},
    ]
    found = diagnose(cause(), wording=known, causes_window=window, sessions=sessions, friction_rates=rates)
    assert sum("intent refactor code" in words for words in found.evidence) == 1
    alone = diagnose(cause(), wording=known, friction_rates=rates)
    assert [words[:40] for words in alone.evidence] == ["It concentrates in intent refactor code:"]
    assert alone.lever == found.lever
