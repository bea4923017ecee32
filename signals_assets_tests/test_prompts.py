import hashlib
import re
from pathlib import Path

import pytest

from signals_assets import prompts
from signals_assets.prompts import Prompt, PromptError, pinned

FOLDER = Path(prompts.__file__).parents[1] / "prompts"


def test_every_released_prompt_is_locked_by_its_checksum():
    locked = dict(reversed(line.split("  ")) for line in (FOLDER / "CHECKSUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.v*.md")}
    assert files == locked


def test_a_prompt_is_named_by_task_version_and_checksum():
    prompt = pinned("analyze_session", 1)
    assert prompt.id == f"analyze_session.v1@{prompt.checksum[:6]}"
    assert set(prompt.variables) == {"types", "delimiter", "session"}


def test_the_session_comes_last_between_delimiters():
    text = pinned("analyze_session", 1).render(types="T", delimiter="~~x~~", session="$types is kept as it is")
    assert text.endswith("~~x~~\n$types is kept as it is\n~~x~~\n")


def test_a_prompt_that_a_days_requests_share_holds_no_session_and_no_delimiter():
    assert set(pinned("analyze_session", 2).variables) == {"friction", "delight"}
    assert pinned("revise_text", 1).variables == ()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.v*.md")), ids=lambda path: path.name)
def test_every_prompt_says_that_what_it_is_given_is_data_and_no_instruction(path):
    text = " ".join(path.read_text().split())
    assert re.search(r"\bdata\b[^.]*\b(?:never|no)(?: an)? instructions?\b", text)


def test_the_readme_lists_every_prompt_with_its_variables():
    lines = (FOLDER / "README.md").read_text().splitlines()
    for path in FOLDER.glob("*.v*.md"):
        task, version = re.fullmatch(r"(\w+)\.v(\d+)", path.stem).groups()
        (line,) = (line for line in lines if line.startswith(f"| `{path.stem}` |"))
        variables = line.split("|")[2]
        assert set(re.findall(r"`(\w+)`", variables)) == set(pinned(task, int(version)).variables)


def test_missing_and_unused_variables_are_refused_by_name():
    prompt = Prompt("t", 1, "say $this", "0" * 64)
    with pytest.raises(PromptError, match="this"):
        prompt.render()
    with pytest.raises(PromptError, match="that"):
        prompt.render(this="x", that="y")


def test_a_prompt_that_changed_after_its_release_is_refused(tmp_path, monkeypatch):
    (tmp_path / "task.v1.md").write_text("new words")
    (tmp_path / "task.v2.md").write_text("not listed")
    (tmp_path / "CHECKSUMS").write_text(f"{hashlib.sha256(b'old words').hexdigest()}  task.v1.md\n")
    monkeypatch.setattr(prompts, "_folder", lambda: tmp_path)
    pinned.cache_clear()
    for version, reason in ((1, "changed after"), (2, "not released"), (3, "no such")):
        with pytest.raises(PromptError, match=reason):
            pinned("task", version)
    pinned.cache_clear()


def test_the_schema_in_the_prompt_names_every_field_of_an_answer():
    from signals_assets.core.analysis import Answer

    text = pinned("analyze_session", 1).text
    assert all(f'"{name}"' in text for name in Answer.model_fields)
