"""What a day cost: sums of what was sent, unknown prices said as such, the built-in rules free."""

from signals_assets.core.cost import COLUMNS, cost_of, cost_words


def answer(**over):
    return dict.fromkeys(COLUMNS, 0) | {"analyst": "openai", "cost_usd": 0.01} | over


def test_all_that_was_sent_is_added_up_whatever_became_of_it():
    rows = [answer(input_tokens=900, cached_tokens=300, output_tokens=50, steps_seen=4, steps_total=5)] * 2
    cost = cost_of([*rows, answer(cost_usd=None, input_tokens=100)])
    assert cost == {
        "sessions": 3, "unpriced": 1, "input_tokens": 1900, "cached_tokens": 600, "output_tokens": 100,
        "micro_usd": 20_000, "micro_usd_per_session": 10_000, "percent_seen": 80,
    }  # fmt: skip
    said = dict(cost_words(cost))
    assert said["Price of the day"] == "$0.02, beside 1 sessions of unknown price"
    assert said["Price per session"] == "$0.01, beside 1 sessions of unknown price"
    assert said["Steps of these sessions that were shown"] == "80 %"


def test_an_unknown_price_is_never_a_number():
    said = dict(cost_words(cost_of([answer(cost_usd=None)])))
    assert "$" not in said["Price of the day"] + said["Price per session"]


def test_the_built_in_rules_send_nothing():
    cost = cost_of([answer(analyst="rules", cost_usd=0.0, steps_seen=9, steps_total=9)])
    assert not any(cost.values())
    assert cost_words(cost) == []
