"""What may be said in the published zone, and that nothing said there is active."""

import csv
import io
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.barrier.publication import (
    csv_cell,
    html,
    label,
    markdown,
    one_line,
    slack_plain,
    version_label,
)


def test_only_listed_text_is_named_and_the_rest_is_opaque_and_stable():
    assert label("checkout", {"checkout"}, kind="service") == "checkout"
    opaque = label("payments of Ann", {"checkout"}, kind="service")
    assert opaque == label("payments of Ann", set(), kind="service")
    assert opaque.startswith("service-")
    assert "Ann" not in opaque
    assert opaque != label("payments of Ann", set(), kind="service", key=b"key")


def test_a_kind_that_is_not_a_word_is_refused():
    with pytest.raises(ValueError, match="plain lower-case word"):
        label("x", set(), kind="<b>")


@pytest.mark.parametrize("version", ["1", "2.0.14", "v1.2", "1.0.0-rc1", "3.2a1", "1.0.dev3"])
def test_plain_versions_are_shown(version):
    assert version_label(version) == version


@pytest.mark.parametrize("version", ["10.0.0.1", "1.0-ann", "main", "1.0.0-rc1-beta", "1.0\n", "", "1.0+g12ab"])
def test_other_versions_are_opaque(version):
    assert version_label(version).startswith("version-")
    assert version_label(version, {version}) == version


@given(st.text(max_size=80))
def test_escaped_text_is_inert_on_every_surface(text):
    seen = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append(tag)

    Parser().feed(f"<p>{html(text)}</p>")
    assert seen == ["p"]
    slack = slack_plain(text)
    assert "<" not in slack
    assert ">" not in slack
    assert "\n" not in slack
    plain = markdown(text).replace("&#64;&#8288;", "")
    assert "\n" not in plain
    for place, character in enumerate(plain):
        if character in "`*_[]<>#|!@":
            assert plain[place - 1] == "\\"


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=80))
def test_a_cell_reads_back_and_is_no_formula(text):
    cell = next(csv.reader(io.StringIO(csv_cell(text), newline="")))[0]
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@"))


def test_escaped_text_starts_no_markup_no_mention_and_no_second_line():
    text = markdown("<script>\n# a @jane [x](y) `z` \u202e--- | *b*")
    assert "<" not in text
    assert "@" not in text
    assert "\n" not in text
    assert "\u202e" not in text
    assert "\\[x\\]" in text
    assert "\\`z\\`" in text


def test_lines_are_bounded():
    assert len(one_line("x " * 1000)) <= 240


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("12) item", "12\\) item"),
        ("--- | ===", "\\--- \\| ==="),
        ("1.4.2 is out, 5-9 users.", "1.4.2 is out, 5-9 users."),
        ("see www.a.example", "see www\\.a\\.example"),
        ("see https://10.0.0.1", "see https\\://10.0.0.1"),
        ("a & b < c", "a &amp; b &lt; c"),
        ("@jane", "&#64;&#8288;jane"),
    ],
)
def test_markdown_starts_no_list_no_rule_no_link_and_no_mention(text, shown):
    assert markdown(text) == shown
