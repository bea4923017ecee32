import pytest

from signals_assets.core.detectors import Fold, examine
from signals_assets.core.detectors.facets import INTENTS
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user


def facets(*parts):
    return examine(session(*parts)).facets


def test_a_yes_to_an_offer_and_a_rejection_are_confirmations():
    found = facets(
        user("cancel my order"),
        agent("I will cancel it. Do you confirm?"),
        user("yes, go ahead"),
        call("Bash", "a", command="x"),
        result("Bash", "a", "", "rejected"),
        user("do it differently"),
    )
    assert found.tool_call_confirmations == 2


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("Could you please provide your user number?", "Sure, my user number is 17."),
        ("Hi! How can I help you today?", "yes, I want to book a table"),
        ("The parser is written.", "ok, now the docs"),
        ("Shall I go on with the docs?", "what would that change for the readers?"),
    ],
)
def test_an_answer_that_informs_or_asks_confirms_nothing(told, said):
    assert facets(user("write a parser"), agent(told), user(said)).tool_call_confirmations == 0


def test_an_approved_plan_is_one_confirmation():
    plan = (call("ExitPlanMode", "a"), result("ExitPlanMode", "a", "User has approved your plan"))
    assert facets(user("write a parser"), plan, *edit("b")).tool_call_confirmations == 1


def test_answers_to_a_harness_that_asks_in_the_terminal_are_confirmations():
    output = result("aider", "", "Run shell command? [Yes]: n\nAllow edits to file.go? (Y)es/(N)o [Yes]: y")
    assert facets(user("restart it"), agent("```bash\nmake restart\n```"), output).tool_call_confirmations == 2


@pytest.mark.parametrize(
    "said",
    [
        "on second thought, let's build a small app instead",
        "I changed my mind, keep the old header",
        "thinking again: remove the page completely",
        "Oh, actually, before we go any further, I want to complain about the last bill",
        "if you can't refund it, can you change the date instead?",
    ],
)
def test_a_change_of_mind_is_drift(said):
    assert facets(user("write the page in the old style"), agent(), user(said)).specification_drift


@pytest.mark.parametrize(
    "said",
    ["great. now add a footer", "it is still not working", "please use the other file instead of this one", "go on"],
)
def test_a_further_task_or_a_correction_is_no_drift(said):
    assert not facets(user("write the page in the old style"), agent(), user(said)).specification_drift


def test_the_first_request_cannot_drift():
    assert not facets(user("I changed my mind about the old style, write the page anew"), agent()).specification_drift


def test_facets_of_a_prefix_are_those_of_the_prefix_fed_whole():
    whole = session(
        user("please fix the crash"), *edit("a", "src/main.go"), agent("Shall I commit it?"), user("yes"),
        *shell("b", "git commit -m x", "ok"), agent("Done."), user("works, thanks"), event("slash_command", "/exit"),
    )  # fmt: skip
    fold = Fold()
    for index, step in enumerate(whole.steps):
        fold.update(step)
        assert fold.facets() == examine(session(*whole.steps[: index + 1])).facets


def test_an_empty_session_has_facets():
    found = Fold().facets()
    assert (found.outcome, found.primary_intent, found.tool_call_confirmations) == ("unclear", "general request", 0)
    assert not found.specification_drift
    assert found.programming_languages == found.frameworks == ()


def test_every_intent_is_named_once_in_few_general_words():
    names = [name for name, _ in INTENTS]
    assert len(names) == len(set(names))
    assert all(1 <= len(name.split()) <= 6 and name == name.lower() for name in names)
