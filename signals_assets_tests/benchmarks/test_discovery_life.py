from datetime import date, timedelta

import numpy as np
import pytest

from signals_assets.benchmarks import discovery_life as lives
from signals_assets.benchmarks.discovery_life import FIRST_DAY, Life, arrivals, enough, lived, passing
from signals_assets.core.discovery import Item
from signals_assets.core.discovery_labels import LABEL_KINDS
from signals_assets.simulation.story import EMERGING
from signals_assets_tests.core.discovery_factories import direction
from signals_assets_tests.fakes.embedder import HashEmbedder

DAYS = 26


def item(number: int, day: int, kind: str, about: int, text: str, confidence: float = 1.0) -> tuple[Item, np.ndarray]:
    """One item of a life's day (from 1), near a direction."""
    on = FIRST_DAY + timedelta(day - 1)
    noise = np.random.default_rng(number).standard_normal(24) * 0.05
    type_ = "" if kind == "unmet_need" else "other"
    made = Item(f"i{number}", kind, f"s{number}", f"u{number % 20}", f"o{number % 3}", on, on, text, type_, confidence)  # type: ignore[arg-type]
    return made, direction(about) + noise


def life(needs_from: int, each_day: int) -> Life:
    """A life in which one unmet need is told so often a day from a day on, in the words that the rules write."""
    made = Life()
    sentence = "The user asked for something that the agent has no means to do about mail{}."
    for day in range(1, DAYS + 1):
        made.facts[FIRST_DAY + timedelta(day - 1)] = {}
        for place in range(each_day if day >= needs_from else 0):
            number = 13 * day + place
            one, vector = item(number, day, "unmet_need", 1, sentence.format(number))
            made.items.append(one)
            made.vectors[one.item_id] = vector.astype(np.float32)
            made.facts[one.day][one.session_id] = ("fix_bug", "success")
            event = {"type": "other", "category": "scheduled_report", "steps": [1]}
            made.sheets[one.session_id] = {
                "user": one.user_id, "organization": f"o{number % 3}", "friction": [event], "delight": [],
                "intent": "fix_bug",
            }  # fmt: skip
    return made


def test_support_is_reached_with_users_sessions_organisations_and_two_days() -> None:
    made = life(15, 4)
    sessions = [(day, session) for day, facts in made.facts.items() for session in facts]
    assert enough(made, sessions) == 16  # four a day: the eighth session is of the second day
    assert enough(made, sessions[:7]) is None
    assert enough(made, [one for one in sessions if made.sheets[one[1]]["organization"] == "o1"]) is None
    assert enough(made, [(date(2026, 1, 20), session) for _, session in sessions]) is None


def test_a_newcomer_is_told_with_the_days_of_its_support_and_its_proposal() -> None:
    rows = {row["newcomer"]: row for row in arrivals(3, life(15, 4), DAYS)}
    found = rows["scheduled_report"]
    assert (found["seed"], found["planted"], found["admitted"]) == (3, 48, 48)
    assert (found["support_planted"], found["support"], found["proposed"], found["ready"]) == (16, 16, 16, 16)
    assert (found["proposed_delay"], found["delay"], found["purity"]) == (0, 0, 1.0)
    assert rows["unprompted_diagram"]["ready"] is rows["unprompted_diagram"]["support"] is None


def test_what_passes_the_rules_in_a_quiet_life_is_false_unless_it_is_an_early_intent() -> None:
    (row,) = passing(life(15, 4), DAYS)
    assert (row["kind"], row["since"], row["days"], row["false"]) == ("unmet_need", 16, DAYS - 15, True)
    assert row["made_of"].startswith("scheduled_report ")


def test_a_short_life_goes_from_sessions_to_items_of_what_was_planted() -> None:
    made = lived(1, 2, lambda day: 12 * day, HashEmbedder().embed)
    assert made.sessions > made.analysed > 0
    assert {one.session_id for one in made.items} <= made.sheets.keys()
    assert set(made.vectors) == {one.item_id for one in made.items}
    told = [made.tells(one) for one in made.items if one.kind == "friction" and one.confidence >= 0.5]
    assert sum(map(bool, told)) > len(told) / 2


def test_a_run_reports_every_newcomer_and_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIFE_DAYS", "QUIET_DAYS", "SEEDS"):
        monkeypatch.setattr(lives, name, 1)
    monkeypatch.setattr(lives, "SESSIONS_PER_DAY", 4)
    result = lives.run(embed=HashEmbedder().embed)
    names = [one.name for one in EMERGING]
    assert [row["newcomer"] for row in result["newcomers"]] == names
    assert [(row["newcomer"], row["lives"], row["ready"]) for row in result["newcomers_in_time"]] == [
        (name, 1, 0) for name in names
    ]
    assert [(row["kind"], row["false"]) for row in result["quiet"]] == [(kind, 0) for kind in LABEL_KINDS]
    assert [(row["seed"], row["life"]) for row in result["lives"]] == [(0, "newcomers"), (0, "quiet"), (1, "quiet")]


def test_false_proposals_are_counted_in_all_lives_and_in_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = Life(facts={FIRST_DAY + timedelta(day): {} for day in range(DAYS)})
    monkeypatch.setattr(lives, "lived", lambda seed, *_, quiet=False, **__: life(15, 4) if quiet and seed else calm)
    monkeypatch.setattr(lives, "QUIET_DAYS", DAYS)
    monkeypatch.setattr(lives, "LIFE_DAYS", 1)
    (row,) = [row for row in lives.run(embed=HashEmbedder().embed)["quiet"] if row["kind"] == "unmet_need"]
    assert (row["lives"], row["false"], row["most_false_in_a_life"]) == (2, 1, 1)
