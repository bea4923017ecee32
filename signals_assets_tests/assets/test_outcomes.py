"""Stage 8: verdicts go back through the ledger, only those that were published, and the loop is measured."""

from pathlib import Path
from typing import Any

import pytest

from signals_assets.assets import outcomes as stage
from signals_assets.tables import FixOutcome, LoopMetric
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.factories import row_values
from signals_assets_tests.home import Home


def judged(verdict: str) -> Any:
    """A stand-in for the thinking: one fix with this verdict, whatever the day."""

    def outcomes(day: Any, *_: Any, **__: Any) -> list[FixOutcome]:
        values = row_values(FixOutcome, day=day, ticket_key="SIG-00000001", version="1.4.1", verdict=verdict)
        return [FixOutcome(**values)]

    return outcomes


def test_without_tickets_the_loop_s_metrics_speak_of_nothing_yet(lived: Home):
    rows = lived.rows(LoopMetric, LAST_DAY)
    assert rows
    assert {row["n"] for row in rows if row["metric"] != "share_of_friction_unexplained"} == {0}
    assert lived.rows(FixOutcome) == []


@pytest.mark.parametrize(("verdict", "noted"), [("improved", 1), ("regressed", 1), ("inconclusive", 0)])
def test_a_decisive_verdict_goes_to_the_ledger_once(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, noted: int
):
    monkeypatch.setattr(stage, "outcomes_of", judged(verdict))
    with lived.copy(tmp_path / "home") as home:
        tags = {"signals/republish": "judged anew"}
        home.materialize(FIRST_DAY, LAST_DAY, only=["fix_outcomes"], tags=tags)
        home.materialize(FIRST_DAY, LAST_DAY, only=["fix_outcomes"], tags=tags)
        entries = home.ledger.entries(["outcome"])
        assert [entry.key for entry in entries] == ["SIG-00000001:1.4.1"] * noted
        assert [entry.payload["day"] for entry in entries] == [FIRST_DAY.isoformat()] * noted


def test_a_repeat_that_finds_another_verdict_than_the_published_one_tells_nobody(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stage, "outcomes_of", judged("improved"))
    with lived.copy(tmp_path / "home") as home:
        home.materialize(LAST_DAY, only=["fix_outcomes"])
        assert home.metadata("fix_outcomes", LAST_DAY)["kept"] == "different"
        assert home.rows(FixOutcome, LAST_DAY) == []
        assert home.ledger.entries(["outcome"]) == []
