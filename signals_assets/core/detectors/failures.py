"""Whether a tool result is a failure, judged by its text where the status lies.

Put here: the verdict on one result and its rough class ("build", "missing", ...), used to group failures.
Not here: which failures make an event (see `error_event.py`).

Statuses lie both ways: a piped command reports ok on failure, and a search without hits reports an error. Only the
head and the tail of a result are read, and program output is believed only when the command runs something: the
word "error" in a file that was printed or searched says nothing.
"""

import re
from typing import Final

from signals_assets.core.text import wordset

HEAD: Final = 700
TAIL: Final = 900

_EXIT: Final = re.compile(
    r"(?:^|\n)\s*(?:exit(?:ed)?(?: \w+)?|process exited with(?: exit)? code|exit code:?)\s+(\d{1,3})\b", re.I
)
_SHELL_SAYS: Final = re.compile(
    r"^\W{0,3}(?:\(eval\)|bash|zsh|sh|/bin/\w+)(?::\S*)*: .{0,160}"
    r"|^.{0,60}: (?:command not found|no such file or directory|permission denied|not a directory)"
    r"|^\(eval\):\d+:|^fatal: |^usage: .{0,80}\n.{0,10}error|^error: (?:unknown|unrecognized|unexpected) "
    r"|^.{0,24}unknown (?:flag|option|command|shorthand)"
    r"|^\S{1,40}: (?:error|unrecognized|invalid|illegal) ",
    re.I,
)
_RUN_FAILED: Final = re.compile(
    r"^--- FAIL|^\s*FAIL(?:\t|:|$| [a-z./])|^FAILED |^panic: |^Traceback \(most recent|^npm ERR!|^error(?:\[\w+\])?: "
    r"|^ERROR[: ]|ERROR task failed|^\S+:\d+:\d+: .{0,120}(?:undefined|cannot use"
    r"|imported and not used|syntax error|\((?:\w+check|gosec|nilerr|unparam|unused|typecheck|govet"
    r"|staticcheck|revive|gocritic)\))"
    r"|\[build failed\]|\[setup failed\]|^\d+ issues?:\s*$|^make: \*\*\*|^error TS\d+|: error TS\d+"
    r"|^Build failed|^=+ .*\b\d+ failed"
    r"|^Tests?:\s+\d+ failed|^✖ \d+ problem|^Failed to compile|build constraints exclude all"
    r"|^The command is terminated due to an error"
    r"|^\w*(?:Error|Exception): ",
    re.M,
)
_FAILURE_WORDS: Final = (
    "FAIL",
    "ail",
    "rror",
    "panic",
    "raceback",
    "xception",
    "issue",
    "***",
    "exclude",
    ".go:",
    "undefined",
)
_HARNESS_SAYS: Final = re.compile(
    r"<tool_use_error>|^apply_patch verification failed|^Error: |^error: |^failed to (?:parse|apply)"
    r"|^InputValidationError"
    r"|^(?:the )?(?:request|call|tool) (?:failed|timed out)|^timed? ?out|^ENOENT|^unable to commit"
    r"|^can'?t initialize|^MCP error",
    re.I | re.M,
)
_NOT_FOUND: Final = re.compile(r"no (?:matches|files|results?|hits) (?:were )?found|^\s*\[?rerun\b", re.I)
_SUCCESS: Final = re.compile(r"^(?:success|done|ok|updated|created)\b", re.I)
_NO_USER: Final = re.compile(
    r"user (?:doesn't want to proceed|rejected|declined|denied)|request interrupted by user", re.I
)
_READERS: Final = wordset(
    "cat head tail sed grep rg egrep fgrep ls find awk jq wc less more nl bat tree file stat strings diff cut sort "
    "uniq echo printf xxd od column curl gh bd"
)
_GIT_READS: Final = wordset("log show diff blame grep cat-file ls-files ls-tree rev-list reflog status")
_SEARCHES: Final = wordset("grep rg egrep fgrep find diff test [ which pgrep ls git")
_SPLIT: Final = re.compile(r"\|\||&&|;|\||\n")
_PREFIX: Final = wordset("cd export set source time sudo env timeout nohup then do if for while")
_CLASSES: Final[tuple[tuple[str, "re.Pattern[str]"], ...]] = tuple(
    (name, re.compile(pattern, re.I))
    for name, pattern in (
        ("precondition", r"has not been read|modified since|read it first"),
        ("no_match", r"to replace not found|found \d+ matches|verification failed|no changes to make|old_string"),
        ("missing", r"no such file|not exist|enoent|not found|cannot find"),
        ("lint", r"lint|\(\w+check\)|gosec|eslint|ruff|unused"),
        ("test", r"--- fail|fail:|failed\b.{0,30}test|assert|\bfail\b"),
        ("build", r"build failed|undefined|cannot use|not used|syntax error|compile|typeerror|error ts\d"),
        ("usage", r"usage:|unknown (?:flag|option)|unrecognized|invalid|parse error"),
        ("timeout", r"timed? ?out|deadline"),
        ("network", r"connection|handshake|resolve host|50\d\b"),
    )
)


