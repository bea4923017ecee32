"""The report as one short message and its thread."""

import pytest

from signals_assets.core.report_message import BLOCKS, SHORT_TEXT, WHOLE_TEXT, messages, plain


def block(kind, text):
    return {"type": kind, "text": plain(text)}


def report(*sections):
    top = [
        block("header", "Errors crossed their threshold"),
        {"type": "context", "elements": [plain("Signals, Monday")]},
    ]
    return [*top, *(part for text in sections for part in ({"type": "divider"}, block("section", text)))]


def words(message):
    return [one["text"]["text"] for one in message.blocks if one["type"] == "section"]


def everything(message):
    parts = [
        part for one in message.blocks for part in [*([one["text"]] if "text" in one else []), *one.get("elements", [])]
    ]
    return sum(len(part["text"]) for part in parts)


def test_a_short_report_is_one_message_without_a_thread():
    (message,) = messages(report("What hurts most\n• a\n• b", "What is new\n• c"))
    assert message.text == "Errors crossed their threshold"
    assert words(message) == ["What hurts most\n• a\n• b", "What is new\n• c"]
    assert [one["type"] for one in message.blocks] == ["header", "context", "section", "section"]


def test_a_section_that_is_shortened_stands_whole_in_the_thread_and_says_how_much_is_there():
    long = "What hurts most\n" + "\n".join(f"• line {number}" for number in range(7))
    short, thread = messages(report(long, "What is new\n• c"))
    assert words(short)[0] == "What hurts most\n• line 0\n• line 1\n• line 2\n• line 3\n… and 3 more"
    assert short.blocks[-1]["elements"][0]["text"] == "More in the thread."
    assert words(thread) == [long]


def test_every_section_keeps_a_sentence_however_long_the_report_is():
    sections = [f"Section {number}\n" + "\n".join("• " + "word " * 110 for _ in range(5)) for number in range(12)]
    short, *thread = messages(report(*sections))
    assert [text.split("\n")[0] for text in words(short)] == [f"Section {number}" for number in range(12)]
    assert everything(short) < 12 * 450
    assert [text for message in thread for text in words(message)] == sections
    assert all(everything(message) <= WHOLE_TEXT and len(message.blocks) <= BLOCKS for message in thread)
    assert SHORT_TEXT < WHOLE_TEXT


def test_more_sections_than_a_message_holds_are_in_its_thread():
    sections = [f"Section {number}\n• a\n• b\n• c\n• d\n• e" for number in range(120)]
    short, *thread = messages(report(*sections))
    assert len(short.blocks) == BLOCKS
    assert [text for message in thread for text in words(message)] == sections


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}, "mrkdwn"),
        ({"type": "section", "text": plain("x" * 3001)}, "3001 characters"),
        ({"type": "header", "text": plain("x" * 151)}, "151 characters"),
        ({"type": "section", "text": plain("")}, "0 characters"),
        ({"type": "rich_text", "elements": []}, "rich_text"),
        ({"type": "section", "text": plain("a"), "accessory": {"type": "button"}}, "more than text"),
        ({"type": "context", "elements": [{"type": "mrkdwn", "text": "*a*"}]}, "mrkdwn"),
    ],
)
def test_anything_but_plain_text_within_slacks_limits_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        messages([*report("What is new\n• c"), wrong])
