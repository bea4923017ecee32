from dataclasses import replace
from datetime import timedelta

from signals_assets.core.analysis import (
    AnalysisAnswer,
    Answer,
    Question,
    analysis_rows,
    batch_rows,
    requests,
)
from signals_assets.core.selection import select
from signals_assets.core.sessions import to_json
from signals_assets.core.taxonomy import seed
from signals_assets_tests.core.detectors.script import session, shell, user
from signals_assets_tests.factories import DAY

TROUBLED = session(user("show the order number in the invoice header"), shell("a", "make", "make: *** boom", "error"))


def metric(number, steps=40, characters=36_000, **over):
    values = {"session_id": f"s{number}", "user_id": None, "known_on": DAY, "agentic_steps": steps, "steps": steps}
    return values | {"characters": characters} | over


def choose(metrics, detections=(), **over):
    return select(metrics, detections, **({"min_steps": 30, "daily_token_budget": 10**9, "seed": 0, "day": DAY} | over))


QUESTION = Question(DAY, "rules", "rules-1", "p", seed())


def test_rows_of_batches_and_analyses_keep_every_session_and_every_state():
    metrics = [metric(1), metric(2), metric(3, steps=1)]
    chosen = choose(metrics)
    raw = [
        {"session_id": f"s{n}", "session": to_json(TROUBLED).decode(), "steps": len(TROUBLED.steps)} for n in (1, 2, 3)
    ]
    ids = {item.session_id: QUESTION.request_id(item.session_id) for item in chosen if item.selected}
    asked = list(requests(raw, ids, QUESTION))
    assert [item.session_key for item in asked] == ["s1", "s2"]
    batches = {item.request_id: "b_1" for item in asked}
    rows = batch_rows(metrics, chosen, QUESTION, batches)
    assert [(row.selected, row.batch_id) for row in rows] == [(True, "b_1"), (True, "b_1"), (False, None)]
    first = AnalysisAnswer(asked[0].request_id, "s1", "answered", Answer(summary="x"), "rules-1")
    analysed, coverage = analysis_rows((row.model_dump() for row in rows), [first, first], taxonomy_version=1)
    assert [(row.session_id, row.state) for row in analysed] == [("s1", "answered"), ("s2", "expired")]
    assert (coverage.asked, coverage.answered, coverage.failed) == (2, 1, 1)


def test_a_request_id_is_opaque_and_the_same_for_the_same_question_only():
    one = QUESTION.request_id("s_1")
    assert one == replace(QUESTION, taxonomy=seed()).request_id("s_1")
    assert "s_1" not in one
    others = [
        replace(QUESTION, day=DAY + timedelta(days=1)),
        replace(QUESTION, model="rules-2"),
        replace(QUESTION, analyst="openai"),
        replace(QUESTION, prompt="q"),
        replace(QUESTION, taxonomy=replace(seed(), version=9)),
    ]
    assert len({one, *(other.request_id("s_1") for other in others), QUESTION.request_id("s_2")}) == 7


def test_an_analyst_that_knows_requests_by_their_ids_only_is_believed_and_one_that_names_another_session_is_not():
    metrics = [metric(1), metric(2)]
    rows = [row.model_dump() for row in batch_rows(metrics, choose(metrics), QUESTION)]
    nameless = AnalysisAnswer(rows[0]["request_id"], None, "answered", Answer(summary="x"), "m")
    wrong = AnalysisAnswer(rows[1]["request_id"], "s1", "answered", Answer(summary="x"), "m")
    analysed, coverage = analysis_rows(rows, [nameless, wrong], taxonomy_version=1)
    assert [(row.state, row.answer is None) for row in analysed] == [("answered", False), ("rejected", True)]
    assert coverage.notes["answers_of_another_session"] == 1
