"""Stage 3: who is asked about, nothing sent twice, too early is a failure, words counted where they must be."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from signals_assets.core.analysis import AnalysisRequest
from signals_assets.resources.analyst import Progress, RulesAnalyst
from signals_assets.resources.compute import SerialCompute
from signals_assets.tables import Analysis, AnalysisRequestRow, SessionMetrics, WordSupport
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import Home, failures

ASKING = ("analysis_batches", "analyses", "word_support")


class CountingAnalyst(RulesAnalyst):
    """The rules, which count the batches that they really work on."""

    worked = 0

    def _write(self, path: Path, batch: list[AnalysisRequest]) -> None:
        self.worked += 1
        super()._write(path, batch)


class SilentAnalyst(RulesAnalyst):
    """The rules, which must not be asked."""

    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> Progress:
        raise AssertionError(f"{label}: nothing was to be sent")


@pytest.fixture
def counting(tmp_path: Path) -> CountingAnalyst:
    return CountingAnalyst(tmp_path / "batches", SerialCompute())


def test_every_session_has_a_row_that_says_why_it_was_or_was_not_asked_about(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home", selection={"min_steps": 30}) as home:
        home.materialize(FIRST_DAY, only=ASKING)
        rows = home.rows(AnalysisRequestRow, FIRST_DAY)
        assert len(rows) == len(lived.rows(SessionMetrics, FIRST_DAY))
        assert {row["reason"] for row in rows} == {"selected", "too_short"}
        for row in rows:
            assert row["selected"] == row["eligible"] == (row["reason"] == "selected") == (row["inclusion_weight"] > 0)
        asked = {row["session_id"] for row in rows if row["selected"]}
        assert {row["session_id"] for row in home.rows(Analysis, FIRST_DAY)} == asked
        shown = home.metadata("analysis_batches", FIRST_DAY)
        assert shown["coverage/skipped.too_short"] == len(rows) - len(asked) > 0


def test_a_sample_under_the_budget_stands_for_all_that_were_eligible(lived: Home, tmp_path: Path):
    tokens = sum(row["estimated_tokens"] for row in lived.rows(AnalysisRequestRow, FIRST_DAY))
    with lived.copy(tmp_path / "home", selection={"min_steps": 0, "daily_token_budget": tokens // 2}) as home:
        home.materialize(FIRST_DAY, only=ASKING)
        rows = home.rows(AnalysisRequestRow, FIRST_DAY)
        selected = [row for row in rows if row["selected"]]
        assert 0 < len(selected) < len(rows)
        assert sum(row["estimated_tokens"] for row in selected) <= tokens // 2
        assert max(row["inclusion_weight"] for row in selected) > 1


def test_the_same_day_again_sends_nothing_twice(lived: Home, tmp_path: Path, counting: CountingAnalyst):
    with lived.copy(tmp_path / "home", {"analyst": counting}) as home:
        home.materialize(FIRST_DAY, only=ASKING)
        assert counting.worked == 1
        home.materialize(FIRST_DAY, only=ASKING)
        assert counting.worked == 1
        entries = [entry.key for entry in home.ledger.entries(["batch"])]
        assert len(entries) == len(set(entries))


def test_a_day_with_nobody_to_ask_about_sends_nothing(lived: Home, tmp_path: Path):
    silent = SilentAnalyst(tmp_path / "batches", SerialCompute())
    with lived.copy(tmp_path / "home", {"analyst": silent}, selection={"min_steps": 10_000}) as home:
        home.materialize(FIRST_DAY, only=ASKING)
        assert home.rows(Analysis, FIRST_DAY) == []
        assert home.warehouse.days(Analysis) == lived.warehouse.days(Analysis)


def test_collecting_what_was_never_sent_fails_clearly(tmp_path: Path):
    with Home(tmp_path / "home") as home:
        home.warehouse.replace(AnalysisRequestRow, FIRST_DAY, [])
        [said] = failures(home.materialize(FIRST_DAY, only=["analyses"], fails=True)).values()
        assert f"{FIRST_DAY}: nothing was sent; materialize analysis_batches first" in said


def test_words_are_counted_by_users_where_a_word_needs_several_and_not_where_one_suffices(lived: Home, tmp_path: Path):
    support = lived.rows(WordSupport, LAST_DAY)
    assert support
    assert all(len(row["user_hashes"]) == len(set(row["user_hashes"])) > 0 for row in support)
    with lived.copy(tmp_path / "home", audience="self") as home:
        home.materialize(LAST_DAY, only=["word_support"])
        assert home.rows(WordSupport, LAST_DAY) == []
        assert home.metadata("word_support", LAST_DAY)["coverage/skipped.one_user_suffices"] > 0
