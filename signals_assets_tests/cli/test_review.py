"""`signals review`: judged by questions or from a file, never twice, blind, and gone with an erased person."""

import json

import pytest
from click.testing import CliRunner

from signals_assets.cli import main
from signals_assets.resources import erasure, resources_for
from signals_assets.settings import Settings
from signals_assets.tables import FrictionEvent


@pytest.fixture
def judge(signals, lived_home, tmp_path):
    """Writes verdicts into a file and gives it to the command."""

    def run(given, code=0):
        file = tmp_path / "verdicts.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in given))
        return signals("review", "--reviewer", "Ada", "--verdicts", file, code=code).output

    return run


def queued(signals, tmp_path, *more):
    file = tmp_path / "queue.json"
    signals("review", "--json", file, *more)
    return json.loads(file.read_bytes())


def figures(signals, tmp_path):
    file = tmp_path / "figures.json"
    signals("review", "--show", "--json", file)
    return json.loads(file.read_bytes())


def entries():
    return resources_for(Settings())["ledger"].entries(["review"])


def test_an_empty_home_has_nothing_to_judge(signals, empty_home, tmp_path):
    assert "Nothing to judge" in signals("review").output
    assert "Nobody has judged anything yet" in signals("review", "--show").output


def test_verdicts_from_a_file_count_once_and_do_not_come_again(signals, judge, tmp_path):
    first = queued(signals, tmp_path)
    assert len(first) == 20
    given = [{"event_id": one["event_id"], "verdict": "confirm"} for one in first[:-2]]
    given += [{"event_id": first[-2]["event_id"], "verdict": "reject"},
              {"event_id": first[-1]["event_id"], "verdict": "skip"}]  # fmt: skip
    assert "20 of 20 verdicts are new" in judge(given)
    assert "0 of 20 verdicts are new" in judge(given)
    assert not {one["event_id"] for one in queued(signals, tmp_path)} & {one["event_id"] for one in first}
    rows = figures(signals, tmp_path)
    assert (sum(row["judged"] for row in rows), sum(row["confirmed"] for row in rows)) == (19, 18)
    assert all(row["low"] <= row["precision"] <= row["high"] for row in rows)


def test_the_reviewer_s_name_is_not_stored_and_a_session_s_words_are_not_shown(signals, judge, tmp_path, lived):
    first = queued(signals, tmp_path)
    judge([{"event_id": first[0]["event_id"], "verdict": "confirm"}])
    [entry] = entries()
    assert "Ada" not in str(entry)
    assert entry.payload["reviewer"].startswith("r_")
    assert set(first[0]) == {"event_id", "kind", "type", "name", "definition", "severity", "citation", "summary"}


@pytest.mark.parametrize(
    ("one", "said"),
    [({"event_id": "e_nobody", "verdict": "confirm"}, "no such event"), ({"event_id": "e"}, "line 1"),
     ({"event_id": "e", "verdict": "confirm", "user": "x"}, "line 1")],
)  # fmt: skip
def test_a_file_with_a_fault_is_refused_whole(signals, judge, tmp_path, one, said):
    good = {"event_id": queued(signals, tmp_path)[0]["event_id"], "verdict": "confirm"}
    assert said in judge([one, good], code=1)
    assert entries() == []


def test_questions_are_answered_by_letters_and_one_may_stop(signals, lived_home, tmp_path):
    moments = queued(signals, tmp_path)
    other = "correction" if moments[2]["kind"] == "friction" else "time_saved"
    other = other if other != moments[2]["type"] else {"friction": "error_event", "delight": "rapid_approval"}[
        moments[2]["kind"]]  # fmt: skip
    done = CliRunner().invoke(main, ["review"], input=f"c\nr\nw\n{other}\nq\n")
    assert done.exit_code == 0, done.output
    assert "3 judged" in done.output
    assert moments[0]["definition"] in done.output
    assert [entry.payload["verdict"] for entry in entries()] == ["confirm", "reject", "wrong_type"]
    assert entries()[2].payload["right_type"] == other


def test_verdicts_on_an_erased_person_s_events_go_with_them(signals, judge, tmp_path):
    first = queued(signals, tmp_path, "--size", "400")
    judge([{"event_id": one["event_id"], "verdict": "confirm"} for one in first])
    doors = resources_for(Settings())
    rows = [row for day in doors["warehouse"].days(FrictionEvent)
            for row in doors["warehouse"].read(FrictionEvent, day).to_pylist()]  # fmt: skip
    judged = {one["event_id"] for one in first}
    user = next(row["user_id"] for row in rows if row["event_id"] in judged)
    done = erasure.erase(doors, erasure.traces_of(doors, "user", user))
    assert done.found == 0
    left = [entry for entry in entries() if entry.payload]
    assert 0 < len(left) < len(first)
    gone = {row["event_id"] for row in rows if row["user_id"] == user}
    assert not {entry.payload["event_id"] for entry in left} & gone
    assert sum(row["judged"] for row in figures(signals, tmp_path)) == len(left)
