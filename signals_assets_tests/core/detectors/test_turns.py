import pickle
from math import log1p

import pytest

from signals_assets.core.detectors import Fold, correction
from signals_assets.core.detectors.context import Context
from signals_assets.core.detectors.cues import utterance
from signals_assets.core.detectors.models import Linear
from signals_assets.core.detectors.turns import FEATURES, PLAIN, SHAPE, Finds, TurnReader
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user

ASK = user("please write a parser for the export")


def measured(told: Session) -> list[dict[str, float] | None]:
    """For each step the features by name, or None."""
    context, reader = Context(), TurnReader()
    read = [reader.update(context.look(index, step)) for index, step in enumerate(told.steps)]
    return [None if values is None else dict(zip(FEATURES, values, strict=True)) for values in read]


def last(*parts) -> dict[str, float]:
    found = measured(session(*parts))[-1]
    assert found is not None
    return found


def test_the_features_are_shape_and_words_each_once():
    assert len(FEATURES) == len(set(FEATURES)) == len(SHAPE) + len(PLAIN)


def test_only_turns_of_the_user_are_measured_and_every_value_is_a_float():
    found = measured(session(ASK, edit("a"), agent(), event("compact_boundary"), user("thanks"), user(" ")))
    assert [values is not None for values in found] == [True, False, False, False, False, True, False]
    assert all(type(value) is float for values in found if values for value in values.values())


def test_a_turn_made_by_hand_has_the_values_worked_out_by_hand():
    """Six words after one edit, one failing command and a question of the agent that shares three of them."""
    found = last(
        ASK, edit("a"), shell("b", "make", "boom", "error"), agent("The export is ready. Shall I go on?"),
        user("no, the export still isn't ready?"),
    )  # fmt: skip
    by_hand = {
        "asks": 1, "reports": 0, "pasted_error": 0, "states": 0, "praise": 0, "liking": 0, "undo": 0, "confusion": 0,
        "steps": log1p(3), "calls": log1p(2), "edits": log1p(1), "failures": log1p(1),
        "asked": 1, "refused": 0, "lacks": 0, "explained": 0, "first": 0, "number": log1p(1),
        "length": log1p(6), "short": 1, "long": 0,
        "likest": 1 / 2, "like_last": 1 / 2,  # "export" of "export ready" and "write parser export"
        "overlap": 3 / 6,  # the, export, ready
        "stopped": 0, "complained": utterance(ASK.text).complaint, "image": 0, "code": 0, "lines": 0,
        "negations": 2, "questions": 1,
        "word no": 1, "word still": 1, "word isn't": 1, "word you": 0,
    }  # fmt: skip
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)
    assert sum(found[f"word {word}"] for word in PLAIN) == 3


def test_an_opening_turn_has_nothing_before_it():
    found = last(ASK)
    assert found["first"] == 1
    assert not any(
        found[name] for name in ("steps", "calls", "number", "likest", "like_last", "overlap", "complained", "stopped")
    )


def test_a_turn_is_compared_with_the_last_four_and_with_the_very_last():
    want, other = user("sort the parcels by weight"), user("rename the branch")
    near = last(want, other, want)
    assert (near["likest"], near["like_last"]) == (1, 0)
    assert last(want, other, other, other, want)["likest"] == 1
    assert last(want, other, other, other, other, want)["likest"] == 0


def test_overlap_is_with_the_agents_last_words_only():
    assert last(ASK, agent("Pallets are sorted."), agent("Ready."), user("pallets sorted"))["overlap"] == 0
    assert last(ASK, agent("Pallets are sorted."), agent(" "), user("pallets sorted"))["overlap"] == 1


@pytest.mark.parametrize(
    "stop", [event("interrupt"), result("Bash", "a", "", "interrupted"), result("Bash", "a", "", "rejected")]
)
def test_a_turn_after_a_stop_says_so_and_the_next_does_not(stop):
    ran = call("Bash", "a", command="make")
    assert last(ASK, ran, stop, user("use the other branch"))["stopped"] == 1
    assert last(ASK, ran, stop, user("use the other branch"), agent(), user("thanks"))["stopped"] == 0


def test_the_comment_on_a_rejection_is_a_turn_that_stopped_the_agent():
    found = last(ASK, call("Bash", "a", command="x"), result("Bash", "a", "", "rejected", "use the `lyon` branch"))
    assert (found["stopped"], found["code"], found["calls"]) == (1, 1, log1p(1))


@pytest.mark.parametrize(
    ("text", "feature", "values"),
    [
        ("look [Image #1]", "image", 1),
        ("look at the image", "image", 0),
        ("look at `a.py`", "code", 1),
        ("a list\nof\nfour\nlines", "lines", 0),
        ("a list\nof\nfive\nshort\nlines", "lines", 1),
        ("pallet " * 80, "long", 0),
        ("pallet " * 81, "long", 1),
        ("pallet " * 7, "short", 0),
        ("where? and why??", "questions", 3),
        ("never without a title, and don't hide it", "negations", 3),
    ],
)
def test_marks_of_the_writing_are_features(text, feature, values):
    assert last(ASK, agent(), user(text))[feature] == values


def test_the_complaint_of_the_turn_before_is_remembered():
    complaint = "the totals are still wrong"
    assert last(ASK, agent(), user(complaint), agent(), user("thanks"))["complained"] == utterance(complaint).complaint


def test_what_is_kept_of_a_session_does_not_grow_with_it():
    def state(turns: int) -> int:
        context, reader = Context(), TurnReader()
        for index in range(0, 2 * turns, 2):
            reader.update(context.look(index, user(f"sort the parcels by weight {index}")))
            reader.update(context.look(index + 1, agent("The parcels are sorted.")))
        return len(pickle.dumps(reader))

    assert state(500) == state(20)


def test_a_given_model_is_asked_instead_of_the_packaged_one():
    model = Linear(FEATURES, tuple(1.0 if name == "questions" else 0.0 for name in FEATURES), -1.0)
    finds, context = Finds("correction", {"correction": model}), Context()
    assert finds.update(context.look(0, user("where?"))) == 0.5
    assert finds.update(context.look(1, agent())) is None


def test_a_fold_gives_its_models_to_the_detectors_that_learned():
    sure = Linear(FEATURES, (0.0,) * len(FEATURES), 2.0)
    told = (ASK, agent(), user("the footer"))

    def types(models=None):
        fold = Fold((correction.Correction,), models=models)
        return [found.type for step in told for found in fold.update(step)]

    assert types({"correction": sure}) == ["correction"]
    assert types() == []
