import os
from collections import Counter
from datetime import UTC, datetime

import pytest

from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.taxonomy import seed
from signals_assets.resources import analyst as door
from signals_assets.resources.analyst import AnalystError, RulesAnalyst
from signals_assets.resources.compute import SerialCompute
from signals_assets_tests.core.detectors.script import agent, edit, session, user


def vocabulary():
    return frozenset({"header", "invoice"})


def ask(number):
    found = session(user("show the header"), edit("a"), agent(), user("the header is still wrong, it does not show"))
    return AnalysisRequest.about(f"q_{number}", f"s_{number}", found, "p", seed())


class CountingCompute(SerialCompute):
    def __init__(self):
        self.chunks = 0

    def map(self, function, chunks):
        for chunk in chunks:
            self.chunks += 1
            yield function(chunk)


@pytest.fixture
def rules(tmp_path):
    return RulesAnalyst(tmp_path / "batches", CountingCompute(), vocabulary)


def test_every_request_has_an_answer_in_order(rules):
    progress = rules.submit("day", [ask(n) for n in range(40)])
    assert (progress.next, progress.requests, progress.states) == ("done", 40, {"answered": 40})
    answers = list(rules.collect("day"))
    assert [answer.request_id for answer in answers] == [f"q_{n}" for n in range(40)]
    assert answers[0].answer.friction[0].citation.endswith("about header.")
    assert answers[0].model == rules.model


def test_the_same_requests_again_compute_nothing_and_others_replace_them(rules):
    first = rules.submit("day", [ask(1), ask(2)])
    spent = rules._compute.chunks
    assert rules.submit("day", [ask(1), ask(2)]) == first
    assert rules._compute.chunks == spent
    assert rules.submit("day", [ask(1), ask(3)]).requests == 2
    assert {answer.request_id for answer in rules.collect("day")} == {"q_1", "q_3"}


def test_a_long_stream_is_cut_into_batches_that_fit_into_memory(rules, monkeypatch):
    monkeypatch.setattr(door, "BATCH_REQUESTS", 10)
    assert rules.submit("day", (ask(n) for n in range(25))).requests == 25
    batch_of = rules.batches("day")
    assert sorted(Counter(batch_of.values()).values()) == [5, 10, 10]
    assert set(batch_of) == {f"q_{n}" for n in range(25)}


def test_a_label_without_requests_is_done_and_empty(rules):
    assert rules.submit("day", []).requests == 0
    assert list(rules.collect("day")) == []


def test_a_batch_that_was_cut_short_by_a_crash_is_no_batch(rules, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(door, "_line", stop)
    with pytest.raises(KeyboardInterrupt):
        rules.submit("day", [ask(1)])
    assert not list((tmp_path / "batches").rglob("*.zst"))
    monkeypatch.undo()
    assert rules.submit("day", [ask(1)]).states == {"answered": 1}


def test_an_unknown_or_strange_label_is_refused_by_name(rules):
    with pytest.raises(AnalystError, match="under unknown; submit it again"):
        rules.poll("unknown")
    with pytest.raises(AnalystError, match="letters, digits"):
        list(rules.collect("../x"))


def test_the_rules_answer_no_free_questions(rules):
    assert rules.ask("what is this?") is None
    assert "no model" in rules.check()


def test_forgotten_requests_leave_their_batch_and_the_others_stay_with_its_age(rules, tmp_path):
    rules.submit("day", [ask(1), ask(2), ask(3)])
    [path] = (tmp_path / "batches").rglob("*.zst")
    os.utime(path, (1_000_000, 1_000_000))
    kept = [answer for answer in rules.collect("day") if answer.request_id != "q_2"]
    assert rules.forget(["q_2", "q_unknown"]) == 1
    assert list(rules.collect("day")) == kept
    assert rules.poll("day").requests == 2
    assert path.stat().st_mtime == 1_000_000
    assert rules.forget(["q_2"]) == 0


def test_batches_expire_by_their_age(rules, tmp_path):
    rules.submit("day", [ask(1)])
    rules.submit("later", [ask(2)])
    [old] = (tmp_path / "batches" / "day").glob("*.zst")
    os.utime(old, (1_000_000, 1_000_000))
    before = datetime(2020, 1, 1, tzinfo=UTC)
    assert rules.expire(before, dry_run=True) == 1
    assert rules.expire(before) == 1
    assert rules.expire(before) == 0
    assert not old.exists()
