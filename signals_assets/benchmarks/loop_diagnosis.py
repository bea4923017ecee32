"""Benchmark · loop, diagnosis: how often the lever of a planted cause is named, and silence where none was planted.

Put here: `diagnosis`, seeded worlds with one planted cause each (or none), at the level of stored rows.
Not here: what a diagnosis is (see `core/diagnosis.py`), other parts of the loop (see `benchmarks/loop.py`).

A world is three weeks of sessions of heavy-tailed users with intents, components, versions in staggered adoption and
backend logs. In every world one friction type is much met; what makes it so is planted, or it is much met everywhere
alike. Rates, releases, errors and causes are computed from its rows by the same functions as in the graph. Nuisance in
every world: users differ (heavy users most), intents differ in size and call other components, each friction has
intents, components and turns that it is met in a little more, an error is logged that causes nothing, another release
changes nothing, and a friction of words mostly names no component.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from signals_assets.core.abstractions import wilson
from signals_assets.core.causes import CauseFacts, cause_facts, causes
from signals_assets.core.correlations import friction_rates, release_correlations
from signals_assets.core.detectors.facets import INTENTS
from signals_assets.core.diagnosis import Diagnosis, diagnose
from signals_assets.core.diagnosis_sessions import session_facts
from signals_assets.core.error_association import error_correlations
from signals_assets.core.taxonomy import seed as taxonomy_seed
from signals_assets.core.user_days import Counts, types_counted, user_days
from signals_assets.core.wording import Wording
from signals_assets.tables import UserDay, arrow_schema

FIRST: Final = date(2026, 3, 2)
DAYS: Final = 21
RELEASED: Final = 12
"""Day (from 0) on which the blamed version ships; users follow within about four days."""
SESSIONS_A_DAY: Final = 300
USERS: Final = 200
ORGANIZATIONS: Final = 12
WEEK: Final = 7
COMPONENTS: Final[Mapping[str, Sequence[str]]] = {
    name: (f"{name}_tool", f"src/{name}/*", f"{name}-service") for name in ("alpha", "beta", "gamma", "delta")
}
INTENT_SHARES: Final = (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05)
RATES: Final[Mapping[str, float]] = {
    "error_event": 0.08,
    "repeated_rephrasing": 0.06,
    "escalation_tone": 0.04,
    "platform_confusion": 0.03,
    "abandoned_tool_flow": 0.06,
    "backtracking": 0.05,
    "context_churn": 0.05,
    "correction": 0.1,
}
SPOKEN: Final = frozenset({"repeated_rephrasing", "escalation_tone", "platform_confusion", "correction"})
"""Types whose evidence is the user's words: they have an antecedent, and mostly no component."""
TURNS: Final[Mapping[str, float]] = {"failed_tool": 0.8, "tool": 3.0, "answer": 2.0}
"""Mean turns of a session by what precedes them."""
LEAST_RIGHT: Final = 0.8
LEAST_SILENT: Final = 0.9
FACTORS: Final = (2.0, 4.0)
"""How much more of its friction a planted cause makes where it acts, and a much met friction everywhere: from, to."""
TASTE: Final = 0.2
"""Spread (of the logarithm) by which each type is met more in some intents, components and after some turns anyway."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A planted cause: its friction type, where it acts, and the lever that is right."""

    name: str
    type: str
    lever: str
    intent: bool = False
    component: bool = False
    release: str = ""
    """`version`, `prompt_version` or `agent_model`."""
    before: str = ""
    """The sort of turn that it follows."""
    backend: bool = False


PLANTS: Final[tuple[Plant, ...]] = (
    Plant("backend error", "error_event", "backend", component=True, backend=True),
    Plant("backend error, met as rephrasing", "repeated_rephrasing", "backend", backend=True),
    Plant("release of the harness", "context_churn", "harness or prompt", release="version"),
    Plant("release of a prompt", "correction", "harness or prompt", release="prompt_version"),
    Plant("release of a model", "repeated_rephrasing", "harness or prompt", release="agent_model"),
    Plant("release that breaks a tool", "error_event", "tool returned bad data", component=True, release="version"),
    Plant("one intent misread", "repeated_rephrasing", "misread intent", intent=True),
    Plant("answers without looking", "correction", "misread intent", before="answer"),
    Plant("a tool nobody wants", "abandoned_tool_flow", "wrong tool", component=True),
    Plant("a tool that fails", "error_event", "tool returned bad data", component=True),
    Plant("failed tools that nobody mentions", "correction", "tool returned bad data", before="failed_tool"),
    Plant("wrong answers from right data", "correction", "right data, wrong answer", before="tool"),
)
NOTHING: Final[tuple[Plant, ...]] = tuple(
    Plant(f"{name.replace('_', ' ')} everywhere", name, "cannot say")
    for name in ("correction", "repeated_rephrasing", "context_churn", "abandoned_tool_flow", "escalation_tone")
)
"""Much met friction without any cause that tables could show."""


