"""`signals doctor`: doors, reasons, predictions."""

import json
from importlib import metadata

import pytest

from signals_assets.cli import doctor
from signals_assets.resources import _OPENERS
from signals_assets_tests.fakes.openai_server import OpenAIServer

KEY = "sk-of-the-tests-7f3a"


def told(signals, tmp_path, *arguments, code=0):
    file = tmp_path / "doctor.json"
    output = signals("doctor", "--json", file, *arguments, code=code).output
    return json.loads(file.read_bytes()), output


def test_every_door_but_the_key_is_called_and_open(signals, empty_home, tmp_path):
    found, output = told(signals, tmp_path)
    states = {row["door"]: row["state"] for row in found["doors"]}
    assert states == dict.fromkeys(set(_OPENERS) - {"pseudonym_key"}, "open")
    assert all(row["answer"] for row in found["doors"])
    assert all(name in output for name in states)


def test_a_closed_door_is_named_with_its_reason_and_the_others_are_still_called(
    signals, empty_home, tmp_path, monkeypatch
):
    monkeypatch.setenv("SIGNALS_TRACKER", "linear")
    found, _ = told(signals, tmp_path, code=1)
    closed = [row for row in found["doors"] if row["state"] == "closed"]
    assert [row["door"] for row in closed] == ["tracker"]
    assert "tracker = 'linear' needs a team: set SIGNALS_LINEAR__TEAM" in closed[0]["answer"]


def test_openais_embeddings_answer_with_one_word_and_say_that_texts_are_sent(
    signals, empty_home, tmp_path, monkeypatch
):
    monkeypatch.setenv("SIGNALS_EMBEDDER", "openai")
    monkeypatch.setenv("SIGNALS_EMBEDDING_SERVER__API_KEY", KEY)
    with OpenAIServer(api_key=KEY) as server:
        monkeypatch.setenv("SIGNALS_EMBEDDING_SERVER__BASE_URL", server.url)
        found, output = told(signals, tmp_path)
    (row,) = [row for row in found["doors"] if row["door"] == "embedder"]
    assert row["state"] == "open"
    assert "1536 dimensions; admitted texts are sent there" in row["answer"]
    assert server.state.embedded == [["check"]]
    assert KEY not in output


