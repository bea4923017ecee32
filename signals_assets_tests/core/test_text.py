from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.text import HEAD, TAIL, content, language, likeness, own_words, stem, words


def test_own_words_leave_out_code_paths_addresses_and_pasted_output():
    text = (
        'please fix this ```x = 1``` in /usr/lib/a.py\n2026-01-01 10:00:00 [12] {"a": 1}\nsee https://example.com/x now'
    )
    kept = own_words(text)
    assert "please fix this" in kept
    assert "now" in kept
    assert not any(gone in kept for gone in ("x = 1", "/usr", "2026", "https"))


def test_own_words_straighten_apostrophes():
    assert own_words("it doesn’t work") == "it doesn't work"


@given(st.text(max_size=9000))
def test_own_words_are_bounded(text):
    assert len(own_words(text)) <= 4 * (HEAD + TAIL)


def test_words_are_lower_case_and_hold_no_digits():
    assert words("Don't run 3 Tests_now") == ["don't", "run", "tests", "now"]


def test_stems_let_forms_of_a_word_meet():
    assert stem("tests") == stem("test")
    assert stem("failing") == stem("failed")


def test_likeness_is_one_for_the_same_and_zero_for_nothing_in_common():
    one, other = content(words("order number header")), content(words("weather report"))
    assert likeness(one, one) == 1
    assert likeness(one, other) == 0
    assert likeness(one, frozenset()) == 0


def test_a_short_restatement_is_like_a_long_statement():
    long = content(words("show the order number in the invoice header for every customer with a discount"))
    short = content(words("order number in the invoice header"))
    assert likeness(short, long) > 0.6


def test_the_language_is_guessed_from_function_words():
    assert language(words("could you please check that the tests are not broken and tell me")) == "en"
    assert language(words("kannst du bitte die Tests noch mal laufen lassen, das ist nicht gut")) == "de"
    assert language(words("run tests")) == "en"
    assert language(words("пожалуйста исправь тесты в этом файле")) == "other"
