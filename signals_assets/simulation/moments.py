"""Simulation: one function per planted kind of moment: it plays the moment and notes where it shows.

Put here: friction, delight, drift, what emerges later; each as structure first, wording second.
Not here: how often they happen (see `story.py`), ordinary work and look-alikes (see `work.py`).

A moment begins after the agent has delivered something and ends with the agent back at work. The steps noted are
those that the codebook names as evidence.
"""

from collections.abc import Callable
from typing import Final

from signals_assets.simulation import artifacts
from signals_assets.simulation.scene import Scene
from signals_assets.simulation.words import fill, pick, say, wants
from signals_assets.simulation.work import check, data, explore

LYING_STATUS: Final = 0.3
"""Share of failures whose status says ok: a piped command, a tool that swallows errors."""
CHURN_SEVERITY: Final = ("low", "medium", "medium")


def _severity(scene: Scene, low: float = 0.35, high: float = 0.0) -> str:
    draw = scene.rng.random()
    return "low" if draw < low else ("high" if draw > 1 - high else "medium")


def _repair(scene: Scene) -> None:
    """The agent changes something and checks it."""
    scene.edit(scene.new_file())
    if scene.rng.random() < 0.6:
        check(scene)


# --- friction -----------------------------------------------------------------------------------------------------


def error_event(scene: Scene) -> None:
    """A call that fails unexpectedly (error, timeout, a status that lies) or a model error; then another try."""
    rng, stack = scene.rng, scene.stack
    kind = rng.random()
    if kind < 0.08:
        step = scene.event(
            "api_error", f"model request failed: {pick(rng, ('overloaded', 'internal error', 'connection reset'))}"
        )
        scene.wait(12.0)
        scene.agent_says("agent.retry")
        scene.plant("friction", "error_event", [step], "low", cause="model")
        return
    tool = pick(rng, ("Bash", "Bash", "Bash", "Edit", "deploy_preview", "Read"))
    command = f"{stack.test_command if rng.random() < 0.4 else stack.check_command} {pick(rng, stack.folders)}"
    status, text = "error", artifacts.failure(rng, stack, tool)
    if kind < 0.2 and tool in ("Bash", "deploy_preview"):
        status, text = "timeout", "timed out after 120 s, no further output"
    elif tool == "Bash" and rng.random() < LYING_STATUS:
        status, command = "ok", f"{command} 2>&1 | tail -20"
    arguments = {
        "Bash": {"command": command},
        "Edit": {"file_path": (file := scene.new_file()), "old_string": artifacts.code(rng, stack), "new_string": ""},
        # A place of its own: a failing read is no reading of the file elsewhere.
        "Read": {"file_path": f"archive/{file}"},
        "deploy_preview": {"branch": f"{pick(rng, artifacts.NOUNS)}-fix"},
    }[tool]
    failing = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        failing.append(scene.call(tool, dict(arguments), text, status, seconds=3.0)[1])
        scene.agent_says("agent.retry")
    _repair(scene)
    scene.plant("friction", "error_event", failing, "low" if len(failing) == 1 else "medium", cause="tool", tool=tool)


def backend_error(scene: Scene) -> None:
    """The query gateway has no connection left: log line first, then the failing query, sometimes several."""
    rng = scene.rng
    failing = []
    tenant = f"t-{int(scene.who.organization_id.rpartition('-')[2]) * 137 % 1000:04d}"
    for _ in range(1 + int(rng.random() * 3)):
        sql, _ = artifacts.query(rng)
        milliseconds = 2000 + int(rng.random() * 6000)
        status = "error" if rng.random() > LYING_STATUS / 2 else "ok"
        call, result = scene.call(
            "run_query", {"sql": sql}, artifacts.gateway_failure(milliseconds), status, milliseconds / 1000
        )
        called, answered = scene.steps[call].at, scene.steps[result].at
        assert called is not None
        assert answered is not None
        scene.logs.append(
            (
                called + 0.75 * (answered - called),
                "query-gateway",
                "ERROR",
                f"connection pool exhausted after {milliseconds} ms for tenant {tenant}",
            )
        )
        failing.append(result)
        if rng.random() < 0.5:
            scene.agent_says("agent.retry")
    scene.plant(
        "friction",
        "error_event",
        failing,
        "low" if len(failing) == 1 else "medium",
        cause="query-gateway",
        tool="run_query",
    )


