from dataclasses import replace

import pytest

from signals_assets.core.detectors.models import digest, linear
from signals_assets.core.detectors.turns import FEATURES
from signals_assets.core.fitting import FOLDS, cross_validated, examples, fit, person
from signals_assets.core.sessions import Agent, Session
from signals_assets_tests.core.detectors.script import agent, edit, session, user

WRONG = "that is still wrong, the totals don't show"
MORE = "now add a title to the page"
"""A turn that is a correction, and one that is none: steps 4 and 8 of every session here."""


def talk(name: str, who: str | None) -> Session:
    told = session(
        user("write a page"), edit("a"), agent(), user(WRONG), edit("b"), agent("Ready."), user(MORE), agent()
    )
    return replace(told, session_id=name, user_id=who)


def sheet(name: str, *steps: int, kind: str = "correction") -> dict:
    return {"session_id": name, "friction": [{"type": kind, "steps": [step]} for step in steps]}


def toy(*persons: str | None) -> tuple[dict[str, Session], list[dict]]:
    """One session for each name in `persons`, read rightly."""
    sessions = {f"s{number}": talk(f"s{number}", who) for number, who in enumerate(persons)}
    return sessions, [sheet(name, 4) for name in sessions]


SIX = ("ann", "bob", "cem", "dora", "eva", "finn")


def test_examples_are_the_turns_of_the_sessions_that_are_here():
    sessions, sheets = toy("ann", "bob")
    given = examples(sessions, [*sheets, sheet("gone", 4)], "correction")
    assert given.values.shape == (6, len(FEATURES))
    assert given.holds.tolist() == [False, True, False] * 2
    assert given.persons == ("ann",) * 3 + ("bob",) * 3
    assert given.sessions == tuple(sorted([digest("s0"), digest("s1")]))
    assert given.weights.tolist() == [1.0] * 6


def test_sheets_of_a_session_that_was_read_twice_share_its_weight():
    sessions, sheets = toy("ann", "bob")
    given = examples(sessions, [*sheets, sheet("s0", 8)], "correction")
    assert given.weights.tolist() == [0.5] * 3 + [1.0] * 3 + [0.5] * 3
    assert given.holds.tolist() == [False, True, False] * 2 + [False, False, True]
    assert given.sessions == tuple(sorted([digest("s0"), digest("s1")]))


def test_only_moments_of_the_type_are_positive_and_delight_counts_too():
    sessions, _ = toy("ann")
    other = sheet("s0", 4, kind="backtracking") | {"delight": [{"type": "time_saved", "steps": [8]}]}
    assert not examples(sessions, [other], "correction").holds.any()
    assert examples(sessions, [other], "time_saved").holds.tolist() == [False, False, True]


def test_no_sheets_give_no_examples():
    assert examples({}, [sheet("gone", 4)], "correction").values.shape == (0, len(FEATURES))


def test_a_session_without_a_user_is_of_the_unnamed_user_of_its_agent():
    assert person(talk("a", "ann")) == "ann"
    nameless = [replace(talk(name, None), agent=Agent(made)) for name, made in (("a", "x"), ("b", "x"), ("c", "y"))]
    assert len({person(found) for found in nameless}) == 2


def test_a_fitted_model_separates_what_can_be_separated():
    found = fit(examples(*toy(*SIX), "correction"))
    assert (found.turns, found.positives) == (18, 6)
    assert (found.precision, found.recall, found.f1) == (1, 1, 1)
    model = linear(found.stored, FEATURES)
    (opening, wrong, more) = examples(*toy("zoe"), "correction").values.tolist()
    assert max(model.probability(opening), model.probability(more)) < 0.5 < model.probability(wrong)


def test_what_is_stored_is_weights_of_features_and_digests():
    stored = fit(examples(*toy(*SIX), "correction")).stored
    assert set(stored) == {"weights", "intercept", "sessions"}
    assert list(stored["weights"]) == list(FEATURES)
    assert all(isinstance(weight, float) for weight in [*stored["weights"].values(), stored["intercept"]])
    assert stored["sessions"] == sorted(digest(f"s{number}") for number in range(6))


def test_the_same_examples_give_the_same_model():
    assert fit(examples(*toy(*SIX), "correction")) == fit(examples(*toy(*SIX), "correction"))


def test_positives_count_by_their_weight():
    sessions, sheets = toy(*SIX)
    assert fit(examples(sessions, [*sheets, sheet("s0")], "correction")).positives == 5.5


@pytest.mark.parametrize(
    ("persons", "steps"),
    [((), ()), (("ann", "ann"), (4,)), (("ann", "bob"), ()), (("ann", "bob"), (0, 4, 8))],
    ids=["nothing", "one person", "nothing of the type", "nothing but the type"],
)
def test_what_cannot_be_fitted_is_refused(persons, steps):
    sessions, _ = toy(*persons)
    given = examples(sessions, [sheet(name, *steps) for name in sessions], "correction")
    with pytest.raises(ValueError, match="at least two persons"):
        fit(given)


def test_a_person_alone_with_the_type_is_unseen_by_the_model_that_reads_them():
    """With one's own turns left out nothing of the type is left to learn from, so nothing is found."""
    sessions, _ = toy("ann", "bob")
    found = fit(examples(sessions, [sheet("s0", 4), sheet("s1")], "correction"))
    assert (found.precision, found.recall, found.f1) == (0, 0, 0)


def test_cross_validation_gives_a_model_that_did_not_see_the_person():
    persons = [*SIX, *"ghijk", "ann", "ann", "bob"]
    sessions, sheets = toy(*persons)
    model_of = cross_validated(sessions, sheets, "correction")
    for told in sessions.values():
        own = {digest(name) for name, other in sessions.items() if other.user_id == told.user_id}
        assert own.isdisjoint(model_of(told).sessions)
    models = {model_of(told).sessions for told in sessions.values()}
    assert len(models) == FOLDS
    assert set.union(*map(set, models)) == set(map(digest, sessions))


def test_folds_are_of_about_one_size():
    """Eight folds of eleven persons: three hold two of those with one session, none holds more than three sessions."""
    sessions, sheets = toy(*SIX, *"ghijk", "ann", "ann")
    model_of = cross_validated(sessions, sheets, "correction")
    left_out = {len(sessions) - len(model_of(told).sessions) for told in sessions.values()}
    assert left_out == {1, 2, 3}


def test_a_person_without_sheets_is_read_by_a_model_of_the_others():
    sessions, sheets = toy(*SIX)
    assert cross_validated(sessions, sheets, "correction")(talk("new", "zoe")).features == FEATURES


@pytest.mark.parametrize("persons", [(), ("ann",), ("ann", "bob")])
def test_too_few_persons_cannot_be_cross_validated(persons):
    with pytest.raises(ValueError, match=r"give the sessions|at least two persons"):
        cross_validated(*toy(*persons), "correction")
