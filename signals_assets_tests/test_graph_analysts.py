"""The whole daily graph with a language model over real sockets: the same tables as with the rules, nothing leaks."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import orjson
import pyarrow.parquet as pq
import pytest

from signals_assets.partitions import between
from signals_assets.simulation import World
from signals_assets.tables import TABLES, Analysis, AnalysisRequestRow, DailyReport, FrictionEvent
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.fakes.openai_server import OpenAIServer
from signals_assets_tests.home import Home, failures

pytestmark = pytest.mark.slow

SECOND_DAY, THIRD_DAY = FIRST_DAY + timedelta(days=1), FIRST_DAY + timedelta(days=2)
OPAQUE = re.compile(r"q_[0-9a-f]{16}\.\d")
USER_WORDS = re.compile(r"^\[\d+\] user\n((?:  .*\n?)+)", re.MULTILINE)


class Provider:
    """The local service, and everything that was sent to it."""

    def __init__(self, server: OpenAIServer) -> None:
        self.server = server
        self.bodies: list[dict[str, Any]] = []
        self.ids: list[str] = []
        state = server.state
        upload, answer = state.add_file, state.answer

        def add_file(content: Any, name: str, purpose: str, expires_in: int | None) -> Any:
            for line in bytes(content).splitlines() if purpose == "batch" else ():
                row = orjson.loads(line)
                self.ids.append(row["custom_id"])
                self.bodies.append(row["body"])
            return upload(content, name, purpose, expires_in)

        def answered(body: dict[str, Any], *arguments: Any, **more: Any) -> Any:
            self.bodies.append(body)
            return answer(body, *arguments, **more)

        state.add_file, state.answer = add_file, answered  # type: ignore[method-assign]

    def user_words(self) -> set[str]:
        """Lines of the users' own words in what was sent, long enough to be nobody else's."""
        texts = [text for body in self.bodies for text in _strings(body.get("input") or body.get("messages"))]
        said = {line.strip() for text in texts for block in USER_WORDS.findall(text) for line in block.splitlines()}
        return {line for line in said if len(line) >= 40}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for one in value.values() for text in _strings(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in _strings(one))


@pytest.fixture
def provider() -> Iterator[Provider]:
    with OpenAIServer() as server:
        yield Provider(server)
        assert server.state.spec_violations == []


@pytest.fixture
def home(world: World, tmp_path: Path, provider: Provider) -> Iterator[Callable[[str, str], Home]]:
    """Makes the home whose analyst is the local service."""
    made: list[Home] = []

    def make(analyst: str, model: str) -> Home:
        reach = {"model": model, "base_url": provider.server.url, "api_key": "sk-of-the-tests", "timeout_seconds": 30}
        made.append(Home(tmp_path / "home", world.out, analyst=analyst, language_model=reach))
        return made[-1]

    yield make
    for home in made:
        home.instance.dispose()


def rhythm(home: Home, *, ticks: int = 25) -> list[tuple[str, str]]:
    """Ticks of the collecting sensor and the runs that they ask for, until nothing is due; (job, day) in order."""
    ran: list[tuple[str, str]] = []
    for _ in range(ticks):
        found = home.tick("analysis_collection")
        if not found.run_requests and not waits(home):
            return ran
        for asked in found.run_requests:
            assert home.run(asked, job=asked.job_name).success
            ran.append((asked.job_name, asked.partition_key))
    raise AssertionError(f"not done after {ticks} ticks: {ran}")


def waits(home: Home) -> bool:
    """Whether a day was submitted and is not collected."""
    sent = {entry.key for entry in home.ledger.entries(["batch"])}
    return bool(sent - {entry.key for entry in home.ledger.entries(["collected"])})


def assert_whole(home: Home, provider: Provider, days: list[date], lived: Home) -> None:
    """The same tables as with the rules, nothing lost, nothing of what was sent outside the restricted zone."""
    for name, model in TABLES.items():
        assert [day for day in home.warehouse.days(model) if day in days] == days, name
        assert [day for day in lived.warehouse.days(model) if day in days] == days, name
    for day in days:
        selected = [row for row in home.rows(AnalysisRequestRow, day) if row["selected"]]
        answers = home.rows(Analysis, day)
        assert {row["request_id"] for row in answers} == {row["request_id"] for row in selected}
        assert Counter(row["state"] for row in answers) == {"answered": len(selected)}
        for name in TABLES:
            assert_adds_up(home.metadata(name, day), f"{name} of {day}")
        shown = home.metadata("analyses", day)
        assert shown["cost/sessions"] == len(answers) > 0
        assert shown["cost/input_tokens"] == sum(row["input_tokens"] for row in answers) > 0
        assert (home.folder / f"reports/{day}.html").is_file()
    assert {row["source"] for row in home.rows(FrictionEvent, *days)} == {"analyst", "detector"}
    assert provider.server.paid_twice() == {}
    assert_restricted(home, provider)


def assert_adds_up(metadata: dict[str, Any], what: str) -> None:
    counts = {name.removeprefix("coverage/"): n for name, n in metadata.items() if name.startswith("coverage/")}
    if counts:
        skipped = sum(n for name, n in counts.items() if name.startswith("skipped."))
        ended = sum(counts.get(name, 0) for name in ("answered", "refused", "rejected", "failed"))
        assert counts.get("asked", 0) == ended + skipped, what


def assert_restricted(home: Home, provider: Provider) -> None:
    words = provider.user_words()
    assert len(words) > 10
    inside = b"".join(content(path) for path in files(home) if "restricted" in path.parts)
    assert sum(word.encode() in inside for word in words) > len(words) // 2  # the search can find them
    for path in files(home):
        if "restricted" not in path.parts:
            held = content(path)
            assert [word for word in words if word.encode() in held] == [], path


def files(home: Home) -> list[Path]:
    return [path for path in home.folder.rglob("*") if path.is_file()]


def content(path: Path) -> bytes:
    if path.suffix == ".parquet":
        return "\n".join(_strings(pq.read_table(path).to_pylist())).replace("\\n", "\n").encode()
    return path.read_bytes()


def test_a_day_in_batches_is_submitted_brought_forward_and_collected_by_the_sensor(
    home: Callable[[str, str], Home], provider: Provider, lived: Home
):
    own = home("openai", "gpt-5.2")
    assert own.run(dg.RunRequest(partition_key=FIRST_DAY.isoformat()), job="cycle").success
    assert own.warehouse.days(Analysis) == []
    assert provider.server.state.files
    ran = rhythm(own)
    jobs = [job for job, _ in ran]
    assert jobs == ["resubmission"] * (len(jobs) - 1) + ["collection"]
    assert len(jobs) > 1
    assert_whole(own, provider, [FIRST_DAY], lived)
    assert {row["batch_id"][:6] for row in own.rows(AnalysisRequestRow) if row["selected"]} == {"batch_"}
    assert all(row["cost_usd"] > 0 for row in own.rows(Analysis))
    assert provider.server.state.files == {}
    assert all(OPAQUE.fullmatch(name) for name in provider.ids)
    assert all(body["store"] is False for body in provider.bodies)
    assert "user" not in set().union(*provider.bodies)


def test_a_chain_backfill_submits_all_days_stops_not_ready_and_is_completed_in_the_order_of_days(
    home: Callable[[str, str], Home], provider: Provider, lived: Home
):
    own = home("openai", "gpt-5.2")
    days = list(between(FIRST_DAY, THIRD_DAY))
    provider.server.switch(polls=None)
    failed = failures(own.materialize(FIRST_DAY, THIRD_DAY, fails=True))
    assert set(failed) == {"analyses"}
    assert "not ready" in failed["analyses"]
    assert own.warehouse.days(AnalysisRequestRow) == days
    assert own.warehouse.days(Analysis) == []
    assert own.tick("analysis_collection").run_requests == []
    provider.server.switch(polls=1)
    ran = rhythm(own)
    assert [day for job, day in ran if job == "collection"] == [day.isoformat() for day in days]
    assert_whole(own, provider, days, lived)
    assert own.warehouse.days(DailyReport) == days
    assert own.ledger.newest_day() == THIRD_DAY


def test_a_compatible_server_answers_in_one_go(home: Callable[[str, str], Home], provider: Provider, lived: Home):
    provider.server.switch(chat_only=True, unenforced=0.2)
    own = home("openai-compatible", "open-weights")
    own.materialize(FIRST_DAY, SECOND_DAY)
    assert_whole(own, provider, [FIRST_DAY, SECOND_DAY], lived)
    assert {row["cost_usd"] for row in own.rows(Analysis)} == {None}
    assert {path for _, path in provider.server.state.requests} == {"/v1/chat/completions"}
    assert own.tick("analysis_collection").run_requests == []
    (own.folder / "reports" / "note.txt").write_text(f"somebody said: {min(provider.user_words())}")
    with pytest.raises(AssertionError, match=r"note\.txt"):  # the search finds what it looks for
        assert_restricted(own, provider)
