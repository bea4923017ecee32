"""What holds of every detector, and of `other`; each further type has a file of its own."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.detectors import DETECTORS, Fold, detect
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, event, read, result, session, shell, user

ASK = user("please write a parser for the export")


def types(found: Session) -> list[str]:
    return [item.type for item in detect(found) if item.confidence >= 0.5]


def of(found: Session, name: str) -> list[tuple[int, ...]]:
    return [item.steps for item in detect(found) if item.type == name and item.confidence >= 0.5]


def remarks(found: Session) -> list[tuple[str, tuple[int, ...]]]:
    return [(item.type, item.steps) for item in detect(found) if item.terms == ("remark",)]


# --- other


def test_what_the_agent_has_no_means_to_do_is_other():
    found = session(user("attach the report to the ticket"), agent("I don't have a tool to attach documents directly."))
    assert of(found, "other") == [(0, 1)]


def test_a_denial_by_policy_is_not():
    found = session(
        user("refund my ticket"), agent("Our policy does not allow it; I don't have any option to refund it.")
    )
    assert "other" not in types(found)


REMARKS = [
    "the invoice header is in French for our Swiss branch",
    "our shop in Lyon gets the parcels on the wrong pallet colour",
    "hm, all prices moved to the left margin",
]


@pytest.mark.parametrize("words", REMARKS)
def test_a_remark_on_delivered_work_that_nothing_explains_is_material(words):
    (event,) = [event for event in detect(session(ASK, edit("a"), agent(), user(words))) if event.type == "other"]
    assert (event.steps, event.severity, event.terms) == ((4,), "low", ("remark",))
    assert event.confidence < 0.5


@pytest.mark.parametrize(
    "words",
    [
        "is the invoice header in French?",
        "please put the invoice header into French",
        "put the header into French, the branch is Swiss",
        "the branch is Swiss, make the header French",
        "we need the invoice header in French",
        "thanks, the invoice header is there",
        "yes, the header is the right one",
        "the invoice header works and the totals are correct",
        "great",
        "l'en-tête de la facture est en anglais pour nous et ce n'est pas la langue de la maison",
    ],
)
def test_questions_requests_and_approval_are_no_remarks(words):
    assert remarks(session(ASK, edit("a"), agent(), user(words))) == []


def test_an_answer_to_the_agent_and_an_opening_are_no_remarks():
    assert remarks(session(ASK, edit("a"), agent("Which language is it?"), user(REMARKS[0]))) == []
    assert remarks(session(user(REMARKS[0]), agent())) == []


def test_a_complaint_has_a_type_of_its_own_and_is_no_remark():
    found = session(ASK, edit("a"), agent(), user("the totals are still not shown, that is wrong"))
    assert types(found) == ["correction"]
    assert remarks(found) == []


def test_a_remark_is_no_request_that_the_agent_could_lack_the_means_for():
    found = session(ASK, edit("a"), agent(), user(REMARKS[0]), agent("I don't have a tool to see the printer."))
    assert of(found, "other") == []
    assert remarks(found) == [("other", (4,))]


# --- all


def test_every_type_of_the_taxonomy_has_one_detector():
    from importlib.resources import files

    seed = yaml.safe_load(files("signals_assets").joinpath("taxonomy_seed.yaml").read_text())
    assert {d.type for d in DETECTORS if d.kind == "friction"} == set(seed["friction"])
    assert {d.type for d in DETECTORS if d.kind == "delight"} == set(seed["delight"])
    assert len({d.type for d in DETECTORS}) == len(DETECTORS)


def test_every_detector_says_what_it_looks_at_and_what_it_ignores():
    for detector in DETECTORS:
        assert detector.looks_at
        assert detector.ignores
        assert detector.__doc__


PALETTE = st.sampled_from(
    [
        user("that is still wrong, remove it again"),
        user("yes, perfect, go ahead"),
        user("do you have access to the log?"),
        user("show the order number in the invoice header"),
        user(""),
        user("\x00 ??? ```"),
        agent("Done. Shall I go on?"),
        agent("Unfortunately I am unable to do that."),
        *edit("a"),
        *edit("b", before="x = 2", after="x = 1"),
        *read("c"),
        *shell("d", "go test ./...", "--- FAIL: TestA"),
        call("Bash", "e"),
        result("Bash", "e", "", "rejected", "no!"),
        result("Bash", "unknown", "x", "error"),
        event("interrupt"),
        event("compact_boundary"),
        event("slash_command", "/undo"),
    ]
)


@given(st.lists(PALETTE, max_size=60))
def test_step_by_step_gives_the_same_events_as_the_whole(steps):
    fold = Fold()
    one_by_one = [item for step in steps for item in fold.update(step)] + fold.finish()
    assert sorted(set(one_by_one), key=repr) == sorted(detect(Session("s", steps=steps)), key=repr)


@given(st.lists(PALETTE, max_size=60))
def test_evidence_is_steps_of_the_session_in_order_and_no_event_comes_twice(steps):
    found = detect(Session("s", steps=steps))
    assert len({(item.kind, item.type, item.steps) for item in found}) == len(found)
    for item in found:
        assert item.steps
        assert list(item.steps) == sorted(set(item.steps))
        assert item.steps[-1] < len(steps)
        assert 0 <= item.confidence <= 1
        assert (item.severity is None) == (item.kind == "delight")


def test_an_event_is_told_as_soon_as_it_is_complete():
    fold = Fold()
    told = [
        item.type for step in (ASK, agent(), user("do you have access to the tracker?")) for item in fold.update(step)
    ]
    assert told == ["platform_confusion"]
