"""Detectors: folds over a session's steps that find moments of friction and delight.

Put here: the registry, the fold over all detectors, `detect` and `examine`.
Not here: a detector (one file per type), tables (see `core/metrics.py`), text about events (see `core/analysis.py`).

A new type is one new file plus its class in `DETECTORS` and its entry in the taxonomy. `Fold` takes steps as they
happen, so the same code reads a stored session and follows a live one; its state is bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from signals_assets.core.detectors.abandoned_tool_flow import AbandonedToolFlow
from signals_assets.core.detectors.backtracking import Backtracking
from signals_assets.core.detectors.context import Context, Detected, Detector, Kind, Seen, Severity
from signals_assets.core.detectors.context_churn import ContextChurn
from signals_assets.core.detectors.correction import Correction
from signals_assets.core.detectors.error_event import ErrorEvent
from signals_assets.core.detectors.escalation_tone import EscalationTone
from signals_assets.core.detectors.facets import FacetFold, Facets
from signals_assets.core.detectors.first_attempt_success import FirstAttemptSuccess
from signals_assets.core.detectors.learning_moment import LearningMoment
from signals_assets.core.detectors.models import Linear
from signals_assets.core.detectors.other import Other
from signals_assets.core.detectors.platform_confusion import PlatformConfusion
from signals_assets.core.detectors.positive_exclamation import PositiveExclamation
from signals_assets.core.detectors.rapid_approval import RapidApproval
from signals_assets.core.detectors.repeated_rephrasing import RepeatedRephrasing
from signals_assets.core.detectors.time_saved import TimeSaved
from signals_assets.core.detectors.turns import Finds, Learned
from signals_assets.core.sessions import Session, Step

__all__ = [
    "DETECTORS",
    "Detected",
    "Detector",
    "Examined",
    "Facets",
    "Fold",
    "Kind",
    "Seen",
    "Severity",
    "detect",
    "examine",
    "structural",
]

DETECTORS: Final[tuple[type[Detector], ...]] = (
    ErrorEvent,
    RepeatedRephrasing,
    EscalationTone,
    PlatformConfusion,
    AbandonedToolFlow,
    Backtracking,
    ContextChurn,
    Correction,
    Other,
    PositiveExclamation,
    FirstAttemptSuccess,
    TimeSaved,
    RapidApproval,
    LearningMoment,
)
"""Every detector, in the order of the taxonomy."""


@dataclass(frozen=True, slots=True)
class Examined:
    """Everything the rules know of a session."""

    detected: tuple[Detected, ...]
    facets: Facets


class Fold:
    """All detectors over one session, step by step: `update` for each step in order, then `finish` once."""

    def __init__(
        self,
        detectors: tuple[type[Detector], ...] = DETECTORS,
        *,
        with_facets: bool = True,
        models: Mapping[str, Linear] | None = None,
    ) -> None:
        """`with_facets` may be false where only events are asked for: a user's words are then measured on demand.

        `models` are asked instead of the packaged ones of those names.
        """
        self._context = Context()
        self._detectors = [detector() for detector in detectors]
        asked: dict[str, Finds] = {}
        for detector in self._detectors:
            if isinstance(detector, Learned):
                name = detector.learned
                asked[name] = asked.get(name) or Finds(name, models)
                detector.ask(asked[name])
        self._facets = FacetFold() if with_facets else None
        self._next = 0
        self._routes: dict[tuple[str, bool], list[Detector]] = {}

    def update(self, step: Step) -> list[Detected]:
        """Take the next step; return the events that are complete with it."""
        seen = self._context.look(self._next, step)
        self._next += 1
        if self._facets is not None:
            self._facets.update(seen)
        return [
            event for detector in self._listeners(step.kind, seen.said is not None) for event in detector.update(seen)
        ]

    def _listeners(self, kind: str, said: bool) -> list[Detector]:
        """The detectors that want such a step, looked up once per kind."""
        listeners = self._routes.get((kind, said))
        if listeners is None:
            listeners = [d for d in self._detectors if kind in d.listens or (said and "said" in d.listens)]
            self._routes[kind, said] = listeners
        return listeners

    def finish(self) -> list[Detected]:
        """The session ended: return the events that were still open."""
        return [event for detector in self._detectors for event in detector.finish()]

    def facets(self) -> Facets:
        """The facets as of the steps taken so far; a fold made without them has none to tell (RuntimeError)."""
        if self._facets is None:
            raise RuntimeError("this fold was made without facets; make it with with_facets=True")
        return self._facets.finish()


def examine(session: Session, models: Mapping[str, Linear] | None = None) -> Examined:
    """Events and facets of a whole session in one pass; events by first step, then kind and type.

    `models`: see `Fold`.
    """
    fold = Fold(models=models)
    found: dict[tuple[str, str, tuple[int, ...]], Detected] = {}
    for step in session.steps:
        for event in fold.update(step):
            found.setdefault((event.kind, event.type, event.steps), event)
    for event in fold.finish():
        found.setdefault((event.kind, event.type, event.steps), event)
    ordered = sorted(found.values(), key=lambda event: (event.steps, event.kind, event.type))
    return Examined(tuple(ordered), fold.facets())


def detect(session: Session) -> list[Detected]:
    """The events of a whole session, ordered by first step, then kind and type."""
    return list(examine(session).detected)


def structural(session: Session) -> list[Detected]:
    """The events of the detectors that need no words of the user and so hold in every language."""
    fold = Fold(tuple(detector for detector in DETECTORS if detector.structural), with_facets=False)
    return [event for step in session.steps for event in fold.update(step)] + fold.finish()
