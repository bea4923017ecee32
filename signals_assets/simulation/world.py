"""Simulation: the world that lives day by day and leaves files behind.

Put here: `World` (days, adoption of releases, records, pull requests, what users do afterwards), `simulate`.
Not here: rates (see `story.py`), one session (see `composition.py`), files (see `folder.py`).

    OUT/sessions/2026-01-05.jsonl          the sessions that start on that UTC day, in order of their start
    OUT/records/releases.jsonl             and pull_requests.jsonl (a line per change of state), user_outcomes.jsonl
    OUT/records/error_logs/2026-01-05.jsonl, feedback/2026-01-05.jsonl
    OUT/truth/sessions.jsonl, events.json, parameters.json

Every session has its own random stream, named by seed, day and number. So the same seed gives the same bytes,
whether lived through at once or week by week, and a fix changes only what it changes. What will have happened
only after the last day lived (a log line past midnight, a vote on the next day) is written with that day.
"""

import math
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

from signals_assets.core.sessions import format_time, to_json
from signals_assets.simulation import backend, code_changes
from signals_assets.simulation.composition import Played, plan, play
from signals_assets.simulation.developer import SCHEDULED, Action, scheduled_ticket_key
from signals_assets.simulation.folder import Folder, Summary, utc_day
from signals_assets.simulation.population import User, population, styled
from signals_assets.simulation.story import (
    AGENT_NAME,
    BACKEND_ERROR,
    QUERY_INTENTS,
    RATES,
    REPHRASING_AFTER_BACKEND_ERROR,
    Incident,
    Release,
    Story,
    fixed_rates,
    incidents,
    next_release_day,
    noon,
    release_number,
    version_name,
)
from signals_assets.simulation.words import say

WEEKEND: Final = 0.4
"""Traffic of a Saturday or Sunday against a working day; the mean over a week is what `sessions_per_day` says."""
SCHEDULED_DAYS: Final = (15, 18)
"""Days of the scheduled fixes of `simulate`, in the order of developer.SCHEDULED."""
CHURN_AFTER: Final = {"abandoned": 0.1}
CHURN_OTHERWISE: Final = 0.002
UPGRADE_AFTER_DELIGHT: Final = 0.02
VOTES: Final = {"friction": (0.14, 0.02), "delight": (0.01, 0.3), "neither": (0.015, 0.05)}
"""Chance of a thumb down and of a thumb up per session, by what was planted in it (friction counts before delight)."""


@dataclass(slots=True)
class _Fix:
    """A pull request for a ticket on its way."""

    action: Action
    record: dict[str, Any]
    opened_on: int
    merged_on: int
    version: str
    released_on: int
    shipped: bool = False