def test_without_a_warehouse_there_is_no_volume_but_an_answer(signals, empty_home, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNALS_WAREHOUSE", "bigquery")
    found, _ = told(signals, tmp_path, code=1)
    assert found["volume"]["sessions_per_day"] == 0
    assert found["predictions"] == []


def test_a_given_volume_is_predicted_for(signals, empty_home, tmp_path):
    small, _ = told(signals, tmp_path, "--sessions-per-day", 5, "--users", 1, "--audience", "self")
    large, _ = told(signals, tmp_path, "--sessions-per-day", 5000, "--users", 900, "--audience", "team")
    assert small["volume"] == {"sessions_per_day": 5.0, "users": 1, "organizations": None, "audience": "self"}
    answers = [{row["question"]: row["answer"] for row in found["predictions"]} for found in (small, large)]
    assert answers[0].keys() == answers[1].keys()
    rise = next(question for question in answers[0] if question.startswith("a rise"))
    assert "confirmed not within four weeks" in answers[0][rise]
    assert "confirmed not within" not in answers[1][rise]


def test_the_stored_volume_is_predicted_for_where_none_is_given(signals, lived_home, lived, tmp_path):
    from signals_assets.tables import SessionMetrics

    found, output = told(signals, tmp_path)
    rows = lived.rows(SessionMetrics)
    assert found["volume"]["users"] == len({row["user_id"] for row in rows if row["user_id"]})
    assert found["volume"]["sessions_per_day"] == len(rows) / len({row["day"] for row in rows})
    assert found["predictions"]
    assert f"from {len(rows)} stored sessions" in output


# --- a language model ----------------------------------------------------------------------------------------------


@pytest.fixture
def ask(signals, empty_home, tmp_path, monkeypatch):
    """Runs `signals doctor` with an analyst; returns its rows by what they are about."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(analyst, code=0, **settings):
        monkeypatch.setenv("SIGNALS_ANALYST", analyst)
        for name, value in settings.items():
            monkeypatch.setenv(f"SIGNALS_LANGUAGE_MODEL__{name.upper()}", str(value))
        found, output = told(signals, tmp_path, code=code)
        assert KEY not in output + json.dumps(found)
        return {row["what"]: (row["state"], row["answer"]) for row in found["language_model"]}

    return run


def test_with_the_rules_nobody_is_called_and_what_a_model_would_need_is_told(ask):
    with OpenAIServer() as server:
        found = ask("rules", base_url=server.url)
        assert server.state.requests == []
    assert found["use"] == (
        "off", "analyst = 'rules': no session is sent anywhere. SIGNALS_ANALYST=openai sends them"
    )  # fmt: skip
    assert found["key"][0] == "off"
    assert "OPENAI_API_KEY" in found["key"][1]
    assert "service" not in found


def test_a_second_reader_that_sends_sessions_is_told_even_where_the_analyst_sends_none(ask, monkeypatch):
    monkeypatch.setenv("SIGNALS_SECOND_READER__ANALYST", "openai-compatible")
    monkeypatch.setenv("SIGNALS_SECOND_READER__LANGUAGE_MODEL__BASE_URL", "http://localhost:9/v1")
    monkeypatch.setenv("SIGNALS_SECOND_READER__LANGUAGE_MODEL__MODEL", "open-weights")
    found = ask("rules", code=1)  # nobody answers there
    assert "no session is sent anywhere" not in found["use"][1]
    assert found["second reader"][0] == "ok"
    assert "20 condensed sessions a day are sent to open-weights" in found["second reader"][1]


@pytest.mark.parametrize(("analyst", "model"), [("openai", "gpt-5.2"), ("openai-compatible", "open-weights")])
def test_a_service_that_has_the_model_is_open_and_only_asked_what_costs_nothing(ask, analyst, model):
    with OpenAIServer(api_key=KEY) as server:
        found = ask(analyst, base_url=server.url, api_key=KEY, model=model)
        assert {method for method, _ in server.state.requests} == {"GET"}
    assert found["service"] == ("ok", f"it answered and offers {model}")
    assert found["key"] == ("ok", "set by language_model.api_key")
    assert found["model"][0] == ("ok" if analyst == "openai" else "unknown")
    assert found["address"][1].startswith("http://127.0.0.1/")


def test_a_missing_key_and_a_missing_address_are_named(ask):
    found = ask("openai", code=1)
    assert found["key"] == ("missing", "set OPENAI_API_KEY or SIGNALS_LANGUAGE_MODEL__API_KEY")
    assert "service" not in found
    found = ask("openai-compatible", code=1)
    assert found["address"][0] == "missing"
    assert "SIGNALS_LANGUAGE_MODEL__BASE_URL" in found["address"][1]
    assert found["key"][0] == "off"


def test_an_address_is_shown_without_name_and_password(ask):
    assert ask("rules", base_url=f"https://ann:{KEY}@example.org/v1")["address"] == ("ok", "https://example.org/v1")
    assert ask("openai", code=1, base_url="example.org", api_key=KEY)["address"][0] == "missing"


def test_a_client_that_is_not_installed_is_named(ask, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    assert ask("rules")["client library"] == ("off", "pip install 'signals-assets[openai]'")


def test_a_model_that_is_not_served_is_told_with_some_that_are(ask):
    with OpenAIServer() as server:
        found = ask("openai", code=1, base_url=server.url, api_key=KEY, model="gpt-9")
    assert found["service"][0] == "missing"
    assert "does not offer gpt-9; it has gpt-4.1-mini" in found["service"][1]
    assert found["model"][0] == "unknown"
    assert "input_price" in found["model"][1]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "invalid_api_key", "see whether the key is right"),
        (403, "forbidden", "see what the key's project may do"),
        (404, "not_found", "it does not exist there, or the key belongs to another project"),
        (429, "insufficient_quota", "see the account's billing and limits"),
    ],
)
def test_what_the_service_refuses_is_said_in_words(ask, monkeypatch, status, code, words):
    from signals_assets_tests.fakes.openai_server import _Handler
    from signals_assets_tests.fakes.openai_state import ApiError

    def refuse(self, state, content):
        raise ApiError(status, code, f"No, {KEY}.")

    monkeypatch.setattr(_Handler, "_models", refuse)
    with OpenAIServer() as server:
        state, said = ask("openai", code=1, base_url=server.url, api_key=KEY)["service"]
    assert state == "missing"
    assert str(status) in said
    assert words in said


def test_a_server_that_is_not_there_is_told_to_be_unreachable(ask):
    with OpenAIServer() as server:
        gone = server.url
    state, said = ask("openai-compatible", code=1, base_url=gone)["service"]
    assert (state, "see whether the server runs" in said) == ("missing", True)
