import threading

import pytest

from signals_assets.resources.filing import body_hash
from signals_assets.resources.tracker import FileTracker, TicketText, TrackerError

KEY = "SIG-0A1B2C3D"
TEXT = TicketText(KEY, "Context churn", "Body.\n", ("type:context_churn", "component:search", "generation:1"))


@pytest.fixture
def tracker(tmp_path):
    return FileTracker(tmp_path / "tickets")


def content(tracker):
    return (tracker._folder / f"{KEY}.md").read_text()


def test_a_ticket_is_a_file_with_front_matter_that_can_be_found_again(tracker):
    created = tracker.create(TEXT)
    assert tracker.find(KEY) == created
    assert created.reference.endswith(f"tickets/{KEY}.md")
    assert (created.state, created.body_hash) == ("open", body_hash("Body.\n"))
    head = content(tracker).split("---")[1].strip().splitlines()
    assert head[:5] == [f"key: {KEY}", "state: open", "type: context_churn", "component: search", "generation: 1"]


def test_what_is_not_there_is_not_found(tracker):
    assert tracker.find(KEY) is None


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


def test_a_comment_is_added_once(tracker):
    tracker.create(TEXT)
    for _ in range(2):
        tracker.comment(KEY, "c1", "It came back.")
    tracker.comment(KEY, "c2", "And again.")
    assert content(tracker).count("It came back.") == 1
    assert "And again." in content(tracker)


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


def test_acting_on_a_ticket_without_a_file_says_what_to_do(tracker):
    with pytest.raises(TrackerError, match="restore the file"):
        tracker.comment(KEY, "c1", "text")


def test_check_counts_tickets(tracker):
    tracker.create(TEXT)
    assert tracker.check() == "files: 1 tickets, 1 open"
