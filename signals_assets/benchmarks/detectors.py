"""Benchmark: how right the detectors are against labelled real sessions and true rewards, and how fast.

Put here: what the sheets, the rules and a naive baseline say of a session; rewards, languages, speed, memory.
Not here: the detectors (see `core/detectors`), how two readings are compared (see `core/readings.py`), labels
(they are data beside a checkout), printing (see `cli/benchmark.py`).

A sheet is compared by itself, also where a session has two. Files of labels are never mixed: their readers saw and
named different things (see `WHOLE`, `USER_SIDE`, `ALL_TYPES`).
"""

import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, cycle, islice
from typing import Any, Final

import numpy as np

from signals_assets.core.agreement import Bootstrap, balanced_accuracy, gain, share
from signals_assets.core.detectors import DETECTORS, detect, examine, structural
from signals_assets.core.detectors.cues import utterance
from signals_assets.core.detectors.models import Linear, digest, packaged
from signals_assets.core.detectors.turns import FEATURES
from signals_assets.core.fitting import cross_validated
from signals_assets.core.readings import Moment, Pair, Reading, Result, disagreements, scores
from signals_assets.core.sessions import Session, Step, from_json, to_json
from signals_assets.core.text import language, own_words, words, wordset

KINDS: Final[dict[str, str]] = {detector.type: detector.kind for detector in DETECTORS}
"""Type -> friction or delight, in the order of the registry."""
NAIVE: Final[dict[str, frozenset[str]]] = {
    "escalation_tone": wordset("broken frustrating frustrated angry ridiculous useless terrible unacceptable"),
    "backtracking": wordset("undo revert rollback restore"),
    "platform_confusion": wordset("feature setting settings capability"),
    "correction": wordset("wrong incorrect mistake"),
    "positive_exclamation": wordset("wow amazing awesome great perfect love"),
    "time_saved": wordset("saved faster"),
}
"""The word lists of the naive baseline: what one writes first."""

MIN_CONFIDENCE: Final = 0.5
"""As in the settings' default: detections below it are stored but not counted."""
LEAST_READ_TWICE: Final = 5
"""Sessions read twice in a file of labels, from which on the readers' agreement is computed from it."""
RESAMPLES: Final = 2000
QUICK_RESAMPLES: Final = 200
QUICK_SHEETS: Final = 40
STANDARD_STEPS: Final = 100
STANDARD_SESSIONS: Final = 200
MEMORY_SESSIONS: Final = (50, 500)
"""Few and many; the few already fill what is remembered of words (see `cues.utterance`)."""
MEASURED: Final = "en"
"""The language the detectors' words are of."""
NO_WORDS: Final = "no words"

WHOLE: Final = "whole sessions"
"""Labels made before `correction` had a name: they call it `other`."""
USER_SIDE: Final = "the user's side"
"""Labels with `correction` whose readers did not look for what only tools show."""
ALL_TYPES: Final = "whole sessions, all types"
"""Labels that know every type; nobody has measured how far their readers agree."""
LEARNED: Final = "correction"
"""The type that a fitted model finds."""
SHOWN_BY_TOOLS: Final = frozenset({"error_event", "context_churn"})
READERS: Final[dict[str, dict[str, Any]]] = {
    WHOLE: {
        "level": "sessions",
        "types": {
            "error_event": 0.88, "backtracking": 1.0, "other": 0.82, "repeated_rephrasing": 0.67,
            "escalation_tone": 0.67, "abandoned_tool_flow": 0.67, "context_churn": 0.67, "platform_confusion": 0.5,
        },
        "outcome": 0.83,
    },
    USER_SIDE: {
        "level": "moments",
        "types": {
            "correction": 0.84, "abandoned_tool_flow": 0.98, "escalation_tone": 1.0, "repeated_rephrasing": 0.86,
            "backtracking": 0.89, "platform_confusion": 0.29,
        },
        "outcome": 0.91,
    },
    ALL_TYPES: {"level": "moments", "types": {}, "outcome": None},
}  # fmt: skip
"""F1 of one careful reader against another and share of equal outcomes, as the README of the labelled data gives them:
by session from 29 sessions read twice whole, by moment from 70 read twice from the user's side."""


