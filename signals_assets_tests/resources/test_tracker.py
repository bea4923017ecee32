import re
import threading

import pytest

from signals_assets.resources.filing import body_hash
from signals_assets.resources.tracker import FileTracker, TicketText, TrackerError
from signals_assets_tests.resources.tracker_contract import TrackerContract

KEY = "SIG-0A1B2C3D"
TEXT = TicketText(KEY, "Context churn", "Body.\n", ("type:context_churn", "component:search", "generation:1"))


@pytest.fixture
def tracker(tmp_path):
    return FileTracker(tmp_path / "tickets")


class People:
    """What people do in a folder of files."""

    AGENT = "coder"

    def __init__(self, folder):
        self.folder = folder

    def write(self, title, body):
        self.folder.mkdir(exist_ok=True)
        (self.folder / "search-forgets.md").write_text(f"# {title}\n\n{body}\n")
        return "tickets/search-forgets.md"

    def _head(self, key):
        lines = (self.folder / f"{key}.md").read_text().split("---")[1].strip().splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def _add(self, key, line):
        path = self.folder / f"{key}.md"
        path.write_text(path.read_text().replace("---\n", f"---\n{line}\n", 1))

    def assign(self, key):
        self._add(key, "assignee: maria")
        return "maria"

    def close(self, key):
        path = self.folder / f"{key}.md"
        path.write_text(path.read_text().replace("state: open", "state: closed"))

    def name_pull_request(self, key, url):
        self._add(key, f"pull_requests: {url}")

    def assignee(self, key):
        return self._head(key).get("assignee")

    def agent(self, key):
        return self._head(key).get("delegate")

    def previous(self, key):
        return self._head(key).get("previous", "").split()

    def labels(self, key):
        return [f"{name}:{value}" for name, value in self._head(key).items()]

    def comments(self, ticket):
        path = self.folder / f"{ticket}.md" if ticket.startswith("SIG-") else self.folder.parent / ticket
        return [text.strip() for text in re.findall(r"<!-- comment .* -->\n(.*)", path.read_text())]


@pytest.fixture
def people(tmp_path):
    return People(tmp_path / "tickets")


class TestFileTrackerHoldsTheContract(TrackerContract):
    pass


def content(tracker):
    return (tracker._folder / f"{KEY}.md").read_text()


def test_a_ticket_is_a_file_with_front_matter_that_can_be_found_again(tracker):
    created = tracker.create(TEXT)
    assert tracker.find(KEY) == created
    assert created.reference.endswith(f"tickets/{KEY}.md")
    assert (created.state, created.body_hash) == ("open", body_hash("Body.\n"))
    head = content(tracker).split("---")[1].strip().splitlines()
    assert head[:5] == [f"key: {KEY}", "state: open", "type: context_churn", "component: search", "generation: 1"]


def test_creating_again_returns_the_first_and_changes_nothing(tracker):
    tracker.create(TEXT)
    before = content(tracker)
    again = tracker.create(TicketText(KEY, "Other", "Other body"))
    assert again.body_hash == body_hash("Body.\n")
    assert content(tracker) == before


def test_many_writers_at_once_make_one_whole_file(tracker):
    bodies = [f"Body {n}\n" * 200 for n in range(8)]
    threads = [threading.Thread(target=tracker.create, args=(TicketText(KEY, "t", body),)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.find(KEY).body_hash in {body_hash(body) for body in bodies}
    assert [path.name for path in tracker._folder.iterdir() if path.suffix == ".tmp"] == []


def test_state_follows_and_a_person_may_set_it_in_the_file(tracker):
    tracker.create(TEXT)
    tracker.set_state(KEY, "closed")
    assert tracker.find(KEY).state == "closed"
    path = tracker._folder / f"{KEY}.md"
    path.write_text(path.read_text().replace("state: closed", "state: open"))
    assert tracker.find(KEY).state == "open"


def test_a_ticket_that_came_back_says_so_in_its_file_and_counts_as_open(tracker):
    tracker.create(TEXT)
    for _ in range(2):
        tracker.set_state(KEY, "open")
    assert content(tracker).count("state: reopened") == 1
    assert tracker.find(KEY).state == "open"


def test_words_in_a_body_are_not_front_matter(tracker):
    tracker.create(TicketText(KEY, "t", "state: closed\n---\nstate: closed\n"))
    assert tracker.find(KEY).state == "open"


def test_a_label_or_title_cannot_add_lines_to_the_front_matter(tracker):
    tracker.create(TicketText(KEY, "t\n---\nstate: closed", "b", ("type:x\nstate: closed", "na\nme:y")))
    lines = content(tracker).splitlines()
    assert lines.count("---") == 2
    assert tracker.find(KEY).state == "open"


@pytest.mark.parametrize("key", ["../../etc/passwd", "SIG-0a1b2c3d", "SIG-", "SIG-0A1B2C3D/..", ""])
def test_only_a_real_key_becomes_a_path(tracker, key):
    with pytest.raises(TrackerError):
        tracker.find(key)


def test_check_counts_tickets(tracker):
    tracker.create(TEXT)
    assert tracker.check() == "files: 1 tickets, 1 open"
