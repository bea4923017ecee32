"""`signals doctor`: doors, reasons, predictions."""

import json

from signals_assets.resources import _OPENERS


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
    assert "tracker = 'linear' is not part of this version; use files" in closed[0]["answer"]


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
