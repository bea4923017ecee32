from signals_assets.core.identity import content_id, pseudonym


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
