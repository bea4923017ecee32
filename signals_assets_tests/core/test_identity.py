import pickle

import pyarrow as pa

from signals_assets.core.barrier.support import user_hash
from signals_assets.core.identity import Keys, content_id, pseudonym, renaming


def test_a_pseudonym_is_stable_and_depends_on_key_and_kind():
    assert pseudonym("user", "ann", b"k") == pseudonym("user", "ann", b"k")
    assert len({pseudonym("user", "ann", b"k"), pseudonym("user", "ann", b"l"), pseudonym("session", "ann", b"k")}) == 3


def test_a_pseudonym_does_not_contain_what_it_stands_for():
    assert "ann" not in pseudonym("user", "annannann", b"k")[2:].replace("0", "")
    assert pseudonym("user", "ann", b"k").startswith("u_")


def test_lone_surrogates_do_not_break_ids():
    assert pseudonym("session", "\ud800", b"k") != content_id("x", "\ud800")


def test_parts_of_a_content_id_do_not_run_together():
    assert content_id("x", "ab", "c") != content_id("x", "a", "bc")


def test_the_second_key_is_for_people_alone():
    old, new = Keys(b"lasting", b"old"), Keys(b"lasting", b"new")
    for kind in ("user", "organization", "session"):
        assert pseudonym(kind, "ann", old) != pseudonym(kind, "ann", new)
    for kind in ("call", "quarantine", "tool"):
        assert pseudonym(kind, "ann", old) == pseudonym(kind, "ann", new) == pseudonym(kind, "ann", b"lasting")


def test_both_keys_travel_between_processes():
    keys = pickle.loads(pickle.dumps(Keys(b"lasting", b"people")))
    assert (keys, keys.people) == (b"lasting", b"people")


def test_renaming_reaches_ids_in_ids_and_lists_and_hashes_and_nothing_else():
    old, new, other = (pseudonym("session", "one", key) for key in (b"old", b"new", b"other"))
    ann, ann_now = (pseudonym("user", "ann", key) for key in (b"old", b"new"))
    batch = pa.RecordBatch.from_pydict({
        "user_id": [f"anonymous:{old}", ann, None],
        "item_ids": [[f"{old}:3", f"{other}:1"], [], None],
        "session": [old, old, old],
        "user_hashes": [[user_hash(ann, b"k"), "x"], [], []],
    })  # fmt: skip
    change = renaming({old: new, ann: ann_now}, b"k")
    changed = change(batch).to_pydict()
    assert changed["user_id"] == [f"anonymous:{new}", ann_now, None]
    assert changed["item_ids"] == [[f"{new}:3", f"{other}:1"], [], None]
    assert changed["session"] == [old, old, old]
    assert changed["user_hashes"] == [sorted([user_hash(ann_now, b"k"), "x"]), [], []]
    assert change(change(batch)).equals(change(batch))
