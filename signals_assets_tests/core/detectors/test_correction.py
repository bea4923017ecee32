from math import log

import pytest

from signals_assets.core.detectors import Detected, examine
from signals_assets.core.detectors.correction import PLAIN, SURE
from signals_assets.core.detectors.models import Linear
from signals_assets.core.detectors.turns import FEATURES
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, result, session, user

ASK = user("please write a parser for the export")


def found(told: Session, models=None) -> list[Detected]:
    return [item for item in examine(told, models).detected if item.type == "correction"]


def after_work(words: str) -> Session:
    return session(ASK, edit("a"), agent(), user(words))


def always(probability: float) -> dict[str, Linear]:
    """A model that is equally sure of every turn."""
    odds = log(probability / (1 - probability))
    return {"correction": Linear(FEATURES, (0.0,) * len(FEATURES), odds)}


@pytest.mark.parametrize(
    "words",
    [
        "the totals are still not shown in the footer",
        "hmm that is wrong, the date should be the local one",
        "but why is the second column missing now?",
        "I expected the net price, it doesn't show",
        "error: cannot find module pallets",
    ],
)
def test_a_calm_report_of_a_defect_is_a_correction(words):
    assert [item.steps for item in found(after_work(words))] == [(4,)]


@pytest.mark.parametrize(
    "words", ["now add a flag for verbose output", "thanks, commit this please", "great, it works", "yes, go ahead"]
)
def test_new_wishes_and_approval_are_none(words):
    assert found(after_work(words)) == []


def test_words_typed_with_a_rejection_may_be_a_correction():
    comment = "no, that is the wrong branch, it isn't Lyon"
    told = session(ASK, call("Bash", "a", command="make"), result("Bash", "a", "", "rejected", comment))
    assert [item.steps for item in found(told)] == [(2,)]


@pytest.mark.parametrize("words", ["sorry, my mistake, the path was wrong", "I messed up the config, it does not load"])
def test_the_users_own_mistakes_are_none_however_sure_the_model_is(words):
    assert found(after_work(words), always(0.99)) == []


def test_a_question_about_the_agent_is_none_however_sure_the_model_is():
    assert found(after_work("do you have access to the tracker?"), always(0.99)) == []


def test_an_opening_and_a_turn_with_nothing_of_the_agents_before_it_are_none():
    words = "the export is wrong and still does not work"
    assert found(session(user(words), agent()), always(0.99)) == []
    assert found(session(agent("How can I help?"), user(words), agent()), always(0.99)) == []
    assert found(session(ASK, user(words), agent()), always(0.99)) == []
    assert len(found(session(ASK, agent(), user(words)), always(0.99))) == 1


@pytest.mark.parametrize(
    ("sure", "severities"),
    [(SURE - 0.01, []), (SURE + 0.01, ["low"]), (PLAIN - 0.01, ["low"]), (PLAIN + 0.01, ["medium"])],
)
def test_the_models_sureness_is_bar_confidence_and_severity(sure, severities):
    corrections = found(after_work("the footer, please"), always(sure))
    assert [item.severity for item in corrections] == severities
    assert [item.confidence for item in corrections] == [pytest.approx(sure)] * len(severities)


def test_confidence_stays_below_certainty():
    assert found(after_work("the footer, please"), always(0.999))[0].confidence == 0.95
