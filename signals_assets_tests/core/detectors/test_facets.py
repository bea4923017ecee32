import pytest

from signals_assets.core.detectors import examine
from signals_assets.core.detectors.facets import intent_of
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user


@pytest.mark.parametrize(
    ("request_text", "files", "intent"),
    [
        ("please fix the crash in the importer", True, "bug fix"),
        ("I want a refund for my flight", False, "refund request"),
        ("rename the module and move the helpers", True, "refactoring"),
        ("review the changes on this branch", True, "code review"),
        ("", True, ""),
    ],
)
def test_the_intent_is_told_in_general_words(request_text, files, intent):
    assert intent_of(request_text, files) == intent


def test_outcomes_follow_the_end_of_the_session():
    ask = user("please fix the header")
    ends = {
        "success": session(ask, edit("a"), agent("Fixed."), user("works, thanks")),
        "partial": session(ask, call("Bash", "a", command="make")),
        "abandoned": session(ask, edit("a"), agent(), event("slash_command", "/undo"), event("slash_command", "/undo")),
        "transferred": session(ask, call("transfer_to_human_agents", "a"), result("transfer_to_human_agents", "a")),
        "unclear": session(ask),
    }
    assert {name: examine(found).facets.outcome for name, found in ends.items()} == {name: name for name in ends}


def test_confirmations_count_yes_to_a_question_and_rejections():
    found = session(
        user("cancel my order"),
        agent("I will cancel it. Do you confirm?"),
        user("yes, go ahead"),
        call("Bash", "a", command="x"),
        result("Bash", "a", "", "rejected"),
        user("do it differently"),
    )
    assert examine(found).facets.tool_call_confirmations == 2


def test_languages_and_frameworks_come_from_files_and_commands():
    found = session(
        user("add tests"),
        edit("a", "src/main.go"),
        edit("b", "src/app.py"),
        shell("c", "pytest -q", "ok"),
        shell("d", "pytest -q", "ok"),
    )
    facets = examine(found).facets
    assert set(facets.programming_languages) == {"Go", "Python"}
    assert facets.frameworks == ("pytest",)


def test_drift_is_a_change_of_mind_not_a_further_task():
    ask = user("write the page in the old style")
    changed = session(ask, agent(), user("on second thought, let's build a small app instead"))
    further = session(ask, agent(), user("great. now add a footer"))
    assert examine(changed).facets.specification_drift
    assert not examine(further).facets.specification_drift
