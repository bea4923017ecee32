import json

import pytest

from signals_assets.cli.printing import write_json

HOSTILE = [
    "\x1b[31mred", "\x9b31mred", "\x9d8;;https://evil.example\x9c", "\x85\x90q\x9f", "\u202eesrever", "a\u200bb",
    "\u2028next", "tag\U000e0041", "line\nfeed", "caf\u00e9 \u4f60\u597d",
]  # fmt: skip


@pytest.mark.parametrize("where", ["-", "file"])
def test_json_says_the_same_without_a_character_that_a_terminal_obeys_or_hides(where, tmp_path, capsys):
    data = {"rows": [{text: text} for text in HOSTILE], "n": 1}
    write_json("-" if where == "-" else str(tmp_path / "file"), data)
    written = capsys.readouterr().out if where == "-" else (tmp_path / "file").read_text(encoding="utf-8")
    assert json.loads(written) == data
    assert all(letter.isprintable() or letter == "\n" for letter in written)
    assert "caf\u00e9 \u4f60\u597d" in written
