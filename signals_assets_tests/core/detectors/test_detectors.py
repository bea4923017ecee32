"""Each type with cases of what it is and what it is not, after the codebook, in words of our own."""

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


def work(first: int = 0, count: int = 10) -> tuple:
    return tuple(step for number in range(first, first + count) for step in edit(f"w{number}", f"f{number}.py"))


# --- escalation_tone


@pytest.mark.parametrize(
    "words",
    [
        "NO! I told you NOT to touch the header!!",
        "seriously? you just keep breaking the same thing",
        "This is really frustrating. Let me speak to a manager.",
        "what the hell are you doing?!",
    ],
)
def test_rising_frustration_with_the_agent_is_escalation(words):
    assert "escalation_tone" in types(session(ASK, edit("a"), agent(), user(words)))


@pytest.mark.parametrize(
    "words",
    [
        "the page is broken when I resize the window",
        "wow, this is insanely good, I LOVE it!!",
        "can you add a test for the CSV and JSON readers?",
    ],
)
def test_calm_defects_and_joy_are_no_escalation(words):
    assert "escalation_tone" not in types(session(ASK, edit("a"), agent(), user(words)))


# --- platform_confusion


def test_a_question_about_the_agent_is_confusion():
    assert of(session(ASK, agent(), user("do you have access to our tracker?")), "platform_confusion") == [(2,)]


def test_a_question_about_the_task_is_not():
    assert "platform_confusion" not in types(session(ASK, agent(), user("how does the parser handle empty lines?")))
    assert "platform_confusion" not in types(session(ASK, agent(), user("can you add a flag for that?")))


# --- correction


@pytest.mark.parametrize(
    "words",
    [
        "the totals are still not shown in the footer",
        "hmm that is wrong, the date should be the local one",
        "but why is the second column missing now?",
    ],
)
def test_a_calm_report_of_a_defect_is_a_correction(words):
    assert "correction" in types(session(ASK, edit("a"), agent(), user(words)))


@pytest.mark.parametrize(
    "words",
    [
        "now add a flag for verbose output",
        "thanks, commit this please",
        "sorry, my mistake, the path was wrong on my side",
    ],
)
def test_new_wishes_and_own_mistakes_are_no_correction(words):
    assert "correction" not in types(session(ASK, edit("a"), agent(), user(words)))


def test_an_opening_complaint_is_no_correction_of_the_agent():
    assert "correction" not in types(session(user("the export is wrong and still does not work"), agent()))


# --- repeated_rephrasing


def test_three_statements_of_one_request_are_rephrasing():
    found = session(
        user("show the order number in the invoice header"),
        edit("a"),
        agent("The footer is ready."),
        user("the invoice header must show the order number"),
        edit("b"),
        agent("The layout is ready."),
        user("I want the order number shown in the header of the invoice"),
    )
    assert of(found, "repeated_rephrasing") == [(0, 4, 8)]


def test_insisting_after_each_refusal_is_rephrasing():
    no = agent("Unfortunately I am unable to do that under our policy.")
    found = session(
        user("please add cover to my booking"), no,
        user("is there really no exception?"), no,
        user("surely there is anything else you can do? I really need it"), no,
        user("are there truly no other options, at least a partial one?"), no,
    )  # fmt: skip
    assert of(found, "repeated_rephrasing") == [(2, 4, 6)]


def test_one_restatement_and_new_requests_are_not():
    found = session(ASK, agent(), user("write a parser for the export, in Go"), agent(), user("now document the flags"))
    assert "repeated_rephrasing" not in types(found)


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


# --- delight


@pytest.mark.parametrize(
    "words",
    [
        "the summary you wrote on top is a nice touch for our readers",
        "this table of contents is lovely",
        "our auditors find the footnotes very helpful",
    ],
)
def test_a_remark_with_a_pleasant_word_is_material_of_delight(words):
    found = [event for event in detect(session(ASK, edit("a"), agent(), user(words))) if event.terms == ("remark",)]
    assert [(event.kind, event.type) for event in found] == [("delight", "positive_exclamation")]
    assert found[0].confidence < 0.5


def test_a_reproach_in_form_that_ends_in_liking_is_no_escalation():
    concession = "I did not want a summary at all, but I really like it"
    assert "escalation_tone" not in types(session(ASK, edit("a"), agent(), user(concession)))
    sarcasm = "I did not want a summary at all and it is still wrong, nice touch"
    assert "escalation_tone" in types(session(ASK, edit("a"), agent(), user(sarcasm)))


def test_praise_beyond_politeness_is_an_exclamation():
    assert "positive_exclamation" in types(session(ASK, edit("a"), agent(), user("wow, this is amazing work!")))


@pytest.mark.parametrize("words", ["thanks", "ok great, next one", "the amazing part is that it is still not working!"])
def test_politeness_and_irony_are_not(words):
    assert "positive_exclamation" not in types(session(ASK, edit("a"), agent(), user(words)))


def test_acceptance_after_one_demanding_turn_is_success_at_the_first_attempt():
    found = session(ASK, *work(), agent("The parser is ready."), user("perfect, that works. now the next file"))
    assert "first_attempt_success" in types(found)


def test_acceptance_of_small_work_or_after_a_correction_is_not():
    assert "first_attempt_success" not in types(session(ASK, edit("a"), agent(), user("perfect, that works")))
    corrected = session(
        ASK,
        *work(),
        agent(),
        user("the header is still wrong, it does not show"),
        *work(20),
        agent(),
        user("perfect, works"),
    )
    assert "first_attempt_success" not in types(corrected)


def test_saying_that_time_was_saved_is_time_saved():
    assert "time_saved" in types(session(ASK, agent(), user("thanks, that saved me hours of typing")))
    assert "time_saved" not in types(session(ASK, agent(), user("the new query is much faster")))


def test_a_quick_warm_yes_is_rapid_approval_and_a_bare_yes_is_not():
    plan = agent("I would split the file in two and keep the names. Shall I go ahead?")
    assert "rapid_approval" in types(session(ASK, plan, user("yes, that sounds perfect!")))
    assert "rapid_approval" not in types(session(ASK, plan, user("yes")))


def test_valuing_an_explanation_is_a_learning_moment():
    lecture = agent("The lock is taken twice because the two threads share one queue. " * 20)
    assert "learning_moment" in types(session(ASK, lecture, user("ah, I see, thanks for explaining")))
    assert "learning_moment" not in types(session(ASK, lecture, user("ok, next")))


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
