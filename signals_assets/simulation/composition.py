"""Simulation: one session from opening to ending: what is planted in it, in which order, how it ends.

Put here: the plan of a session (drawn from the story's rates and the user's habits) and its performance.
Not here: how moments look (see `moments.py`), days and files (see `world.py`).
"""

import math
import random
from dataclasses import dataclass
from typing import Any, Final

from signals_assets.core.sessions import Agent, Session
from signals_assets.simulation import moments
from signals_assets.simulation.moments import MOMENTS, STEPS_TAKEN
from signals_assets.simulation.population import INTENTS, User, proneness
from signals_assets.simulation.scene import Planted, Scene
from signals_assets.simulation.story import (
    AGENT_MODEL,
    AGENT_NAME,
    BACKEND_ERROR,
    DELIGHT,
    EMERGING,
    FRICTION,
    INCIDENT_FACTOR,
    QUERY_INTENTS,
    RATES,
    REPHRASING_AFTER_BACKEND_ERROR,
    Story,
)
from signals_assets.simulation.words import say
from signals_assets.simulation.work import work

MEDIAN_LENGTH: Final = 38.0
LENGTH_SPREAD: Final = 0.8
LONGEST: Final = 200
LENGTH_EXPONENT: Final = 0.3
"""Longer sessions have more of everything: a rate is scaled by (length / median) to this power, mean kept at 1."""
LENGTH_MEAN: Final = math.exp((LENGTH_EXPONENT * LENGTH_SPREAD) ** 2 / 2)

DRAWN: Final = (*FRICTION, *DELIGHT, "unmet_other", "specification_drift", *(item.name for item in EMERGING))
"""What is drawn for every session, in this order (the backend error is drawn apart)."""

IN_MID_WORK: Final = frozenset(
    {
        BACKEND_ERROR,
        "error_event",
        "context_churn",
        "abandoned_tool_flow",
        "backtracking",
        "escalation_tone",
        "shifted_dates",
    }
)
"""Moments that begin while the agent works; before the others it says that it is done."""
ASKS_FOR_NOTHING: Final = frozenset(
    {*DELIGHT, "unprompted_diagram", "platform_confusion", "unmet_other", "scheduled_report"} - {"rapid_approval"}
)
"""Moments after which the agent has nothing to do until the next wish."""

OUTCOME_BASE: Final = {"abandoned": 0.03, "transferred": 0.015, "partial": 0.12, "unclear": 0.13}
ABANDONED_AFTER: Final = {
    "escalation_tone": 0.25,
    "abandoned_tool_flow": 0.12,
    "repeated_rephrasing": 0.1,
    "backtracking": 0.08,
    "error_event": 0.05,
    "context_churn": 0.06,
    "correction": 0.02,
    BACKEND_ERROR: 0.05,
    "scheduled_report": 0.08,
    "shifted_dates": 0.05,
}
"""What each friction adds to the chance that the session is given up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen in a session."""

    session_id: str
    user: User
    started_at: float
    release: int
    version: str
    length: int
    intent: str
    moments: tuple[str, ...]
    rephrasing_after_backend: bool
    outcome: str


@dataclass(frozen=True, slots=True)
class Played:
    """A session with its truth and the log lines that name it."""

    session: Session
    truth: dict[str, Any]
    planted: tuple[Planted, ...]
    outcome: str
    logs: tuple[tuple[float, str, str, str], ...]


def plan(
    rng: random.Random,
    seed: int,
    story: Story,
    user: User,
    session_id: str,
    started_at: float,
    day: int,
    release: int,
    incident: bool,
) -> Plan:
    """Draw everything about a session that depends on rates; the same draws whatever the rates are."""
    length = max(3, min(LONGEST, round(MEDIAN_LENGTH * rng.lognormvariate(0.0, LENGTH_SPREAD))))
    intent = rng.choices(INTENTS, user.intents)[0]
    scale = (length / MEDIAN_LENGTH) ** LENGTH_EXPONENT / LENGTH_MEAN
    chosen = []
    for name in DRAWN:
        rate = proneness(seed, user.user_id, name, story.rate(name, release, day)) * scale
        if name == "error_event" and incident:
            rate *= INCIDENT_FACTOR
        if rng.random() < rate:
            chosen.append(name)
    backend_draw, rephrase_draw, outcome_draw = rng.random(), rng.random(), rng.random()
    backend = proneness(seed, user.user_id, BACKEND_ERROR, story.rate(BACKEND_ERROR, release, day))
    if intent in QUERY_INTENTS and backend_draw < backend:
        chosen.append(BACKEND_ERROR)
    lowered = story.rate("repeated_rephrasing", release, day) / RATES["repeated_rephrasing"]
    return Plan(
        session_id=session_id,
        user=user,
        started_at=started_at,
        release=release,
        version=story.releases[release].version,
        length=length,
        intent=intent,
        moments=tuple(chosen),
        rephrasing_after_backend=BACKEND_ERROR in chosen and rephrase_draw < REPHRASING_AFTER_BACKEND_ERROR * lowered,
        outcome=_outcome(outcome_draw, chosen),
    )


