"""Readings: what a person or a program says of a session, and how far two readings of the same sessions agree.

Put here: `Moment`, `Reading`, `Pair`, the figures of one reading against another, their single disagreements.
Not here: who reads (see `detectors`, `benchmarks/detectors.py`), matching and intervals (see `agreement.py`).

On sessions: whether a type occurs at all. On moments: those that share a step, matched one to one. A session of
several pairs (it was read twice) is compared as often, and drawn by the bootstrap with all its pairs.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from signals_assets.core.agreement import LEVELS, Bootstrap, Counts, Figure, f1, kappa, macro_f1, match, share

FEW: Final = 10
"""Types with fewer positive sessions are provisional."""
SEVERE: Final = ("medium", "high")

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where something happened, how bad it was and how sure its reader is; no text."""

    steps: frozenset[int]
    severity: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader, person or program, says of a session; None where the reader was not asked."""

    moments: Mapping[str, Sequence[Moment]]
    outcome: str | None = None
    drift: bool | None = None
    confirmations: int | None = None
    languages: frozenset[str] | None = None
    reader: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two readings of a session: what is taken as true, and what is measured."""

    session_id: str
    wanted: Reading
    found: Reading


def scores(pairs: Sequence[Pair], types: Sequence[str], resamples: int, seed: int) -> Result:
    """How far what is found agrees with what is wanted: by type, any event, severity, outcome, further facets.

    Each figure that has an interval `x_interval` is over sessions drawn with replacement. Facets are compared where
    both readings have them.
    """
    score = _Score(pairs, Bootstrap(len({pair.session_id for pair in pairs}), resamples, seed))
    return {
        "types": {name: _of_type(score, name) for name in types},
        "any_moderate_or_severe": _any(score, types),
        "severity": _severity(score, types),
        "outcome": _outcome(score),
        "specification_drift": _drift(score),
        "tool_call_confirmations": _confirmations(score),
        "programming_languages": _languages(score),
    }


class _Score:
    """Counts by session over pairs of readings, and figures of them."""

    def __init__(self, pairs: Sequence[Pair], bootstrap: Bootstrap) -> None:
        self.pairs = pairs
        self._bootstrap = bootstrap
        self._place = {key: place for place, key in enumerate(dict.fromkeys(pair.session_id for pair in pairs))}

    def counts(self, width: int, count: Callable[[Reading, Reading], Sequence[float] | None]) -> Counts:
        """Sums by session (sessions, width) of what `count` says of each pair; None: the pair cannot say."""
        total = np.zeros((len(self._place), width))
        for pair in self.pairs:
            counted = count(pair.wanted, pair.found)
            if counted is not None:
                total[self._place[pair.session_id]] += counted
        return total

    def figure(self, name: str, counts: Counts, figure: Figure) -> Result:
        """A figure under a name, with its interval."""
        return self._bootstrap.figure(name, counts, figure)

    def detection(self, counts: Counts) -> Result:
        """Precision, recall and F1 with its interval, from (hits, found, true) by session."""
        hits, found, true = (int(total) for total in counts.sum(axis=0))
        return {
            "precision": _part(hits, found),
            "recall": _part(hits, true),
            **self.figure("f1", counts, f1),
            "hits": hits,
            "found": found,
            "true": true,
        }


def _of_type(score: _Score, name: str) -> Result:
    """Figures of one type on sessions and on moments."""

    def on_sessions(wanted: Reading, found: Reading) -> Sequence[float]:
        return _hit(bool(found.moments.get(name)), bool(wanted.moments.get(name)))

    def on_moments(wanted: Reading, found: Reading) -> Sequence[float]:
        true, ours = wanted.moments.get(name, []), found.moments.get(name, [])
        return len(_matched(true, ours)), len(ours), len(true)

    counts = score.counts(3, on_sessions)
    positives = int((counts[:, 2] > 0).sum())
    return {
        "positives": positives,
        "provisional": positives < FEW,
        "sessions": score.detection(counts),
        "moments": score.detection(score.counts(3, on_moments)),
    }


