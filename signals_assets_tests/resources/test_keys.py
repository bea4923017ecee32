"""The key of the pseudonyms: made once, never replaced, for its owner only."""

import stat
from concurrent.futures import ThreadPoolExecutor

from pydantic import SecretStr

from signals_assets.resources.keys import PseudonymKey
from signals_assets.settings import Settings


def test_the_key_of_the_settings_counts_and_nothing_is_written(tmp_path):
    key = PseudonymKey(Settings(home=tmp_path, pseudonym_key=SecretStr("given")))
    assert key.bytes() == b"given"
    assert list(tmp_path.iterdir()) == []


def test_without_one_a_key_is_made_once_and_kept(tmp_path):
    settings = Settings(home=tmp_path / "home")
    key = PseudonymKey(settings)
    assert not settings.home.exists()
    made = key.bytes()
    assert len(bytes.fromhex(made.decode())) == 32
    assert PseudonymKey(settings).bytes() == key.bytes() == made
    assert [path.name for path in settings.restricted.iterdir()] == ["pseudonym.key"]


def test_two_homes_have_different_keys(tmp_path):
    assert len({PseudonymKey(Settings(home=tmp_path / name)).bytes() for name in "ab"}) == 2


def test_key_and_folder_are_readable_by_their_owner_only(tmp_path):
    settings = Settings(home=tmp_path)
    PseudonymKey(settings).bytes()
    assert stat.S_IMODE(settings.restricted.stat().st_mode) == 0o700
    assert stat.S_IMODE((settings.restricted / "pseudonym.key").stat().st_mode) == 0o600


def test_many_at_once_agree_on_one_key(tmp_path):
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: PseudonymKey(settings).bytes(), range(16)))
    assert len(found) == 1
