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


def test_a_short_number_inside_a_longer_one_is_no_hit():
    born = Canary(1, "date_of_birth", "1957-03-14")
    search = Search([born])
    assert not list(search.find(["1763731957031499.5"]))
    assert len(list(search.find(["born 1957 03 14 in"]))) == 1


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
