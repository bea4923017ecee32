import numpy as np
import pytest

from signals_assets.core.topics import NO_TYPE, Topics, by_trigrams

EXAMPLES = {
    "error": ("it fails with an error", "the call fails", "an exception is thrown"),
    "undo": ("the change was undone",),
    NO_TYPE: ("bump a version", "rename variables"),
}


def learnt(*sentences: str) -> Topics:
    said = [*sentences, *(one for examples in EXAMPLES.values() for one in examples)]
    return Topics(EXAMPLES, by_trigrams(said), bend=2.0, ridge=0.1)


@pytest.mark.parametrize("kind", list(EXAMPLES))
def test_an_example_is_about_its_own_type_however_few_examples_that_has(kind: str) -> None:
    for example in EXAMPLES[kind]:
        scores = learnt().scores(example)
        assert max(scores, key=lambda one: scores[one]) == kind
        assert sum(scores.values()) == pytest.approx(1)


def test_a_sentence_unlike_all_examples_is_about_nothing_in_particular() -> None:
    scores = learnt("zyx wvu").scores("zyx wvu")
    assert max(scores.values()) - min(scores.values()) < 0.3
    assert all(0 < score < 0.6 for score in scores.values())


def test_a_sentence_without_a_vector_is_refused() -> None:
    with pytest.raises(KeyError):
        learnt().scores("never embedded")
    with pytest.raises(KeyError):
        Topics(EXAMPLES, {}, bend=2.0, ridge=0.1)


def test_trigrams_forgive_typing_errors_and_inflection_and_know_no_synonyms() -> None:
    topics = learnt("pools exhausted", "the pool is exhuasted", "no connection is left", "of the and")
    assert topics.alike("pools exhausted", "the pool is exhuasted") > 0.5
    assert topics.alike("pools exhausted", "no connection is left") < 0.1
    assert topics.alike("of the and", "of the and") == 0.0
    assert topics.alike("pools exhausted", "pools exhausted") == pytest.approx(1)


def test_learning_depends_on_nothing_but_the_examples() -> None:
    one, other = learnt("the call was undone"), learnt("the call was undone", "something else")
    assert one.scores("the call was undone") == other.scores("the call was undone")
    assert np.isfinite(list(one.scores("the call was undone").values())).all()
