"""Prompts: versioned texts, pinned by checksum.

Put here: reading a prompt by task and version, its id, and rendering it.
Not here: the texts (see `prompts/*.md` in the repository), what is put into them (see `core/analysis.py`).

A released prompt never changes: its checksum stands in CHECKSUMS, and a changed text is refused. A change of wording
is a new version in a new file. The id (task, version, first digits of the checksum) stands in every row it produced.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template


class PromptError(ValueError):
    """A prompt is unknown, was changed after its release, or was given the wrong variables. Names only, no content."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One released prompt."""

    task: str
    version: int
    text: str
    checksum: str

    @property
    def id(self) -> str:
        """What rows carry, e.g. "analyze_session.v1@1a2b3c"."""
        return f"{self.task}.v{self.version}@{self.checksum[:6]}"

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables, in order of appearance."""
        return tuple(Template(self.text).get_identifiers())

    def render(self, **values: str) -> str:
        """The text with its variables filled in; a value is never searched for variables itself.

        Raises PromptError naming the variables that are missing or not used.
        """
        missing = sorted(set(self.variables) - values.keys())
        unused = sorted(values.keys() - set(self.variables))
        if missing or unused:
            raise PromptError(
                f"{self.id}: variables missing: {missing or 'none'}, not in the prompt: {unused or 'none'}"
            )
        return Template(self.text).substitute(values)


@cache
def pinned(task: str, version: int = 1) -> Prompt:
    """The released prompt of a task.

    Raises PromptError when there is no such file, no checksum for it, or when its text differs from the checksum.
    """
    name = f"{task}.v{version}.md"
    folder = _folder()
    file = folder.joinpath(name)
    if not file.is_file():
        raise PromptError(f"{name}: no such prompt; the released ones are listed in prompts/CHECKSUMS")
    raw = file.read_bytes()
    checksum = hashlib.sha256(raw).hexdigest()
    expected = _checksums(folder).get(name)
    if expected is None:
        raise PromptError(f"{name}: not released; add its line to prompts/CHECKSUMS")
    if expected != checksum:
        raise PromptError(f"{name}: changed after its release; restore it and put the new wording into a new version")
    return Prompt(task, version, raw.decode(), checksum)


def released(prompt_id: str) -> Prompt:
    """The prompt that an id stands for, e.g. "analyze_session.v2@1a2b3c".

    Raises PromptError when there is none, or the released text is not the one that the id was made from.
    """
    name, _, digits = prompt_id.partition("@")
    task, _, version = name.rpartition(".v")
    if not task or not version.isdigit():
        raise PromptError(f"{name[:60]!r} is no prompt id; they read <task>.v<number>@<digits>")
    prompt = pinned(task, int(version))
    if prompt.checksum[:6] != digits:
        raise PromptError(f"{name}: the released text is {prompt.id}, not the one that was asked for")
    return prompt


def _folder() -> Traversable:
    """The repository's folder where the package runs from a checkout, else the copy inside the package."""
    beside = Path(__file__).resolve().parents[1] / "prompts"
    return beside if (beside / "CHECKSUMS").is_file() else files("signals_assets").joinpath("_prompts")


def _checksums(folder: Traversable) -> dict[str, str]:
    lines = folder.joinpath("CHECKSUMS").read_text(encoding="utf-8").splitlines()
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines if line.strip())}
