from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from signals_assets.core.deduplication import TRIGRAMS, VECTORS, Bounds, Concern, Evidence
from signals_assets.resources.code_host import GitCodeHost, PullRequestInFlight
from signals_assets.resources.duplicates import weighed
from signals_assets.resources.embedder import Embedder, NoEmbedder
from signals_assets.resources.tracker import FileTracker, TrackerTicket
from signals_assets_tests.fakes.embedder import HashEmbedder

MAP = {"query-gateway": ["run_query"]}
TYPES = {"error_event": ("The call fails with an error.",)}
CONCERN = Concern("error_event", "query-gateway", ("connection pool exhausted",))
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


class Written(FileTracker):
    """A tracker whose open tickets are given."""

    def __init__(self, folder: Path, *tickets: TrackerTicket) -> None:
        super().__init__(folder)
        self._given = list(tickets)

    def open_tickets(self) -> list[TrackerTicket]:
        return self._given


class CountingEmbedder(HashEmbedder):
    """Counts how often it is asked."""

    asked = 0

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.asked += 1
        return super().embed(texts)


def ticket(reference: str, key: str | None = None) -> TrackerTicket:
    return TrackerTicket(key, reference, "run_query: connection pool exhausted", "", "open", NOON, key is not None)


def asked(tmp_path: Path, embedder: Embedder, *tickets: TrackerTicket) -> tuple[list[Evidence], Bounds]:
    tracker, host = Written(tmp_path, *tickets), GitCodeHost(None)
    return weighed(CONCERN, tracker, host, embedder, types=TYPES, components=MAP)


def test_peoples_tickets_are_weighed_and_ours_are_left_to_their_fingerprints(tmp_path: Path) -> None:
    found, bounds = asked(tmp_path, CountingEmbedder(), ticket("B-2"), ticket("A-1"), ticket("C-3", "SIG-0000ABCD"))
    assert [one.reference for one in found] == ["A-1", "B-2"]
    assert bounds is VECTORS


def test_a_ticket_of_ours_that_the_causes_keys_name_is_looked_at(tmp_path: Path) -> None:
    concern = Concern("error_event", "query-gateway", (), ("SIG-0000ABCD",))
    tracker = Written(tmp_path, ticket("C-3", "SIG-0000ABCD"), ticket("D-4", "SIG-0000ABCE"))
    found, _ = weighed(concern, tracker, GitCodeHost(None), NoEmbedder(), types=TYPES, components=MAP)
    assert [(one.reference, one.names_key) for one in found] == [("C-3", True)]


def test_a_branch_that_we_drafted_is_nobodys_change_in_flight(tmp_path: Path) -> None:
    class Host(GitCodeHost):
        def pull_requests_in_flight(self) -> list[PullRequestInFlight]:
            said = "run_query: connection pool exhausted"
            return [PullRequestInFlight(f"branch {name}", said, "", name, (), "", False) for name in branches]

    branches = ("signals/abc", "fix/signals")
    found, _ = weighed(CONCERN, Written(tmp_path), Host(None), NoEmbedder(), types=TYPES, components=MAP)
    assert [one.reference for one in found] == ["branch fix/signals"]


def test_without_an_embedder_trigrams_are_compared(tmp_path: Path) -> None:
    found, bounds = asked(tmp_path, NoEmbedder(), ticket("A-1"))
    assert bounds is TRIGRAMS
    assert found[0].symptom is not None
    assert found[0].symptom > TRIGRAMS.same


def test_what_people_wrote_is_never_given_to_an_embedder_that_leads_outside(tmp_path: Path) -> None:
    class Outside(CountingEmbedder):
        outside = True

    embedder = Outside()
    found, bounds = asked(tmp_path, embedder, ticket("A-1"))
    assert (found, bounds) == asked(tmp_path, NoEmbedder(), ticket("A-1"))
    assert embedder.asked == 0


def test_nothing_is_embedded_where_nothing_is_open(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    assert asked(tmp_path, embedder, ticket("C-3", "SIG-0000ABCD"))[0] == []
    assert embedder.asked == 0
