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
_SURELY: Final = (
    "no such directory",
    "o such file or directory",
    "is not recognized as the name of",
    "is not recognized as an internal",
    "FullyQualifiedErrorId",
)
"""What only a failing command writes."""
_CROSSES: Final = ("✖", "✗", "❌")
_HARNESS_WORDS: Final = (
    "rror", "fail", "Fail", "FAIL", "nable", "ould not", "n't", "imed", "imeout", "ENOENT", "alformed", "xception",
    "not conform", "success",
)  # fmt: skip
"""One of these is in everything `_HARNESS_SAYS` finds; a cheap test before it."""
_HARNESS_SAYS: Final = re.compile(
    r"^(?:<tool_use_error>|apply_patch verification failed|error(?: [\w ]{1,30})?: |failed to [a-z]+"
    r"|inputvalidationerror|(?:the )?(?:request|call|tool) (?:failed|timed out)|timed? ?out|enoent"
    r"|unable to (?:write|commit|complete|read|find)"
    r"|can'?t initialize|mcp error|[\w ]{1,20} error: (?:unavailable|timeout|timed out|failed)"
    r"|<retrieval_status>timeout|\s*\{\s*\"(?:error|errors|exception)\"\s*:\s*[^\sn\[]|\s*\{[^{}]{0,80}\"success\"\s*:\s*false"
    r"|\s*\{[^{}]{0,80}\"status\"\s*:\s*\"(?:error|failed)\"|\w*(?:error|exception): "
    r"|the llm did not conform|# ?\d+ search/replace blocks? failed|malformed |could not (?:find|apply|edit|connect)"
    r"|search/replace block failed)",
    re.I | re.M,
)
"""What tools and harnesses write of their own failures, at the beginning of a line near the top."""
_SERVICE_SAYS: Final = re.compile(
    r"^\W{0,4}(?:litellm\.\w*(?:error|exception|timeout)|api error\b|chat failed|\[object object\]|stream error\b"
    r"|sorry, (?:your request failed|an error|no response|the response (?:hit|was))|error: request failed"
    r"|(?:request|connection) (?:failed|error)\b|an? (?:unexpected )?error (?:has )?occurred\b|oops[,!]"
    r"|(?:claude|chatgpt|your)[\w ]{0,20} (?:usage )?limit reached|you've (?:hit|reached) your .{0,20}limit"
    r"|you exceeded your current quota|credit balance is too low|prompt is too long|rate limit (?:exceeded|reached)"
    r"|stream disconnected|exceeded retry limit|model \S{1,60} has hit a token limit|overloaded_error"
    r"|i'm sorry, the model|network error\b|conversation too long|execution error$)",
    re.I | re.M,
)
"""What stands in the place of an answer when the model's service failed."""
SERVICE_TEXT: Final = 700
"""A longer message of the agent is an answer, whatever it mentions."""
_NOT_FOUND: Final = re.compile(r"no (?:matches|files|results?|hits) (?:were )?found|^\s*\[?rerun\b", re.I)
_SUCCESS: Final = re.compile(r"^(?:success|done|ok|updated|created)\b", re.I)
_STOPPED: Final = re.compile(
    r"user (?:doesn't want to proceed|rejected|declined|denied|cancell?ed|skipped|chose not to|aborted|interrupted)"
    r"|(?:rejected|declined|denied|cancell?ed|aborted|interrupted|skipped|stopped) by (?:the )?user"
    r"|(?:request|operation|tool call|command|task|execution) (?:was )?(?:cancell?ed|aborted)\b"
    r"|(?:did not|didn't) (?:allow|approve)",
    re.I,
)
"""How harnesses tell that the user stopped a call; read near the top only."""
_STOP_WORDS: Final = (
    "by user", "by the user", "user doesn't", "user rej", "user dec", "user den", "user canc", "user ski", "user chose",
    "user abo", "user int", "cancel", "abort", "allow", "approve",
)  # fmt: skip
STOP_TEXT: Final = 200
_TELLING: Final = re.compile(
    r"^(?!.{0,12}exit(?:ed)?\b.{0,24}$).{0,200}(?:error|fail|denied|not found|cannot|can't|could not|unable|invalid"
    r"|exception|undefined|unknown|no such|timed? ?out|fatal|not a |does not|already exists|\([a-z]+\)$).{0,200}",
    re.I | re.M,
)
_ANY_LINE: Final = re.compile(r"\S.{0,200}")
_VARIES: Final = re.compile(r"\d+|\s+")
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
        ("lint", r"\(\w+check\)|gosec|eslint|ruff|unused|lint\S*\)|lint\] error|lint.{0,20}fail"),
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


def service_failed(text: str, first_line: bool = True) -> bool:
    """Whether a text stands for an answer that the model's service failed to give.

    A message says so in its first line, the output of a harness in any of its lines (`first_line` false).
    """
    if first_line:
        return len(text) <= SERVICE_TEXT and bool(_SERVICE_SAYS.match(text))
    return bool(_SERVICE_SAYS.search(_cut(text)))


def stopped(status: str | None, text: str, family: str) -> bool:
    """Whether a result tells that the user rejected, cancelled or interrupted the call, whatever its status says.

    What was read or searched tells nothing, and neither does a long output that only mentions it.
    """
    if status in ("rejected", "interrupted"):
        return True
    if family in ("file_read", "search", "web") or len(text) > 3 * STOP_TEXT:
        return False
    return _tells_stop(text)


def _tells_stop(text: str) -> bool:
    head = text[:STOP_TEXT].lower()
    for word in _STOP_WORDS:  # of every result: a generator would take twice as long
        if word in head:
            return bool(_STOPPED.search(head))
    return False


def telling(text: str) -> str:
    """The first line that tells of a failure, without numbers and spacing: equal for equal causes, "" for none."""
    found = _TELLING.search(_cut(text)) or _ANY_LINE.search(text[:HEAD])
    return _VARIES.sub("#", found.group(0).lower())[:160] if found else ""


def _failed(status: str | None, seen: str, family: str, command: str) -> bool:
    if status == "timeout":
        return True
    if _tells_stop(seen):
        return False
    if status == "error":
        return not _harmless(seen, command)
    if family == "shell" or (command and family in ("", "unknown")):
        return _program_failed(seen, command)
    if family in ("file_read", "search"):
        return False
    head = seen[:300]
    says = any(word in head for word in _HARNESS_WORDS) and _HARNESS_SAYS.search(head)
    return bool(says or (not family and _SERVICE_SAYS.search(seen)))


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
    if not parts:
        return False
    if bare[:1] in _CROSSES or any(words in bare for words in _SURELY):
        return True
    return any(word in bare for word in _FAILURE_WORDS) and bool(_RUN_FAILED.search(bare))


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
