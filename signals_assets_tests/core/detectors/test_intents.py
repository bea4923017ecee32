import pytest

from signals_assets.core.detectors.intents import CHAT, CODING, HEAD, SUPPORT, Intents, earliest


def intent(*requests, files=False, tools=False):
    intents = Intents()
    for request in requests:
        intents.update(request)
    return intents.intent(files, tools)


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("please fix the crash in the importer", "bug fix"),
        ("rename the module and move the helpers", "refactoring"),
        ("review the changes of this week", "code review"),
        ("i'd like to add a footer", "new feature"),
        ("how does the importer read its settings?", "configuration and build"),
        ("why is the page so slow", "performance"),
        ("i want to cancel the parser's second pass", "general request"),
    ],
)
def test_beside_files_words_mean_work_on_code(request_text, expected):
    assert intent(request_text, files=True, tools=True) == expected


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("i want a refund for my flight", "refund request"),
        ("i'd like to change my flight to monday", "change of booking or order"),
        ("my phone has no service", "connection or device problem"),
        ("can you book a table for two", "booking or purchase"),
    ],
)
def test_with_tools_but_no_files_words_mean_a_customers_case(request_text, expected):
    assert intent(request_text, tools=True) == expected


def test_without_tools_it_is_a_conversation():
    assert intent("translate this letter for me") == "translation"
    assert intent("explain to me how tides work") == "explanation"


def test_greetings_are_passed_over_and_late_turns_not_read():
    assert intent("hello", "please fix the crash", files=True) == "bug fix"
    assert intent("hello", "yes", "2", "please fix the crash", files=True) == "general request"


def test_the_earliest_evidence_wins_and_near_evidence_by_how_telling_it_is():
    far = " " * HEAD
    assert earliest(CODING, f"add a page{far}fix the crash") == "new feature"
    assert earliest(CODING, "add a page and fix the crash") == "bug fix"
    assert earliest(SUPPORT, "") == earliest(CHAT, "") == ""