@dataclass(frozen=True, slots=True)
class Nature:
    """What is so without any cause: how much more of a type is met in an intent, in a component, after a turn."""

    intents: Mapping[str, Mapping[str, float]]
    components: Mapping[str, Mapping[str, float]]
    turns: Mapping[str, Mapping[str, float]]
    factor: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, intents: Sequence[str]) -> "Nature":
        """A nature of its own for every world."""

        def tastes(names: Iterable[str]) -> dict[str, dict[str, float]]:
            return {type_: {name: float(np.exp(rng.normal(0, TASTE))) for name in names} for type_ in RATES}

        return cls(tastes(intents), tastes(COMPONENTS), tastes(TURNS), float(rng.uniform(*FACTORS)))


@dataclass(frozen=True, slots=True)
class World:
    """Rows as stored, of three weeks."""

    metrics: list[dict[str, Any]]
    facets: list[dict[str, Any]]
    friction: list[dict[str, Any]]
    logs: list[dict[str, Any]]
    releases: list[dict[str, Any]]
    pull_requests: list[dict[str, Any]]
    component: str
    nature: Nature


def diagnosis(seeds: Iterable[int], each: Callable[..., Iterable[str]] = map) -> dict[str, Any]:
    """Every plant and every world without one, once per seed: what was named, and the shares that were right.

    `each` maps over the worlds (a pool's `map` uses more than one core).
    """
    worlds = [(plant, seed) for plant in (*PLANTS, *NOTHING) for seed in seeds]
    levers = list(each(_lever_of, worlds))
    rows = [
        {"plant": plant.name, "right": plant.lever, "named": lever}
        for (plant, _), lever in zip(worlds, levers, strict=True)
    ]
    lever, silence = (
        _share([row for row in rows if (row["right"] == "cannot say") is nothing]) for nothing in (False, True)
    )
    return {
        "worlds": len(rows),
        "lever_right": lever,
        "cannot_say_right": silence,
        "by_plant": [
            {
                "plant": plant.name,
                "right": plant.lever,
                "named": dict(Counter(row["named"] for row in rows if row["plant"] == plant.name).most_common()),
            }
            for plant in (*PLANTS, *NOTHING)
        ],
        "gates": [
            {
                "gate": f"diagnosis: {what}",
                "measured": found["share"],
                "at least": least,
                "holds": found["share"] >= least,
            }
            for what, found, least in (
                ("lever right", lever, LEAST_RIGHT),
                ("silence right where there is no cause", silence, LEAST_SILENT),
            )
        ],
    }


def _lever_of(world: tuple[Plant, int]) -> str:
    return named(*world).lever


