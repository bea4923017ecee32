from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from signals_assets.core import taxonomy
from signals_assets.core.discovery import propose
from signals_assets.core.discovery_evidence import Context, explained, frozen_centre, second_pass
from signals_assets.core.discovery_naming import Namer
from signals_assets_tests.core.discovery_factories import MONDAY, direction, dumped, group, window

DAY = MONDAY + timedelta(3)
SEED = taxonomy.seed()
ANSWER = "none | Shifted dates | The dates came in another zone than expected. | Dates that were never right"


def proposed(ask: Any = None, **fields: Any) -> tuple[Any, Namer]:
    known = [group(number, 60, type_=name, words=words, days=4) for number, name, words in (
        (0, "correction", "the answer was wrong"), (1, "backtracking", "the change was undone"),
    )]  # fmt: skip
    namer = Namer(ask, 10)
    seen = window(*known, group(5, 30, words="the dates were shifted by the timezone", days=3))
    (row,) = propose(DAY, seen, SEED, fields.pop("previous", ()), audience="company", namer=namer, **fields)
    return row, namer


# --- the second pass


def test_a_group_far_from_everything_is_put_right_and_one_on_top_of_a_rival_is_not() -> None:
    seen = window(group(5, 30), group(0, 30, type_="correction"))
    rows = np.array([row for row, item in enumerate(seen.items) if item.type == "other"])
    others = np.setdiff1d(np.arange(60), rows)
    apart = second_pass(seen, rows, others, direction(0)[None, :].astype(np.float32))
    assert (apart.agreement, apart.judged, apart.by_model) == (1.0, 60, False)
    middle = (direction(5) + direction(5))[None, :].astype(np.float32)
    assert (second_pass(seen, rows, others, middle).agreement or 0) < 0.6


def test_with_nothing_to_tell_it_from_there_is_no_second_pass() -> None:
    seen = window(group(5, 30))
    assert second_pass(seen, np.arange(30), np.zeros(0, np.int64), seen.vectors[:0]).agreement is None


def test_a_model_judges_members_and_near_misses_by_the_definition_once() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        if "Definition:" not in question:
            return ANSWER
        lines = [line for line in question.splitlines() if line.split(".")[0].isdigit()]
        return ", ".join(line.split(".")[0] for line in lines if "timezone" in line)

    row, namer = proposed(ask)
    assert (row.judged_by, row.agreement, row.judged, row.ready) == ("model", 1.0, 24, True)
    assert (row.named_by, row.slug) == ("model", "shifted_dates")
    assert namer.counts == {"naming_asked": 2}
    asked.clear()
    again, _ = proposed(ask, previous=dumped([row]))
    assert asked == []
    assert (again.name, again.judged_by, again.agreement) == (row.name, "model", 1.0)


def test_a_definition_by_which_a_model_cannot_tell_waits_for_agreement() -> None:
    row, _ = proposed(lambda question: "none" if "Definition:" in question else ANSWER)
    assert (row.ready, row.waiting_for, row.agreement) == (False, "agreement", 0.5)


@pytest.mark.parametrize("answer", ["1, 99", "all of them", "1; 2"])
def test_an_answer_that_is_no_list_of_numbers_leaves_the_vectors_verdict(answer: str) -> None:
    row, namer = proposed(lambda question: answer if "Definition:" in question else ANSWER)
    assert (row.judged_by, row.ready) == ("vectors", True)
    assert namer.counts["naming_refused"] == 1


def test_what_a_model_knows_as_an_existing_category_is_no_new_one() -> None:
    row, _ = proposed(lambda _: ANSWER.replace("none", "backtracking", 1))
    assert (row.ready, row.waiting_for, row.nearest) == (False, "separation", "backtracking")


# --- what it explains


def facts(member: str, other: str, sessions: int = 100) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """As many sessions with and without the group, all of one intent."""
    found = {f"m{n}": ("bug fix", member) for n in range(sessions)} | {
        f"o{n}": ("bug fix", other) for n in range(sessions)
    }
    return found, {f"m{n}" for n in range(sessions)}


def test_a_group_that_decides_the_outcome_tells_one_bit() -> None:
    known, members = facts("abandoned", "success")
    bits, chance = explained("intent", members, set(), Context(SEED, "company", facts=known))
    assert bits == pytest.approx(1.0, abs=0.01)
    assert chance == pytest.approx(0.0, abs=1e-6)


def test_a_group_with_the_fate_of_all_others_tells_nothing() -> None:
    generator = np.random.default_rng(0)
    known = {f"s{n}": ("bug fix", str(generator.choice(["success", "abandoned"]))) for n in range(400)}
    members = {name for name in known if generator.random() < 0.3}
    bits, chance = explained("intent", members, set(), Context(SEED, "company", facts=known))
    assert (bits or 0) < 0.01
    assert (chance or 0) > 0.01


def test_what_the_intent_explains_already_is_not_counted_again() -> None:
    known = {f"a{n}": ("refund", "abandoned") for n in range(50)} | {f"b{n}": ("bug fix", "success") for n in range(50)}
    members = {f"a{n}" for n in range(50)}
    assert explained("friction", members, set(), Context(SEED, "company", facts=known)) == (None, None)


def test_its_own_friction_does_not_count_as_other_friction() -> None:
    known = {f"s{n}": ("bug fix", "success") for n in range(100)}
    members = {f"s{n}" for n in range(50)}
    own = {f"s{n}": frozenset({f"e{n}"}) for n in range(50)}
    context = Context(SEED, "company", facts=known, friction=own)
    assert explained("friction", members, {f"e{n}" for n in range(50)}, context) == (None, None)
    assert (explained("friction", members, set(), context)[0] or 0) > 0.9


# --- size and rank


def test_needs_are_ranked_by_users_whether_they_are_ready_or_not() -> None:
    few = group(7, 30, kind="unmet_need", type_="", words="export the table to a sheet", days=3, users=6)
    many = group(8, 20, kind="unmet_need", type_="", words="send the report by mail", days=1, users=18)
    made = propose(DAY, window(few, many), SEED, audience="company")
    assert [(row.users, row.rank, row.ready) for row in made] == [(6, 2, True), (18, 1, False)]


def test_what_all_users_come_for_is_no_intent_of_its_own() -> None:
    wide = group(7, 60, kind="intent", type_="", words="work on the table", days=3)
    rest = [group(20 + number, 20, kind="intent", type_="", words=f"wish {number}", days=3) for number in range(4)]
    made = propose(DAY, window(wide, *rest), SEED, audience="company")
    assert {row.kind for row in made} == {"intent"}
    assert [row.waiting_for for row in made if row.items == 60] == ["separation"]
    assert any(row.ready for row in made)


def test_a_frozen_centre_has_a_direction_and_a_threshold() -> None:
    seen = window(group(5, 30))
    frozen = frozen_centre(seen.vectors, "a-model")
    assert frozen["embedder"] == "a-model"
    assert float(np.linalg.norm(frozen["vector"])) == pytest.approx(1.0, abs=1e-3)
    assert 0 < frozen["threshold"] < 1