def repeated_rephrasing(scene: Scene, cause: str | None = None) -> None:
    """Three or four turns with the same want in other words, each after a turn that missed it."""
    turns = []
    statements = wants(scene.rng, 4 if scene.rng.random() < 0.3 else 3)
    for number, statement in enumerate(statements):
        lead = (
            ""
            if number == 0
            else pick(scene.rng, ("", "", "no, ", "hm, ", "sorry, ", "once more: ", "that is not it. ", "I meant: "))
        )
        turns.append(scene.user(lead + statement))
        if scene.rng.random() < 0.5:
            scene.edit(scene.new_file())
        if number < len(statements) - 1:
            scene.agent_says("agent.miss")
    _repair(scene)
    scene.agent_says("agent.sorry")
    scene.plant("friction", "repeated_rephrasing", turns, _severity(scene, 0.1), cause=cause)


def escalation_tone(scene: Scene) -> None:
    """Rising frustration over one or two turns, mostly without swear words."""
    scene.agent_says("agent.miss")
    angry = scene.rng.random() < 0.15
    turns = [scene.user_says("escalation", pause=20.0)]
    scene.agent_says("agent.sorry_short")
    if angry or scene.rng.random() < 0.4:
        _repair(scene)
        turns.append(scene.user_says("escalation_angry" if angry else "escalation", pause=20.0))
        scene.agent_says("agent.sorry_short")
    scene.plant("friction", "escalation_tone", turns, "high" if angry else _severity(scene, 0.15))


def platform_confusion(scene: Scene) -> None:
    """A question about the agent or the product itself."""
    turn = scene.user_says("confusion")
    scene.agent_says("agent.explain_product")
    scene.plant("friction", "platform_confusion", [turn], _severity(scene, 0.7))


def abandoned_tool_flow(scene: Scene) -> None:
    """The user declines a call, or interrupts one that runs."""
    rng = scene.rng
    tool, arguments = pick(
        rng,
        (
            ("Bash", {"command": f"psql -f migrations/{pick(rng, artifacts.NOUNS)}.sql"}),
            ("deploy_preview", {"branch": f"{pick(rng, artifacts.NOUNS)}-{pick(rng, artifacts.ROLES)}"}),
            ("run_query", {"sql": f"update {pick(rng, artifacts.NOUNS)}s set total = 0"}),
            ("Write", {"file_path": scene.new_file(), "content": artifacts.code(rng, scene.stack)}),
        ),
    )
    if rng.random() < 0.5:
        comment = say(rng, "reject_comment") if rng.random() < 0.6 else None
        _, result = scene.call(
            tool, arguments, "The user declined this call.", "rejected", seconds=9.0, comment=comment
        )
        evidence = [result]
        scene.confirmations += 1
    else:
        _, result = scene.call(tool, arguments, "Stopped by the user before it finished.", "interrupted", seconds=15.0)
        evidence = [result, scene.event("interrupt")]
    scene.user_says("after_abort", pause=8.0)
    explore(scene)
    scene.plant("friction", "abandoned_tool_flow", evidence, _severity(scene), tool=tool)


def backtracking(scene: Scene) -> None:
    """The agent changes a file, the user wants it back, the agent reverts."""
    rng, stack = scene.rng, scene.stack
    file, old, new = scene.new_file(), artifacts.code(rng, stack), artifacts.code(rng, stack)
    scene.edit(file, old, new)
    scene.agent_says("agent.done")
    request = scene.user_says("undo_request")
    scene.agent_says("agent.undo")
    if rng.random() < 0.6:
        undo = scene.edit(file, new, old)
    else:
        undo = scene.call("Bash", {"command": f"git checkout -- {file}"}, f"Updated 1 path from the index ({file})")[0]
    scene.plant("friction", "backtracking", [request, undo], _severity(scene, 0.2, 0.1))


def context_churn(scene: Scene) -> None:
    """The same file is read three to six times without a change between, with other work in between."""
    rng = scene.rng
    file = scene.new_file()
    reads = []
    for number in range(3 + int(rng.random() * 4)):
        reads.append(scene.read(file))
        if number and rng.random() < 0.4:
            scene.agent_says("agent.reads_again")
        elif rng.random() < 0.6:
            check(scene)
        else:
            word = pick(rng, artifacts.ROLES)
            scene.call("Grep", {"pattern": word}, artifacts.hits(rng, scene.stack, word))
    scene.edit(file)
    scene.plant("friction", "context_churn", reads, pick(rng, CHURN_SEVERITY), tool="Read")


