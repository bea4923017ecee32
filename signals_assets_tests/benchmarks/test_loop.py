import re

from signals_assets.benchmarks import loop
from signals_assets.core.deduplication import TRIGRAMS
from signals_assets.core.sayings import SAYINGS
from signals_assets.core.taxonomy import seed
from signals_assets.core.text import STOP, stem
from signals_assets.simulation import duplicates

TALK = "user users agent assistant people person customer customers session sessions"


def test_every_kind_of_pair_is_judged_with_every_set_of_words() -> None:
    result = loop.run(quick=True)
    assert [(row["words"], row["measure"]) for row in result["deduplication"]] == [
        (words, TRIGRAMS.measure) for words in loop.WORDS.values()
    ]
    for row in result["deduplication"]:
        assert row["precision_low"] <= row["precision"] <= row["precision_high"]
        assert set(row["found_by_kind"]) >= {"own", "person", "change", "other_type", "other_defect", "unrelated"}
    assert result["gates"] == []


def test_a_measure_that_finds_everything_alike_breaks_no_place_and_fails_the_gates() -> None:
    import numpy as np

    result = loop.run(quick=True, embed=lambda texts: np.ones((len(texts), 1), dtype=np.float32))
    found = next(row for row in result["deduplication"] if row["measure"] != TRIGRAMS.measure)["found_by_kind"]
    assert found["other_place"].startswith("0 of")
    assert not found["other_defect"].startswith("0 of")
    assert not all(gate["holds"] for gate in result["gates"])


def test_the_pairs_are_seeded_and_say_nothing_that_the_matcher_is_told() -> None:
    pairs = [pair for words in loop.WORDS for pair in duplicates.worlds([0, 1], words)]
    assert pairs == [pair for words in loop.WORDS for pair in duplicates.worlds([0, 1], words)]
    known = {saying.lower().rstrip(".") for said in SAYINGS.values() for saying in said}
    written = {line.lower().rstrip(".") for pair in pairs for line in (pair.text.title, *pair.text.body.split("\n"))}
    assert not known & written
    assert {pair.same for pair in pairs} == {True, False}


def test_what_is_measured_on_shares_no_words_with_what_types_are_learnt_from() -> None:
    """But for those of the type's own definition, and for a single one."""
    said = {pair.concern.type: set() for pair in duplicates.worlds([0], "third")}
    for pair in (pair for seeds in range(3) for pair in duplicates.worlds([seeds], "third") if pair.same):
        if not pair.concern.symptoms:
            said[pair.concern.type] |= {
                frozenset(words(line)) for line in (pair.text.title, *pair.text.body.split("\n"))
            }
    defined = {one.slug: words(f"{one.name} {one.definition}") for one in seed().of_kind("friction")}
    places = {word for patterns in duplicates.COMPONENTS.items() for word in words(str(patterns))}
    shared = {
        (saying, *sorted(both))
        for kind, sayings in SAYINGS.items()
        for saying in sayings
        for line in said.get(kind, ())
        if len(both := (words(saying) & line) - defined[kind] - places) > 1
    }
    assert shared == set()


def words(text: str) -> set[str]:
    return {
        stem(word)
        for word in re.findall("[a-z]+", text.lower())
        if len(word) > 2 and word not in {*STOP, *TALK.split()}
    }
