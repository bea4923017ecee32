"""Benchmark: what condensing costs and saves. Detectors on whole sessions, and on what is left of them at a budget.

Put here: recall of labelled moments per budget, the share that is shown, tokens saved, speed, the gate.
Not here: how sessions are condensed (see `core/condensing.py`), labels and how they are matched (see `detectors.py`),
printing (see `cli/benchmark.py`).

The condensed session is the one that a reader of the text could know (`seen`): it is parsed from the text.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from signals_assets.core.agreement import Bootstrap, gain, match
from signals_assets.core.condensing import Part, condense, seen
from signals_assets.core.readings import Moment, Pair, Reading, scores
from signals_assets.core.sessions import Session

Result = dict[str, Any]
Readings = Mapping[str, Reading]
"""What the detectors say, by session."""
Forms = tuple[Readings, Readings, Readings]
"""Of whole sessions, of condensed ones, and of these without the steps that the text only counts."""

WHOLE: Final = "whole"
"""No budget: what remains is what the format of the text itself costs."""
UNLIMITED: Final = 1_000_000_000
BUDGETS: Final[tuple[tuple[str, int], ...]] = (("2k", 2_000), ("8k", 8_000), ("32k", 32_000), (WHOLE, UNLIMITED))
WINDOW: Final = 250_000
"""Most tokens of a part where there is a budget."""
JUDGED: Final = "8k"
MOST_LOST: Final = 0.05
"""Recall that may be lost at the budget that is judged."""
LEVELS: Final = ("sessions", "moments")
RESAMPLES: Final = 1000
QUICK_RESAMPLES: Final = 100
QUICK_SHEETS: Final = 30


@dataclass(frozen=True, slots=True)
class Ruler:
    """A file of labels, and what the detectors say of any form of one of its sessions."""

    name: str
    types: Sequence[str]
    sheets: Sequence[tuple[str, Reading]]
    read: Callable[[Session], Reading]


def run(sessions: Sequence[Session], rulers: Sequence[Ruler], *, quick: bool = False, seed: int = 0) -> Result:
    """Figures of every budget, and the gate on recall where there are labels.

    Of the sessions, `shown` counts all; recall is of those with a sheet. `quick` reads the first sheets of each file.
    """
    by_id = {session.key: session for session in reversed(sessions)}
    chosen = [Ruler(r.name, r.types, r.sheets[: QUICK_SHEETS if quick else None], r.read) for r in rulers]
    resamples = QUICK_RESAMPLES if quick else RESAMPLES
    whole = [_readings(ruler, by_id.__getitem__) for ruler in chosen]
    budgets = []
    for name, tokens in BUDGETS:
        parts, shown = _condensed(list(by_id.values()), tokens)
        views = {key: seen(found, by_id[key]) for key, found in parts.items()}
        strict = {key: seen(found, by_id[key], counts=False) for key, found in parts.items()}
        labels = [
            _compared(
                ruler,
                (before, _readings(ruler, views.__getitem__), _readings(ruler, strict.__getitem__)),
                Bootstrap(len(before), resamples, seed),
            )
            for ruler, before in zip(chosen, whole, strict=True)
        ]
        budgets.append({"budget": name, **shown, "labels": labels})
    complete = budgets[-1]["tokens"]
    for budget in budgets:
        budget["tokens_saved"] = _share(complete - budget["tokens"], complete)
    return {"resamples": resamples, "budgets": budgets, "gates": _gates(budgets)}


def _condensed(sessions: Sequence[Session], tokens: int) -> tuple[dict[str, list[Part]], Result]:
    """The parts of every session, and how much of all they show."""
    window = max(tokens, WINDOW)
    start = time.process_time()
    parts = {session.key: condense(session, tokens=tokens, window=window) for session in sessions}
    spent = max(1e-9, time.process_time() - start)
    every = [part for found in parts.values() for part in found]
    characters = sum(found[0].characters_total for found in parts.values())
    steps = sum(found[0].steps_total for found in parts.values())
    return parts, {
        "sessions": len(sessions),
        "parts": len(every),
        "over_budget": sum(sum(part.tokens for part in found) > tokens for found in parts.values()),
        "cut": sum(sum(part.steps_whole for part in found) < found[0].steps_total for found in parts.values()),
        "tokens": sum(part.tokens for part in every),
        "steps_seen": _share(sum(part.steps_seen for part in every), steps),
        "steps_whole": _share(sum(part.steps_whole for part in every), steps),
        "characters_shown": _share(sum(part.characters for part in every), characters),
        "megabytes_per_second": round(characters / 1e6 / spent, 1),
        "sessions_per_second": round(len(sessions) / spent, 1),
    }


def _readings(ruler: Ruler, view: Callable[[str], Session]) -> dict[str, Reading]:
    """What the detectors say of each labelled session in this form."""
    return {key: ruler.read(view(key)) for key in dict.fromkeys(key for key, _ in ruler.sheets)}


def _compared(ruler: Ruler, forms: Forms, bootstrap: Bootstrap) -> Result:
    """Recall of one file of labels on whole and on condensed sessions: by type, and over all types."""
    figures = [
        scores([Pair(key, sheet, found[key]) for key, sheet in ruler.sheets], ruler.types, 1, 0) for found in forms[:2]
    ]
    return {
        "labels": ruler.name,
        "sheets": len(ruler.sheets),
        "sessions": len(forms[0]),
        "all": {level: _all(ruler, forms, level, bootstrap) for level in LEVELS},
        "types": {
            name: {
                level: {
                    "true": figures[0]["types"][name][level]["true"],
                    **{
                        f"{figure}_{form}": found["types"][name][level][figure]
                        for form, found in zip(("whole", "condensed"), figures, strict=True)
                        for figure in ("recall", "precision")
                    },
                }
                for level in LEVELS
            }
            for name in ruler.types
        },
        "outcome_whole": figures[0]["outcome"]["accuracy"],
        "outcome_condensed": figures[1]["outcome"]["accuracy"],
    }


def _all(ruler: Ruler, forms: Forms, level: str, bootstrap: Bootstrap) -> Result:
    """Recall over all types together, and what is lost of it, with its interval over sessions."""
    hits = _moment_hits if level == "moments" else _session_hits
    places = {key: place for place, key in enumerate(forms[0])}
    counts = np.zeros((len(places), 4))
    for key, sheet in ruler.sheets:
        for name in ruler.types:
            wanted = sheet.moments.get(name, [])
            kept = [hits(wanted, form[key].moments.get(name, [])) for form in forms]
            counts[places[key]] += (kept[0], len(wanted) if level == "moments" else bool(wanted), *kept[1:])
    whole, true, condensed, strict = (int(total) for total in counts.sum(axis=0))
    return {
        "true": true,
        "recall_whole": _share(whole, true),
        "recall_condensed": _share(condensed, true),
        **bootstrap.figure("lost", counts[:, :3], gain),
        "lost_strictly": _share(whole - strict, true),
    }


def _moment_hits(wanted: Sequence[Moment], found: Sequence[Moment]) -> int:
    return len(match([moment.steps for moment in wanted], [moment.steps for moment in found]))


def _session_hits(wanted: Sequence[Moment], found: Sequence[Moment]) -> int:
    return int(bool(wanted) and bool(found))


def _gates(budgets: Sequence[Result]) -> list[Result]:
    """Whether at most `MOST_LOST` of the recall is lost at the judged budget, by file of labels and level."""
    return [
        {
            "gate": f"recall lost at {budget['budget']} on {level}, {block['labels']}",
            "value": block["all"][level]["lost"],
            "most": MOST_LOST,
            "holds": block["all"][level]["lost"] is None or block["all"][level]["lost"] <= MOST_LOST,
        }
        for budget in budgets
        if budget["budget"] == JUDGED
        for block in budget["labels"]
        for level in LEVELS
    ]


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None
