"""Sensor: a new verdict on a shipped fix, or a filing that a crash left half done -> run `tickets` for that type.

Put here: which verdicts no ticket was told, and which filings did not reach the tracker for a while. The run comments,
closes, reopens and completes what was begun; it files nothing new.
Not here: verdicts (see `core/outcomes.py`), acting, completing (see `reconcile` of `resources/filing.py`).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import dagster as dg

from signals_assets import automation
from signals_assets.guard import guarded
from signals_assets.resources.filing import is_dry, stopped_by_hand, utc_now
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.resources.tracker import Tracker
from signals_assets.sensors import VERDICT_TAG, request
from signals_assets.settings import Settings

HEAL_AFTER: Final = 15 * 60
"""Seconds after which a filing that is seen half done is completed, and after which it is tried again."""


def due(outcomes: Iterable[Entry], told: frozenset[str]) -> dict[str, list[str]]:
    """Friction type -> keys (ticket and version) of its verdicts that no ticket was told."""
    found: dict[str, list[str]] = {}
    for entry in outcomes:
        if entry.key not in told:
            found.setdefault(entry.payload["type"], []).append(entry.key)
    return {friction: sorted(keys) for friction, keys in sorted(found.items())}


def half_done(entries: Iterable[Entry]) -> dict[str, str]:
    """Ticket key -> friction type of filings that the tracker did not confirm. entries: kinds filing and filed."""
    known = list(entries)
    done = {entry.key for entry in known if entry.kind == "filed"}
    return {entry.key: entry.payload["type"] for entry in known if entry.kind == "filing" and entry.key not in done}


def to_heal(
    waiting: Mapping[str, str], seen: Mapping[str, float], now: float
) -> tuple[dict[str, float], dict[str, list[str]]]:
    """When each half done filing was first seen, and friction type -> names of the attempts that are due.

    waiting: of `half_done`.  seen: the first result of the tick before.  now: seconds. A filing of a run that is still
    going is no older than a moment: it is left alone at first.
    """
    since = {key: seen.get(key, now) for key in sorted(waiting)}
    found: dict[str, list[str]] = {}
    for key, first in since.items():
        if attempt := int((now - first) // HEAL_AFTER):
            found.setdefault(waiting[key], []).append(f"{key}:heal:{int(first)}:{attempt}")
    return since, found


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="fix_tracking",
        job=automation.act,
        minimum_interval_seconds=60,
        default_status=automation.sensor_status(settings),
        description="A fix was measured: tell its ticket. A filing was left half done: complete it.",
    )
    @guarded
    def fix_tracking(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger], tracker: dg.ResourceParam[Tracker]
    ) -> dg.SensorResult:
        held = is_dry(tracker, settings.tickets) or stopped_by_hand(ledger, settings.tickets)
        waiting = {} if held else half_done(ledger.entries(["filing", "filed"]))
        since, healing = to_heal(waiting, json.loads(context.cursor or "{}"), utc_now().timestamp())
        told = frozenset(entry.key for entry in ledger.entries(["verdict"]))
        requests = [
            request(context, "|".join(keys), friction, {VERDICT_TAG: str(len(keys))})
            for friction, keys in due(ledger.entries(["outcome"]), told).items()
        ]
        requests += [
            request(context, "|".join(names), friction, {VERDICT_TAG: "0"}) for friction, names in healing.items()
        ]
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(since))

    return fix_tracking