class World:
    """An agent's life with its users, lived day by day; writes files into `out`."""

    def __init__(
        self,
        seed: int,
        sessions_per_day: int,
        start: date,
        out: Path,
        *,
        users: int = 150,
        organizations: int = 12,
        quiet: bool = False,
    ) -> None:
        """Before the first day. An earlier simulation in `out` is replaced.

        In a quiet world nothing emerges and no release changes anything. `sessions_per_day` may be set anew between
        days: what is lived from then on is as busy.
        Raises ValueError when a number is not positive or `out` holds something that no simulation wrote.
        """
        if sessions_per_day < 1 or organizations < 1 or users < organizations:
            raise ValueError(
                "a world needs at least 1 session a day, 1 organisation and as many users as organisations"
            )
        self.seed = seed
        self.sessions_per_day = sessions_per_day
        self.start = start
        self.out = out
        self.days_lived = 0
        self.actions: list[Action] = []
        self._organizations = organizations
        self._story = Story(seed, start, quiet=quiet)
        self._users = population(seed, users, organizations)
        self._leaving: dict[str, date] = {}
        self._fixes: list[_Fix] = []
        self._pull_requests = 100
        self._unreleased: list[str] = []
        self._incidents: list[Incident] = []
        self._folder = Folder(out)
        self._folder.append("records/releases.jsonl", [self._release_record(self._story.releases[0])])
        self._write_truth()

    # --- living ---

    @property
    def today(self) -> date:
        """The next day to live."""
        return self.start + timedelta(days=self.days_lived)

    def developer(self, actions: Iterable[Action]) -> None:
        """Open a pull request for each action on the next day.

        It is merged a day later and ships with the next release after that.
        """
        day = self.days_lived + 1
        for action in actions:
            self.actions.append(action)
            self._pull_requests += 1
            released_on = next_release_day(day + 1)
            number = release_number(released_on)
            assert number is not None
            record = code_changes.fix(self._pull_requests, action, noon(self.start, day, 11))
            fix = _Fix(action, record, day, day + 1, version_name(number), released_on)
            self._fixes.append(fix)
            self._state_of(record, day, 11)
            merged = {
                **record,
                "state": "merged",
                "merged_at": format_time(noon(self.start, day + 1, 15)),
                "released_in": fix.version,
            }
            self._state_of(merged, day + 1, 15)

    def step(self, days: int) -> Summary:
        """Live the next `days` days; returns what they left behind."""
        return self.simulate_days(self.days_lived + 1, self.days_lived + days)

    def simulate_days(self, first: int, last: int) -> Summary:
        """Live the days `first` to `last` of the story (numbered from 1, both included).

        Raises ValueError when `first` is not the next day or `last` lies before it.
        """
        if first != self.days_lived + 1 or last < first:
            raise ValueError(f"the next day to live is {self.days_lived + 1}; asked for days {first} to {last}")
        days = [self._live(day) for day in range(first, last + 1)]
        self._write_truth()
        return reduce(add, days)

    def _live(self, day: int) -> Summary:
        today = self.start + timedelta(days=day - 1)
        begin = noon(self.start, day, 0)
        if (day - 1) % 7 == 0:
            self._incidents = incidents(self.seed, self.start, (day - 1) // 7)
        releases = self._release(day)
        self._ordinary_pull_requests(day)
        for line in backend.background_lines(random.Random(f"{self.seed}/background/{day}"), begin, begin + 86400.0):
            self._folder.later("error_logs", line[0], _log_record(line))
        summary = self._sessions(day, today, begin)
        records = self._folder.write_due(today)
        self.days_lived = day
        return replace(summary, records={"releases": releases, **records})

    # --- sessions ---

    def _sessions(self, day: int, today: date, begin: float) -> Summary:
        """Play and write the day's sessions, one at a time."""
        rng = random.Random(f"{self.seed}/day/{day}")
        sessions = steps = size = 0
        friction: Counter[str] = Counter()
        delight: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        with (self.out / f"sessions/{today.isoformat()}.jsonl").open("wb") as file:
            for number, (started_at, user) in enumerate(self._visits(rng, today, begin)):
                played = self._session(day, number, started_at, user)
                size += file.write(to_json(played.session) + b"\n")
                self._folder.append("truth/sessions.jsonl", [played.truth])
                sessions += 1
                steps += len(played.session.steps)
                outcomes[played.outcome] += 1
                for item in played.planted:
                    (friction if item.kind == "friction" else delight)[item.category or item.type] += 1
        return Summary(self.out, today, today, sessions, steps, size, friction, delight, outcomes)

    def _visits(self, rng: random.Random, today: date, begin: float) -> list[tuple[float, User]]:
        """Who starts a session when on a day, in order of time."""
        working = 7.0 / (5.0 + 2.0 * WEEKEND)
        expected = self.sessions_per_day * working * (WEEKEND if today.weekday() >= 5 else 1.0)
        number = max(0, round(rng.gauss(expected, math.sqrt(expected))))
        here = [user for user in self._users if self._leaving.get(user.user_id, date.max) > today]
        if not here:
            return []
        chosen = rng.choices(here, [user.activity for user in here], k=number)
        hours = [min(23.9, max(0.0, rng.gauss(user.peak_hour, 2.4))) for user in chosen]
        visits = [
            (begin + hour * 3600.0, order, user) for order, (hour, user) in enumerate(zip(hours, chosen, strict=True))
        ]
        return [(started_at, user) for started_at, _, user in sorted(visits, key=lambda visit: visit[:2])]

    def _session(self, day: int, number: int, started_at: float, user: User) -> Played:
        name = f"{self.seed}/{day}/{number}"
        session_id = f"s{random.Random(f'{name}/id').getrandbits(64):016x}"
        release = self._version_of(user, started_at)
        incident = any(item.start <= started_at < item.end for item in self._incidents)
        played = play(
            random.Random(f"{name}/play"),
            plan(
                random.Random(f"{name}/plan"),
                self.seed,
                self._story,
                user,
                session_id,
                started_at,
                day,
                release,
                incident,
            ),
        )
        self._backend(random.Random(f"{name}/logs"), played)
        self._afterwards(random.Random(f"{name}/after"), user, played)
        return played

    def _version_of(self, user: User, at: float) -> int:
        """Index of the newest release that the user runs at a time: each takes a release after a delay of their own."""
        newest = 0
        for index, release in enumerate(self._story.releases):
            rng = random.Random(f"{self.seed}/adopts/{user.user_id}/{release.version}")
            delay = user.adoption_hours * rng.lognormvariate(0.0, 0.5) * 3600.0
            if index == 0 or release.released_at + delay <= at:
                newest = index
        return newest

    # --- what a session leaves elsewhere ---

    def _backend(self, rng: random.Random, played: Played) -> None:
        session = played.session
        assert session.started_at is not None
        assert session.ended_at is not None
        queries = played.truth["intent"] in QUERY_INTENTS
        lines = list(played.logs)
        lines += backend.unrelated_lines(rng, session.started_at, session.ended_at, self._incidents, queries)
        for line in lines:
            named = {"session_id": session.session_id}
            if session.user_id is not None and rng.random() < 0.7:
                named["user_id"] = session.user_id
            self._folder.later("error_logs", line[0], {**_log_record(line), **named})

    def _afterwards(self, rng: random.Random, user: User, played: Played) -> None:
        kinds = {item.kind for item in played.planted}
        self._vote(
            rng, user, played, "friction" if "friction" in kinds else "delight" if "delight" in kinds else "neither"
        )
        ended_at = played.session.ended_at
        assert ended_at is not None
        # Heavy users are asked often; the share makes the chance of leaving one per person, not one per session.
        busy = max(1.0, user.activity * len(self._users))
        leaves, upgrades, delay = rng.random(), rng.random(), (0.5 + 2.5 * rng.random()) * 86400.0
        if user.user_id in self._leaving:
            return
        if leaves < CHURN_AFTER.get(played.outcome, CHURN_OTHERWISE) / busy:
            self._leaving[user.user_id] = utc_day(ended_at + delay)
            self._outcome(user, "churned", ended_at + delay)
        elif "delight" in kinds and upgrades < UPGRADE_AFTER_DELIGHT / busy:
            self._outcome(user, "upgraded", ended_at + delay)

    def _vote(self, rng: random.Random, user: User, played: Played, kind: str) -> None:
        down, up = VOTES[kind]
        draw, words, delay = rng.random(), rng.random(), 30.0 + 600.0 * rng.random()
        if draw >= down + up:
            return
        rating = -1 if draw < down else 1
        wanted = "friction" if rating < 0 else "delight"
        steps = next((item.steps for item in played.planted if item.kind == wanted), None)
        last = max((n for n, step in enumerate(played.session.steps) if step.kind == "assistant_message"), default=None)
        ended_at = played.session.ended_at
        assert ended_at is not None
        comment = say(rng, "comment.bad" if rating < 0 else "comment.good") if words < 0.3 else None
        record = {
            "session_id": played.session.session_id,
            "user_id": user.user_id,
            "step": steps[-1] if steps else last,
            "rating": rating,
            "comment": styled(user.style, comment) if comment else None,
            "given_at": format_time(ended_at + delay),
        }
        self._folder.later(
            "feedback", ended_at + delay, {key: value for key, value in record.items() if value is not None}
        )

    def _outcome(self, user: User, outcome: str, at: float) -> None:
        self._folder.later(
            "user_outcomes", at, {"user_id": user.user_id, "outcome": outcome, "happened_at": format_time(at)}
        )

    # --- releases and pull requests ---

    def _release(self, day: int) -> int:
        if release_number(day) is None:
            return 0
        effects: dict[str, float] = {}
        pull_requests, self._unreleased = self._unreleased, []
        for fix in self._fixes:
            if fix.released_on == day:
                fix.shipped = True
                pull_requests.append(fix.record["pull_request_id"])
                if fix.action.works:
                    effects |= fixed_rates(fix.action.type, fix.action.component, self._story.newest())
        release = self._story.ship(day, effects, tuple(pull_requests))
        return self._folder.append("records/releases.jsonl", [self._release_record(release)])

    def _ordinary_pull_requests(self, day: int) -> None:
        """Zero to two changes a day that change nothing for users, merged within the day."""
        rng = random.Random(f"{self.seed}/changes/{day}")
        for _ in range(int(rng.random() * 3)):
            self._pull_requests += 1
            record = code_changes.ordinary(rng, self._pull_requests, noon(self.start, day, 12))
            self._state_of({**record, "state": "merged", "merged_at": format_time(noon(self.start, day, 16))}, day, 16)
            self._unreleased.append(record["pull_request_id"])

    def _state_of(self, record: dict[str, Any], day: int, hour: float) -> None:
        self._folder.later("pull_requests", noon(self.start, day, hour), record)

    def _release_record(self, release: Release) -> dict[str, Any]:
        return {
            "agent_name": AGENT_NAME,
            "kind": "version",
            "version": release.version,
            "released_at": format_time(release.released_at),
            "pull_request_ids": list(release.pull_request_ids),
        }

    # --- truth ---

    def _write_truth(self) -> None:
        self._folder.document("truth/events.json", self._events())
        parameters = {
            "seed": self.seed,
            "start": self.start.isoformat(),
            "days": self.days_lived,
            "sessions_per_day": self.sessions_per_day,
            "users": len(self._users),
            "organizations": self._organizations,
            "agent": AGENT_NAME,
            "rates": dict(RATES),
            "query_intents": list(QUERY_INTENTS),
        }
        self._folder.document("truth/parameters.json", parameters)

    def _events(self) -> dict[str, Any]:
        """The planted story as far as it was lived."""
        return {
            "releases": self._story.effects(),
            "backend_error": {
                "service": "query-gateway",
                "template": "connection pool exhausted after <*> ms for tenant <*>",
                "rate_among_query_sessions": RATES[BACKEND_ERROR],
                "causes": ["error_event", "repeated_rephrasing"],
                "share_followed_by_rephrasing": REPHRASING_AFTER_BACKEND_ERROR,
            },
            "confounders": {
                "session_length": [service for service, _, _ in backend.LENGTH_TEMPLATES],
                "incident_hours": [backend.INCIDENT_TEMPLATE[0]],
            },
            "new_categories": [
                {
                    "name": item.name,
                    "kind": item.kind,
                    "first_day": (self.start + timedelta(days=item.first_day - 1)).isoformat(),
                    "rate": item.rate,
                    "description": item.description,
                }
                for item in self._story.emerging
            ],
            "fixes": [
                {
                    "ticket_key": fix.action.ticket_key,
                    "type": fix.action.type,
                    "component": fix.action.component,
                    "generation": fix.action.generation,
                    "works": fix.action.works,
                    "pull_request_id": fix.record["pull_request_id"],
                    "opened_on": (self.start + timedelta(days=fix.opened_on - 1)).isoformat(),
                    "merged_on": (self.start + timedelta(days=fix.merged_on - 1)).isoformat(),
                    "released_in": fix.version,
                    "released_on": (self.start + timedelta(days=fix.released_on - 1)).isoformat(),
                    "shipped": fix.shipped,
                }
                for fix in self._fixes
            ],
        }


def _log_record(line: backend.Line) -> dict[str, Any]:
    at, service, level, message = line
    return {"logged_at": format_time(at), "service": service, "level": level, "message": message}


def simulate(
    out: Path,
    *,
    days: int = 28,
    sessions_per_day: int = 150,
    seed: int = 0,
    start: date = date(2026, 1, 5),
    users: int = 150,
    organizations: int = 12,
) -> Summary:
    """Live `days` days at once and write everything into `out`.

    Nobody reads tickets here: the developer ships the fixes of developer.SCHEDULED in the third week by themselves,
    the first of which works and the second does not.
    """
    world = World(seed, sessions_per_day, start, out, users=users, organizations=organizations)
    if days < 1:
        raise ValueError("a simulation needs at least 1 day")
    lived = []
    for day in range(1, days + 1):
        for (friction_type, component), due in zip(SCHEDULED, SCHEDULED_DAYS, strict=True):
            if due == day:
                key = scheduled_ticket_key(friction_type, component)
                world.developer([Action(key, friction_type, component, works=friction_type == SCHEDULED[0][0])])
        lived.append(world.step(1))
    return reduce(add, lived)
