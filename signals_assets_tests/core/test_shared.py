"""What comes with every chunk is pickled once and read once."""

import pickle
from dataclasses import dataclass

from signals_assets.core.shared import SentOnce


@dataclass(frozen=True)
class Large(SentOnce):
    words: frozenset[str]
    counts: dict[str, int]


def test_what_was_sent_arrives_whole_and_once():
    sent = pickle.dumps(Large(frozenset({"a", "b"}), {"a": 1}))
    arrived = pickle.loads(sent)
    assert arrived == Large(frozenset({"a", "b"}), {"a": 1})
    assert pickle.loads(sent) is arrived


def test_another_value_takes_the_place_of_the_last():
    first, second = (pickle.dumps(Large(frozenset({word}), {})) for word in "ab")
    assert [pickle.loads(sent).words for sent in (first, second, first)] == [{"a"}, {"b"}, {"a"}]


def test_it_is_pickled_once_however_often_it_is_sent():
    counts = {"a": 1}
    large = Large(frozenset(), counts)
    pickle.dumps(large)
    counts["b"] = 2  # frozen values do not change; this one does, to see that it is not pickled anew
    assert pickle.loads(pickle.dumps(large)).counts == {"a": 1}
