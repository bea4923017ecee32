import pytest

from signals_assets.core.barrier.lexicon import technology
from signals_assets.core.detectors import examine
from signals_assets.core.detectors.technologies import FENCES, FRAMEWORKS, IMPORTS, LANGUAGES
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user

ASK = user("add tests")


def facets(*parts):
    return examine(session(ASK, *parts)).facets


def test_languages_come_from_edited_files_and_frameworks_from_commands():
    found = facets(
        edit("a", "src/main.go"), edit("b", "src/app.py"), shell("c", "pytest -q", "ok"), shell("d", "pytest -q", "ok")
    )
    assert found.programming_languages == ("Go", "Python")
    assert found.frameworks == ("pytest",)


def test_a_rare_suffix_is_not_named():
    many = [part for n in range(11) for part in edit(f"a{n}", "src/main.go")]
    assert facets(*many, *edit("b", "src/app.py")).programming_languages == ("Go",)


def test_shown_code_counts_where_no_file_says_more():
    shown = agent("Here it is:\n```python\nprint(1)\n```\n```bash\nls\n```")
    assert facets(shown).programming_languages == ("Python",)
    assert facets(shown, *edit("a", "main.go")).programming_languages == ("Go",)


def test_a_harness_that_names_the_files_it_changed_is_evidence():
    applied = result("aider", "", "Applied edit to web/app.ts\nCommit 1234567 feat: it")
    assert facets(agent("Done."), applied).programming_languages == ("TypeScript",)


def test_files_given_to_the_agent_are_evidence():
    added = event("slash_command", "/add src/a.rs src/b.rs src/c.rs")
    assert facets(added, agent("Done.")).programming_languages == ("Rust",)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ('import (\n\t"github.com/spf13/cobra"\n)', "Cobra"),
        ("from fastapi import FastAPI", "FastAPI"),
        ("import { useState } from 'react'", "React"),
    ],
)
def test_imports_at_two_places_show_a_framework(code, name):
    once = (call("Read", "a", file_path="x"), result("Read", "a", code))
    again = edit("b", "y", after=code)
    assert facets(*once).frameworks == ()
    assert facets(*once, *again).frameworks == (name,)


def test_a_word_in_prose_is_no_import():
    prose = (call("Read", "a", file_path="x"), result("Read", "a", "we react to errors; see the react folder"))
    assert facets(*prose, *prose, *prose).frameworks == ()


def test_every_name_that_may_be_said_is_a_public_technology():
    names = {*LANGUAGES.values(), *FENCES.values(), *FRAMEWORKS.values(), *IMPORTS.values(), "GitHub Actions"}
    assert {name for name in names if technology(name) != name} == set()


def test_an_import_with_a_letter_that_only_folds_to_a_known_name_names_nothing():
    found = facets(*(part for n in range(2) for part in edit(f"a{n}", after="import po\u017fthog\nimport flask")))
    assert found.frameworks == ("Flask",)
