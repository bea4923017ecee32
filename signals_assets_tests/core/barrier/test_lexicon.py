"""The closed lists are sorted, disjoint from names and large enough."""

from importlib.resources import files

from signals_assets.core.barrier import lexicon


def lines(name):
    return files("signals_assets.core.barrier").joinpath(name).read_text(encoding="utf-8").splitlines()


def test_the_lexicon_is_a_sorted_list_of_lower_case_words_that_names_its_sources():
    header = [line for line in lines("lexicon.txt") if line.startswith("#")]
    words = [line for line in lines("lexicon.txt") if not line.startswith("#")]
    assert any("Sources:" in line for line in header)
    assert any("scripts/build_lexicon.py" in line for line in header)
    assert any("lexicon_sources.txt" in line and "icence" in line for line in header)
    assert any(f"Version {lexicon.VERSION}." in line and f"Words: {len(words)}." in line for line in header)
    assert words == sorted(set(words))
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)


PERMISSIVE = ("MIT", "BSD-", "Apache-2.0", "PSF-2.0", "Matplotlib licence (PSF style)")


def test_every_source_of_the_lexicon_has_a_version_and_a_permissive_licence():
    sources = [line.split(" | ") for line in lines("lexicon_sources.txt") if not line.startswith("#")]
    assert len(sources) >= 50
    for name, version, licence in sources:
        assert name
        assert version[0].isdigit()
        assert all(part.startswith(PERMISSIVE) for part in licence.split(" or ")), name


def test_it_is_large_enough_for_general_english_and_still_closed():
    assert 12_000 <= len(lexicon.load()) <= 25_000


def test_no_list_of_words_contains_a_name():
    assert not lexicon.load() & lexicon.names()
    assert not lexicon.text_technologies_lower() & lexicon.names()


def test_the_core_is_small_and_holds_the_words_of_the_taxonomy():
    assert {"frustration", "rephrasing", "timeout", "the"} <= lexicon.core_words() <= lexicon.load()
    assert len(lexicon.core_words()) < 1_500


def test_a_technology_is_found_however_it_is_spelled():
    assert lexicon.technology("postgres") == "PostgreSQL"
    assert lexicon.technology(" C++ ") == "C++"
    assert lexicon.technology("golang") == "Go"
    assert lexicon.technology("Secret Internal Tool") is None
    assert {"Python", "React", "Docker"} <= lexicon.technologies()
