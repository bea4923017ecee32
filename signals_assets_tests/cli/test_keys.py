"""`signals keys`: what it shows, what it changes, what it never prints."""

import json
from pathlib import Path


def test_a_rotation_is_told_in_counts_and_shown_afterwards(signals, lived_home: Path, tmp_path: Path):
    shown = signals("keys", "show", "--json", str(tmp_path / "before.json"))
    assert shown.exit_code == 0, shown.output
    assert json.loads((tmp_path / "before.json").read_text())["rotations"] == 0
    done = signals("keys", "rotate", "--json", str(tmp_path / "done.json"))
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "done.json").read_text())
    assert told["rotations"] == 1
    after = signals("keys", "show")
    secrets = json.loads((lived_home / "restricted" / "pseudonym.ring").read_text())
    for output in (shown.output, done.output, after.output):
        assert secrets["secret"] not in output


def test_a_home_without_anything_can_rotate_too(signals, empty_home: Path):
    done = signals("keys", "rotate")
    assert done.exit_code == 0, done.output
    assert "No stored row had to change." in done.output
    assert (empty_home / "restricted" / "pseudonym.ring").exists()
