from math import log

import pytest

from signals_assets.core.detectors import Detected, examine
from signals_assets.core.detectors.models import Linear
from signals_assets.core.detectors.turns import FEATURES
from signals_assets.core.sessions import Session, Step
from signals_assets_tests.core.detectors.script import agent, edit, session, user

NO = agent("Unfortunately I am unable to do that under our policy.")


def found(told: Session, models=None) -> list[Detected]:
    return [item for item in examine(told, models).detected if item.type == "repeated_rephrasing"]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told)]


def worked(*words: str) -> Session:
    """Each of the user's turns is followed by an edit and a report: their steps are 0, 4, 8, ..."""
    parts: list[Step | tuple[Step, ...]] = []
    for number, said in enumerate(words):
        parts += [user(said), edit(f"e{number}"), agent("The page is ready.")]
    return session(*parts)


def always(probability: float) -> dict[str, Linear]:
    """A model that finds as much fault in every turn."""
    odds = log(probability / (1 - probability))
    return {"correction": Linear(FEATURES, (0.0,) * len(FEATURES), odds)}


def test_three_statements_of_one_request_are_rephrasing():
    told = worked(
        "show the order number in the invoice header",
        "the invoice header must show the order number",
        "I want the order number shown in the header of the invoice",
    )
    assert steps(told) == [(0, 4, 8)]


def test_one_restatement_is_none():
    told = worked("show the order number in the invoice header", "the invoice header must show the order number")
    assert steps(told) == []


def test_new_wishes_for_the_same_thing_are_none():
    told = worked(
        "show the order number in the invoice header",
        "now add the date of the order",
        "next, sort the parcels by weight",
        "document the flags of the export",
    )
    assert steps(told) == []


def test_alike_words_without_any_fault_are_new_wishes():
    alike = ("put the order date into the invoice header", "put the order weight into the invoice header")
    told = worked("put the order number into the invoice header", *alike)
    assert found(told, always(0.1)) == []
    assert [item.steps for item in found(told, always(0.9))] == [(0, 4, 8)]


def finding_fault_in(word: str) -> dict[str, Linear]:
    """A model that finds fault only in turns with the word."""
    weights = tuple(9.0 if name == f"word {word}" else 0.0 for name in FEATURES)
    return {"correction": Linear(FEATURES, weights, -4.0)}


def test_a_run_under_way_takes_a_statement_in_like_words_that_finds_no_more_fault():
    first, third = "put the order number into the invoice header", "the order number goes into the header, invoices too"
    told = worked(first, "no, put the number of the order into the invoice header", third)
    assert [item.steps for item in found(told, finding_fault_in("no"))] == [(0, 4, 8)]
    assert found(worked(first, "no, that is not the title I meant", third), finding_fault_in("no")) == []


def test_reports_that_it_is_still_the_same_are_one_run_in_any_words():
    told = worked(
        "make the pallet labels print on one page",
        "the labels still print on two pages, that is wrong",
        "it is still broken, the same as before",
        "still not fixed, everything is cut",
    )
    assert steps(told) == [(0, 4, 8, 12)]


def test_verbatim_repeats_are_a_run_and_confirmations_of_the_agents_questions_are_not():
    assert steps(worked(*["print the pallet labels"] * 3)) == [(0, 4, 8)]
    asks = agent("Shall I go on?")
    assert steps(session(user("print the labels"), asks, user("yes"), asks, user("yes"), asks, user("yes"))) == []


def test_answers_to_the_agents_question_are_no_restatements():
    told = [part for _ in range(3) for part in (user("the invoice of the branch in Lyon please"), agent("Which one?"))]
    varied = [
        user("the invoice of the branch in Lyon"), agent("Which invoice?"),
        user("the invoice of the Lyon branch"), agent("Which invoice?"),
        user("that invoice of our branch in Lyon"),
    ]  # fmt: skip
    assert steps(session(*varied)) == []
    assert steps(session(*told)) == [(0, 2, 4)], "the same words again are a repeat even as an answer"


def test_statements_far_apart_are_two_wishes():
    want = "show the order number in the invoice header"
    between = ("rename the branch", "sort the parcels by weight", "delete the pallet page", "add a note on cheese")
    assert steps(worked(want, *between, want, *between, want)) == []


def test_approval_is_no_restatement():
    praise = "yes, the invoice header with the order number works"
    assert found(worked("show the order number in the invoice header", praise, praise + " now"), always(0.9)) == []


@pytest.mark.parametrize(
    ("times", "severity", "confidence"), [(3, "medium", 0.75), (4, "medium", 0.85), (6, "high", 0.9)]
)
def test_longer_runs_weigh_more(times, severity, confidence):
    (run,) = found(worked(*["print the pallet labels"] * times))
    assert (len(run.steps), run.severity, run.confidence) == (times, severity, confidence)


def test_insisting_after_each_refusal_is_a_severe_run_in_any_words():
    told = session(
        user("please add cover to my booking"), NO,
        user("is there really no exception?"), NO,
        user("surely there is anything else you can do? I really need it"), NO,
        user("are there truly no other options, at least a partial one?"), NO,
    )  # fmt: skip
    (run,) = found(told)
    assert (run.steps, run.severity, run.terms) == ((2, 4, 6), "high", ("refused",))


def test_insisting_twice_is_none():
    told = session(
        user("please add cover to my booking"), NO,
        user("is there really no exception?"), NO,
        user("surely there is anything else you can do? I really need it"), NO,
    )  # fmt: skip
    assert steps(told) == []