def _outcome(draw: float, chosen: list[str]) -> str:
    shares = dict(OUTCOME_BASE)
    shares["abandoned"] = min(0.6, shares["abandoned"] + sum(ABANDONED_AFTER.get(name, 0.0) for name in chosen))
    if "escalation_tone" in chosen:
        shares["transferred"] += 0.08
    for outcome, share in shares.items():
        draw -= share
        if draw < 0:
            return outcome
    return "success"


def play(rng: random.Random, plan: Plan) -> Played:
    """Play the session: opening, stretches of work with a moment after each, ending."""
    scene = Scene(rng, plan.user, plan.started_at)
    scene.user(_greeting(scene, plan.intent))
    scene.agent_says("agent.start")
    order = _order(rng, plan)
    reserved = sum(STEPS_TAKEN.get(name, 3) for name in order)
    stretch = max(1.0, (plan.length - reserved - 3) / (len(order) + 1))
    drifted_at = None
    for name in order:
        work(scene, scene.agentic + max(1, round(stretch * (0.5 + rng.random()))), plan.intent)
        if name not in IN_MID_WORK:
            scene.agent_says("agent.done")
        if name == "specification_drift":
            drifted_at = len(scene.steps)
        MOMENTS[name](scene)
        if name == BACKEND_ERROR and plan.rephrasing_after_backend:
            scene.agent_says("agent.miss")
            moments.repeated_rephrasing(scene, cause="query-gateway")
        _back_to_work(scene, name)
    work(scene, max(plan.length - 2, scene.agentic + 1), plan.intent)
    _end(scene, plan.outcome)
    return _played(scene, plan, drifted_at)


def _back_to_work(scene: Scene, name: str) -> None:
    """After a turn that asks for nothing, mostly the next wish."""
    if name in ASKS_FOR_NOTHING and scene.rng.random() < 0.8:
        scene.user_says("followup", pause=20.0)
        scene.agent_says("agent.start")


def _greeting(scene: Scene, intent: str) -> str:
    style = scene.who.style
    text = say(scene.rng, f"open.{intent}", language=style.language)
    return style.opener + text if style.language == "en" else text


def _order(rng: random.Random, plan: Plan) -> list[str]:
    """Moments in a random order with ordinary follow-ups between; success at the first attempt comes first."""
    order = list(plan.moments)
    order += ["followup"] * min(6, int(rng.expovariate(1.0) * plan.length / MEDIAN_LENGTH))
    rng.shuffle(order)
    if "first_attempt_success" in order:
        order.remove("first_attempt_success")
        order.insert(0, "first_attempt_success")
    return order


def _end(scene: Scene, outcome: str) -> None:
    if outcome == "partial":
        if scene.rng.random() < 0.6:
            scene.agent_says("agent.note")
            scene.user_says("leaves_later")
        return
    if outcome == "abandoned":
        scene.agent_says("agent.miss")
        scene.user_says("gives_up")
        return
    if outcome == "transferred":
        scene.agent_says("agent.miss")
        scene.user_says("wants_human")
        scene.call("hand_over_to_support", {"reason": "asked for by the user"}, "case opened")
        scene.agent_says("agent.handover")
        return
    scene.agent_says("agent.done")
    if outcome == "success":
        scene.user_says("accepted", pause=120.0)


def _played(scene: Scene, plan: Plan, drifted_at: int | None) -> Played:
    planted = _with_effect(scene.planted, plan.outcome)
    session = Session(
        session_id=plan.session_id,
        agent=Agent(AGENT_NAME, plan.version, AGENT_MODEL, None),
        steps=scene.steps,
        user_id=plan.user.user_id,
        organization_id=plan.user.organization_id,
        started_at=scene.steps[0].at,
        ended_at=scene.clock,
    )
    truth = {
        "session_id": plan.session_id,
        "day": session.day.isoformat(),
        "user": plan.user.user_id,
        "organization": plan.user.organization_id,
        "version": plan.version,
        "intent": plan.intent,
        "outcome": plan.outcome,
        "agentic_steps": scene.agentic,
        "friction": [item.as_dict() for item in planted if item.kind == "friction"],
        "delight": [item.as_dict() for item in planted if item.kind == "delight"],
        "unmet_need": scene.unmet_need,
        "specification_drift": drifted_at is not None,
        "programming_languages": [scene.stack.language],
        "frameworks": [scene.stack.framework],
        "tool_call_confirmations": scene.confirmations,
        "human_language": plan.user.style.language,
    }
    return Played(session, truth, tuple(planted), plan.outcome, tuple(scene.logs))


def _with_effect(planted: list[Planted], outcome: str) -> list[Planted]:
    """A session that was given up raises its last friction to high: severity is judged by effect."""
    if outcome != "abandoned":
        return planted
    last = max((number for number, item in enumerate(planted) if item.kind == "friction"), default=None)
    return [
        Planted(item.kind, item.type, item.steps, "high", item.category, item.cause, item.tool)
        if number == last
        else item
        for number, item in enumerate(planted)
    ]