def correction(scene: Scene) -> None:
    """A calm report that something delivered is wrong; the agent puts it right."""
    turn = scene.user_says("correction", pause=90.0)
    scene.agent_says("agent.sorry")
    _repair(scene)
    scene.plant("friction", "correction", [turn], _severity(scene))


# --- delight ------------------------------------------------------------------------------------------------------


def positive_exclamation(scene: Scene) -> None:
    """Praise beyond politeness."""
    scene.plant("delight", "positive_exclamation", [scene.user_says("praise")])


def first_attempt_success(scene: Scene) -> None:
    """Explicit acceptance of demanding work after the first attempt."""
    scene.plant("delight", "first_attempt_success", [scene.user_says("first_try", pause=120.0)])


def time_saved(scene: Scene) -> None:
    """The user says what it saved."""
    scene.plant("delight", "time_saved", [scene.user_says("time_saved", pause=70.0)])


def rapid_approval(scene: Scene) -> None:
    """A proposal, approved at once with appreciation."""
    scene.agent_says("agent.ask_plan")
    turn = scene.user_says("rapid", pause=7.0)
    scene.confirmations += 1
    check(scene)
    scene.plant("delight", "rapid_approval", [turn])


def learning_moment(scene: Scene) -> None:
    """An explanation that the user values."""
    scene.user_says("question.domain")
    explained = scene.agent_says("agent.explain")
    scene.plant("delight", "learning_moment", [explained, scene.user_says("learned")])


# --- beyond the known categories ------------------------------------------------------------------------------------


def shifted_dates(scene: Scene) -> None:
    """Times come in another zone than the user's; the agent does not get it right in one turn."""
    data(scene)
    scene.agent_says("agent.done")
    turn = scene.user_says("shifted_dates")
    scene.agent_says("agent.excuses_dates")
    scene.edit(scene.new_file())
    scene.plant("friction", "other", [turn], _severity(scene, 0.2), category="shifted_dates")


def scheduled_report(scene: Scene) -> None:
    """A recurring report by e-mail is asked for, and the agent cannot."""
    turn = scene.user_says("scheduled_report")
    answer = scene.agent_says("agent.cannot")
    scene.unmet_need = "recurring report by e-mail"
    scene.plant("friction", "other", [turn, answer], _severity(scene, 0.2), category="scheduled_report")


def unmet_other(scene: Scene) -> None:
    """Something else that the agent cannot do, each time something different."""
    turn = scene.user_says("unmet_other")
    answer = scene.agent_says("agent.cannot_other")
    scene.unmet_need = "another capability"
    scene.plant("friction", "other", [turn, answer], _severity(scene, 0.5), category="unmet_other")


def unprompted_diagram(scene: Scene) -> None:
    """The agent draws a diagram unasked, and the user praises exactly that."""
    drawn = scene.agent_says("agent.diagram")
    scene.plant("delight", "other", [drawn, scene.user_says("diagram_praise")], category="unprompted_diagram")


def specification_drift(scene: Scene) -> None:
    """The stated goal changes in mid-session: a facet, not friction."""
    scene.user_says("drift")
    scene.agent_says("agent.start")


def followup(scene: Scene) -> None:
    """An ordinary next wish."""
    if scene.rng.random() < 0.25:
        scene.user_says("plain_thanks", pause=20.0)
    else:
        scene.user_says("followup")
        if scene.rng.random() < 0.5:
            scene.agent(
                fill(scene.rng, "Now the {part}.") if scene.rng.random() < 0.3 else say(scene.rng, "agent.start")
            )


Moment = Callable[[Scene], None]
MOMENTS: Final[dict[str, Moment]] = {
    moment.__name__: moment
    for moment in (
        error_event,
        backend_error,
        escalation_tone,
        platform_confusion,
        abandoned_tool_flow,
        backtracking,
        context_churn,
        correction,
        positive_exclamation,
        first_attempt_success,
        time_saved,
        rapid_approval,
        learning_moment,
        shifted_dates,
        scheduled_report,
        unmet_other,
        unprompted_diagram,
        specification_drift,
        followup,
    )
} | {"repeated_rephrasing": lambda scene: repeated_rephrasing(scene)}
"""Every moment by its name."""

STEPS_TAKEN: Final = {"repeated_rephrasing": 7, "context_churn": 10, "abandoned_tool_flow": 4, "backtracking": 5}
"""About how many agentic steps a moment takes; 3 for those not named."""
