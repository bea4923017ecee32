"""Properties of the fold: the same events step by step, never withdrawn, well formed, in bounded memory."""

import pickle
import random
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signals_assets.core.detectors import DETECTORS, Detected, Fold, detect, structural
from signals_assets.core.readers import Rejected, read_stream
from signals_assets.core.sessions import Session, Step
from signals_assets.core.taxonomy import seed
from signals_assets_tests.core.detectors.script import agent, call, edit, event, read, result, session, shell, user

BOUND = 1 << 20
"""Bytes that the state of a fold may take, whatever the session."""
MANY = 20_000
KINDS = ("user", "agent", "edit", "read", "fail", "refused", "open", "slash", "event")
REAL = ("coding_sessions.jsonl.gz", "more_sessions.jsonl.gz", "support_sessions.jsonl.gz")

SAID = (
    "please write a parser for the export",
    "no, that is wrong, the parser still loses the last row",
    "write the parser for the export so that the last row is kept",
    "again: the parser must keep the last row of the export!!",
    "undo that and bring back the old parser",
    "what can you do, do you have access to the tracker?",
    "WHY do you keep breaking it? this is useless",
    "perfect, that is exactly what I wanted, thank you so much",
    "that saved me hours, great",
    "ah, now I understand how the cache works, thanks for explaining",
    "yes, go ahead, love it",
    "/undo",
    "I would have liked the table to be sorted by date",
    "TypeError: cannot read property of undefined at parser.py line 3",
    "",
    "   ",
    "да, это неправильно",
)
TOLD = (
    "I have done that.",
    "First a failing test: this test should fail until the parser is there.",
    "Shall I go on with the docs?",
    "I cannot do that: I have no access to the tracker.",
    "You're right, I apologize. I will revert my change.",
    "x" * 700,
    "",
)
OUTPUTS = ("", "ok", "make: *** boom", "1 failed, assert 1 == 2", "No such file or directory", "Traceback: ValueError")
STATUSES = ("ok", "error", "rejected", "interrupted", "timeout", None)
PATHS = ("a.py", "b.py", "docs/c.md")


def parts() -> st.SearchStrategy:
    """A few steps that belong together, and single ones that belong to nothing."""
    ids = st.integers(0, 5).map(lambda n: f"c{n}")
    commands = st.sampled_from(("make", "pytest", "git checkout -- a.py", "git revert HEAD", "rm a.py", "ls"))
    paths, outputs, statuses = st.sampled_from(PATHS), st.sampled_from(OUTPUTS), st.sampled_from(STATUSES)
    texts = st.sampled_from(("x = 1", "x = 2", "y = 3"))
    comments = st.sampled_from((None, "no, use the other file"))
    return st.one_of(
        st.builds(user, st.sampled_from(SAID)),
        st.builds(user, st.text(max_size=60)),
        st.builds(agent, st.sampled_from(TOLD)),
        st.builds(shell, ids, commands, outputs, statuses),
        st.builds(edit, ids, paths, texts, texts),
        st.builds(read, ids, paths),
        st.builds(call, st.sampled_from(("Bash", "Task", "ExitPlanMode")), ids),
        st.builds(result, st.sampled_from(("Bash", "Read", "ExitPlanMode")), ids, outputs, statuses, comments),
        st.builds(event, st.sampled_from(("interrupt", "compact_boundary", "api_error", "injected", "slash_command"))),
    )


SESSIONS = st.lists(parts(), max_size=25).map(lambda made: session(user("build it"), *made))
often = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def name_of(found: Detected) -> tuple:
    return found.kind, found.type, found.steps


def followed(steps: list[Step]) -> tuple[list[list[Detected]], list[Detected]]:
    """What each step completed, and what was open at the end."""
    fold = Fold()
    return [fold.update(step) for step in steps], fold.finish()


def step_by_step(given_session: Session) -> list[Detected]:
    """As a watcher sees it: each event when it is complete, the first of equal name only; then in the order of all."""
    completed, rest = followed(given_session.steps)
    first: dict[tuple, Detected] = {}
    for found in [item for items in completed for item in items] + rest:
        first.setdefault(name_of(found), found)
    return sorted(first.values(), key=lambda found: (found.steps, found.kind, found.type))


def check_form(given_session: Session) -> None:
    known = {(kind, slug) for kind in ("friction", "delight") for slug in seed().slugs(kind)}
    events = detect(given_session)
    for found in events:
        assert found.steps, found
        assert list(found.steps) == sorted(set(found.steps)), found
        assert found.steps[0] >= 0, found
        assert found.steps[-1] < len(given_session.steps), found
        assert 0.0 <= found.confidence <= 1.0, found
        assert (found.kind, found.type) in known, found
        assert (found.severity is None) == (found.kind == "delight"), found
    assert events == sorted(events, key=lambda found: (found.steps, found.kind, found.type))
    assert len({name_of(found) for found in events}) == len(events)


