"""Smoke test against the real service: two made-up sessions, asked directly and, where wanted, in a batch; vectors.

    SIGNALS_LIVE_OPENAI_KEY=... pytest -m live signals_assets_tests/live

Deselected by default; without the key it is skipped. SIGNALS_LIVE_OPENAI_MODEL and SIGNALS_LIVE_OPENAI_URL choose
another model and another server, SIGNALS_LIVE_OPENAI_EMBEDDINGS another model of vectors.
SIGNALS_LIVE_OPENAI_BATCH=MINUTES sends a batch, too, and waits for it so long; what has not come by then is deleted at
the provider when the batch has ended and the test is run again. It costs money: the price of each test is printed
(`pytest -s`).
"""

import os
import time

import pytest

from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.resources.batches import DirectBatches, OpenAIBatches, Server
from signals_assets.resources.compute import SerialCompute
from signals_assets.resources.language_model import LanguageModelAnalyst, Limits
from signals_assets.resources.openai_embedder import MODEL as MODEL_OF_VECTORS
from signals_assets.resources.openai_embedder import OpenAIEmbedder
from signals_assets.resources.requests import RequestLog
from signals_assets_tests.core.detectors.script import agent, edit, session, shell, user

pytestmark = pytest.mark.live

KEY = os.environ.get("SIGNALS_LIVE_OPENAI_KEY", "")
MODEL = os.environ.get("SIGNALS_LIVE_OPENAI_MODEL", "gpt-5.2")
MINUTES = float(os.environ.get("SIGNALS_LIVE_OPENAI_BATCH") or 0)
STATES = {"answered"}


@pytest.fixture
def server():
    """How to reach the service; skips without a key."""
    if not KEY:
        pytest.skip("set SIGNALS_LIVE_OPENAI_KEY to ask the real service; this costs money")
    return Server(api_key=KEY, base_url=os.environ.get("SIGNALS_LIVE_OPENAI_URL"), timeout=900.0)


def requests():
    """Two made-up sessions: one with a failing build and an unhappy user, one that went well."""
    unhappy = session(
        user("please make the parser of dates accept the short form as well"),
        shell("a", "make test", "make: *** two tests of the parser failed", "error"),
        edit("b"),
        agent("I changed the parser."),
        user("that is wrong, the long form does not work any more"),
        agent("Sorry, I take it back."),
    )
    happy = session(user("which file holds the version?"), shell("a", "ls", "version.txt"), agent("version.txt"),
                    user("perfect, thank you"))  # fmt: skip
    prompt = pinned("analyze_session", 2).id
    both = enumerate((unhappy, happy))
    return [AnalysisRequest.about(f"q_live_{n}", f"s_{n}", found, prompt, seed()) for n, found in both]


def analyst(backend, folder):
    return LanguageModelAnalyst(
        backend,
        RequestLog(f"sqlite:///{folder / 'restricted' / 'requests.db'}"),
        folder / "restricted" / "analyst",
        SerialCompute(),
        model=MODEL,
        secret=lambda: b"a secret of the smoke test",
        audience="company",
        limits=Limits(output_tokens=4_000),
    )


def check(reader):
    """Both sessions are answered from their own steps; says what it took."""
    answers = {answer.request_id: answer for answer in reader.collect("live")}
    assert {answer.state for answer in answers.values()} == STATES
    unhappy, happy = answers["q_live_0"], answers["q_live_1"]
    assert unhappy.answer.summary
    assert happy.answer.summary
    assert unhappy.answer.friction
    for answer in answers.values():
        steps = [step for event in (*answer.answer.friction, *answer.answer.delight) for step in event.steps]
        assert all(0 <= step < answer.steps_total for step in steps)
        assert answer.input_tokens > 0
        assert answer.output_tokens > 0
    price = [answer.cost_usd for answer in answers.values()]
    print(f"{MODEL}: ${sum(price):.4f}" if None not in price else f"{MODEL}: price not known")  # noqa: T201


def test_the_model_is_served(server, tmp_path):
    assert MODEL in OpenAIBatches(server, tmp_path / "scratch").models()


@pytest.mark.parametrize("endpoint", ["/v1/responses", "/v1/chat/completions"])
def test_two_sessions_are_answered_directly(server, tmp_path, endpoint):
    backend = DirectBatches(server, tmp_path / "restricted" / "direct", name="openai", endpoint=endpoint, tier="sync")
    reader = analyst(backend, tmp_path)
    assert reader.submit("live", requests()).next == "done"
    check(reader)


def test_texts_have_vectors_of_the_length_that_the_model_is_known_for(server):
    embedder = OpenAIEmbedder(server, os.environ.get("SIGNALS_LIVE_OPENAI_EMBEDDINGS", MODEL_OF_VECTORS))
    expected = embedder.dimensions
    assert embedder.embed(["undo that change", "dates were off by a time zone", ""]).shape == (3, expected)
    assert embedder.tokens > 0
    print(f"{embedder.check()}; {embedder.tokens} tokens")  # noqa: T201


def test_two_sessions_are_answered_in_a_batch_and_nothing_stays_there(server, tmp_path):
    if not MINUTES:
        pytest.skip("set SIGNALS_LIVE_OPENAI_BATCH to the minutes to wait for a batch")
    backend = OpenAIBatches(server, tmp_path / "restricted" / "scratch")
    reader = analyst(backend, tmp_path)
    until = time.monotonic() + 60 * MINUTES
    while reader.submit("live", requests()).next != "done":
        while reader.poll("live").next == "wait":
            assert time.monotonic() < until, "the batch has not ended in time"
            time.sleep(min(20.0, MINUTES * 3))
    check(reader)
    [send] = reader._log.sends("done")
    assert backend.delete(send.batch_id) == 0
