from signals_assets.core.analysis import (
    AnalysisAnswer,
    Answer,
    analysis_rows,
    batch_rows,
    request_id,
    requests,
)
from signals_assets.core.selection import select
from signals_assets.core.sessions import to_json
from signals_assets_tests.core.detectors.script import session, shell, user
from signals_assets_tests.factories import DAY

TROUBLED = session(user("show the order number in the invoice header"), shell("a", "make", "make: *** boom", "error"))


def metric(number, steps=40, characters=36_000, **over):
    values = {"session_id": f"s{number}", "user_id": None, "known_on": DAY, "agentic_steps": steps, "steps": steps}
    return values | {"characters": characters} | over


def choose(metrics, detections=(), **over):
    return select(metrics, detections, **({"min_steps": 30, "daily_token_budget": 10**9, "seed": 0, "day": DAY} | over))


def test_rows_of_batches_and_analyses_keep_every_session_and_every_state():
    metrics = [metric(1), metric(2), metric(3, steps=1)]
    chosen = choose(metrics)
    raw = [{"session_id": f"s{n}", "session": to_json(TROUBLED).decode()} for n in (1, 2, 3)]
    asked = list(requests(raw, chosen, day=DAY, prompt="p", taxonomy_version=1, types=("error_event",)))
    assert [item.session_key for item in asked] == ["s1", "s2"]
    batches = {item.request_id: "b_1" for item in asked}
    rows = batch_rows(metrics, chosen, day=DAY, analyst="rules", prompt="p", taxonomy_version=1, batch_of=batches)
    assert [(row.selected, row.batch_id) for row in rows] == [(True, "b_1"), (True, "b_1"), (False, None)]
    first = AnalysisAnswer(asked[0].request_id, "s1", "answered", Answer(summary="x"), "rules-1")
    analysed, coverage = analysis_rows((row.model_dump() for row in rows), [first, first], taxonomy_version=1)
    assert [(row.session_id, row.state) for row in analysed] == [("s1", "answered"), ("s2", "expired")]
    assert (coverage.asked, coverage.answered, coverage.failed) == (2, 1, 1)


def test_a_request_id_is_opaque_and_stable():
    one = request_id(DAY, "s_1", "p", 1)
    assert one == request_id(DAY, "s_1", "p", 1) != request_id(DAY, "s_1", "p", 2)
    assert "s_1" not in one
