"""Stage 1 · records. The outside's own records, and raw sessions, as rows of their tables.

Put here: pure functions from what the doors deliver to row models, with people replaced by pseudonyms.
Not here: reading files or services (see `resources/records.py`, `resources/session_source.py`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from signals_assets.core.barrier.publication import label, version_label
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import content_id, pseudonym
from signals_assets.core.readers import Rejected
from signals_assets.core.sessions import Session, to_json
from signals_assets.tables import (
    ErrorLog,
    FeedbackRecord,
    PullRequest,
    Quarantined,
    RawSession,
    Release,
    UserOutcome,
)

TICKET_KEY: Final = re.compile(r"\bSIG-[A-Z0-9]{4,16}\b", re.IGNORECASE)
"""How a pull request names a ticket: in its branch, title or body."""

Record = Mapping[str, Any]


_MODEL: Final = re.compile(
    r"(?:[a-z]{2,12}[./])?(?:claude|gpt|chatgpt|o[1-9]|codex|gemini|gemma|llama|mistral|mixtral|codestral|devstral|qwen|"
    r"qwq|deepseek|grok|command|nova|phi|kimi|glm|meridian)(?:[-.:@]?(?:[a-z]{1,12}|[a-z]?[0-9]{1,3}[a-z]?|20[0-9]{6})){0,8}"
)
"""Names of public language models: a family, then short parts. `meridian` is the simulation's."""
_DATED: Final = re.compile(r"20[0-9]{2}[-.][0-9]{2}[-.][0-9]{2}(?:[-.][0-9]{1,3})?")


def software_label(kind: str, text: str) -> str:
    """A version, prompt version or model as it may stand in every zone: plain, or a stable opaque label.

    `kind` is version, prompt or model. A plain version is up to three numbers with a usual suffix, or a day. What a
    build put there instead (a branch, a host, a customer's name, a whole hash) is text from outside and is hidden;
    equal texts keep equal labels, so that sessions still join their release.
    """
    if _DATED.fullmatch(text) or (kind == "model" and _MODEL.fullmatch(text.lower())):
        return text
    return label(text, (), kind=kind) if kind == "model" else version_label(text, kind=kind)


def _labelled(kind: str, text: str | None) -> str | None:
    return None if text is None else software_label(kind, text)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def session_pseudonym(session_key: str, key: bytes) -> str:
    """The pseudonym under which a session's rows are stored in every table."""
    return pseudonym("session", session_key, key)


def user_pseudonym(user_id: str | None, key: bytes) -> str | None:
    """The pseudonym of a user, or None where the source knows none."""
    return None if user_id is None else pseudonym("user", user_id, key)


def raw_session_row(session: Session, *, day: date, known_on: date, key: bytes) -> RawSession:
    """One row of `raw_sessions`. The JSON keeps the session's own ids: the table is restricted."""
    return RawSession(
        day=day,
        known_on=known_on,
        session_id=session_pseudonym(session.key, key),
        user_id=user_pseudonym(session.user_id, key),
        organization_id=(
            None if session.organization_id is None else pseudonym("organization", session.organization_id, key)
        ),
        source_session_id=session.session_id,
        segment=session.segment,
        agent_name=session.agent.name,
        agent_version=_labelled("version", session.agent.version),
        agent_model=_labelled("model", session.agent.model),
        prompt_version=_labelled("prompt", session.agent.prompt_version),
        started_at=_moment(session.started_at or 0.0),
        ended_at=None if session.ended_at is None else _moment(session.ended_at),
        start_known_from=session.start_known_from,
        steps=len(session.steps),
        agentic_steps=session.agentic_steps,
        source_format=session.source_format,
        session=to_json(session).decode(),
    )


def quarantined_row(rejected: Rejected, *, day: date, known_on: date, key: bytes) -> Quarantined:
    """One row of `quarantine`: reason and size, the place as a keyed hash."""
    return Quarantined(
        day=day,
        known_on=known_on,
        record_id=pseudonym("quarantine", f"{rejected.source}\x00{rejected.position}\x00{rejected.reason}", key),
        source_format=rejected.source_format,
        reason=rejected.reason,
        count=rejected.count,
        bytes=rejected.bytes,
    )


