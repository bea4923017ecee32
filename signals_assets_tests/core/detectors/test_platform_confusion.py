import pytest

from signals_assets.core.detectors import Detected, detect
from signals_assets.core.detectors.context import MATERIAL
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, event, result, session, shell, user

ASK = user("please write a parser for the export")


def found(told: Session) -> list[Detected]:
    return [item for item in detect(told) if item.type == "platform_confusion"]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told) if item.confidence >= 0.5]


def command(name: str, answer: str = "Unknown slash command"):
    """A slash command and the harness's answer to it: two steps."""
    return event("slash_command", name), result("", "", answer, "error")


def test_a_question_about_the_agent_is_a_moment():
    (moment,) = found(session(ASK, agent(), user("do you have access to our tracker?")))
    assert (moment.steps, moment.severity) == ((2,), "low")


def test_a_question_may_open_a_session():
    assert steps(session(user("do you have access to our tracker?"), agent())) == [(0,)]


@pytest.mark.parametrize("words", ["how does the parser handle empty lines?", "can you add a flag for that?"])
def test_a_question_about_the_task_is_none(words):
    assert found(session(ASK, agent(), user(words))) == []


def test_a_long_message_is_a_task_whatever_it_asks_in_passing():
    asking = "do you have access to our tracker? "
    assert found(session(ASK, agent(), user(asking + "the invoice needs a title " * 11))) == []
    assert steps(session(ASK, agent(), user(asking + "the invoice needs a title " * 10))) == [(2,)]


def test_the_more_a_question_says_the_surer_it_is():
    (one,) = found(session(user("which model are you?")))
    (two,) = found(session(user("which model are you, and do you have access to my screen?")))
    assert one.confidence < two.confidence


def test_a_single_unknown_command_is_material_and_two_are_one_moment():
    (single,) = found(session(ASK, command("/sumarise")))
    assert (single.steps, single.confidence, single.terms) == ((1,), MATERIAL, ("command",))
    (twice,) = found(session(ASK, command("/sumarise"), command("/summarise")))
    assert (twice.steps, twice.confidence >= 0.5) == ((1, 3), True)


def test_unknown_commands_far_apart_are_two_slips():
    work = [part for number in range(3) for part in shell(f"s{number}", "ls", "a.py")]
    assert [item.steps for item in found(session(ASK, command("/sumarise"), *work, command("/summarise")))] == [
        (1,),
        (9,),
    ]


def test_a_known_command_and_an_error_of_the_agents_are_none():
    assert found(session(ASK, command("/clear", "done"))) == []
    assert found(session(ASK, shell("a", "kubectl gett pods", 'error: unknown command "gett"', "error"))) == []


@pytest.mark.parametrize("line", ["aider add parser.py", "codex --resume last", "claude mcp list", "save it all /exit"])
def test_the_products_command_line_typed_as_a_message_is_a_moment(line):
    assert steps(session(ASK, agent(), user(line))) == [(2,)]


@pytest.mark.parametrize(
    "words", ["claude add the footer to the invoice", "gemini help me", "redirect guests to /help", "open /tmp/run"]
)
def test_addressing_the_agent_and_naming_a_route_are_no_command_lines(words):
    assert found(session(ASK, agent(), user(words))) == []