def _share(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    right = sum(row["named"] == row["right"] for row in rows)
    low, high = wilson(right, len(rows))
    return {"share": round(right / len(rows), 3), "low": round(low, 3), "high": round(high, 3), "worlds": len(rows)}


def named(plant: Plant, seed: int) -> Diagnosis:
    """The diagnosis of the plant's largest cause, of all causes of its type where it has no component."""
    world = live(plant, seed)
    last = FIRST + timedelta(days=DAYS - 1)
    taxonomy = taxonomy_seed()
    types = types_counted(taxonomy)
    wording = Wording(taxonomy, frozenset(COMPONENTS), "company")
    counts = Counts.of(_counted(world, last))
    window = [row for day in _week(last) for row in _causes(world, day)]
    return diagnose(
        _largest(plant, world, window),
        wording=wording,
        release_correlations=_dumped(
            release_correlations(last, counts, world.releases, types=types, audience="company", label=_as_it_is)[0]
        ),
        error_correlations=_dumped(
            error_correlations(
                last,
                logs=[world.logs],
                friction=world.friction,
                metrics=world.metrics,
                labels=[],
                types=types,
                audience="company",
                label=_as_it_is,
                publishable=lambda text: text,
                min_confidence=0.5,
            )[0]
        ),
        friction_rates=_dumped(friction_rates(last, counts, types=types, audience="company", label=_as_it_is)[0]),
        causes_window=window,
        components=COMPONENTS,
        pull_requests=world.pull_requests,
        releases=world.releases,
        events=[row for row in world.friction if row["day"] in _week(last)],
        sessions=session_facts(
            [row for row in world.metrics if row["day"] in _week(last)],
            [row for row in world.facets if row["day"] in _week(last)],
        ),
    )


def _largest(plant: Plant, world: World, window: Sequence[Mapping[str, Any]]) -> CauseFacts:
    facts = [fact for fact in cause_facts(window, "company").values() if fact.type == plant.type]
    here = [fact for fact in facts if fact.component == world.component] if plant.component else facts
    return max(here or facts, key=lambda fact: (fact.users, fact.cause_id))


def _week(last: date) -> list[date]:
    return [last - timedelta(days=back) for back in range(WEEK - 1, -1, -1)]


def _causes(world: World, day: date) -> list[dict[str, Any]]:
    of_day = [row for row in world.friction if row["day"] == day]
    return _dumped(causes(day, of_day, [], taxonomy=taxonomy_seed()))


def _counted(world: World, last: date) -> Any:
    import pyarrow as pa

    rows = user_days(
        last,
        metrics=world.metrics,
        friction=world.friction,
        delight=[],
        facets=world.facets,
        analyses=[
            {name: row[name] for name in ("session_id", "day", "known_on")}
            | {"state": "answered", "inclusion_weight": 1.0}
            for row in world.metrics
        ],
        unmet_needs=[],
        labels=[],
        about_days=[FIRST + timedelta(days=number) for number in range(DAYS)],
        publishable_intents=[name for name, _ in INTENTS],
        min_confidence=0.5,
        taxonomy_version=1,
    )
    return pa.Table.from_pylist(_dumped(rows), schema=arrow_schema(UserDay))


def _dumped(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [row.model_dump() for row in rows]


def _as_it_is(_: str, word: str) -> str:
    return word


# --- the world --------------------------------------------------------------------------------------------------


def live(plant: Plant, seed: int, sessions_a_day: int = SESSIONS_A_DAY) -> World:
    """Three weeks of rows with the plant in them."""
    rng = np.random.default_rng([seed, *plant.name.encode()])
    names = list(COMPONENTS)
    intents = [name for name, _ in INTENTS][: len(INTENT_SHARES)]
    calls = {intent: sorted(rng.choice(names, 2, replace=False).tolist()) for intent in intents}
    activity = rng.pareto(1.5, USERS) + 0.2
    proneness = np.exp(rng.normal(0, 0.5, USERS))
    delay = rng.geometric(0.35, USERS)
    component = names[int(rng.integers(len(names)))]
    world = World([], [], [], [], _releases(plant), [], component, Nature.drawn(rng, intents))
    world.pull_requests.append(_pull_request(world.component))
    acts_on = intents[int(rng.integers(1, 4))]
    total = DAYS * sessions_a_day
    whose = rng.choice(USERS, total, p=activity / activity.sum()).tolist()
    wanted = rng.choice(intents, total, p=np.array(INTENT_SHARES) / sum(INTENT_SHARES)).tolist()
    for number, (user, intent) in enumerate(zip(whose, wanted, strict=True)):
        day = number // sessions_a_day
        new = day >= RELEASED + delay[user] - 1
        called = sorted({*calls[intent], *([world.component] if rng.random() < 0.4 else [])})
        turns = {name: int(rng.poisson(mean)) for name, mean in TURNS.items()}
        session = _session(world, number, day, user, intent, called, turns, new, plant, rng)
        logged = _logged(world, session, called, rng)
        for type_ in RATES:
            prone = float(proneness[user]) * world.nature.intents[type_][intent]
            here = _acts(plant, type_, intent == acts_on, world.component in called, new)
            _moments(world, session, type_, prone, called, turns, plant, here, logged, rng)
    return world


def _acts(plant: Plant, type_: str, in_intent: bool, with_component: bool, new: bool) -> bool:
    """Whether the plant makes more of a type in a session (those of turns and of the backend act elsewhere)."""
    return (
        type_ == plant.type
        and not plant.before
        and not plant.backend
        and (in_intent or not plant.intent)
        and (with_component or not plant.component)
        and (new or not plant.release)
    )


def _releases(plant: Plant) -> list[dict[str, Any]]:
    def release(kind: str, version: str, day: int, *requests: str) -> dict[str, Any]:
        on = datetime.combine(FIRST + timedelta(days=day), datetime.min.time(), UTC) + timedelta(hours=10)
        return {
            "agent_name": "agent",
            "kind": kind,
            "version": version,
            "released_at": on,
            "known_on": on.date(),
            "day": on.date(),
            "pull_request_ids": list(requests),
        }

    kind = {"prompt_version": "prompt", "agent_model": "model"}.get(plant.release, "version")
    return [release("version", "1.1", 4), release(kind, "2.0", RELEASED, "PR-7")]


def _pull_request(component: str) -> dict[str, Any]:
    return {"pull_request_id": "PR-7", "files": [f"src/{component}/main.py", "README.md"], "released_in": None}


def _session(
    world: World,
    number: int,
    day: int,
    user: int,
    intent: str,
    called: list[str],
    turns: Mapping[str, int],
    new: bool,
    plant: Plant,
    rng: np.random.Generator,
) -> dict[str, Any]:
    column = {"version": "agent_version"}.get(plant.release, plant.release)
    versions = {
        "agent_version": "1.1" if day >= 4 else "1.0",
        "prompt_version": "1.0",
        "agent_model": "1.0",
    }
    if new and column:
        versions[column] = "2.0"
    on = FIRST + timedelta(days=day)
    row = {
        "day": on,
        "known_on": on,
        "session_id": f"s_{number}",
        "user_id": f"u_{user}",
        "organization_id": f"o_{user % ORGANIZATIONS}",
        "agent_name": "agent",
        **versions,
        "started_at": datetime.combine(on, datetime.min.time(), UTC) + timedelta(seconds=float(rng.uniform(0, 80_000))),
        "duration_seconds": float(rng.lognormal(7, 0.6)),
        "steps": 60,
        "agentic_steps": 40,
        "components": called,
        **{f"turns_after_{name}": count for name, count in turns.items()},
    }
    world.metrics.append(row)
    outcome = "success" if rng.random() < 0.7 else "abandoned"
    for facet, value in (("primary_intent", intent), ("outcome", outcome)):
        world.facets.append(
            {"day": on, "known_on": on, "session_id": row["session_id"], "facet": facet, "value": value}
        )
    return row


def _logged(world: World, session: Mapping[str, Any], called: Sequence[str], rng: np.random.Generator) -> list[float]:
    """Seconds from the start at which the backend logged the error that the plant, if it is one, comes of.

    In the world of another plant the same error is logged as often, and causes nothing.
    """
    count = int(rng.poisson(0.6)) if world.component in called else 0
    times = sorted(rng.uniform(0, session["duration_seconds"], count).tolist())
    for at in times:
        world.logs.append(
            {
                "day": session["day"],
                "known_on": session["day"],
                "message": "connection pool exhausted after 30 ms",
                "service": f"{world.component}-service",
                "logged_at": session["started_at"] + timedelta(seconds=at),
                "session_id": session["session_id"],
            }
        )
    return times


def _moments(
    world: World,
    session: Mapping[str, Any],
    type_: str,
    prone: float,
    called: Sequence[str],
    turns: Mapping[str, int],
    plant: Plant,
    here: bool,
    logged: Sequence[float],
    rng: np.random.Generator,
) -> None:
    """Moments of a type in a session: at its base rate, and those that the plant adds."""
    base = RATES[type_] * prone
    if rng.random() < min(base, 0.9):
        _moment(world, session, type_, called, turns, rng)
    if type_ != plant.type:
        return
    if here and rng.random() < min((world.nature.factor - 1) * base, 0.9):
        where = [world.component] if plant.component else called
        _moment(world, session, type_, where, turns, rng, known=bool(plant.component))
    if plant.before and rng.random() < 1 - (1 - min((world.nature.factor - 1) * base / 2, 0.9)) ** turns[plant.before]:
        _moment(world, session, type_, called, turns, rng, before=plant.before)
    if plant.backend:
        for at in logged:
            if rng.random() < 0.35:
                _moment(world, session, type_, [world.component], turns, rng, at=at + float(rng.uniform(5, 200)))
                break


def _moment(
    world: World,
    session: Mapping[str, Any],
    type_: str,
    where: Sequence[str],
    turns: Mapping[str, int],
    rng: np.random.Generator,
    *,
    at: float | None = None,
    before: str | None = None,
    known: bool = False,
) -> None:
    """One event: a spoken one follows any turn of the session alike and names a component now and then."""
    seconds = float(rng.uniform(0, session["duration_seconds"])) if at is None else at
    spoken = type_ in SPOKEN
    total = sum(turns.values())
    if spoken and before is None and total:
        before = _drawn({name: count * world.nature.turns[type_][name] for name, count in turns.items()}, rng)
    named_component = known or not spoken or rng.random() < 0.3
    world.friction.append(
        {
            "day": session["day"],
            "known_on": session["day"],
            "event_id": f"e_{len(world.friction)}",
            "session_id": session["session_id"],
            "user_id": session["user_id"],
            "organization_id": session["organization_id"],
            "type": type_,
            "severity": "medium",
            "source": "detector",
            "confidence": 0.9,
            "steps": [int(seconds)],
            "seconds_from_start": seconds,
            "component": _drawn({name: world.nature.components[type_][name] for name in where}, rng)
            if named_component
            else "unknown",
            "antecedent": (before or "start") if spoken else "agent",
        }
    )


def _drawn(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """One of the names, by weight."""
    chances = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=chances / chances.sum()))
