"""Which programming languages and frameworks a session worked with, by evidence: files, commands, code, imports.

Put here: the allow lists and the counting.
Not here: what the barrier may publish of them (see `core/barrier`), the other facets (see `facets.py`).

Edited files weigh most. Code that was only shown (a chat without files) counts where nothing was edited, read or run
with a known suffix. Only names of the lists here are ever said.
"""

import re
from collections import Counter
from typing import Any, Final

from signals_assets.core.detectors.context import Call, Seen

LANGUAGES: Final[dict[str, str]] = {
    "py": "Python", "ipynb": "Python", "go": "Go", "ts": "TypeScript", "tsx": "TypeScript", "js": "JavaScript",
    "jsx": "JavaScript", "mjs": "JavaScript", "cjs": "JavaScript", "rs": "Rust", "java": "Java", "kt": "Kotlin",
    "swift": "Swift", "rb": "Ruby", "php": "PHP", "c": "C", "h": "C", "cpp": "C++", "cc": "C++", "hpp": "C++",
    "cs": "C#", "sh": "Shell", "bash": "Shell", "zsh": "Shell", "ps1": "PowerShell", "sql": "SQL", "scala": "Scala",
    "ex": "Elixir", "exs": "Elixir", "lua": "Lua", "dart": "Dart", "r": "R", "jl": "Julia", "hs": "Haskell",
    "ml": "OCaml", "zig": "Zig", "sol": "Solidity", "vue": "Vue", "svelte": "Svelte", "css": "CSS", "scss": "SCSS",
    "html": "HTML", "tf": "HCL", "yml": "YAML", "yaml": "YAML",
}  # fmt: skip
"""File suffix -> language."""
FENCES: Final[dict[str, str]] = {
    **LANGUAGES, "python": "Python", "golang": "Go", "typescript": "TypeScript", "javascript": "JavaScript",
    "rust": "Rust", "kotlin": "Kotlin", "ruby": "Ruby", "csharp": "C#", "powershell": "PowerShell",
    "elixir": "Elixir", "julia": "Julia", "haskell": "Haskell", "ocaml": "OCaml", "solidity": "Solidity", "hcl": "HCL",
}  # fmt: skip
"""Label of a block of code -> language."""
MINOR: Final = frozenset({"YAML", "Shell", "PowerShell"})
"""Languages of settings and commands: named when edited, not when merely shown."""

FRAMEWORKS: Final[dict[str, str]] = {
    "pytest": "pytest", "django": "Django", "manage.py": "Django", "fastapi": "FastAPI", "uvicorn": "FastAPI",
    "flask": "Flask", "react": "React", "tsx": "React", "jsx": "React", "next": "Next.js", "vue": "Vue",
    "svelte": "Svelte", "angular": "Angular", "rails": "Rails", "rake": "Rails", "spring-boot": "Spring",
    "jest": "Jest", "vitest": "Vitest", "playwright": "Playwright", "docker": "Docker", "docker-compose": "Docker",
    "dockerfile": "Docker", "kubectl": "Kubernetes", "helm": "Kubernetes", "terraform": "Terraform",
    "cobra": "Cobra", "bubbletea": "Bubble Tea", "dagster": "Dagster", "torch": "PyTorch",
    "golangci-lint": "golangci-lint", "eslint": "ESLint", "vite": "Vite", "tailwind": "Tailwind",
}  # fmt: skip
"""Words in commands and paths that show a framework -> the name that may be said."""
IMPORTS: Final[dict[str, str]] = {
    "spf13/cobra": "Cobra", "charmbracelet/bubbletea": "Bubble Tea", "go-git/go-git": "go-git",
    "gin-gonic/gin": "Gin", "gorm.io/gorm": "GORM", "stretchr/testify": "testify", "posthog": "PostHog",
    "flask": "Flask", "fastapi": "FastAPI", "django": "Django", "pydantic": "Pydantic", "sqlalchemy": "SQLAlchemy",
    "torch": "PyTorch", "tensorflow": "TensorFlow", "numpy": "NumPy", "pandas": "pandas", "sklearn": "scikit-learn",
    "streamlit": "Streamlit", "react": "React", "vue": "Vue", "svelte": "Svelte", "next/": "Next.js",
    "express": "Express", "@angular/": "Angular", "@nestjs/": "NestJS", "microsoft.aspnetcore": "ASP.NET",
    "org.springframework": "Spring", "mongodb": "MongoDB", "tokio": "Tokio", "prisma": "Prisma", "zod": "Zod",
    "dagster": "Dagster", "illuminate\\": "Laravel", "symfony\\": "Symfony",
}  # fmt: skip
"""What an import statement names -> the name that may be said."""

