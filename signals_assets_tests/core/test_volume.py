import pytest

from signals_assets.core.volume import Z_CONFIRMED, Z_SUSPECTED, days_to_see, predictions, standard_error


def test_sessions_of_one_user_count_for_less_than_sessions_of_many():
    assert standard_error(0.1, 1000, 10) > standard_error(0.1, 1000, 1000)


def test_independent_sessions_have_the_binomial_error():
    assert standard_error(0.5, 100, 1000) == pytest.approx(0.05)


def test_more_sessions_are_seen_sooner_and_confirming_takes_longer():
    few = days_to_see(0.1, 0.05, 500, Z_SUSPECTED)
    many = days_to_see(0.1, 0.05, 3000, Z_SUSPECTED)
    assert many is not None
    assert few is not None
    assert many <= few <= (days_to_see(0.1, 0.05, 500, Z_CONFIRMED) or 99)


def test_thousands_of_sessions_a_day_show_a_half_more_within_days_and_fifty_do_not_within_one():
    # The measured power table: +50 % at 3,000 a day is seen the next day, at 50 a day almost nothing in a week.
    assert days_to_see(0.1, 0.05, 3000, Z_SUSPECTED) in (1, 2)
    assert (days_to_see(0.1, 0.05, 50, Z_SUSPECTED) or 99) > 7


def test_a_person_alone_sees_their_own_figures_but_a_company_needs_more_people():
    alone = {item.question: item.answer for item in predictions(5, 1, None, "self")}
    company = {item.question: item.answer for item in predictions(5, 1, None, "company")}
    assert alone["aggregates of a week"] == "are shown"
    assert "hidden" in company["aggregates of a week"]
    assert "cannot" in company["tickets"]
