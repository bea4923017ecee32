from signals_assets.benchmarks import loop
from signals_assets.core.deduplication import SAYINGS, TRIGRAMS
from signals_assets.simulation import duplicates


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
