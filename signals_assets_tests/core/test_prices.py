import json

import pytest

from signals_assets.core.prices import Price, longest_output, price, table, window

MILLION = 1_000_000
SUFFIXES = {"sync": "", "batch": "_batches", "flex": "_flex"}


def test_the_batch_service_costs_half_of_the_immediate_one():
    def cost(tier):
        return price("gpt-5.2", tier, input_tokens=MILLION, output_tokens=MILLION)

    assert cost("sync") == pytest.approx(1.75 + 14.0)
    assert cost("batch") == cost("flex") == pytest.approx(cost("sync") / 2)


def test_cached_tokens_are_a_part_of_the_input_and_cheaper():
    cost = price("gpt-5.2", "batch", input_tokens=10_000, cached_tokens=4_000, output_tokens=1_000)
    assert cost == pytest.approx((6_000 * 0.875 + 4_000 * 0.0875 + 1_000 * 7.0) / MILLION)


def test_cached_tokens_beyond_the_input_never_make_a_price_negative():
    assert price("gpt-5.2", "batch", input_tokens=10, cached_tokens=10**9, output_tokens=0) > 0


def test_cached_input_costs_what_input_costs_where_no_lower_price_is_listed():
    cached = price("gpt-4.1", "batch", input_tokens=1_000, cached_tokens=1_000, output_tokens=0)
    assert cached == price("gpt-4.1", "batch", input_tokens=1_000, cached_tokens=0, output_tokens=0)


@pytest.mark.parametrize(
    ("model", "tier"), [("a-model-of-the-house", "batch"), ("gpt-5.2", "local"), ("gpt-4.1", "flex"), ("", "sync")]
)
def test_what_is_not_in_the_table_has_no_price(model, tier):
    assert price(model, tier, input_tokens=1, output_tokens=1) is None


def test_a_dated_snapshot_costs_what_its_model_costs():
    tokens = {"input_tokens": 1_000, "output_tokens": 100}
    assert price("gpt-5.2-2025-12-11", "batch", **tokens) == price("gpt-5.2", "batch", **tokens)
    assert window("gpt-5.2-2025-12-11") == window("gpt-5.2") == 272_000
    assert longest_output("gpt-5.2") == 128_000
    assert window("unknown") is longest_output("unknown") is None


def test_a_long_request_costs_more_as_a_whole():
    short = price("gpt-5.4", "batch", input_tokens=272_000, output_tokens=0)
    assert price("gpt-5.4", "batch", input_tokens=272_001, output_tokens=0) == pytest.approx(2 * short, rel=1e-4)


def test_an_installation_prices_models_that_the_table_does_not_know_or_knows_wrongly():
    overrides = {"house-1": Price(input=0.1, output=0.4), "gpt-5.2": Price(input=1.0, cached_input=0.0, output=0.0)}
    assert price("house-1", "local", input_tokens=MILLION, output_tokens=MILLION, overrides=overrides) == pytest.approx(
        0.5
    )
    assert price("gpt-5.2", "batch", input_tokens=9, cached_tokens=9, output_tokens=9, overrides=overrides) == 0.0


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_price_is_a_number_from_zero_on(value):
    with pytest.raises(ValueError, match="per million"):
        Price(input=value, output=1.0)


def test_the_table_says_what_its_source_says(specs_dir):
    source = json.loads((specs_dir / "openai-model-prices.json").read_text())
    for name, model in table().items():
        line = source[name]
        assert (model.window, model.output) == (line["max_input_tokens"], line["max_output_tokens"]), name
        for tier, each in model.prices.items():
            suffix = SUFFIXES[tier]
            assert each.input == pytest.approx(line[f"input_cost_per_token{suffix}"] * MILLION), (name, tier)
            assert each.output == pytest.approx(line[f"output_cost_per_token{suffix}"] * MILLION), (name, tier)
            cached = line.get(f"cache_read_input_token_cost{suffix}")
            assert (each.cached_input is None) == (cached is None), (name, tier)
            assert cached is None or each.cached_input == pytest.approx(cached * MILLION), (name, tier)
            long = line.get(f"input_cost_per_token_above_272k_tokens{suffix}")
            assert (model.long_above == 272_000) == (long is not None), (name, tier)
            if long is not None:
                assert each.input * model.long_input == pytest.approx(long * MILLION), (name, tier)
                out = line[f"output_cost_per_token_above_272k_tokens{suffix}"]
                assert each.output * model.long_output == pytest.approx(out * MILLION), (name, tier)