def programs(command: str) -> list[tuple[str, str]]:
    """(program, first argument) of each part of a shell command line, without `cd` and the like."""
    found: list[tuple[str, str]] = []
    for part in _SPLIT.split(command[:600]):
        tokens = part.split(None, 6)
        while tokens and (tokens[0] in _PREFIX or ("=" in tokens[0] and not tokens[0].startswith("-"))):
            tokens = [] if tokens[0] in ("cd", "export", "set", "source") else tokens[1:]
        if tokens:
            found.append((tokens[0].rsplit("/", 1)[-1], tokens[1] if len(tokens) > 1 else ""))
    return found


def _only_reads(parts: list[tuple[str, str]]) -> bool:
    return bool(parts) and all(name in _READERS or (name == "git" and arg in _GIT_READS) for name, arg in parts)


def _cut(text: str) -> str:
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def failure(status: str | None, text: str, family: str, command: str) -> str:
    """The class of the failure that a tool result reports, or "" when it reports none.

    `family` is the tool's family, `command` the shell command where it was one. Rejections and interruptions by
    the user are no failures. Reads at most `HEAD` + `TAIL` characters.
    """
    if status in ("rejected", "interrupted"):
        return ""
    seen = _cut(text)
    failed = _failed(status, seen, family, command)
    return _class_of(status, seen) if failed else ""


def _failed(status: str | None, seen: str, family: str, command: str) -> bool:
    if status == "timeout":
        return True
    if _NO_USER.search(seen[:300]):
        return False
    if status == "error":
        return not _harmless(seen, command)
    if family in ("shell", "unknown"):
        return _program_failed(seen, command)
    return family != "file_read" and family != "search" and bool(_HARNESS_SAYS.match(seen[:300]))


def _harmless(seen: str, command: str) -> bool:
    """An error status that reports nothing wrong: a search without hits, or a success marked as an error."""
    if _SUCCESS.match(seen):
        return True
    if _NOT_FOUND.search(seen[:200]):
        return True
    parts = programs(command)
    bare = _EXIT.sub("", seen).strip()
    return bool(parts) and not bare and all(name in _SEARCHES for name, _ in parts[-1:])


def _program_failed(seen: str, command: str) -> bool:
    parts = programs(command)
    bare = _after_header(seen)
    if _SHELL_SAYS.match(bare[:240]):
        return True
    if _only_reads(parts):
        return False
    exit_code = _EXIT.search(seen[:200])
    if exit_code is not None:
        return exit_code.group(1) != "0" and not (parts and parts[-1][0] in _SEARCHES and len(bare) < 4)
    return bool(parts) and any(word in bare for word in _FAILURE_WORDS) and bool(_RUN_FAILED.search(bare))


def _after_header(seen: str) -> str:
    """Without the lines that a harness puts before a command's output."""
    mark = seen.find("Output:\n", 0, 240)
    return seen[mark + 8 :] if mark >= 0 else seen.lstrip()


def _class_of(status: str | None, seen: str) -> str:
    if status == "timeout":
        return "timeout"
    for name, pattern in _CLASSES:
        if pattern.search(seen):
            return name
    return "failed"
