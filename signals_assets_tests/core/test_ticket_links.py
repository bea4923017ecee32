"""Identifiers of the tracker in pull requests, by Linear's rules."""

import pytest

from signals_assets.core.ticket_links import identifier_of, linked_tickets, pull_request_number

TEAMS = ("ENG", "AI2")


@pytest.mark.parametrize(
    ("branch", "title", "body", "found"),
    [
        ("maria/eng-123-search-forgets", "Search forgets", "", ["ENG-123"]),
        ("main", "ENG-7: search forgets", None, ["ENG-7"]),
        ("fix", "Fix", "Fixes ENG-7", ["ENG-7"]),
        ("fix", "Fix", "This part of AI2-9 and ENG-7, eng-8 closes not OPS-3.", ["AI2-9", "ENG-7", "ENG-8"]),
        ("fix", "Fix", "Resolves: https://linear.app/team/issue/ENG-12/search-forgets", ["ENG-12"]),
        ("eng-1-eng-2", "ENG-1", "closes ENG-1", ["ENG-1", "ENG-2"]),
    ],
)  # fmt: skip
def test_an_identifier_links_from_branch_and_title_and_behind_a_magic_word(branch, title, body, found):
    assert linked_tickets(branch, title, body, TEAMS) == found


@pytest.mark.parametrize(
    "body",
    [
        "As in ENG-7, users repeat themselves.",
        "<!-- Fixes ENG-7 --> the template's own words",
        "<!-- Fixes ENG-7",
        "Fixes OPS-7, UTF-8 and SHA-256.",
        "prefixes ENG-7",
        "Fixes ENG-0, ENG-07",
    ],
)
def test_a_mention_in_the_body_another_team_or_what_only_looks_like_one_links_nothing(body):
    assert linked_tickets("work", "Work on UTF-8", body, TEAMS) == []


def test_parts_of_longer_words_are_no_identifiers():
    assert linked_tickets("feng-12", "XENG-12 and ENG-12a", None, TEAMS) == []


def test_without_teams_nothing_is_an_identifier():
    assert linked_tickets("eng-12", "ENG-12", "Fixes ENG-12", ()) == []
    assert linked_tickets("eng-12", "ENG-12", "Fixes ENG-12", (".*",)) == []


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("https://linear.app/team/issue/ENG-12/search-forgets", "ENG-12"),
        ("https://linear.app/team/issue/eng-12", "ENG-12"),
        ("https://linear.app/team/ENG-12", None),
        ("tickets/SIG-0A1B2C3D.md", None),
        ("", None),
        (None, None),
    ],
)
def test_an_issue_s_address_tells_its_identifier(reference, found):
    assert identifier_of(reference) == found


@pytest.mark.parametrize(
    ("named", "repository", "number"),
    [
        ("https://github.com/acme/agent/pull/12", "", "12"),
        ("https://github.com/acme/agent/pull/12/files?w=1", "Acme/Agent", "12"),
        ("https://github.com/acme/other/pull/12", "acme/agent", None),
        ("https://gitlab.example/group/agent/-/merge_requests/7", "group/agent", "7"),
        ("https://github.com/acme/agent/issues/12", "", None),
        ("PR-12", "acme/agent", "12"),
        ("#12", "", "12"),
        ("12", "", "12"),
        ("", "", None),
    ],
)
def test_a_pull_request_is_known_by_its_number_in_the_agents_repository(named, repository, number):
    assert pull_request_number(named, repository) == number