class _Met:
    """What became of the records that a door handed over: each bad or passed over one by its reason."""

    def __init__(self) -> None:
        self._asked = 0
        self._rejected: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()

    def readable(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records themselves; what is none is counted."""
        for record in records:
            count = int(record.get("count", 1)) if "skipped" in record else 1
            self._asked += count
            if "rejected" in record:
                self._rejected[record["rejected"]] += 1
            elif "skipped" in record:
                self._skipped[record["skipped"]] += count
            else:
                yield record

    def coverage(self, skipped: str, count: int, **notes: int) -> Coverage:
        """All that was met; of what was readable, `count` were left out because of `skipped`."""
        passed = self._skipped + Counter({skipped: count})
        rejected = self._rejected.total()
        return Coverage(
            asked=self._asked,
            answered=self._asked - rejected - passed.total(),
            rejected=rejected,
            skipped=dict(sorted(passed.items())),
            notes={**notes, **{f"rejected.{code}": n for code, n in sorted(self._rejected.items())}},
        )


def release_rows(
    day: date,
    records: Iterable[Record],
    *,
    sessions: Sequence[Record],
    known: Iterable[tuple[str, str, str]],
    known_on: date,
) -> tuple[list[Release], Coverage]:
    """The day's releases: what records tell, and versions, prompts and models first seen in a session.

    Args:
        day: The partition's day.
        records: Normalised release records of the day (or `{"rejected": code}`).
        sessions: Rows with agent_name, agent_version, agent_model, prompt_version and started_at of the day.
        known: (agent, kind, version) that earlier days hold already.
        known_on: Day these rows became known.
    """
    rows: dict[tuple[str, str, str], Release] = {}
    earlier = set(known)
    met, skipped = _Met(), 0
    for record in met.readable(records):
        kind = record.get("kind") or "version"
        identity = (record["agent_name"] or "unknown", kind, software_label(kind, record["version"]))
        if identity in rows:
            skipped += 1
            continue
        rows[identity] = Release(
            day=day,
            known_on=known_on,
            agent_name=identity[0],
            kind=identity[1],
            version=identity[2],
            released_at=_moment(record["released_at"]),
            origin="record",
            pull_request_ids=list(record.get("pull_request_ids") or ()),
        )
    told = {version for _, _, version in earlier | set(rows)}
    first_seen = 0
    for session in sessions:
        for kind, column in (("version", "agent_version"), ("prompt", "prompt_version"), ("model", "agent_model")):
            value = session[column]
            identity = (session["agent_name"], kind, value)
            if value is None or identity in earlier or identity in rows or (kind == "version" and value in told):
                continue
            first_seen += 1
            rows[identity] = Release(
                day=day,
                known_on=known_on,
                agent_name=identity[0],
                kind=kind,
                version=value,
                released_at=session["started_at"],
                origin="first_sight",
            )
    return [rows[identity] for identity in sorted(rows)], met.coverage("duplicate", skipped, first_sight=first_seen)


def error_log_rows(
    day: date, records: Iterable[Record], *, key: bytes, known_on: date
) -> tuple[list[ErrorLog], Coverage]:
    """The day's error log lines; ids of sessions and users become their pseudonyms.

    A line's id does not depend on other moments' lines: one that is logged late leaves those of the others as they are.
    """
    rows: list[ErrorLog] = []
    met = _Met()
    at_once: Counter[tuple[float, str]] = Counter()
    for record in met.readable(records):
        session_id = record.get("session_id")
        moment = (record["logged_at"], record["service"])
        at_once[moment] += 1
        rows.append(
            ErrorLog(
                day=day,
                known_on=known_on,
                log_id=content_id("log", day, at_once[moment], *moment),
                logged_at=_moment(record["logged_at"]),
                service=record["service"],
                level=record["level"],
                message=record["message"],
                session_id=None if session_id is None else session_pseudonym(session_id, key),
                user_id=user_pseudonym(record.get("user_id"), key),
            )
        )
    return rows, met.coverage("duplicate", 0)


def feedback_rows(
    day: date, records: Iterable[Record], *, sessions: Iterable[Session], key: bytes, known_on: date
) -> tuple[list[FeedbackRecord], Coverage]:
    """Thumbs from records and from the sessions themselves, each once."""
    rows: dict[str, FeedbackRecord] = {}
    met, duplicates = _Met(), 0
    given: list[Record] = list(records)
    given += [
        {
            "session_id": session.key,
            "user_id": session.user_id,
            "step": item.step,
            "rating": item.rating,
            "comment": item.comment,
            "given_at": item.at,
        }
        for session in sessions
        for item in session.feedback
    ]
    for record in met.readable(_rated(one) for one in given):
        session_id = session_pseudonym(record["session_id"], key)
        feedback_id = content_id("feedback", session_id, record.get("step"), record.get("given_at"), record["rating"])
        if feedback_id in rows:
            duplicates += 1
            continue
        given_at = record.get("given_at")
        rows[feedback_id] = FeedbackRecord(
            day=day,
            known_on=known_on,
            feedback_id=feedback_id,
            session_id=session_id,
            user_id=user_pseudonym(record.get("user_id"), key),
            step=record.get("step"),
            rating=record["rating"],
            comment=record.get("comment"),
            given_at=None if given_at is None else _moment(given_at),
        )
    return [rows[feedback_id] for feedback_id in sorted(rows)], met.coverage("duplicate", duplicates)


def _rated(record: Record) -> Record:
    told = record.get("rating") in (1, -1) or "rejected" in record or "skipped" in record
    return record if told else {"rejected": "no_rating"}


def pull_request_rows(day: date, records: Iterable[Record], *, known_on: date) -> tuple[list[PullRequest], Coverage]:
    """The newest state, as of the day, of each pull request that moved on it."""
    newest: dict[str, Record] = {}
    met, superseded = _Met(), 0
    for record in met.readable(records):
        identity = record["pull_request_id"]
        if identity in newest:
            superseded += 1
            if (record.get("moved_at") or 0) < (newest[identity].get("moved_at") or 0):
                continue
        newest[identity] = record
    rows = [
        PullRequest(
            day=day,
            known_on=known_on,
            pull_request_id=identity,
            title=record["title"],
            branch=record.get("branch"),
            body=record.get("body"),
            state=record["state"],
            opened_at=_moment(record["opened_at"]),
            merged_at=None if record.get("merged_at") is None else _moment(record["merged_at"]),
            files=list(record.get("files") or ()),
            ticket_keys=[
                *ticket_keys(record.get("branch"), record.get("title"), record.get("body")),
                *(record.get("ticket_keys") or ()),
            ],
            released_in=_labelled("version", record.get("released_in")),
            review=record.get("review"),
            reverts=record.get("reverts"),
        )
        for identity, record in sorted(newest.items())
    ]
    return rows, met.coverage("superseded", superseded)


def ticket_keys(*texts: str | None) -> list[str]:
    """The ticket keys that the texts of a pull request name, upper-case, each once, in order of appearance."""
    found = [match.upper() for text in texts if text for match in TICKET_KEY.findall(text)]
    return list(dict.fromkeys(found))


def user_outcome_rows(
    day: date, records: Iterable[Record], *, key: bytes, known_on: date
) -> tuple[list[UserOutcome], Coverage]:
    """The day's user outcomes, users as pseudonyms, each once."""
    rows: dict[tuple[str, str, datetime], UserOutcome] = {}
    met, duplicates = _Met(), 0
    for record in met.readable(records):
        user_id = pseudonym("user", record["user_id"], key)
        happened_at = _moment(record["happened_at"])
        duplicates += (user_id, record["outcome"], happened_at) in rows
        rows[(user_id, record["outcome"], happened_at)] = UserOutcome(
            day=day, known_on=known_on, user_id=user_id, outcome=record["outcome"], happened_at=happened_at
        )
    return [rows[identity] for identity in sorted(rows)], met.coverage("duplicate", duplicates)
