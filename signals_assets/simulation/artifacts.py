"""Simulation: what tools read and print: file names, code, test runs, query results, failures.

Put here: the texts of tool results and the arguments that fit them.
Not here: which tool is called when (see `work.py`, `moments.py`), people's words (see `words.py`).
"""

import random
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from string import Template
from typing import Final

import yaml

from signals_assets.simulation.words import pick

NOUNS: Final = (
    "order",
    "invoice",
    "customer",
    "shipment",
    "plan",
    "payment",
    "signup",
    "refund",
    "stock",
    "ticket",
    "vendor",
    "booking",
    "lead",
    "contract",
    "campaign",
    "member",
    "report",
    "price",
    "tax",
    "account",
)
ROLES: Final = (
    "list",
    "form",
    "detail",
    "loader",
    "service",
    "store",
    "query",
    "export",
    "import",
    "filter",
    "card",
    "table",
    "schema",
    "client",
    "worker",
    "policy",
)
VERBS: Final = ("load", "build", "merge", "check", "format", "split", "count", "fetch", "apply", "reset", "score")


@dataclass(frozen=True, slots=True)
class Stack:
    """How the project of an organisation looks: language, framework, folders, commands."""

    language: str
    framework: str
    extension: str
    folders: tuple[str, ...]
    test_command: str
    check_command: str


STACKS: Final[tuple[Stack, ...]] = (
    Stack("python", "fastapi", "py", ("app", "app/api", "app/services", "tests"), "pytest -q", "ruff check ."),
    Stack(
        "typescript", "react", "tsx", ("src", "src/components", "src/pages", "src/hooks"), "npm test", "npm run build"
    ),
    Stack(
        "go", "gin", "go", ("internal", "internal/api", "internal/store", "cmd/server"), "go test ./...", "go vet ./..."
    ),
    Stack(
        "python",
        "django",
        "py",
        ("shop", "shop/views", "shop/models", "tests"),
        "python manage.py test",
        "ruff check .",
    ),
    Stack("typescript", "next", "ts", ("app", "app/api", "lib", "components"), "npx vitest run", "npx tsc --noEmit"),
    Stack(
        "ruby",
        "rails",
        "rb",
        ("app/models", "app/controllers", "app/jobs", "spec"),
        "bundle exec rspec",
        "bundle exec rubocop",
    ),
)
"""Organisations draw one of these."""


def path(rng: random.Random, stack: Stack) -> str:
    """A file of the project."""
    return f"{pick(rng, stack.folders)}/{pick(rng, NOUNS)}_{pick(rng, ROLES)}.{stack.extension}"


@cache
def _snippets() -> dict[str, tuple[Template, ...]]:
    text = files("signals_assets.simulation").joinpath("snippets.yaml").read_text(encoding="utf-8")
    return {language: tuple(Template(piece) for piece in pieces) for language, pieces in yaml.safe_load(text).items()}


@lru_cache(maxsize=8192)
def _snippet(language: str, piece: int, noun: str, role: str, verb: str, number: int) -> str:
    names = {"n": noun, "N": noun.title(), "R": role.title(), "v": verb, "V": verb.title(), "k": number}
    return _snippets()[language][piece].substitute(names)


def code(rng: random.Random, stack: Stack) -> str:
    """One function, type or test of the project's language."""
    piece = int(rng.random() * len(_snippets()[stack.language]))
    number = 5 * int(rng.random() * 9 + 1)
    return _snippet(stack.language, piece, pick(rng, NOUNS), pick(rng, ROLES), pick(rng, VERBS), number)


def listing(rng: random.Random, stack: Stack, first: int = 1) -> str:
    """A stretch of a file with line numbers, as a reading tool prints it (one to five pieces of code)."""
    lines = "\n".join(code(rng, stack) for _ in range(1 + int(rng.random() * 5))).split("\n")
    return "\n".join([f"{number:>5}| {line}" for number, line in enumerate(lines, first)])


def hits(rng: random.Random, stack: Stack, word: str) -> str:
    """Lines that a text search found."""
    return "\n".join(
        f"{path(rng, stack)}:{int(rng.random() * 300) + 1}: {pick(rng, VERBS)}_{word}({pick(rng, NOUNS)})"
        for _ in range(1 + int(rng.random() * 7))
    )


