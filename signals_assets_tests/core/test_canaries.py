"""Canaries: many kinds, all encodings found, nothing found that was not planted."""

import random

import pytest

from signals_assets.core.canaries import (
    ENCODINGS,
    KINDS,
    OF_WORDS,
    SECRETS,
    WINDOW,
    WORD_CODED,
    WORDS,
    Canary,
    Search,
    canaries,
    folded,
    form_of,
)

ALL = canaries(4 * len(KINDS), seed=1)
UNIQUE = [canary for canary in ALL if canary.kind not in WORDS]


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(ALL)


def test_there_are_at_least_nineteen_kinds_and_twenty_one_encodings():
    assert len(KINDS) >= 19
    assert len(ENCODINGS) >= 21


def test_canaries_are_of_all_kinds_in_turn_and_differ():
    assert {canary.kind for canary in ALL} == set(KINDS)
    assert len({canary.value for canary in UNIQUE}) == len(UNIQUE)
    assert [canary.number for canary in canaries(3, 1, first=7)] == [7, 8, 9]


def test_the_same_seed_gives_the_same_canaries_and_another_seed_others():
    assert canaries(50, 3) == canaries(50, 3)
    assert not {c.value for c in canaries(50, 3) if c.kind not in WORDS} & {c.value for c in canaries(50, 4)}


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name not in WORD_CODED and name != "split"])
def test_every_canary_is_found_in_every_encoding_and_the_right_one_only(search: Search, encoding: str):
    texts = [f"The user said {ENCODINGS[encoding](canary.value)} to the agent." for canary in UNIQUE]
    found: dict[int, set[int]] = {}
    for hit in search.find(texts):
        if hit.form != "fragment":
            found.setdefault(hit.record, set()).add(hit.canary.number)
    assert found == {place: {canary.number} for place, canary in enumerate(UNIQUE)}


@pytest.mark.parametrize("encoding", sorted(WORD_CODED))
def test_word_codes_are_found_where_they_carry_more_than_a_few_letters(search: Search, encoding: str):
    keys = [canary for canary in UNIQUE if canary.kind == "key_sk"]
    hits = list(search.find([ENCODINGS[encoding](canary.value) for canary in keys]))
    assert {hit.canary.number for hit in hits} == {canary.number for canary in keys}
    assert {hit.form for hit in hits} == {"word_coded"}


def test_halves_of_a_value_in_two_fields_are_found(search: Search):
    card = next(canary for canary in UNIQUE if canary.kind == "card")
    for half in ENCODINGS["split"](card.value).split(" | "):
        assert [hit.encoding for hit in search.find([f"a {half} b"])] == ["split"]


def test_a_half_that_other_values_have_too_is_nobody_s():
    one, other = Canary(1, "email", "ulrike.dubrow11@bodo.example"), Canary(2, "email", "ulrike.dubrow14@gake.example")
    halves = ENCODINGS["split"](one.value).split(" | ")
    assert [hit.encoding for hit in Search([one]).find(halves)] == ["split", "split"]
    assert [(hit.record, hit.encoding) for hit in Search([one, other]).find(halves)] == [(1, "split")]


def test_controls_have_no_value_that_is_planted():
    planted = canaries(10_000, 0)
    controls = canaries(10_000, 0, first=1_000_000, apart_from=planted)
    values = {folded(canary.value) for canary in planted if canary.kind not in WORDS}
    assert not values & {folded(canary.value) for canary in controls if canary.kind not in WORDS}
    assert len(controls) == 10_000


def test_eight_characters_of_a_secret_are_enough(search: Search):
    key = next(canary for canary in UNIQUE if canary.kind == "key_github")
    hits = list(search.find([f"it ends in {key.value[-WINDOW:]}"]))
    assert [(hit.canary, hit.form) for hit in hits] == [(key, "fragment")]
    assert key.kind in SECRETS


def test_json_escapes_do_not_hide_a_value(search: Search):
    name = next(canary for canary in UNIQUE if canary.kind == "person")
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name.value)
    assert [hit.canary for hit in search.find([escaped])] == [name]


def test_a_disguised_value_counts_as_encoded_and_a_bare_one_as_plain(search: Search):
    mail = next(canary for canary in UNIQUE if canary.kind == "email")
    hits = search.find([mail.value.upper(), " ".join(mail.value)])
    assert {(hit.record, hit.form) for hit in hits if hit.encoding == "plain"} == {(0, "plain"), (1, "encoded")}
    assert [form_of(name) for name in ("plain", "hex", "acrostic")] == ["plain", "encoded", "word_coded"]