def run(
    sessions: Iterable[Session],
    labels: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    rewards: Sequence[Mapping[str, Any]] = (),
    *,
    quick: bool = False,
    seed: int = 0,
) -> Result:
    """Figures of every file of labels by itself, agreement with rewards, speed, and all single disagreements.

    `labels`: (name, sheets), a sheet with session_id, friction and, where asked, delight, outcome and facets.
    `rewards`: records of session_id and reward (1: the task was really solved). Of the result, `labels` holds one
    block per file; sessions that the packaged model was fitted on are read by models fitted on other persons
    (`fitted_on` and `cross_validated` count them); `rewards` is None where none of them has its session. `quick`
    reads the first 40 sheets of each file and draws few resamples. Sheets without their session are counted in the
    block.
    """
    by_id: dict[str, Session] = {}
    for session in sessions:
        by_id.setdefault(session.key, session)
    resamples = QUICK_RESAMPLES if quick else RESAMPLES
    rules = _Rules(by_id, [sheet for _, sheets in labels if LEARNED in _named(sheets) for sheet in sheets])
    blocks, differences = [], []
    for name, sheets in labels:
        chosen = list(sheets)[: QUICK_SHEETS if quick else None]
        block, differing = _block(name, chosen, rules, resamples, seed)
        blocks.append(block)
        differences += differing
    sample = list(by_id.values())[: 20 if quick else None]
    return {
        "resamples": resamples,
        "min_confidence": MIN_CONFIDENCE,
        "cross_validated": sum(rules.models(session) is not None for session in by_id.values()),
        "fitted_on": sum(digest(key) in packaged(LEARNED, FEATURES).sessions for key in by_id),
        "labels": blocks,
        "rewards": _rewards(rewards, rules, resamples, seed),
        "speed": speed(sample)
        | standard_speed(sample, 20 if quick else STANDARD_SESSIONS)
        | memory(sample, (3, 30) if quick else MEMORY_SESSIONS),
        "disagreements": differences,
    }


# --- readings ---


class _Rules:
    """What the detectors say of sessions; each is examined once, here and nowhere else."""

    def __init__(self, sessions: Mapping[str, Session], sheets: Sequence[Mapping[str, Any]] = ()) -> None:
        """`sheets`: labels that know the learned type; sessions the packaged model was fitted on are read by others."""
        self.sessions = sessions
        self.models = _unseen(sessions, sheets)
        self._read: dict[str, Reading] = {}

    def read(self, session_id: str) -> Reading:
        """The detectors' reading; detections that are not counted are left out."""
        if session_id not in self._read:
            self._read[session_id] = self.view(self.sessions[session_id])
        return self._read[session_id]

    def view(self, session: Session) -> Reading:
        """The detectors' reading of any form of a known session, by the model that has not seen it."""
        examined = examine(session, self.models(self.sessions[session.key]))
        moments: dict[str, list[Moment]] = defaultdict(list)
        for event in examined.detected:
            if event.confidence >= MIN_CONFIDENCE:
                moments[event.type].append(Moment(frozenset(event.steps), event.severity, event.confidence))
        facets = examined.facets
        return Reading(
            moments,
            facets.outcome,
            facets.specification_drift,
            facets.tool_call_confirmations,
            _names(facets.programming_languages),
        )


Ruler = tuple[str, list[str], list[tuple[str, Reading]], Callable[[Session], Reading]]
"""A file of labels: name, types to score, (session, sheet) in order, what the detectors say in the words of the labels
of any form of one of its sessions."""