def _any(score: _Score, types: Sequence[str]) -> Result:
    """Whether a session has at least one friction of medium or high severity, among the types that are scored."""

    def severe(reading: Reading) -> bool:
        return any(moment.severity in SEVERE for name in types for moment in reading.moments.get(name, []))

    counts = score.counts(3, lambda wanted, found: _hit(severe(found), severe(wanted)))
    return {"positives": int((counts[:, 2] > 0).sum()), **score.detection(counts)}


def _severity(score: _Score, types: Sequence[str]) -> Result:
    """Agreement on severity where both found the same moment, beside always guessing the most common one."""
    size = len(LEVELS)

    def cells(wanted: Reading, found: Reading) -> Sequence[float]:
        grid = np.zeros((size, size))
        for name in types:
            true, ours = wanted.moments.get(name, []), found.moments.get(name, [])
            for left, right in _matched(true, ours):
                levels = true[left].severity, ours[right].severity
                if levels[0] in LEVELS and levels[1] in LEVELS:
                    grid[LEVELS.index(levels[0]), LEVELS.index(levels[1])] += 1
        return [float(cell) for cell in grid.ravel()]

    counts = score.counts(size * size, cells)
    grid = counts.sum(axis=0).reshape(size, size)
    number, off = int(grid.sum()), np.abs(np.subtract.outer(np.arange(size), np.arange(size))).ravel()
    whole = counts.sum(axis=1)
    return {
        "moments": number,
        **score.figure("exact", np.stack([counts[:, off == 0].sum(axis=1), whole], axis=1), share),
        **score.figure("within_one", np.stack([counts[:, off <= 1].sum(axis=1), whole], axis=1), share),
        **score.figure("kappa", counts, kappa),
        "majority": LEVELS[int(grid.sum(axis=1).argmax())] if number else None,
        "majority_exact": _part(int(grid.sum(axis=1).max()), number),
        "table": {name: dict(zip(LEVELS, map(int, row), strict=True)) for name, row in zip(LEVELS, grid, strict=True)},
    }


def _outcome(score: _Score) -> Result:
    """Agreement on the outcome, beside always guessing the most common one."""
    both = [(p.wanted.outcome, p.found.outcome) for p in score.pairs if p.wanted.outcome and p.found.outcome]
    true = Counter(wanted for wanted, _ in both)
    classes = sorted(true)
    majority = _most_common(true)

    def accuracy(wanted: Reading, found: Reading) -> Sequence[float] | None:
        return (wanted.outcome == found.outcome, 1) if wanted.outcome and found.outcome else None

    def of_classes(wanted: Reading, found: Reading) -> Sequence[float] | None:
        if not wanted.outcome or not found.outcome:
            return None
        return [cell for name in classes for cell in _hit(found.outcome == name, wanted.outcome == name)]

    guessed = Counter({(wanted, majority): number for wanted, number in true.items()})
    table: dict[str, Counter[str]] = {name: Counter() for name in classes}
    for wanted, found in both:
        table[wanted][found] += 1
    return {
        "sheets": len(both),
        **score.figure("accuracy", score.counts(2, accuracy), share),
        **score.figure("macro_f1", score.counts(3 * len(classes), of_classes), macro_f1),
        "majority": majority,
        "majority_accuracy": _part(true[majority], len(both)) if majority else None,
        "majority_macro_f1": _macro(guessed, classes),
        "table": {name: dict(sorted(row.items())) for name, row in table.items()},
    }


def _drift(score: _Score) -> Result:
    """Agreement on whether the goal changed, beside the more common answer."""

    def right(wanted: Reading, found: Reading) -> Sequence[float] | None:
        return None if wanted.drift is None or found.drift is None else (wanted.drift == found.drift, 1)

    def hits(wanted: Reading, found: Reading) -> Sequence[float] | None:
        return None if wanted.drift is None or found.drift is None else _hit(found.drift, wanted.drift)

    counts = score.counts(2, right)
    detection = score.counts(3, hits)
    number, true = int(counts[:, 1].sum()), int(detection[:, 2].sum())
    return {
        "sheets": number,
        **score.figure("accuracy", counts, share),
        "majority_accuracy": _part(max(true, number - true), number),
        **score.detection(detection),
    }


