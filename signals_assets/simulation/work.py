"""Simulation: the agent's ordinary work between the moments, with innocent look-alikes of friction.

Put here: activities of a few steps each, and the one that picks among them.
Not here: anything that is planted in the truth (see `moments.py`).

Look-alikes that must not count: a test that fails first on purpose, a search without hits, reading a file again
after changing it, different ranges of one long file, a question declined with an answer, an error the user only
talks about, a plan that is confirmed.
"""

from collections.abc import Callable
from typing import Final

from signals_assets.simulation import artifacts
from signals_assets.simulation.artifacts import NOUNS, ROLES
from signals_assets.simulation.scene import Scene
from signals_assets.simulation.story import QUERY_INTENTS
from signals_assets.simulation.words import pick, say


def explore(scene: Scene) -> None:
    """Search, then read one to three of the files."""
    word = pick(scene.rng, ROLES)
    scene.call(
        "Grep",
        {"pattern": word, "path": pick(scene.rng, scene.stack.folders)},
        artifacts.hits(scene.rng, scene.stack, word),
    )
    for _ in range(1 + int(scene.rng.random() * 3)):
        scene.read(scene.file())


def change(scene: Scene) -> None:
    """Read a file, change it, sometimes say so."""
    file = scene.file()
    scene.read(file)
    if scene.rng.random() < 0.5:
        scene.agent_says("agent.note")
    scene.edit(file)


def check(scene: Scene) -> None:
    """Run a command that ends well."""
    command, text = artifacts.shell(scene.rng, scene.stack)
    scene.call("Bash", {"command": command}, text, seconds=3.0)


def red_then_green(scene: Scene) -> None:
    """Test first: the failing run is meant to fail."""
    rng, stack = scene.rng, scene.stack
    scene.agent_says("agent.expects_failure")
    test = scene.new_file()
    scene.call("Write", {"file_path": test, "content": artifacts.code(rng, stack)}, f"{test} was written.")
    status = "error" if rng.random() < 0.8 else "ok"
    scene.call(
        "Bash", {"command": f"{stack.test_command} {test}"}, artifacts.tests_fail(rng, stack), status, seconds=4.0
    )
    scene.agent_says("agent.failed_as_expected")
    scene.edit(scene.file())
    scene.call("Bash", {"command": f"{stack.test_command} {test}"}, artifacts.tests_pass(rng), seconds=4.0)


def search_without_hits(scene: Scene) -> None:
    """Nothing found, which is an answer too."""
    word = f"{pick(scene.rng, NOUNS)}_{pick(scene.rng, ROLES)}_legacy"
    if scene.rng.random() < 0.5:
        scene.call("Grep", {"pattern": word}, "No matches.")
    else:
        scene.call("search_docs", {"query": word.replace("_", " ")}, "0 results")


def look_up(scene: Scene) -> None:
    """Look something up in the product's documentation."""
    noun = pick(scene.rng, NOUNS)
    text = "\n".join(
        f"- {noun} {pick(scene.rng, ROLES)}: how to {pick(scene.rng, artifacts.VERBS)} it" for _ in range(4)
    )
    scene.call("search_docs", {"query": f"{noun} {pick(scene.rng, ROLES)}"}, text, seconds=1.2)


def ranges(scene: Scene) -> None:
    """Read a long file in stretches, each once."""
    file = scene.new_file()
    for part in range(2 + int(scene.rng.random() * 3)):
        scene.read(file, first=1 + 40 * part)


def polish(scene: Scene) -> None:
    """Change, look, change again: every reading follows a change."""
    file = scene.file()
    for _ in range(2 + int(scene.rng.random() * 2)):
        scene.edit(file)
        scene.read(file)
    scene.edit(file)


def data(scene: Scene) -> None:
    """Look at a table and query it."""
    rng = scene.rng
    noun = pick(rng, NOUNS)
    scene.call(
        "describe_table", {"table": f"{noun}s"}, f"{noun}s(id bigint, name text, total numeric, created_at timestamptz)"
    )
    for _ in range(1 + int(rng.random() * 2)):
        sql, text = artifacts.query(rng)
        scene.call("run_query", {"sql": sql}, text, seconds=1.5)


def preview(scene: Scene) -> None:
    """Deploy a preview that comes up."""
    noun = pick(scene.rng, NOUNS)
    scene.call(
        "deploy_preview",
        {"branch": f"{noun}-{pick(scene.rng, ROLES)}"},
        "Preview is ready (health check ok).",
        seconds=25.0,
    )


def note(scene: Scene) -> None:
    """A remark on the way."""
    scene.agent_says("agent.note")


def confirm(scene: Scene) -> None:
    """A plan that the user confirms."""
    scene.agent_says("agent.ask_plan")
    scene.user_says("agree_plan", pause=15.0)
    scene.confirmations += 1
    check(scene)


def question_declined(scene: Scene) -> None:
    """A question that the harness notes as rejected although the user answered it."""
    answer = say(scene.rng, "reject_comment")
    scene.call(
        "ask_question",
        {"question": f"Which {pick(scene.rng, ROLES)} should I use?"},
        "Answered in free text.",
        "rejected",
        seconds=20.0,
        comment=f"the {pick(scene.rng, ROLES)} of the {pick(scene.rng, NOUNS)}, {answer}",
    )


def small_talk(scene: Scene) -> None:
    """A question about the user's own domain, or an error that is only talked about."""
    scene.user_says("question.domain" if scene.rng.random() < 0.6 else "pasted_error")
    scene.agent_says("agent.explain")


Activity = Callable[[Scene], None]
ACTIVITIES: Final[tuple[tuple[Activity, float], ...]] = (
    (explore, 0.24),
    (change, 0.27),
    (check, 0.16),
    (note, 0.12),
    (ranges, 0.04),
    (look_up, 0.05),
    (polish, 0.03),
    (search_without_hits, 0.03),
    (red_then_green, 0.008),
    (confirm, 0.02),
    (question_declined, 0.003),
    (small_talk, 0.012),
)
DATA_ACTIVITIES: Final = (*ACTIVITIES, (data, 0.3))
PREVIEW_ACTIVITIES: Final = (*ACTIVITIES, (preview, 0.12))


def work(scene: Scene, until: int, intent: str) -> None:
    """Ordinary activities until the session has about `until` agentic steps."""
    activities = DATA_ACTIVITIES if intent in QUERY_INTENTS else PREVIEW_ACTIVITIES
    total = sum(weight for _, weight in activities)
    while scene.agentic < until:
        if until - scene.agentic == 1:
            check(scene)
            continue
        draw = scene.rng.random() * total
        for activity, weight in activities:
            draw -= weight
            if draw < 0:
                activity(scene)
                break
