from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from signals_assets.core import taxonomy
from signals_assets.core.discovery_naming import Namer, Near, category_lines, examples_of, words_for
from signals_assets_tests.core.discovery_factories import MONDAY, group, window

SEED = taxonomy.seed()
OURS = "the dates were shifted by the timezone"
THEIRS = "the dates were wrong in the report"
GOOD = "none | Shifted dates | The dates came in another zone than the one of the user. | Dates that were never right"


def named(
    *, ask: Any = None, before: Any = None, nearest: str | None = "correction", left: int = 5, **more: Any
) -> Any:
    seen = window(group(5, 20, words=OURS, days=3), group(6, 20, words=THEIRS, type_="correction"))
    rows = np.array([row for row, item in enumerate(seen.items) if item.type == "other"])
    near = Near(nearest, 0.9, np.setdiff1d(np.arange(len(seen.items)), rows))
    namer = Namer(ask, left)
    fields = {"before": before, "taxonomy": SEED, "taken": set(), "namer": namer} | more
    return words_for("friction", seen, rows, near, **fields), namer


def test_a_name_tells_a_group_from_its_neighbours() -> None:
    words, namer = named()
    assert words.name.text == "Shifted timezone"  # what both speak about names neither
    assert words.slug == "shifted_timezone"
    assert "dates" not in words.name.text
    assert not words.by_model
    assert namer.counts == {}


def test_it_says_why_it_is_not_the_nearest_category_and_what_it_is_not() -> None:
    words, _ = named()
    assert words.difference is not None
    assert words.difference.text.startswith("Most of its moments are not covered by correction, and speak about ")
    assert words.difference.text.endswith(" not about report and wrong.")
    assert words.is_not.text.startswith("What correction covers")
    alone, _ = named(nearest=None)
    assert alone.difference is None
    assert "correction" not in alone.is_not.text


def test_a_model_is_shown_admitted_texts_its_neighbours_and_the_known_categories() -> None:
    asked: list[str] = []
    words, namer = named(ask=lambda question: asked.append(question) or GOOD)
    (question,) = asked
    assert OURS in question
    assert THEIRS in question
    assert "- error_event: " in question
    assert "- other: " not in question
    assert (words.name.text, words.slug, words.by_model) == ("Shifted dates", "shifted_dates", True)
    assert words.definition.text.startswith("The dates came")
    assert words.could_be is None
    assert namer.counts == {"naming_asked": 1}


def test_a_model_that_knows_the_group_says_which_category_it_is() -> None:
    words, _ = named(ask=lambda _: GOOD.replace("none", "correction", 1))
    assert words.could_be == "correction"


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (None, ("naming_unanswered",)),
        ("", ("naming_unanswered",)),
        ("Shifted dates", ("naming_asked", "naming_refused")),
        ("none | Dates of Zyxwvut | A day was off. | Others", ("naming_asked", "naming_refused")),
        ("none | one two three four five six seven | A day was off. | Others", ("naming_asked", "naming_refused")),
        ("none | Shifted dates | See http://example.com now. | Others", ("naming_asked", "naming_refused")),
    ],
)
def test_what_the_barrier_or_the_form_refuses_falls_back_to_distinctive_words(answer: Any, counts: Any) -> None:
    words, namer = named(ask=lambda _: answer)
    assert not words.by_model
    assert words.name.text == "Shifted timezone"
    assert dict(namer.counts) == dict.fromkeys(counts, 1)


def test_no_more_questions_are_asked_than_a_day_has() -> None:
    asked: list[str] = []
    words, namer = named(ask=lambda question: asked.append(question) or GOOD, left=0)
    assert (asked, words.by_model, dict(namer.counts)) == ([], False, {"naming_over_budget": 1})


def test_the_words_of_the_day_before_stay_and_nobody_is_asked() -> None:
    before = {"slug": "old", "name": "Old name", "definition": "An old one.", "is_not": None, "named_by": "model"}
    words, namer = named(ask=lambda _: pytest.fail("asked again"), before=before)
    assert (words.slug, words.name.text, words.by_model) == ("old", "Old name", True)
    assert words.difference is not None
    assert namer.counts == {}


def test_a_slug_that_another_proposal_of_the_day_has_gets_a_number() -> None:
    words, _ = named(taken={"shifted_timezone"})
    assert words.slug == "shifted_timezone_2"


def test_a_kind_without_categories_says_so() -> None:
    assert category_lines("intent", SEED) == "- (none yet)"


def test_examples_are_different_texts() -> None:
    seen = window(group(5, 20, words=OURS, variants=2, day=MONDAY + timedelta(1)))
    assert len({text.text for text in examples_of(seen, np.arange(20))}) == 2
