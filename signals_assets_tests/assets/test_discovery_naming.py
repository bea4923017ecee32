"""A language model over the real protocol names proposals and judges their members, within its budget and once."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import orjson
import pytest

from signals_assets.assets.discovery import QUESTION_KIND
from signals_assets.core.barrier import from_taxonomy
from signals_assets.tables import AbstractedSummary, DelightEvent, Facet, FrictionEvent, TaxonomyProposal, UnmetNeed
from signals_assets_tests.factories import row_values
from signals_assets_tests.fakes.openai_server import OpenAIServer
from signals_assets_tests.home import Home

DAY = date(2026, 1, 5)
NEXT = date(2026, 1, 6)
STAGE = ("embeddings", "event_labels", "taxonomy_proposals")
SORTS = ("orders", "invoices", "refunds", "tickets", "members", "plans", "reports", "prices", "sales", "teams")
CALENDAR = "The user saw wrong dates in the calendar of their"
CHECKOUT = "A payment failed on every checkout page for"

Make = Callable[..., Home]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running
        assert running.state.spec_violations == []


@pytest.fixture
def home(own: Callable[..., Home], server: OpenAIServer) -> Make:
    """A home of one person with friction of two sorts on two days, whose analyst is the local service."""

    def make(**settings: Any) -> Home:
        reach = {"model": "gpt-5.2", "base_url": server.url, "api_key": "sk-of-the-tests", "timeout_seconds": 30}
        made: Home = own(analyst="openai", language_model=reach, audience="self", **settings)
        for day in (DAY, NEXT):
            for model in (AbstractedSummary, DelightEvent, UnmetNeed, Facet):
                made.warehouse.replace(model, day, [])
            rows = [event(day, words, of) for words in (CALENDAR, CHECKOUT) for of in SORTS]
            made.warehouse.replace(FrictionEvent, day, rows)
        return made

    return make


def event(day: date, words: str, of: str) -> FrictionEvent:
    """One moment as an analyst without a fitting type tells it."""
    name = f"{words.split()[-2]}-{of}-{day}"
    values = {
        "day": day, "known_on": day, "event_id": f"e-{name}", "session_id": f"s-{name}", "type": "other",
        "source": "analyst", "confidence": 0.9, "citation": from_taxonomy(f"{words} {of}."),
    }  # fmt: skip
    return FrictionEvent(**row_values(FrictionEvent, **values))


def proposals(home: Home, day: date) -> list[dict[str, Any]]:
    home.materialize(day, only=STAGE)
    return home.rows(TaxonomyProposal, day)


def asked(server: OpenAIServer) -> int:
    """How many questions the model was paid for."""
    return sum(server.paid_texts.values())


def test_a_model_names_what_is_new_and_judges_who_belongs_to_it_once(home: Make, server: OpenAIServer) -> None:
    made = home()
    proposals(made, DAY)
    assert asked(server) == 2  # names; seen on one day only, they are not judged yet
    rows = proposals(made, NEXT)
    assert asked(server) == 4
    assert sorted(row["name"] for row in rows) == ["Trouble with calendar", "Trouble with checkout"]
    assert sorted(row["definition"] for row in rows) == [
        "Users had trouble with calendar.",
        "Users had trouble with checkout.",
    ]
    assert Counter((row["named_by"], row["judged_by"], row["ready"]) for row in rows) == {("model", "model", True): 2}
    assert {row["agreement"] for row in rows} == {1.0}

    assert proposals(made, NEXT) == rows
    assert asked(server) == 4
    kept = orjson.dumps([[entry.key, dict(entry.payload)] for entry in made.ledger.entries([QUESTION_KIND])])
    assert kept.count(b"2026-01-05") == kept.count(b"2026-01-06") == 4
    assert b"calendar" not in kept


def test_words_that_the_barrier_refuses_are_counted_and_the_distinctive_words_stay(
    home: Make, server: OpenAIServer
) -> None:
    made = home()
    server.switch(quotes=1.0)
    rows = proposals(made, DAY)
    assert {row["named_by"] for row in rows} == {"terms"}
    assert not any("jane" in row["definition"] for row in rows)
    shown = made.metadata("taxonomy_proposals", DAY)
    assert (shown["coverage/notes.naming_asked"], shown["coverage/notes.naming_refused"]) == (2, 2)
    server.switch(quotes=0.0)
    assert proposals(made, DAY) == rows
    assert asked(server) == 2


def test_a_day_asks_no_more_than_its_budget_however_often_it_is_repeated(home: Make, server: OpenAIServer) -> None:
    made = home(discovery={"questions_a_day": 1})
    rows = proposals(made, DAY)
    assert Counter(row["named_by"] for row in rows) == {"model": 1, "terms": 1}
    assert made.metadata("taxonomy_proposals", DAY)["coverage/notes.naming_over_budget"] == 1
    proposals(made, DAY)
    assert asked(server) == 1


def test_a_model_that_does_not_answer_leaves_the_distinctive_words(home: Make, server: OpenAIServer) -> None:
    made = home()
    server.switch(models=())
    assert {row["named_by"] for row in proposals(made, DAY)} == {"terms"}
    assert made.metadata("taxonomy_proposals", DAY)["coverage/notes.naming_unanswered"] == 2
    assert made.ledger.entries([QUESTION_KIND]) == []
