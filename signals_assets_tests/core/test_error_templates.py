"""Log lines become templates that do not depend on what else was logged before."""

import pytest

from signals_assets.core.error_templates import masked, mined, template_id


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("timeout after 3000 ms", "timeout after <number> ms"),
        ("retry 0xdeadbeef failed", "retry <hex> failed"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736 lost", "trace <hex> lost"),
        ("job 123e4567-e89b-12d3-a456-426614174000 died", "job <uuid> died"),
        ("no route to 10.1.2.3:8080", "no route to <ip>"),
        ("cannot read /srv/app/data.json now", "cannot read <path> now"),
        ("GET https://example.org/a?b=1 failed", "GET <path> failed"),
        ('field "full name" is missing', "field <quoted> is missing"),
        ("mail to jane.doe@example.org bounced", "mail to <email> bounced"),
        ("can't connect, won't retry", "can't connect, won't retry"),
    ],
)
def test_what_varies_is_masked_by_its_kind(message, expected):
    assert masked(message) == expected


def templates(messages):
    """The template of each message."""
    found = mined(map(masked, messages))
    return [found[masked(message)] for message in messages]


def test_lines_of_one_pattern_share_a_template_and_others_do_not():
    messages = [f"search index shard {shard} unavailable" for shard in range(5)] + ["database connection refused"]
    found = templates(messages)
    assert len(set(found)) == 2
    assert len(set(found[:5])) == 1


def test_the_order_of_lines_does_not_change_their_templates():
    messages = ["user alice denied access", "user bob denied access", "queue full", "queue empty", "disk failure soon"]
    forward = dict(zip(messages, templates(messages), strict=True))
    backward = dict(zip(messages[::-1], templates(messages[::-1]), strict=True))
    assert forward == backward


def test_a_template_is_known_by_its_text():
    assert template_id("queue full") == template_id("queue full") != template_id("queue empty")


def test_empty_and_huge_messages_are_survived():
    assert len(templates(["", "x" * 1_000_000, "'" * 5000, "@" * 5000])) == 4
    assert templates([]) == []