def check_prefixes(steps: list[Step], cuts: list[int]) -> None:
    """What was complete after a step stays so, whatever follows, and has no step that was still to come."""
    completed, _ = followed(steps)
    for index, items in enumerate(completed):
        for found in items:
            assert found.steps[-1] <= index, (index, found)
    for cut in cuts:
        before, _ = followed(steps[:cut])
        assert before == completed[:cut]


# --- generated sessions


@often
@given(SESSIONS)
def test_step_by_step_gives_the_events_of_the_whole(made):
    assert step_by_step(made) == detect(made)


@often
@given(SESSIONS)
def test_events_are_well_formed_and_in_order(made):
    check_form(made)


@often
@given(SESSIONS, st.data())
def test_a_complete_event_is_never_withdrawn(made, data):
    check_prefixes(made.steps, [data.draw(st.integers(0, len(made.steps)))])


@often
@given(SESSIONS)
def test_looking_has_no_effect_on_the_steps_and_the_same_steps_give_the_same_events(made):
    before = [pickle.dumps(step) for step in made.steps]
    first, second = detect(made), detect(made)
    assert first == second
    assert [pickle.dumps(step) for step in made.steps] == before


@often
@given(SESSIONS)
def test_a_fold_stored_between_two_steps_goes_on_as_if_it_had_not_been(made):
    fold, stored, middle = Fold(), Fold(), len(made.steps) // 2
    whole, parted = [], []
    for index, step in enumerate(made.steps):
        whole += fold.update(step)
        parted += stored.update(step)
        if index == middle:
            stored = pickle.loads(pickle.dumps(stored))
    assert parted + stored.finish() == whole + fold.finish()


@often
@given(SESSIONS)
def test_structural_detectors_alone_find_what_they_find_among_all(made):
    names = {detector.type for detector in DETECTORS if detector.structural}
    among_all = {name_of(found) for found in detect(made) if found.type in names}
    assert {name_of(found) for found in structural(made)} == among_all


# --- bounded state


def many_steps(kind: str) -> Iterator[Step]:
    """Steps without end, each with new words, paths and ids, deterministic."""
    rng = random.Random(7)
    number = 0
    while True:
        number += 1
        new = f"{rng.getrandbits(64):x} {rng.getrandbits(64):x}"
        path, ident = f"src/{rng.getrandbits(40):x}/{number}.py", f"i{number}"
        choice = rng.choice(KINDS) if kind == "varied" else kind
        if choice == "user":
            yield user(f"{rng.choice(SAID)} {new} " * (100 if number % 50 == 0 else 1))
        elif choice == "agent":
            yield agent(f"{rng.choice(TOLD)} {new} " * (100 if number % 50 == 0 else 1))
        elif choice == "edit":
            yield from edit(ident, path, f"x = '{new}'" * 50, f"y = '{new[::-1]}'" * 50)
        elif choice == "read":
            yield from read(ident, path)
        elif choice == "fail":
            status = rng.choice(("error", "rejected", "interrupted"))
            yield from shell(ident, f"make {new}", f"make: *** {new}" * 100, status)
        elif choice == "refused":
            yield call("Edit", ident, file_path=path)
            yield result("Edit", ident, "rejected", "rejected", f"{rng.choice(SAID)} {new}")
        elif choice == "open":
            yield call(f"Tool{number}", ident, command=new * 100, file_path=path)
        elif choice == "slash":
            yield event("slash_command", f"/{rng.choice(('add', 'drop'))} {path}")
        else:
            yield event(rng.choice(("interrupt", "compact_boundary", "api_error")), new * 20)


@pytest.mark.parametrize("kind", ["varied", *KINDS])
def test_the_state_of_a_fold_is_bounded(kind):
    fold = Fold()
    largest = {True: 0, False: 0}
    for number, step in enumerate(islice(many_steps(kind), MANY)):
        fold.update(step)
        if number % 250 == 249 and number > MANY // 4:
            early = number < MANY // 2
            largest[early] = max(largest[early], len(pickle.dumps(fold)))
    assert largest[False] < BOUND
    assert largest[False] <= 1.05 * largest[True] + 1024, largest


# --- real sessions


@cache
def real(folder: Path) -> tuple[Session, ...]:
    sessions = []
    for name in REAL:
        with (folder / name).open("rb") as stream:
            sessions += [item for item in read_stream(stream, name) if not isinstance(item, Rejected)]
    return tuple(sessions)


@pytest.mark.data
def test_real_sessions_step_by_step_give_the_events_of_the_whole(data_dir):
    for found in real(data_dir):
        assert step_by_step(found) == detect(found), found.session_id


@pytest.mark.data
def test_events_of_real_sessions_are_well_formed_and_in_order(data_dir):
    for found in real(data_dir):
        check_form(found)


@pytest.mark.data
def test_complete_events_of_real_sessions_are_never_withdrawn(data_dir):
    for found in real(data_dir):
        count = len(found.steps)
        check_prefixes(found.steps, [count // 3, 2 * count // 3])
