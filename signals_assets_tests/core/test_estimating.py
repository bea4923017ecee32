"""What asking would take: requests as they would be, totals whose intervals hold, prices only where they are known."""

import random

import orjson
import pytest

from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.asking import instructions
from signals_assets.core.condensing import estimate
from signals_assets.core.estimating import (
    Outlook,
    Range,
    Size,
    SizeChunk,
    costs,
    drawn,
    models,
    outlook,
    reading,
    size_chunk,
    tiers_of,
)
from signals_assets.core.prices import Price
from signals_assets.core.request_lines import AskChunk, ask_chunk
from signals_assets.core.sessions import to_json
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets_tests.core.detectors.script import agent, session, shell, user

PROMPT = pinned("analyze_session", 2)


def told(lines=400):
    noise = "\n".join(f"compiled part {n} of the program in {n * 7 % 13} seconds" for n in range(lines))
    return session(user("build it"), shell("a", "make", noise), agent("It is built."))


@pytest.mark.parametrize(("session_tokens", "window"), [(32_000, 272_000), (1_000, 272_000), (8_000, 9_000)])
def test_the_size_is_that_of_the_lines_that_would_be_sent(session_tokens, window):
    found = told()
    how = reading(PROMPT, seed(), session_tokens=session_tokens, window=window)
    asked = AnalysisRequest.about("q_1", "s_1", found, PROMPT.id, seed())
    chunk = AskChunk((asked,), "gpt-5.2", "/v1/responses", None, b"secret", session_tokens, window)
    [sent] = ask_chunk(chunk)
    [size] = size_chunk(SizeChunk((found,), how))
    assert size.sent == sum(line.tokens for line in sent.lines)
    assert size.requests == len(sent.lines)
    assert size.whole >= size.sent
    assert how.shared == estimate(instructions(PROMPT, seed()))
    assert (size.whole > size.sent) == (session_tokens < 8_000 or window < 10_000)


def test_json_and_session_have_the_same_size():
    how = reading(PROMPT, seed(), session_tokens=1_000, window=100_000)
    assert size_chunk(SizeChunk((told(),), how)) == size_chunk(SizeChunk((to_json(told()).decode(),), how))


def test_a_session_that_cannot_be_read_has_no_size_and_stops_no_other():
    how = reading(PROMPT, seed(), session_tokens=1_000, window=100_000)
    broken = orjson.dumps({"steps": "none"}).decode()
    sizes = size_chunk(SizeChunk((broken, told()), how))
    assert sizes[0] is None
    assert sizes[1] is not None


# --- samples -----------------------------------------------------------------------------------------------------


def test_the_draw_depends_on_ids_and_seed_only():
    ids = [f"s{n}" for n in range(100)]
    assert drawn(ids, 10, 1) == drawn(reversed(ids), 10, 1)
    assert drawn(ids, 10, 1) != drawn(ids, 10, 2)
    assert len(drawn(ids, 10, 1)) == 10
    assert drawn(ids, 1_000, 1) == set(ids)


def test_what_was_counted_whole_has_no_interval():
    sizes = [(Size(100 + n, 50 + n, 1), 90) for n in range(20)]
    found = outlook(sizes, [90] * 20, session_tokens=1_000)
    total = sum(50 + n for n in range(20))
    assert found.sent == Range(total, total, total)
    assert found.requests == Range(20, 20, 20)
    assert found.saved == pytest.approx(1 - total / sum(100 + n for n in range(20)))


def test_nothing_to_ask_about_takes_nothing():
    found = outlook([], [], session_tokens=1_000)
    assert (found.sent.value, found.requests.value, found.saved) == (0, 0, 0.0)
    assert costs("gpt-5.2", found, output_tokens=1_000, most_output_tokens=8_000) == []


def test_the_interval_of_a_sample_covers_the_truth_about_as_often_as_it_says():
    chance = random.Random(5)
    hints = [int(chance.lognormvariate(8, 1.2)) + 2_500 for _ in range(3_000)]
    sizes = [Size(round(hint * chance.uniform(0.7, 1.1)), round(min(hint, 32_000) * chance.uniform(0.7, 1.1)), 1)
             for hint in hints]  # fmt: skip
    for name in ("whole", "sent"):
        truth = sum(getattr(size, name) for size in sizes)
        hit = off = 0
        for number in range(200):
            sample = random.Random(number).sample(range(3_000), 400)
            drawn_ones = [(sizes[n], hints[n]) for n in sample]
            found = getattr(outlook(drawn_ones, hints, session_tokens=32_000), name)
            hit += found.low <= truth <= found.high
            off += found.value - truth
        assert hit >= 180, name  # of 190 expected
        assert abs(off / 200) < 0.01 * truth


# --- prices ------------------------------------------------------------------------------------------------------


def asked(sessions=1_000, each=10_000):
    total = sessions * each
    every = Range(sessions, sessions, sessions)
    return Outlook(sessions, Range(2 * total, 2 * total, 2 * total), Range(total, total, total), every, sessions)


def test_prices_are_those_of_the_table_by_tier():
    found = {one.tier: one for one in costs("gpt-5.2", asked(), output_tokens=1_000, most_output_tokens=8_000)}
    assert set(found) == {"sync", "batch", "flex"}
    assert found["sync"].input == pytest.approx(10 * 1.75)
    assert found["sync"].output == pytest.approx(1 * 14.0)
    assert found["sync"].most == pytest.approx(10 * 1.75 + 8 * 14.0)
    assert found["batch"].total == pytest.approx(found["sync"].total / 2)


def test_many_short_requests_pay_no_surcharge_for_long_ones():
    [batch] = [one for one in costs("gpt-5.4", asked(), output_tokens=0, most_output_tokens=0) if one.tier == "batch"]
    assert batch.input == pytest.approx(10 * 1.25)


def test_an_unknown_model_has_no_price_until_somebody_says_it():
    assert costs("open-weights", asked(), output_tokens=1, most_output_tokens=1) == []
    [one] = costs(
        "open-weights", asked(), output_tokens=0, most_output_tokens=0, overrides={"open-weights": Price(0.2, 0.6)},
        tiers=("local",),
    )  # fmt: skip
    assert (one.tier, one.total) == ("local", pytest.approx(10 * 0.2))
    assert tiers_of("open-weights") == ()


def test_a_tier_without_a_price_is_left_out():
    assert tiers_of("gpt-4.1") == ("sync", "batch")
    assert tiers_of("gpt-5.2-2025-12-11") == ("sync", "batch", "flex")
    assert "gpt-5.2" in models()
    assert {one.tier for one in costs("gpt-4.1", asked(), output_tokens=1, most_output_tokens=1)} == {"sync", "batch"}