BORN = Canary(1, "date_of_birth", "1957-03-14")


@pytest.mark.parametrize(
    "text",
    [
        "born 1957-03-14 in", "on 19570314.", "19570314", "(1957/03/14)", "1957 03 14", "1957. 03. 14",
        "it is 41307591!",
        "41-30-7591", "1 9 5 7 0 3 1 4", "4 1 3 0 7 5 9 1", "1-9-5-7---0-3---1-4", "4.1.-.3.0.-.7.5.9.1",
        "\u200b".join("19570314"), "\u00ad".join("1957-03-14"), "１９５７－０３－１４", '{"note": "19570314"}',
        '["1","9","5","7","0","3","1","4"]', "\\u0031\\u0039\\u0035\\u0037\\u0030\\u0033\\u0031\\u0034",
        "sim-0012-1957-03-14", "user-7-1957-03-14.jsonl", "1\n9\n5\n7\n0\n3\n1\n4", "19570314, 22 times",
        "in 3 19570314",
        "at 12:30 on 1957-03-14 12:30", "é 1763741307.591 and 19570314",
    ],
)  # fmt: skip
def test_short_digits_are_found_however_they_are_written(text: str):
    assert [hit.canary for hit in Search([BORN]).find([text])] == [BORN]


@pytest.mark.parametrize(
    "text",
    [
        "1763731957031499.5", "0.19570314", "19570314.25", "1.19570314e-5", "1957:03.14", "12:41:30.7591 done",
        "2026-01-05T12:41:30.759134Z", "41:30,7591", "é 12:41:30.7591", "a41307591f00", "sha 41307591e0",
        "41307591-ab12-4c3d-9e8f-001122334455", "ab12-41307591", "[4, 1, 3, 0, 7, 5, 9, 1, 6]",
        "[2, 4, 1, 3, 0, 7, 5, 9, 1]", "4 1, 3 0, 7 5, 9 1", "1.9.57.03.14", "port 19570,314", "1,957,0314",
        "v0.19.57.03.14",
    ],
)  # fmt: skip
def test_short_digits_inside_a_number_a_time_a_list_or_a_hash_are_no_hit(text: str):
    assert not list(Search([BORN]).find([text]))


def test_nothing_is_found_in_logs_full_of_times_sizes_and_ids():
    rng = random.Random(7)
    dates = [canary for canary in canaries(40_000, 3) if canary.kind in ("date_of_birth", "card", "social_security")]
    noise = "\n".join(
        f"2026-0{rng.randrange(1, 10)}-{rng.randrange(10, 29)} {rng.randrange(24):02d}:{rng.randrange(60):02d}:"
        f"{rng.randrange(60):02d}.{rng.randrange(10**4):04d} pid={rng.randrange(10**5)} took {rng.random():.8f} s, at "
        f"{rng.random() * 2e9:.6f}, id {rng.getrandbits(128):032x}, {[rng.randrange(10) for _ in range(30)]}"
        for _ in range(5_000)
    )
    assert len(dates) > 4000
    assert not list(Search(dates).find([noise]))


def test_ordinary_words_are_found_as_whole_words_and_only_when_asked_for(search: Search):
    word = next(canary for canary in ALL if canary.kind in WORDS)
    assert not list(search.find([f"the {word.value} project"]))
    assert {hit.canary.value for hit in search.find([f"the {word.value.title()} project"], words=True)} == {word.value}
    assert not [hit for hit in search.find([f"the {word.value}ish one"], words=True) if hit.canary == word]


def test_nothing_is_found_in_noise(search: Search):
    rng = random.Random(5)
    letters = 'abcdefghijklmnopqrstuvwxyz0123456789 .-:{}"\n'
    assert not list(search.find(["".join(rng.choices(letters, k=200_000))], words=False))


def test_values_do_not_contain_each_other():
    texts = [folded(canary.value) for canary in canaries(2500, 2) if canary.kind not in WORDS | OF_WORDS]
    assert all(len(text) >= WINDOW for text in texts)
    hits = list(Search(canaries(2500, 2)).find(texts))
    assert all(folded(hit.canary.value) == texts[hit.record] for hit in hits if hit.form == "plain")
