"""Re-reading in the graph: a change of model over a real socket, the rules as second reader, a day out of the band."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.assets import analysis as analysis_stage
from signals_assets.core import agreement_band
from signals_assets.core.review import review_key, review_payload
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.resources import erasure
from signals_assets.simulation import World
from signals_assets.tables import Agreement, Analysis, AnalysisRequestRow, FrictionEvent, ReaderAgreement, Rereading
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY, NEXT_DAY
from signals_assets_tests.fakes.openai_server import OpenAIServer
from signals_assets_tests.home import Home, failures

SECOND_DAY, THIRD_DAY, FOURTH_DAY = (FIRST_DAY + timedelta(days=days) for days in (1, 2, 3))
BEFORE = (
    "raw_sessions", "quarantine", "releases", "session_metrics", "detections", "analysis_batches",
)  # fmt: skip
AFTER = (
    "analyses", "rereadings", "word_support", "abstracted_summaries", "facets", "friction_events", "delight_events",
    "unmet_needs", "agreement", "reader_agreement",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(missed=0.3, polls=1) as server:
        yield server
        assert server.state.spec_violations == []


def asking(server: OpenAIServer, model: str, **settings: Any) -> dict[str, Any]:
    asked = {"model": model, "base_url": server.url, "api_key": "sk-none"}
    return {"analyst": "openai", "language_model": asked} | settings


def brought(home: Home, day: date) -> None:
    """A day from its sessions to the agreement of its readers, as the sensor brings it forward."""
    home.materialize(day, only=BEFORE)
    for _ in range(20):
        requests = home.tick("analysis_collection").run_requests
        if any(request.job_name == "collection" for request in requests):
            home.materialize(day, only=["analysis_batches", *AFTER])
            return
        for request in requests:
            home.run(request, job="resubmission")
    raise AssertionError(f"{day} was never ready")


def test_a_new_model_has_the_former_one_beside_it_for_two_days_and_the_rules_read_daily(
    world: World, tmp_path: Path, server: OpenAIServer
):
    second = {"analyst": "rules", "sessions_a_day": 4}
    more = {"second_reader": second, "overlap_sessions": 6}
    with Home(tmp_path / "home", world.out, **asking(server, "gpt-5-mini", **more)) as home:
        brought(home, FIRST_DAY)
        assert {row["reader"] for row in home.rows(Rereading, FIRST_DAY)} == {"second"}
        with home.copy(tmp_path / "changed", **asking(server, "gpt-5.2", **more)) as changed:
            for day in (SECOND_DAY, THIRD_DAY, FOURTH_DAY):
                brought(changed, day)
            former = [row for row in changed.rows(Rereading) if row["reader"] == "former"]
            assert {row["day"] for row in former} == {SECOND_DAY, THIRD_DAY}
            assert {(row["reason"], row["state"], row["model"]) for row in former} == {
                ("change", "answered", "gpt-5-mini")
            }
            for day in (SECOND_DAY, THIRD_DAY):
                asked = {row["session_id"] for row in changed.rows(AnalysisRequestRow, day) if row["selected"]}
                again = {row["session_id"] for row in former if row["day"] == day}
                assert again <= asked
                assert len(again) == min(6, len(asked))
                assert {row["model"] for row in changed.rows(Analysis, day)} == {"gpt-5.2"}
            rules = [row for row in changed.rows(Rereading) if row["reader"] == "second"]
            assert {row["analyst"] for row in rules} == {"rules"}
            assert {row["day"] for row in rules} == {FIRST_DAY, SECOND_DAY, THIRD_DAY, FOURTH_DAY}
            assert len(changed.ledger.entries(["reader"])) == 4

            found = [row for row in changed.rows(ReaderAgreement, FOURTH_DAY) if row["reader"] == "former"]
            assert {row["days"] for row in found} == {2}
            assert {row["sessions"] for row in found} == {len(former)}
            assert all(" gpt-5.2 " in row["first"] and " gpt-5-mini " in row["second"] for row in found)
            friction = [row for row in found if row["kind"] == "friction"]
            assert friction
            for row in friction:
                assert row["difference_low"] <= row["difference"] <= row["difference_high"]
            assert {row["kind"] for row in found} >= {"friction", "outcome"}

            paid = dict(server.paid)
            before = changed.tables(SECOND_DAY, SECOND_DAY)
            changed.materialize(SECOND_DAY, only=["analysis_batches", *AFTER])
            assert dict(server.paid) == paid
            assert changed.tables(SECOND_DAY, SECOND_DAY) == before


def test_a_day_waits_for_all_its_readers(world: World, tmp_path: Path, server: OpenAIServer):
    other = {"analyst": "openai-compatible", "sessions_a_day": 3,
             "language_model": {"model": "gpt-5-nano", "base_url": server.url}}  # fmt: skip
    with Home(tmp_path / "home", world.out, **asking(server, "gpt-5.2", second_reader=other)) as home:
        home.materialize(FIRST_DAY, only=BEFORE)
        server.switch(polls=None)
        result = home.materialize(FIRST_DAY, only=["analyses"], fails=True)
        assert "not ready" in next(iter(failures(result).values()))
        server.switch(polls=1)
        brought(home, FIRST_DAY)
        rows = home.rows(Rereading, FIRST_DAY)
        assert {(row["reader"], row["analyst"], row["model"]) for row in rows} == {
            ("second", "openai-compatible", "gpt-5-nano")
        }
        assert home.metadata("rereadings", FIRST_DAY)["cost/sessions"] == len(rows) == 3


def test_a_second_reader_that_cannot_be_reached_holds_up_nothing(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with OpenAIServer() as gone:
        url = gone.url
    other = {"analyst": "openai", "language_model": {"model": "gpt-5", "base_url": url, "api_key": "sk-none",
             "timeout_seconds": 0.2}}  # fmt: skip
    with lived.copy(tmp_path / "home", second_reader=other) as home:
        home.materialize(FIRST_DAY, only=["analysis_batches", "analyses", "rereadings"])
        assert home.metadata("analysis_batches", FIRST_DAY)["rereadings/second_not_reached"] > 0
        assert home.rows(Rereading, FIRST_DAY) == []
        assert home.rows(Analysis, FIRST_DAY) == lived.rows(Analysis, FIRST_DAY)


def test_a_former_reader_that_this_analyst_cannot_be_is_counted(lived: Home, tmp_path: Path, server: OpenAIServer):
    with lived.copy(tmp_path / "home", **asking(server, "gpt-5.2")) as home:
        brought(home, NEXT_DAY)
        [decided] = [e.payload for e in home.ledger.entries(["reader"]) if e.payload["day"] == NEXT_DAY.isoformat()]
        assert (decided["because"], decided["former"]["analyst"]) == ("change", "rules")
        assert home.metadata("analysis_batches", NEXT_DAY)["rereadings/former_cannot_be_asked"] > 0
        assert home.rows(Rereading, NEXT_DAY) == []


def test_a_new_prompt_has_the_old_one_beside_it(lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(analysis_stage, "PROMPT", pinned("analyze_session", 1))
    with lived.copy(tmp_path / "home") as home:
        home.materialize(NEXT_DAY, only=[*BEFORE, "error_logs", "feedback", *AFTER])
        rows = home.rows(Rereading, NEXT_DAY)
        assert {row["prompt"].split("@")[0] for row in rows} == {"analyze_session.v2"}
        found = home.rows(ReaderAgreement, NEXT_DAY)
        assert found
        # The rules read no prompt: they say the same, and the intervals are those of so few sessions.
        assert {(row["only_first"], row["only_second"]) for row in found} == {(0, 0)}
        assert all(row["difference_low"] < 0 < row["difference_high"] for row in found if row["kind"] == "friction")


def test_a_day_out_of_its_band_warns_and_the_next_day_is_read_twice_by_the_same_reader(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(agreement_band, "LEAST_TODAY", 2)  # a dozen sessions a day
    with lived.copy(tmp_path / "home") as home:
        rows = home.rows(Agreement, LAST_DAY)
        most = max(rows, key=lambda row: row["detector_only"] + row["analyst_only"])
        assert most["detector_only"] + most["analyst_only"] >= 2
        agreed = most | {"day": THIRD_DAY, "sessions": 400, "both": 400, "detector_only": 0, "analyst_only": 0}
        home.warehouse.replace(Agreement, THIRD_DAY, [Agreement(**agreed)])
        result = home.materialize(LAST_DAY, only=["agreement"])
        [check] = [found for found in result.get_asset_check_evaluations() if found.check_name == "agreement_in_band"]
        assert not check.passed
        assert check.severity == dg.AssetCheckSeverity.WARN
        assert {name for name in check.metadata if name.startswith("outside/")} == {f"outside/{most['type']}"}
        assert [entry.key for entry in home.ledger.entries(["drift"])] == [LAST_DAY.isoformat()]

        # The ledger's note was written after the lived days; the next day reads it.
        home.materialize(NEXT_DAY, only=[*BEFORE, *AFTER])
        rows = home.rows(Rereading, NEXT_DAY)
        assert {(row["reader"], row["reason"]) for row in rows} == {("former", "drift")}
        assert {row["first"] for row in rows} == {row["second"] for row in rows}


def test_erasure_takes_a_person_out_of_the_readings_and_counts_their_agreement_again(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(analysis_stage, "PROMPT", pinned("analyze_session", 1))
    with lived.copy(tmp_path / "home") as home:
        home.materialize(NEXT_DAY, only=[*BEFORE, *AFTER])
        rows = home.rows(Rereading, NEXT_DAY)
        user = rows[0]["user_id"]
        theirs = sum(row["user_id"] == user for row in rows)
        [outcome] = [row for row in home.rows(ReaderAgreement, NEXT_DAY) if row["kind"] == "outcome"]
        found = erasure.traces_of(home.doors, "user", user)
        done = erasure.erase(home.doors, found)
        assert done.found == 0
        left = home.rows(Rereading, NEXT_DAY)
        assert left == [row for row in rows if row["user_id"] != user]
        [after] = [row for row in home.rows(ReaderAgreement, NEXT_DAY) if row["kind"] == "outcome"]
        assert after["sessions"] == outcome["sessions"] - theirs
        assert after["users"] == outcome["users"] - 1


def test_a_person_s_verdicts_stand_beside_the_readers_from_the_next_day_on(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home") as home:
        events = [row | {"kind": "friction"} for row in home.rows(FrictionEvent, FIRST_DAY)][:6]
        for number, event in enumerate(events):
            verdict = "reject" if number == 0 else "confirm"
            payload = review_payload(event, verdict, None, seed(), reviewer="r_1")
            home.ledger.append("review", review_key(event["event_id"]), payload)
        home.materialize(LAST_DAY, only=["reader_agreement"])
        assert home.rows(ReaderAgreement, LAST_DAY) == []
        home.materialize(NEXT_DAY, only=[*BEFORE, *AFTER])
        rows = home.rows(ReaderAgreement, NEXT_DAY)
        assert {row["reader"] for row in rows} == {"person"}
        assert (sum(row["both"] for row in rows), sum(row["only_first"] for row in rows)) == (5, 1)
        assert {row["first"] for row in rows} == {event["source"] for event in events}
        assert all(row["confirmed_low"] <= row["confirmed"] <= row["confirmed_high"] for row in rows)


def test_the_report_tells_the_change_and_what_it_does(lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(analysis_stage, "PROMPT", pinned("analyze_session", 1))
    with lived.copy(tmp_path / "home", audience="self") as home:
        home.materialize(NEXT_DAY)
        page = (home.folder / f"reports/{NEXT_DAY}.html").read_text()
        assert "The analyst changed on" in page
        assert "rules rules-" in page
        assert "what it finds more or less of is inconclusive" in page
        before = (home.folder / f"reports/{LAST_DAY}.html").read_text()
        assert "The analyst changed on" not in before