EDITED: Final = 5
"""An edited file weighs as much as so many read ones."""
LEAST: Final = 3
"""Weight from which on a language was worked with."""
SHARE: Final = 0.1
MOST_LANGUAGES: Final = 4
MOST_FRAMEWORKS: Final = 5
SEEN_TWICE: Final = 2
MOST_CODE: Final = 1500
"""Characters of a file or an edit in which imports are looked for: they come first."""

_TOKEN: Final = re.compile(r"[a-z][a-z-]+(?:\.py\b)?")
_FENCE: Final = re.compile(r"^[ \t]*```([A-Za-z#+]{1,12})\b", re.M)
_APPLIED: Final = re.compile(r"^(?:Applied edit to|Added|Creating empty file) (\S{1,200}\.\w{1,6})\b", re.M)
_ADDED: Final = re.compile(r"\S{1,200}\.(\w{1,6})\b")
_IMPORT: Final = re.compile(
    r"(?:\b(?:from|import|using|use|require)\b[\s('\"]{1,3}|\"(?:github\.com/)?)("
    + "|".join(re.escape(name) for name in sorted(IMPORTS, key=len, reverse=True))
    + r")(?![\w-])"
)
"""Matched against text in lower case, and only where one of the names stands: that is quicker to see."""
_EDIT_KEYS: Final = ("new_string", "content", "new_str", "file_text", "code_edit")


class Technologies:
    """Counts the evidence of languages and frameworks; the counts have no more keys than the lists."""

    def __init__(self) -> None:
        self._languages: Counter[str] = Counter()
        self._shown: Counter[str] = Counter()
        self._frameworks: Counter[str] = Counter()

    def call(self, call: Call, arguments: Any) -> None:
        """Take a tool call."""
        if call.path and call.family in ("file_edit", "file_read"):
            self._file(call.path, EDITED if call.family == "file_edit" else 1)
        place = f"{call.command[:300]} {call.path}".lower()
        shown = FRAMEWORKS.keys() & _TOKEN.findall(place)
        self._frameworks.update(FRAMEWORKS[word] for word in shown)
        if ".github/workflows" in place:
            self._frameworks["GitHub Actions"] += 1
        if call.family == "file_edit":
            written = next((arguments[key] for key in _EDIT_KEYS if arguments and arguments.get(key)), "")
            if isinstance(written, str):
                self._imports(written)

    def result(self, seen: Seen) -> None:
        """Take a tool's result: the head of a file that was read, or a harness's word of what it applied."""
        text = seen.step.text or ""
        if seen.call is None:
            for path in _APPLIED.findall(text[:MOST_CODE]):
                self._file(path, EDITED)
        elif seen.call.family == "file_read":
            self._imports(text)

    def message(self, text: str) -> None:
        """Take a message of the agent: the labels of its blocks of code."""
        if "```" in text:
            names = {FENCES.get(label.lower(), "") for label in _FENCE.findall(text)} - MINOR
            self._shown.update(name for name in names if name)

    def command(self, text: str) -> None:
        """Take a slash command of the user: files that are given to the agent."""
        if text.startswith(("/add", "/read")):
            self._languages.update(
                LANGUAGES[suffix.lower()] for suffix in _ADDED.findall(text[:400]) if suffix.lower() in LANGUAGES
            )

    def _file(self, path: str, weight: int) -> None:
        language = LANGUAGES.get(path.rsplit(".", 1)[-1].lower())
        if language is not None and (weight == EDITED or language not in MINOR):
            self._languages[language] += weight

    def _imports(self, text: str) -> None:
        low = text[:MOST_CODE].lower()
        for name in IMPORTS:
            if name in low:
                self._frameworks.update({IMPORTS[found] for found in _IMPORT.findall(low)})
                return

    def languages(self) -> tuple[str, ...]:
        """The languages worked with, the most used first; those of shown code where no file says more."""
        total = sum(self._languages.values())
        named = [name for name, n in _ranked(self._languages) if n >= max(LEAST, SHARE * total)]
        shown = [name for name, n in _ranked(self._shown) if not total and n >= SHARE * sum(self._shown.values())]
        return tuple((named or shown)[:MOST_LANGUAGES])

    def frameworks(self) -> tuple[str, ...]:
        """The frameworks with evidence at two places at least, the most used first."""
        return tuple(name for name, n in _ranked(self._frameworks) if n >= SEEN_TWICE)[:MOST_FRAMEWORKS]


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """By count, then by name: the order of arrival decides nothing."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
