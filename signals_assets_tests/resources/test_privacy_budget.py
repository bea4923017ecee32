"""The budget of the audience public: paid once, refused when the month is used up, never paid for other counts."""

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction

import pytest

from signals_assets.core.barrier.differential import Release, Spending
from signals_assets.resources.ledger import SqlLedger
from signals_assets.resources.privacy_budget import CHARGED, charge, spent, was_refused
from signals_assets.settings import PublicSettings

KEY = b"key"
DAY = date(2026, 3, 2)
SETTINGS = PublicSettings(monthly_epsilon=3.0)


def release(day: date, count: int = 40) -> Release:
    return Release(day, "friction_rates", "users by type", Spending(Fraction(1), 1e-6), 1, {"error_event": count}, 90)


@pytest.fixture
def book(ledger_url: str) -> Iterator[SqlLedger]:
    opened = SqlLedger(ledger_url)
    yield opened
    opened.close()


def test_a_month_is_paid_for_day_by_day_until_it_is_used_up(book: SqlLedger):
    answers = [charge(book, release(DAY + timedelta(n)), SETTINGS, KEY) for n in range(5)]
    assert answers == ["charged"] * 3 + ["refused"] * 2
    assert spent(book.entries([CHARGED]), DAY, SETTINGS).spent == 3
    assert [was_refused(book, "friction_rates", DAY + timedelta(n)) for n in range(5)] == [False] * 3 + [True] * 2
    assert charge(book, release(date(2026, 4, 1)), SETTINGS, KEY) == "charged"


def test_a_repeat_is_charged_once_and_a_refused_day_stays_refused(book: SqlLedger):
    for _ in range(4):
        assert charge(book, release(DAY), SETTINGS, KEY) == "charged"
    assert spent(book.entries([CHARGED]), DAY, SETTINGS).spent == 1
    assert charge(book, release(DAY + timedelta(1)), PublicSettings(monthly_epsilon=1.5), KEY) == "refused"
    assert charge(book, release(DAY + timedelta(1)), SETTINGS, KEY) == "refused"


def test_other_counts_of_a_paid_day_are_not_released(book: SqlLedger):
    assert charge(book, release(DAY, 40), SETTINGS, KEY) == "charged"
    assert charge(book, release(DAY, 41), SETTINGS, KEY) == "changed"


def test_an_entry_says_what_was_spent_and_no_count(book: SqlLedger):
    charge(book, release(DAY), SETTINGS, KEY)
    charge(book, release(DAY + timedelta(1)), SETTINGS, KEY)
    payload = book.entries([CHARGED])[1].payload
    assert set(payload) == {
        "day", "surface", "query", "epsilon", "delta", "cumulative_epsilon", "cumulative_delta", "digest",
    }  # fmt: skip
    assert (payload["epsilon"], payload["cumulative_epsilon"]) == ("1", "2")