def _confirmations(score: _Score) -> Result:
    """Agreement on the number of confirmed calls, beside the most common number."""

    def near(most: int) -> Counts:
        def count(wanted: Reading, found: Reading) -> Sequence[float] | None:
            if wanted.confirmations is None or found.confirmations is None:
                return None
            return abs(wanted.confirmations - found.confirmations) <= most, 1

        return score.counts(2, count)

    exact = near(0)
    number = int(exact[:, 1].sum())
    common = Counter(
        pair.wanted.confirmations
        for pair in score.pairs
        if pair.wanted.confirmations is not None and pair.found.confirmations is not None
    )
    majority = _most_common(common)
    close = sum(count for value, count in common.items() if majority is not None and abs(value - majority) <= 1)
    return {
        "sheets": number,
        **score.figure("exact", exact, share),
        **score.figure("within_one", near(1), share),
        "majority": majority,
        "majority_exact": _part(max(common.values(), default=0), number),
        "majority_within_one": _part(close, number),
    }


def _languages(score: _Score) -> Result:
    """Agreement on programming languages: every language of every sheet is one case."""

    def overlap(wanted: Reading, found: Reading) -> Sequence[float] | None:
        if wanted.languages is None or found.languages is None:
            return None
        return len(wanted.languages & found.languages), len(found.languages), len(wanted.languages)

    asked = sum(p.wanted.languages is not None and p.found.languages is not None for p in score.pairs)
    return {"sheets": asked, **score.detection(score.counts(3, overlap))}


def disagreements(pair: Pair, types: Sequence[str]) -> list[Result]:
    """Every moment that only one of two readings has, and a different outcome: types, steps and words of the codebook.

    `what` is missed (the sheet has it), extra (the rules have it) or outcome. No text of the session or of the sheet.
    """
    records: list[Result] = []
    where = {"session_id": pair.session_id, "annotator": pair.wanted.reader}
    for name in types:
        true, ours = pair.wanted.moments.get(name, []), pair.found.moments.get(name, [])
        both = _matched(true, ours)
        hit, used = {left for left, _ in both}, {right for _, right in both}
        left_out = [("missed", moment) for place, moment in enumerate(true) if place not in hit]
        left_out += [("extra", moment) for place, moment in enumerate(ours) if place not in used]
        records += [
            where
            | {
                "type": name,
                "what": what,
                "steps": sorted(moment.steps),
                "severity": moment.severity,
                "confidence": moment.confidence,
            }
            for what, moment in left_out
        ]
    if pair.wanted.outcome and pair.found.outcome and pair.wanted.outcome != pair.found.outcome:
        answer = {"wanted": pair.wanted.outcome, "found": pair.found.outcome}
        records.append(where | {"type": "outcome", "what": "outcome", **answer})
    return records


def _matched(left: Sequence[Moment], right: Sequence[Moment]) -> list[tuple[int, int]]:
    return match([moment.steps for moment in left], [moment.steps for moment in right])


def _hit(found: bool, true: bool) -> tuple[int, int, int]:
    """One yes or no as counts (hits, found, true)."""
    return int(found and true), int(found), int(true)


def _part(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _macro(cells: Mapping[tuple[Any, Any], int], classes: Sequence[str]) -> float | None:
    """Mean F1 over classes of a table (true, found) -> number."""
    if not classes:
        return None
    counts = [
        total
        for name in classes
        for total in (
            sum(n for (true, found), n in cells.items() if true == found == name),
            sum(n for (_, found), n in cells.items() if found == name),
            sum(n for (true, _), n in cells.items() if true == name),
        )
    ]
    return round(float(macro_f1(np.array(counts, dtype=np.float64))), 3)


def _most_common(counts: Mapping[Any, int]) -> Any:
    """The most common value, the first in order where several are; None of nothing."""
    return max(sorted(counts), key=lambda value: counts[value], default=None)
