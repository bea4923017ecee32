import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core import request_lines
from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.request_lines import AskChunk, ask_chunk, indices, ranges
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets_tests.core.detectors.script import agent, session, shell, user

PROMPT = pinned("analyze_session", 2).id


def request(number=1, words="please fix it", prompt=PROMPT):
    found = session(user(words), shell("a", "make", "make: *** boom", "error"), agent("Done."))
    return AnalysisRequest.about(f"q_{number}", f"s_{number}", found, prompt, seed())


def chunk(*requests, **over):
    values = {
        "model": "gpt-5.2", "endpoint": "/v1/responses", "tier": None, "secret": b"x", "session_tokens": 4_000,
        "window": 50_000,
    }  # fmt: skip
    return AskChunk(requests, **(values | over))


@given(st.sets(st.integers(0, 300)))
def test_ranges_hold_exactly_the_numbers(numbers):
    assert indices(ranges(numbers)) == numbers


def test_runs_of_numbers_are_short():
    assert ranges({0, 1, 2, 5, 7, 8}) == "0-2,5,7-8"
    assert indices("") == frozenset()


def test_a_request_is_a_line_that_names_it_and_says_what_it_shows():
    [asked] = ask_chunk(chunk(request(), rooms={"q_1.1": 123}))
    [line] = asked.lines
    found = orjson.loads(line.line)
    assert (found["custom_id"], found["method"], found["url"]) == ("q_1.1", "POST", "/v1/responses")
    assert found["body"]["max_output_tokens"] == 123
    assert (asked.request_id, line.part, line.parts) == ("q_1", 1, 1)
    assert (line.steps_seen, line.steps_total, line.shown) == (4, 4, "0-3")
    assert b"\n" not in line.line
    assert line.tokens * 2 > len(line.line) / 4  # the estimate counts instructions too


def test_what_all_requests_share_comes_first_and_delimiters_differ():
    bodies = [orjson.loads(asked.lines[0].line)["body"] for asked in ask_chunk(chunk(request(1), request(2)))]
    assert bodies[0]["instructions"] == bodies[1]["instructions"]
    assert bodies[0]["text"] == bodies[1]["text"]
    first, second = (body["input"][0]["content"] for body in bodies)
    assert first != second


def test_a_session_over_the_window_becomes_several_lines_under_one_request():
    words = " ".join(f"word{n}" for n in range(9_000))
    [asked] = ask_chunk(chunk(request(words=words), window=16_000))
    assert len(asked.lines) > 1
    assert [line.part for line in asked.lines] == list(range(1, len(asked.lines) + 1))
    assert {line.parts for line in asked.lines} == {len(asked.lines)}
    assert len({orjson.loads(line.line)["custom_id"] for line in asked.lines}) == len(asked.lines)


def test_a_session_that_breaks_the_preparation_has_no_lines_and_the_others_have_theirs(monkeypatch):
    real = request_lines.condense

    def stumble(found, **given):
        if found == broken.session:
            raise RecursionError
        return real(found, **given)

    broken = request(1, words="break it")
    monkeypatch.setattr(request_lines, "condense", stumble)
    asked = ask_chunk(chunk(broken, request(2)))
    assert [(one.request_id, len(one.lines)) for one in asked] == [("q_1", 0), ("q_2", 1)]


@pytest.mark.parametrize("prompt", ["nonsense", "analyze_session.v2@000000"])
def test_a_request_under_a_prompt_that_is_not_released_has_no_lines(prompt):
    [asked] = ask_chunk(chunk(request(prompt=prompt)))
    assert asked.lines == ()