def rulers(sessions: Iterable[Session], labels: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> list[Ruler]:
    """The files of labels as rulers for other forms of the same sessions; sheets without their session are left out."""
    by_id: dict[str, Session] = {}
    for session in sessions:
        by_id.setdefault(session.key, session)
    rules = _Rules(by_id, [sheet for _, sheets in labels if LEARNED in _named(sheets) for sheet in sheets])
    return [_ruler(name, [sheet for sheet in sheets if sheet["session_id"] in by_id], rules) for name, sheets in labels]


def _ruler(name: str, sheets: Sequence[Mapping[str, Any]], rules: _Rules) -> Ruler:
    read = [(str(sheet["session_id"]), _sheet(sheet)) for sheet in sheets]
    named = {moment_type for _, sheet in read for moment_type in sheet.moments}
    kind = _kind(_named(sheets))
    return name, _types(named, kind), read, lambda session: _as_named(rules.view(session), kind)


def _unseen(
    sessions: Mapping[str, Session], sheets: Sequence[Mapping[str, Any]]
) -> Callable[[Session], Mapping[str, Linear] | None]:
    """For a session that the packaged model was fitted on a model fitted on other persons; None: the packaged one.

    Too few persons or moments to fit anything leave every session to the packaged model; the counts in the result tell.
    """
    seen_before = packaged(LEARNED, FEATURES).sessions
    fitted_on = [sheet for sheet in sheets if digest(sheet["session_id"]) in seen_before]
    try:
        model_of = cross_validated(sessions, fitted_on, LEARNED)
    except ValueError:
        return lambda _: None
    return lambda session: {LEARNED: model_of(session)} if digest(session.key) in seen_before else None


def naive(session: Session) -> Reading:
    """The baseline: status fields and single words. It calls every friction moderate, having no idea of severity."""
    found: dict[str, list[Moment]] = defaultdict(list)
    for index, step in enumerate(session.steps):
        names = []
        if step.kind == "tool_result" and step.status in ("error", "timeout"):
            names.append("error_event")
        if step.status in ("rejected", "interrupted") or step.name == "interrupt":
            names.append("abandoned_tool_flow")
        if step.kind == "user_message":
            said = set(words((step.text or "")[:3000]))
            names += [name for name, listed in NAIVE.items() if said & listed]
        for name in names:
            found[name].append(Moment(frozenset({index}), "medium" if KINDS[name] == "friction" else None))
    return Reading(found)


def _sheet(sheet: Mapping[str, Any]) -> Reading:
    """A reader's sheet."""
    moments: dict[str, list[Moment]] = defaultdict(list)
    for event in [*sheet["friction"], *sheet.get("delight", [])]:
        moments[event["type"]].append(Moment(frozenset(event["steps"]), event.get("severity"), event.get("confidence")))
    languages = sheet.get("programming_languages")
    return Reading(
        moments,
        sheet.get("outcome"),
        sheet.get("specification_drift"),
        sheet.get("tool_call_confirmations"),
        None if languages is None else _names(languages),
        None if sheet.get("annotator") is None else str(sheet["annotator"]),
    )


def _names(listed: Iterable[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in listed)


def _as_named(reading: Reading, kind: str) -> Reading:
    """The reading in the words of the labels: those made before `correction` had a name call it `other`.

    A step that was found as both is one moment.
    """
    if kind != WHOLE or "correction" not in reading.moments:
        return reading
    moments = {name: list(found) for name, found in reading.moments.items() if name != "correction"}
    others = {moment.steps: moment for moment in [*moments.get("other", []), *reading.moments["correction"]]}
    return replace(reading, moments=moments | {"other": list(others.values())})


def spoken(session: Session) -> str:
    """The language of most of the user's own words, as guessed turn by turn; "no words" where there are none."""
    counts = Counter[str]()
    for step in session.steps:
        if step.kind == "user_message" and step.text:
            said = words(own_words(step.text))[:200]
            counts[language(said)] += len(said)
    return max(sorted(counts), key=lambda code: counts[code]) if counts.total() else NO_WORDS


# --- one reading against another ---


def _block(
    name: str, sheets: Sequence[Mapping[str, Any]], rules: _Rules, resamples: int, seed: int
) -> tuple[Result, list[Result]]:
    """The figures of one file of labels, and the single disagreements."""
    kind = _kind(_named(sheets))
    present = [sheet for sheet in sheets if sheet["session_id"] in rules.sessions]
    present.sort(key=lambda sheet: (sheet["session_id"], str(sheet.get("annotator"))))
    by_session: dict[str, list[Reading]] = defaultdict(list)
    for sheet in present:
        by_session[sheet["session_id"]].append(_sheet(sheet))
    languages = {session_id: spoken(rules.sessions[session_id]) for session_id in by_session}
    named = {reading for readings in by_session.values() for sheet in readings for reading in sheet.moments}
    types = _types(named, kind)

    def pairs(found: Callable[[str], Reading]) -> list[Pair]:
        read = {session_id: _as_named(found(session_id), kind) for session_id in by_session}
        return [Pair(key, sheet, read[key]) for key, readings in by_session.items() for sheet in readings]

    ours = pairs(rules.read)
    measured = [pair for pair in ours if languages[pair.session_id] == MEASURED]
    twice = [Pair(key, *two) for key, readings in by_session.items() for two in combinations(readings, 2)]
    read_twice = len({pair.session_id for pair in twice})

    def figures(compared: Sequence[Pair]) -> Result:
        return scores(compared, types, resamples, seed)

    block = {
        "labels": name,
        "kind": kind,
        "sheets": len(present),
        "sessions": len(by_session),
        "sheets_without_session": len(sheets) - len(present),
        "sessions_read_twice": read_twice,
        "languages": _by_number(languages.values()),
        "types": types,
        "rules": figures(ours),
        "rules_in_english": figures(measured) if len(measured) < len(ours) else None,
        "naive": figures(pairs(lambda session_id: naive(rules.sessions[session_id]))),
        "readers": READERS[kind],
        "readers_here": figures(twice) if read_twice >= LEAST_READ_TWICE else None,
    }
    return block, [{"labels": name, **record} for pair in ours for record in disagreements(pair, types)]


def _named(sheets: Sequence[Mapping[str, Any]]) -> set[str]:
    """The types of friction that occur on the sheets."""
    return {event["type"] for sheet in sheets for event in sheet["friction"]}


def _kind(named: set[str]) -> str:
    """What the readers of a file of labels saw and named."""
    if "correction" not in named:
        return WHOLE
    return ALL_TYPES if named & SHOWN_BY_TOOLS else USER_SIDE


def _types(named: set[str], kind: str) -> list[str]:
    """The types to score: those that such readers looked for in the order of the registry, then others they named."""
    left_out = {WHOLE: frozenset({"correction"}), USER_SIDE: SHOWN_BY_TOOLS, ALL_TYPES: frozenset[str]()}[kind]
    return [*(name for name in KINDS if name not in left_out), *sorted(named - KINDS.keys())]


# --- rewards ---


def _rewards(rewards: Sequence[Mapping[str, Any]], rules: _Rules, resamples: int, seed: int) -> Result | None:
    """How far `outcome = success` agrees with a true reward of 1, beside always giving the more common answer."""
    solved = {record["session_id"]: record["reward"] >= 1 for record in rewards}
    known = sorted(session_id for session_id in solved if session_id in rules.sessions)
    if not known:
        return None
    majority = 2 * sum(solved[key] for key in known) >= len(known)
    table: dict[str, Counter[str]] = defaultdict(Counter)
    rows = []
    for key in known:
        outcome = rules.read(key).outcome
        yes, right = solved[key], (outcome == "success") == solved[key]
        table["solved" if yes else "not solved"][str(outcome)] += 1
        rows.append((right, 1, yes == majority, right and yes, yes, right and not yes, not yes))
    counts = np.array(rows, dtype=np.float64)
    bootstrap = Bootstrap(len(known), resamples, seed)
    return {
        "sessions": len(known),
        "rewards_without_session": len(solved) - len(known),
        "solved": sum(solved[key] for key in known),
        "languages": _by_number(spoken(rules.sessions[key]) for key in known),
        **bootstrap.figure("accuracy", counts[:, :2], share),
        **bootstrap.figure("balanced_accuracy", counts[:, 3:], balanced_accuracy),
        "majority": "solved" if majority else "not solved",
        **bootstrap.figure("majority_accuracy", counts[:, [2, 1]], share),
        "majority_balanced_accuracy": 0.5 if 0 < sum(solved[key] for key in known) < len(known) else None,
        **bootstrap.figure("gain", counts[:, :3], gain),
        "table": {name: dict(sorted(row.items())) for name, row in sorted(table.items())},
    }


# --- speed and memory ---


def speed(sessions: Sequence[Session]) -> dict[str, float]:
    """Megabytes of canonical JSON and sessions per second of processor time on one core, parsing aside."""
    size = sum(len(to_json(session)) for session in sessions) / 1e6
    figures: dict[str, float] = {}
    for name, function in (("all", detect), ("structural", structural)):
        utterance.cache_clear()
        spent = _seconds(function, sessions)
        figures |= {f"{name}_megabytes_per_second": size / spent, f"{name}_sessions_per_second": len(sessions) / spent}
    return figures


def standard_speed(sessions: Sequence[Session], number: int) -> dict[str, float]:
    """Sessions of exactly 100 steps per second of processor time on one core: events and facets.

    The steps of all sessions in one row, over and over, cut into `number` sessions. What is remembered of words is
    forgotten before each, so that text which comes back is not cheaper.
    """
    cut = standard_sessions(sessions, number)

    def afresh(session: Session) -> None:
        utterance.cache_clear()
        examine(session)

    return {
        "standard_steps": STANDARD_STEPS,
        "standard_sessions": len(cut),
        "standard_sessions_per_second": len(cut) / _seconds(afresh, cut),
    }


def standard_sessions(sessions: Sequence[Session], number: int) -> list[Session]:
    """`number` sessions of exactly 100 steps: the steps of the given sessions in one row, repeated as needed."""
    steps = [step for session in sessions for step in session.steps]
    row = cycle(steps)
    return [Session(f"standard {n}", steps=list(islice(row, STANDARD_STEPS))) for n in range(number if steps else 0)]


def memory(sessions: Sequence[Session], numbers: tuple[int, int]) -> dict[str, float]:
    """Peak of memory, in megabytes, while few and ten times as many sessions of 100 steps pass by, one at a time.

    Both runs read the same sessions, the second ten times with a word added to each text so that none is known again.
    """
    few, many = numbers
    lines = [to_json(session) for session in standard_sessions(sessions, few)]
    peaks = []
    for number in (few, many):
        utterance.cache_clear()
        tracemalloc.start()
        for session in _passing(lines, number):
            examine(session)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    return {"few_sessions": few, "few_peak_megabytes": peaks[0], "many_sessions": many, "many_peak_megabytes": peaks[1]}


def _passing(lines: Sequence[bytes], number: int) -> Iterator[Session]:
    """`number` sessions, each made when asked for."""
    for place in range(number if lines else 0):
        session = from_json(lines[place % len(lines)])
        session.steps = [_with_word(step, f" round {place // len(lines)}") for step in session.steps]
        yield session


def _with_word(step: Step, word: str) -> Step:
    return replace(step, text=step.text + word) if step.text else step


def _seconds(function: Callable[[Session], Any], sessions: Sequence[Session]) -> float:
    start = time.process_time()
    for session in sessions:
        function(session)
    return max(1e-9, time.process_time() - start)


def _by_number(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))
