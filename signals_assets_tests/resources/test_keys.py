"""The key of the pseudonyms: made once, never replaced, for its owner only."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from pydantic import SecretStr

from signals_assets.resources.keys import KeyRingError, KeyState, PseudonymKey
from signals_assets.settings import Settings

DAY = date(2026, 1, 5)


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
    assert sorted(path.name for path in settings.restricted.iterdir()) == ["pseudonym.key", "pseudonym.ring"]


def test_two_homes_have_different_keys(tmp_path):
    assert len({PseudonymKey(Settings(home=tmp_path / name)).bytes() for name in "ab"}) == 2


def test_key_and_folder_are_readable_by_their_owner_only(tmp_path):
    settings = Settings(home=tmp_path)
    PseudonymKey(settings).bytes()
    assert stat.S_IMODE(settings.restricted.stat().st_mode) == 0o700
    for name in ("pseudonym.key", "pseudonym.ring"):
        assert stat.S_IMODE((settings.restricted / name).stat().st_mode) == 0o600


def test_many_at_once_agree_on_one_key(tmp_path):
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: PseudonymKey(settings).bytes(), range(16)))
    assert len({(bytes(keys), keys.people) for keys in found}) == 1


@pytest.mark.parametrize("setting", [None, SecretStr("given")])
def test_a_rotation_changes_the_key_of_people_and_not_the_lasting_one(tmp_path, setting):
    key = PseudonymKey(Settings(home=tmp_path, pseudonym_key=setting))
    before = key.bytes()
    old, new = key.begin_rotation()
    assert (old, old.people) == (before, before.people)
    assert key.begin_rotation()[1].people == new.people
    key.finish_rotation(DAY)
    after = PseudonymKey(Settings(home=tmp_path, pseudonym_key=setting)).bytes()
    assert (after, after.people) == (before, new.people)
    assert old.people != new.people
    assert key.state() == KeyState(setting is not None, 1, DAY, rotating=False)


def test_nothing_is_finished_that_was_not_begun(tmp_path):
    with pytest.raises(KeyRingError, match="no rotation"):
        PseudonymKey(Settings(home=tmp_path)).finish_rotation(DAY)


def test_a_ring_that_cannot_be_read_is_not_replaced(tmp_path):
    key = PseudonymKey(Settings(home=tmp_path))
    key.bytes()
    (tmp_path / "restricted" / "pseudonym.ring").write_text("{")
    with pytest.raises(KeyRingError, match="backup"):
        key.bytes()


def test_keys_are_never_printed(tmp_path):
    key = PseudonymKey(Settings(home=tmp_path))
    keys = key.bytes()
    shown = f"{keys} {keys!r} {key._ring()!r} {key.state()!r}"
    assert keys.decode() not in shown
    assert json.loads((tmp_path / "restricted" / "pseudonym.ring").read_text())["secret"] not in shown
