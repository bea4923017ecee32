"""`signals estimate`: sessions, tokens and price of files and of the home, without a key and without a network."""

import json
import socket

import pytest

from signals_assets.cli import asking
from signals_assets.core.sessions import to_json
from signals_assets_tests.core.detectors.script import agent, session, shell, user


def line(number, steps=40):
    noise = "\n".join(f"compiled part {n} of {number}" for n in range(300))
    told = session(user("build it"), shell("a", "make", noise), *[agent("Working on it.")] * steps)
    told.session_id = f"s{number}"
    told.started_at = 1_767_600_000.0 + number % 2 * 86_400
    return to_json(told) + b"\n"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, empty_home, tmp_path):
    def refuse(*_):
        raise AssertionError("estimate went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told(signals, tmp_path):
    def run(*arguments):
        output = signals("estimate", *arguments, "--json", "told.json").output
        return json.loads((tmp_path / "told.json").read_text()), output

    return run


def test_files_are_counted_condensed_and_priced_and_nothing_is_left_behind(told, tmp_path, empty_home):
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(n) for n in range(6)) + line(6, steps=3) + b"{broken\n")
    found, output = told("in.jsonl")
    assert found["sessions"] == {"read": 7, "eligible": 6, "selected": 6, "condensed": 6, "unreadable": 1}
    assert found["days"] == 2
    assert found["requests"] == [6, 6, 6]
    before, after = found["input_tokens"]["before"], found["input_tokens"]["after"]
    assert before[0] >= after[0] > 6 * 1_000
    prices = {one["tier"]: one for one in found["prices"]["gpt-5.2"]}
    assert prices["sync"]["input"] == pytest.approx(after[0] // 6 * 6 * 1.75 / 1e6)
    assert prices["sync"]["output"] == pytest.approx(6 * 1_000 * 14 / 1e6)
    assert prices["batch"]["per_day"] == pytest.approx(prices["sync"]["total"] / 4)
    assert "an assumption" in found["output_tokens"]["known_from"]
    assert "Nothing was sent." in output
    assert not empty_home.exists()


def test_the_budget_of_the_settings_or_a_given_one_selects(told, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(n) for n in range(20)))
    found, _ = told("in.jsonl", "--budget", 30_000)
    assert found["sessions"]["eligible"] == 20
    assert 0 < found["sessions"]["selected"] < 20
    assert found["sessions"]["condensed"] == found["sessions"]["selected"]
    every, _ = told("in.jsonl", "--min-steps", 0)
    assert every["sessions"]["selected"] == 20


def test_a_small_budget_of_tokens_for_a_session_saves_more(told, tmp_path, monkeypatch):
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(n) for n in range(4)))
    wide, _ = told("in.jsonl")
    monkeypatch.setenv("SIGNALS_LANGUAGE_MODEL__SESSION_TOKENS", "800")
    narrow, _ = told("in.jsonl")
    assert narrow["input_tokens"]["before"] == wide["input_tokens"]["before"]
    assert narrow["input_tokens"]["saved"] > wide["input_tokens"]["saved"]


def test_of_many_sessions_a_seeded_sample_is_condensed_and_the_interval_says_so(told, tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "SAMPLED", 10)
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(n, steps=40 + 3 * n) for n in range(40)))
    found, output = told("in.jsonl")
    assert found["sessions"]["condensed"] == 10
    value, low, high = found["input_tokens"]["after"]
    assert low < value < high
    assert "from 10 sessions drawn by chance" in output
    assert told("in.jsonl")[0] == found
    assert told("in.jsonl", "--seed", 1)[0]["input_tokens"] != found["input_tokens"]
    monkeypatch.setattr(asking, "SAMPLED", 400)
    truth = told("in.jsonl")[0]["input_tokens"]["after"][0]
    assert value == pytest.approx(truth, rel=0.2)


def test_models_are_named_priced_or_said_to_be_unknown(told, tmp_path, monkeypatch):
    (tmp_path / "in.jsonl").write_bytes(line(1))
    found, output = told("in.jsonl", "--model", "open-weights", "--model", "gpt-5-mini")
    assert found["prices"]["open-weights"] == []
    assert len(found["prices"]["gpt-5-mini"]) == 3
    assert "open-weights: its price is not known" in output
    assert len(told("in.jsonl", "--model", "all")[0]["prices"]) > 10
    monkeypatch.setenv("SIGNALS_ANALYST", "openai-compatible")
    monkeypatch.setenv("SIGNALS_LANGUAGE_MODEL__INPUT_PRICE", "0.2")
    monkeypatch.setenv("SIGNALS_LANGUAGE_MODEL__OUTPUT_PRICE", "0.6")
    [price] = told("in.jsonl", "--model", "open-weights")[0]["prices"]["open-weights"]
    assert price["tier"] == "local"


def test_the_output_of_an_answer_can_be_given(told, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(line(1))
    found, _ = told("in.jsonl", "--output-tokens", 250)
    assert found["output_tokens"] == {"each": 250, "known_from": "given", "most": 8_000}


def test_a_home_without_days_says_what_to_do(signals):
    assert "No day is materialized yet" in signals("estimate", code=1).output


def test_the_days_of_the_home_are_estimated_as_the_graph_would_select(told, lived_home, lived, monkeypatch):
    from signals_assets.tables import AnalysisRequestRow, SessionMetrics

    monkeypatch.setenv("SIGNALS_SELECTION__MIN_STEPS", "0")
    found, output = told()
    rows = lived.rows(AnalysisRequestRow)
    assert found["sessions"]["read"] == len(rows) == found["sessions"]["condensed"]
    assert found["sessions"]["selected"] == sum(row["selected"] for row in rows)
    assert found["days"] == len({row["day"] for row in lived.rows(SessionMetrics)})
    assert "an assumption" in output
    last, _ = told("--last", 1)
    assert 0 < last["sessions"]["read"] < found["sessions"]["read"]
    assert last["days"] == 1


def test_days_whose_raw_text_has_expired_are_estimated_from_the_others(told, lived_home, lived):
    from signals_assets.resources.warehouse import ParquetWarehouse
    from signals_assets.tables import RawSession

    warehouse = ParquetWarehouse(lived_home / "warehouse")
    days = warehouse.days(RawSession)
    warehouse.delete_days(RawSession, days[:2])
    found, output = told("--min-steps", 0)
    assert 0 < found["sessions"]["condensed"] < found["sessions"]["selected"]
    assert "The raw text of 2 days has expired" in output
    low, value, high = (found["input_tokens"]["after"][n] for n in (1, 0, 2))
    assert low < value < high
