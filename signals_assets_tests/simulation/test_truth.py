"""The planted truth: steps of the right kind, structure that shows the moment, look-alikes that are not planted."""

import itertools
from collections import Counter, defaultdict

import pytest

from signals_assets.core.sessions import Session
from signals_assets.simulation.story import DELIGHT, EMERGING, FRICTION
from signals_assets_tests.simulation.worlds import planted, sessions, truth

USER_SIDE = (
    "repeated_rephrasing",
    "escalation_tone",
    "platform_confusion",
    "correction",
    "positive_exclamation",
    "first_attempt_success",
    "time_saved",
    "rapid_approval",
    "shifted_dates",
)


@pytest.fixture(scope="module")
def pairs(world_folder):
    return list(zip(truth(world_folder), sessions(world_folder), strict=True))


def moments(pairs, name):
    found = [(item, session) for row, session in pairs for item in planted(row, name)]
    assert found, f"no {name} was planted"
    return found


def test_every_type_is_planted(pairs):
    names = {item.get("category", item["type"]) for row, _ in pairs for item in row["friction"] + row["delight"]}
    assert names >= {*FRICTION, *DELIGHT, *(item.name for item in EMERGING)}


def test_evidence_lies_inside_its_session_in_order(pairs):
    for row, session in pairs:
        for item in row["friction"] + row["delight"]:
            assert item["steps"] == sorted(set(item["steps"]))
            assert 0 <= item["steps"][0] <= item["steps"][-1] < len(session.steps)


def test_friction_has_a_severity_and_delight_has_none(pairs):
    for row, _ in pairs:
        assert all(item["severity"] in ("low", "medium", "high") for item in row["friction"])
        assert not any("severity" in item for item in row["delight"])


@pytest.mark.parametrize("name", USER_SIDE)
def test_what_users_say_points_at_user_messages(pairs, name):
    for item, session in moments(pairs, name):
        assert {session.steps[step].kind for step in item["steps"]} == {"user_message"}


def test_rephrasing_states_one_want_three_times_in_other_words_after_agent_turns(pairs):
    for item, session in moments(pairs, "repeated_rephrasing"):
        steps = item["steps"]
        assert len(steps) >= 3
        assert len({session.steps[step].text for step in steps}) == len(steps)
        for before, after in itertools.pairwise(steps):
            kinds = {step.kind for step in session.steps[before + 1 : after]}
            assert "assistant_message" in kinds
            assert "user_message" not in kinds


def test_errors_point_at_failing_results_or_model_errors(pairs):
    lying = 0
    for item, session in moments(pairs, "error_event"):
        for step in (session.steps[step] for step in item["steps"]):
            assert step.kind == "tool_result" or (step.kind == "event" and step.name == "api_error")
            assert step.status in (None, "ok", "error", "timeout")
            lying += step.status == "ok"
    assert lying


def test_abandoned_flows_point_at_a_rejection_or_an_interruption(pairs):
    for item, session in moments(pairs, "abandoned_tool_flow"):
        first, *rest = (session.steps[step] for step in item["steps"])
        assert first.status in ("rejected", "interrupted")
        assert [step.name for step in rest] == (["interrupt"] if first.status == "interrupted" else [])


def test_backtracking_is_a_request_and_the_step_that_undoes(pairs):
    for item, session in moments(pairs, "backtracking"):
        request, undo = (session.steps[step] for step in item["steps"])
        assert request.kind == "user_message"
        assert undo.kind == "tool_call"
        assert undo.tool_name in ("Edit", "Bash")
        if undo.tool_name == "Edit":
            edits = [
                step.arguments
                for step in session.steps[: item["steps"][0]]
                if step.tool_name == "Edit" and step.arguments
            ]
            reverse = (undo.arguments["new_string"], undo.arguments["old_string"])
            assert reverse in [(edit["old_string"], edit["new_string"]) for edit in edits]


def reads_without_change(session: Session) -> dict[str, int]:
    """The longest run of whole readings of one file without a change of it between."""
    run: dict[str, int] = defaultdict(int)
    longest: dict[str, int] = defaultdict(int)
    for step in session.steps:
        if step.kind != "tool_call" or "file_path" not in (step.arguments or {}):
            continue
        file = step.arguments["file_path"]
        if step.tool_name in ("Edit", "Write"):
            run[file] = 0
        elif step.tool_name == "Read" and "offset" not in step.arguments:
            run[file] += 1
            longest[file] = max(longest[file], run[file])
    return longest


def test_context_churn_is_the_same_file_read_again_without_a_change_and_nothing_else_is(pairs):
    for row, session in pairs:
        churned = set()
        for item in planted(row, "context_churn"):
            calls = [session.steps[step] for step in item["steps"]]
            assert len(calls) >= 3
            (file,) = {call.arguments["file_path"] for call in calls}
            assert {call.tool_name for call in calls} == {"Read"}
            texts = {session.steps[step + 1].text for step in item["steps"]}
            assert len(texts) == 1
            churned.add(file)
        again = {file for file, reads in reads_without_change(session).items() if reads >= 3}
        assert again == churned


def test_look_alikes_exist_that_are_not_planted(pairs):
    found = Counter()
    for row, session in pairs:
        evidence = {step for item in row["friction"] for step in item["steps"]}
        for index, step in enumerate(session.steps):
            if index in evidence or step.kind != "tool_result":
                continue
            found["expected failure"] += step.status == "error" and step.tool_name == "Bash"
            found["no hits"] += step.text in ("No matches.", "0 results")
            found["question declined"] += step.status == "rejected" and step.tool_name == "ask_question"
        found["range"] += any(step.arguments and "offset" in step.arguments for step in session.steps)
    assert all(found[name] for name in ("expected failure", "no hits", "question declined", "range")), found


def test_a_session_that_was_given_up_has_its_last_friction_at_high_severity(pairs):
    given_up = [row for row, _ in pairs if row["outcome"] == "abandoned" and row["friction"]]
    assert given_up
    assert all(row["friction"][-1]["severity"] == "high" for row in given_up)


def test_wordings_are_many(pairs):
    texts = [step.text for _, session in pairs for step in session.steps if step.kind == "user_message"]
    assert len(set(texts)) > len(texts) / 2
    for name in (item.name for item in EMERGING):
        said = [session.steps[item["steps"][-1]].text for item, session in moments(pairs, name)]
        assert len(set(said)) > len(said) / 10


def test_no_slot_is_left_unfilled(pairs):
    import re

    slot = re.compile(r"\{[a-z_]+\}")
    for _, session in pairs:
        for step in session.steps:
            if step.kind in ("user_message", "assistant_message"):
                assert not slot.search(step.text.split("```")[0])


def test_facets_of_the_truth(pairs):
    assert {row["outcome"] for row, _ in pairs} == {"success", "partial", "abandoned", "transferred", "unclear"}
    assert {row["human_language"] for row, _ in pairs} >= {"en", "de"}
    assert len({language for row, _ in pairs for language in row["programming_languages"]}) >= 4
    assert any(row["specification_drift"] for row, _ in pairs)
    assert any(row["tool_call_confirmations"] for row, _ in pairs)
    assert {row["unmet_need"] for row, _ in pairs} == {None, "recurring report by e-mail", "another capability"}


def test_lengths_are_those_of_an_agent_at_work(pairs):
    lengths = sorted(row["agentic_steps"] for row, _ in pairs)
    assert 32 <= lengths[len(lengths) // 2] <= 42
    assert 0.55 <= sum(length >= 30 for length in lengths) / len(lengths) <= 0.75
    assert lengths[-1] > 150