def tests_pass(rng: random.Random) -> str:
    """Output of a test run without failures."""
    total, seconds = int(rng.random() * 180) + 6, rng.random() * 20 + 0.4
    return f"collected {total} items\n{'.' * min(60, total)}\n{total} passed in {seconds:.2f}s"


def tests_fail(rng: random.Random, stack: Stack) -> str:
    """Output of a test run with one to three failures, exit code told."""
    failed, total = 1 + int(rng.random() * 3), int(rng.random() * 120) + 8
    noun, number = pick(rng, NOUNS), int(rng.random() * 90)
    return (
        f"FAILED {path(rng, stack)}::test_{pick(rng, VERBS)}_{noun}\n"
        f"    expected {number}, got {number + 1 + failed}\n"
        f"{failed} failed, {total} passed in {rng.random() * 9 + 0.3:.2f}s\n"
        "exit code 1"
    )


def shell(rng: random.Random, stack: Stack) -> tuple[str, str]:
    """An ordinary command and what it prints."""
    kind = int(rng.random() * 5)
    if kind == 0:
        return "git status --short", "\n".join(f" M {path(rng, stack)}" for _ in range(1 + int(rng.random() * 4)))
    if kind == 1:
        return stack.check_command, "All checks passed."
    if kind == 2:
        return f"ls {pick(rng, stack.folders)}", "\n".join(path(rng, stack).rpartition("/")[2] for _ in range(6))
    if kind == 3:
        return "git diff --stat", f" {path(rng, stack)} | {int(rng.random() * 30) + 2} ++--\n 1 file changed"
    return f"{stack.test_command} {pick(rng, stack.folders)}", tests_pass(rng)


def query(rng: random.Random) -> tuple[str, str]:
    """A query and its result as a small table."""
    noun = pick(rng, NOUNS)
    limit = 4 + int(rng.random() * 14)
    rows = "\n".join(
        f"{int(rng.random() * 90000) + 1000} | {pick(rng, NOUNS)} {pick(rng, ROLES)} | {rng.random() * 900:.2f}"
        for _ in range(limit)
    )
    return (
        f"select id, name, total from {noun}s where {pick(rng, VERBS)}ed = true order by total desc limit {limit}",
        f"id | name | total\n{rows}\n({limit} rows)",
    )


def failure(rng: random.Random, stack: Stack, tool: str) -> str:
    """The text of a failure that nobody expected."""
    noun, file = pick(rng, NOUNS), path(rng, stack)
    if tool == "Bash":
        return pick(
            rng,
            (
                (
                    f'Traceback (most recent call last):\n  File "{file}", line {int(rng.random() * 200)}, in {noun}\n'
                    f"KeyError: '{noun}_id'\nexit code 1"
                ),
                f"error: cannot find module '{noun}-{pick(rng, ROLES)}'\nCommand failed with exit code 1",
                f"{file}:{int(rng.random() * 200) + 1}: undefined: {pick(rng, VERBS)}{noun.title()}\nexit code 2",
                "fatal: unable to create '.git/index.lock': File exists.\nexit code 128",
                f"/bin/sh: {pick(rng, VERBS)}-{noun}: command not found\nexit code 127",
                tests_fail(rng, stack),
            ),
        )
    if tool == "deploy_preview":
        return pick(
            rng,
            (
                f"Build failed: {file} could not be compiled (exit code 1)",
                "Deployment failed: health check did not answer within 120 s",
                f"Error: environment variable {noun.upper()}_URL is not set, rollout stopped",
            ),
        )
    return pick(
        rng,
        (
            f"Error: text to replace was not found in {file}",
            f"Error: {file} does not exist",
            f"InvalidArguments: field '{noun}' is required",
            f"Error: {file} has changed since it was read",
            f"Internal error while handling {tool}: unexpected end of input",
        ),
    )


def gateway_failure(milliseconds: int) -> str:
    """What the agent sees of an exhausted pool in the query gateway."""
    return f"query failed: 503 Service Unavailable from query-gateway (no connection available after {milliseconds} ms)"
