"""OpenAI's embeddings through the real client and sockets: limits, order, repetitions, what is not believed."""

import numpy as np
import pytest

from signals_assets.resources.batches import Server
from signals_assets.resources.embedder import EmbedderError
from signals_assets.resources.openai_embedder import INPUTS, REQUEST_BYTES, TEXT_BYTES, OpenAIEmbedder
from signals_assets_tests.fakes.openai_server import OpenAIServer
from signals_assets_tests.resources.embedder_contract import EmbedderContract

POST = "POST /embeddings"
TEXTS = ["dates were off by a time zone", "a tool call failed", "the user asked to undo the change"]
SECRET = "words that nobody may read in an error"


@pytest.fixture
def serve():
    """Starts servers; each answer that no switch made odd follows the specification."""
    servers = []

    def start(**switches):
        servers.append(OpenAIServer(**switches).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)
        assert server.state.faults.odd_vectors or server.state.spec_violations == []


def door(server, model="text-embedding-3-small", dimensions=None, timeout=10.0):
    return OpenAIEmbedder(Server("sk-none", server.url, timeout=timeout), model, dimensions=dimensions)


class TestOpenAI(EmbedderContract):
    @pytest.fixture
    def embedder(self, serve):
        return door(serve())


class TestAServerOfOnesOwn(EmbedderContract):
    """A model that nobody knows, from a server that packs nothing, scales nothing and answers under a dated name."""

    @pytest.fixture
    def embedder(self, serve):
        server = serve(embedding_models=["house"], odd_vectors="numbers", chat_only=True, snapshot="-2026-01-01")
        return door(server, "house")


def test_nothing_is_asked_before_the_first_text_and_nothing_about_no_text(serve):
    server = serve()
    embedder = door(server)
    assert (embedder.dimensions, embedder.outside, embedder.tokens) == (1536, True, 0)
    assert embedder.embed([]).shape == (0, 1536)
    assert server.state.requests == []


def test_the_name_tells_server_and_shortened_vectors_apart_and_holds_no_password():
    names = [
        OpenAIEmbedder(Server("k", url), "m", dimensions=short).name
        for url in (None, "http://ann:pw@house:8000/v1", "http://other/v1") for short in (None, 256)
    ]  # fmt: skip
    assert names == ["m", "m/256", "m@house:8000", "m@house:8000/256", "m@other", "m@other/256"]


def test_each_distinct_text_is_sent_once_and_its_tokens_are_counted(serve):
    server = serve()
    embedder = door(server, dimensions=8)
    assert embedder.embed([*TEXTS, *TEXTS]).shape == (6, 8)
    assert server.state.embedded == [sorted(TEXTS)]
    assert embedder.tokens == sum(charge.input_tokens for charge in server.state.charges) > 0


def test_vectors_in_another_order_are_put_in_their_places(serve):
    straight, shuffled = door(serve()).embed(TEXTS), door(serve(odd_vectors="shuffled")).embed(TEXTS)
    assert np.array_equal(straight, shuffled)


def test_requests_keep_to_the_limits_of_inputs_and_bytes(serve):
    server = serve()
    short = [f"text {number}" for number in range(INPUTS + 1)]
    long = [f"{number} " + "語" * TEXT_BYTES for number in range(40)]
    assert door(server, dimensions=2).embed(short + long).shape == (INPUTS + 41, 2)
    sent = server.state.embedded
    assert max(map(len, sent)) <= INPUTS
    assert max(sum(len(text.encode()) for text in texts) for texts in sent) <= REQUEST_BYTES
    assert len([text for texts in sent for text in texts]) == INPUTS + 41
    assert len(sent) == 3
    cut = [text for texts in sent for text in texts if "語" in text]
    assert {TEXT_BYTES - len(text.encode()) for text in cut} <= {0, 1, 2}  # whole characters
    assert all(any(text.startswith(beginning) for text in long) for beginning in cut)


def test_half_a_character_that_json_cannot_hold_is_replaced(serve):
    server = serve()
    assert door(server, dimensions=4).embed(["half \ud83d of one"]).shape == (1, 4)
    assert server.state.embedded == [["half ? of one"]]


@pytest.mark.parametrize("fault", ["too_many", "server_errors", "lost_answers", "slow"])
def test_a_request_that_fails_once_is_repeated(fault, serve):
    server = serve(**{fault: {POST: [0]}}, slow_seconds=0.3)
    found = door(server, dimensions=4, timeout=0.2 if fault == "slow" else 10.0).embed(TEXTS)
    assert found.shape == (3, 4)
    assert len(server.state.requests) == 2


@pytest.mark.parametrize(
    ("switches", "asked", "says"),
    [
        ({"too_many": {POST: 1.0}}, 4, "http 429, rate_limit_exceeded; the server asks to wait"),
        ({"api_key": "another"}, 1, "http 401, invalid_api_key; see whether the key is right"),
        ({"embedding_models": ["other"]}, 1, "http 404, model_not_found; it does not exist there"),
    ],
    ids=["busy", "key", "model"],
)  # fmt: skip
def test_what_stays_wrong_ends_in_an_error_without_content(switches, asked, says, serve):
    server = serve(**switches)
    with pytest.raises(EmbedderError, match=says) as failed:
        door(server).embed([SECRET])
    assert "embedding model text-embedding-3-small: embedding 1 texts:" in str(failed.value)
    assert len(server.state.requests) == asked
    assert_silent(failed.value)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ("short", "2 vectors for 3 texts"), ("twice", "3 vectors for 3 texts, or not one for each"),
        ("shorter", "a vector of 1535 dimensions where 1536 are expected"), ("nan", "without a direction"),
        ("zero", "without a direction"), ("garbled", "not packed as it should be"),
        ("none", "its shape is not the specification's"),
    ],
)  # fmt: skip
def test_an_answer_that_is_odd_is_refused_whole_without_content(odd, says, serve):
    embedder = door(serve(odd_vectors=odd))
    with pytest.raises(EmbedderError, match=f"its answer cannot be used: .*{says}") as failed:
        embedder.embed([SECRET, *TEXTS[:2]])
    assert embedder.tokens == 0
    assert_silent(failed.value)


def test_another_length_or_another_model_behind_the_same_name_is_refused(serve):
    server = serve(embedding_models=["house"])
    embedder = door(server, "house")
    embedder.embed(TEXTS)
    server.switch(snapshot="-new")
    with pytest.raises(EmbedderError, match="another model answered than before"):
        embedder.embed(TEXTS)
    server.switch(snapshot="", odd_vectors="shorter")
    with pytest.raises(EmbedderError, match="a vector of 63 dimensions where 64 are expected"):
        embedder.embed(TEXTS)


def test_a_server_that_is_not_there_is_named_by_what_to_do():
    gone = OpenAIEmbedder(Server("sk-none", "http://127.0.0.1:9/v1", timeout=1.0))
    gone._server.client().max_retries = 0
    with pytest.raises(EmbedderError, match="unreachable; see whether the server runs"):
        gone.check()


def assert_silent(error):
    """No text and no key anywhere in what is raised, what it came from included."""
    while error is not None:
        assert SECRET not in str(error)
        assert "sk-none" not in str(error)
        error = error.__cause__ or error.__context__
