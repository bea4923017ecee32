"""Benchmark: how right the detectors are against labelled real sessions, and how fast.

Put here: precision, recall and F1 by type on sessions and on moments, next to a naive baseline.
Not here: the detectors (see `core/detectors`), labels (they are data beside a checkout).

A moment is found when a detection shares a step with it; matching is one to one, greedy in step order. A label sheet
of each annotator counts by itself. Labels made before `correction` had a name call it `other`; for sheets without any
`correction` both sides are compared as `other`.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from signals_assets.core.detectors import DETECTORS, detect, examine, structural
from signals_assets.core.detectors.cues import utterance
from signals_assets.core.sessions import Session, to_json
from signals_assets.core.text import words, wordset

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

Moments = dict[str, list[frozenset[int]]]


def naive(session: Session) -> Moments:
    """The baseline: status fields and single words."""
    found: Moments = defaultdict(list)
    for index, step in enumerate(session.steps):
        if step.kind == "tool_result" and step.status in ("error", "timeout"):
            found["error_event"].append(frozenset({index}))
        if step.status in ("rejected", "interrupted") or step.name == "interrupt":
            found["abandoned_tool_flow"].append(frozenset({index}))
        if step.kind == "user_message":
            said = set(words((step.text or "")[:3000]))
            for name, listed in NAIVE.items():
                if said & listed:
                    found[name].append(frozenset({index}))
    return found


def run(sessions: Iterable[Session], labels: Iterable[Mapping[str, Any]], *, quick: bool = False) -> dict[str, Any]:
    """Figures by type, outcome accuracy, any-event F1 and speed.

    `labels` are sheets with session_id, friction, delight and outcome. `quick` reads the first 40 sheets only.
    """
    by_id = {session.session_id: session for session in sessions}
    sheets = [sheet for sheet in labels if sheet["session_id"] in by_id]
    sheets = sheets[:40] if quick else sheets
    has_correction = any(event["type"] == "correction" for sheet in sheets for event in sheet["friction"])
    ours, base = _Score(), _Score()
    right, outcomes = Counter[str](), Counter[tuple[str, str]]()
    for sheet in sheets:
        session = by_id[sheet["session_id"]]
        truth = _truth(sheet, has_correction)
        examined = examine(session)
        found: Moments = defaultdict(list)
        for event in examined.detected:
            if event.confidence >= MIN_CONFIDENCE:
                found[_name(event.type, has_correction)].append(frozenset(event.steps))
        ours.add(truth, found)
        base.add(truth, {_name(t, has_correction): m for t, m in naive(session).items()})
        right["outcome"] += examined.facets.outcome == sheet["outcome"]
        right["drift"] += examined.facets.specification_drift == sheet["specification_drift"]
        outcomes[sheet["outcome"], examined.facets.outcome] += 1
    kinds = sorted({_name(detector.type, has_correction) for detector in DETECTORS})
    return {
        "sheets": len(sheets),
        "types": {name: {"rules": ours.figures(name), "naive": base.figures(name)} for name in kinds},
        "outcome_accuracy": right["outcome"] / max(1, len(sheets)),
        "drift_accuracy": right["drift"] / max(1, len(sheets)),
        "outcomes": {f"{truth} read as {found}": n for (truth, found), n in sorted(outcomes.items())},
        "speed": speed(list(by_id.values())[: 20 if quick else None]),
    }


def speed(sessions: Sequence[Session]) -> dict[str, float]:
    """Megabytes of canonical JSON and sessions per second of processor time on one core, parsing aside."""
    size = sum(len(to_json(session)) for session in sessions) / 1e6
    figures: dict[str, float] = {}
    for name, function in (("all", detect), ("structural", structural)):
        utterance.cache_clear()
        start = time.process_time()
        for session in sessions:
            function(session)
        spent = max(1e-9, time.process_time() - start)
        figures |= {f"{name}_megabytes_per_second": size / spent, f"{name}_sessions_per_second": len(sessions) / spent}
    return figures


def _name(name: str, has_correction: bool) -> str:
    return "other" if name == "correction" and not has_correction else name


def _truth(sheet: Mapping[str, Any], has_correction: bool) -> Moments:
    truth: Moments = defaultdict(list)
    for event in [*sheet["friction"], *sheet.get("delight", [])]:
        truth[_name(event["type"], has_correction)].append(frozenset(event["steps"]))
    return truth


class _Score:
    """Counts of (true positive, found, true) by type, on sessions and on moments."""

    def __init__(self) -> None:
        self.sessions: dict[str, Counter[str]] = defaultdict(Counter)
        self.moments: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, truth: Moments, found: Moments) -> None:
        """Compare one sheet."""
        for name in truth.keys() | found.keys():
            wanted, got = truth.get(name, []), found.get(name, [])
            self.sessions[name].update(hit=int(bool(wanted and got)), found=int(bool(got)), true=int(bool(wanted)))
            free = list(got)
            hits = 0
            for moment in wanted:
                match = next((other for other in free if other & moment), None)
                if match is not None:
                    free.remove(match)
                    hits += 1
            self.moments[name].update(hit=hits, found=len(got), true=len(wanted))

    def figures(self, name: str) -> dict[str, float | int]:
        """Precision, recall, F1 on sessions, the same on moments, and how many were true."""
        session, moment = self.sessions[name], self.moments[name]
        return {
            "precision": _share(session["hit"], session["found"]),
            "recall": _share(session["hit"], session["true"]),
            "f1": _share(2 * session["hit"], session["found"] + session["true"]),
            "moment_precision": _share(moment["hit"], moment["found"]),
            "moment_recall": _share(moment["hit"], moment["true"]),
            "moment_f1": _share(2 * moment["hit"], moment["found"] + moment["true"]),
            "positives": session["true"],
            "moments": moment["true"],
        }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
