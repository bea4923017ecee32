"""Linear as the tracker: the contract over real HTTP, and what is its own (ids, repeats, limits, pages, errors)."""

import pickle
import uuid
from datetime import timedelta

import pytest
from graphql import parse, validate
from graphql.language import Visitor, visit
from graphql.utilities import TypeInfo, TypeInfoVisitor

from signals_assets.core.tickets import TICKET_KINDS, TicketAction, ledger_tickets
from signals_assets.resources.filing import act, reconcile
from signals_assets.resources.linear import DOCUMENTS, LinearTracker
from signals_assets.resources.linear_client import ATTEMPTS, LinearClient, LinearRefused, LinearUnavailable
from signals_assets.resources.tracker import TicketText, TrackerError
from signals_assets.settings import TicketSettings
from signals_assets_tests.fakes.ledger import MemoryLedger
from signals_assets_tests.fakes.linear_server import PASSING, Faults, LinearServer, schema
from signals_assets_tests.fakes.linear_state import State
from signals_assets_tests.resources.test_filing import DAY, filed
from signals_assets_tests.resources.tracker_contract import ABSENT, BODY, KEY, TEXT, TrackerContract

LINK = "http://127.0.0.1:3000/assets/friction_levels"


class People:
    """What people do in Linear's window."""

    AGENT = "coder"

    def __init__(self, state):
        self.state = state

    def write(self, title, body):
        return self.state.write(title, body)

    def close(self, key):
        self.state.move(self.state.by_key(key), "canceled")

    def assign(self, key):
        self.state.by_key(key)["assignee"] = self.state.person
        return "maria"

    def name_pull_request(self, key, url):
        issue = self.state.by_key(key)
        self.state.attach(issue, url, source="github", metadata={"status": "merged"})
        self.state.attach(issue, "https://sentry.example/1", source="sentry", metadata={})

    def assignee(self, key):
        return self.state.by_key(key)["assignee"]["name"]

    def agent(self, key):
        return self.state.by_key(key)["delegate"]["name"]

    def labels(self, key):
        return [self.state.labels[label]["name"] for label in self.state.by_key(key)["label_ids"]]

    def previous(self, key):
        own = self.state.by_key(key)["id"]
        related = [row["relatedIssue"]["id"] for row in self.state.relations.values() if row["issue"]["id"] == own]
        keys = {row["issue"]["id"]: row["metadata"]["key"] for row in self.state.attachments.values()}
        return [keys[issue] for issue in related]

    def comments(self, ticket):
        key_or_url = self.state.by_key(ticket)["url"] if ticket.startswith("SIG-") else ticket
        return [row["body"] for row in self.state.comments.values() if row["issue"]["url"] == key_or_url]


def tracker_of(server, **access):
    waits = []
    client = LinearClient(server.url, "lin_api_key", **{"timeout_seconds": 5, **access}, sleep=waits.append)
    tracker = LinearTracker(client, team="ENG", link=LINK)
    tracker.waits = waits
    return tracker


@pytest.fixture(scope="session")
def official(specs_dir):
    """Linear's own schema; skips where it is not beside the checkout."""
    return (specs_dir / "linear-schema.graphql").read_text()


@pytest.fixture(scope="session")
def own_schema(request):
    try:
        return request.getfixturevalue("official")
    except pytest.skip.Exception:
        return None


@pytest.fixture
def server():
    with LinearServer(State(largest_page=2)) as server:
        yield server
        assert server.refused == []


@pytest.fixture
def tracker(server):
    return tracker_of(server)


@pytest.fixture
def people(server):
    return People(server.state)


class TestLinearTrackerHoldsTheContract(TrackerContract):
    """Under Linear's own schema where it lies beside the checkout, else under the part of it that is ours."""

    @pytest.fixture
    def server(self, own_schema):
        with LinearServer(State(largest_page=2), schema_text=own_schema) as server:
            yield server
            assert server.refused == []


# --- documents ------------------------------------------------------------------------------------------------------


def test_every_document_is_valid_under_linears_own_schema(official):
    for document in DOCUMENTS:
        assert validate(schema(official), parse(document)) == []


def test_the_local_schema_says_nothing_that_linears_own_does_not(official):
    theirs, ours = schema(official), schema()
    for name, kind in ours.type_map.items():
        if name.startswith("__"):
            continue
        assert type(kind) is type(theirs.type_map[name]), name
        for field_name, field in getattr(kind, "fields", {}).items():
            their_field = theirs.type_map[name].fields[field_name]
            assert str(field.type) == str(their_field.type), f"{name}.{field_name}"
            for argument, of in getattr(field, "args", {}).items():
                assert str(of.type) == str(their_field.args[argument].type), f"{name}.{field_name}({argument})"


def points(document, kinds):
    """Linear's price of a question: 0.1 a property, 1 an object, a connection times its `first`."""
    info, lists = TypeInfo(kinds), []

    class Count(Visitor):
        total, factors = 0.0, [1]

        def enter_field(self, node, *_):
            arguments = {argument.name.value: argument.value for argument in node.arguments}
            kind = str(info.get_type()).strip("!")
            if kind.endswith("Connection"):
                lists.append((node.name.value, "first" in arguments))
                self.factors.append(self.factors[-1] * int(arguments["first"].value))
            else:
                self.factors.append(self.factors[-1])
            self.total += self.factors[-1] * (1 if node.selection_set else 0.1)

        def leave_field(self, *_):
            self.factors.pop()

    counted = Count()
    visit(parse(document), TypeInfoVisitor(info, counted))
    return counted.total, lists


def test_every_list_is_asked_for_with_an_explicit_size_and_no_question_is_too_dear():
    prices = []
    for document in DOCUMENTS:
        price, lists = points(document, schema())
        assert all(sized for _, sized in lists), document
        prices.append(price)
    assert max(prices) < 1_000  # Linear refuses from 10,000 on


# --- ids and exactly once -------------------------------------------------------------------------------------------


def test_the_id_has_the_shape_of_a_random_one_and_follows_from_team_and_key(server, tracker):
    tracker.create(TEXT)
    (issue_id,) = server.state.issues
    assert uuid.UUID(issue_id).version == 4
    assert uuid.UUID(issue_id).variant == uuid.RFC_4122
    with LinearServer() as other:
        tracker_of(other).create(TEXT)
        assert list(other.state.issues) == [issue_id]


@pytest.mark.parametrize(
    ("operation", "repeated_id"),
    [
        *(
            (operation, "refused")
            for operation in ("Team", "Find", "Labels", "CreateLabel", "Create", "Attach", "Comment")
        ),
        *((operation, "same") for operation in ("Create", "Attach", "Comment")),
    ],
)
def test_one_issue_and_one_comment_whatever_goes_wrong_at_any_question(operation, repeated_id):
    for fault in PASSING:
        faults = Faults(script=[(operation, fault)], slow_seconds=0.1)
        with LinearServer(State(repeated_id=repeated_id), faults) as server:
            tracker = tracker_of(server, timeout_seconds=0.05 if fault.startswith("slow") else 5)
            assert tracker.create(TEXT).key == KEY
            tracker.comment(KEY, "c1", "It came back.")
            assert faults.met == {fault: 1}
            assert len(server.state.issues) == 1
            assert [row["metadata"]["fingerprint"] for row in server.state.attachments.values()] == ["cause_1"]
            assert sorted(row["name"] for row in server.state.labels.values()) == sorted(TEXT.labels)
            assert [row["body"] for row in server.state.comments.values()] == ["It came back."]


def test_a_crash_between_issue_and_attachment_heals_and_makes_no_second_issue(server, tracker):
    server.faults = Faults(script=[("Attach", "lost_before")] * ATTEMPTS)
    with pytest.raises(LinearUnavailable):
        tracker.create(TEXT)
    assert (len(server.state.issues), len(server.state.attachments)) == (1, 0)
    assert tracker.find(KEY).state == "open"
    tracker_of(server).create(TEXT)
    assert (len(server.state.issues), len(server.state.attachments)) == (1, 1)


def test_an_issue_that_only_its_attachment_names_is_found(server, tracker):
    """People may move our attachment to another issue, e.g. when they merge two."""
    tracker.create(TEXT)
    other = server.state.write("The same, by a person", "Words")
    (attachment,) = server.state.attachments.values()
    server.state.hidden.add(attachment["issue"]["id"])
    attachment["issue"] = next(row for row in server.state.issues.values() if row["url"] == other)
    assert tracker.create(TEXT).reference == other
    assert len(server.state.issues) == 2


def test_an_archived_issue_counts_as_closed_and_is_unarchived_to_reopen_it(server, tracker):
    reference = tracker.create(TEXT).reference
    tracker.set_state(KEY, "closed")
    server.state.archive(server.state.by_key(KEY))
    found = tracker.find(KEY)
    assert (found.reference, found.state) == (reference, "closed")
    assert tracker.create(TEXT) == found
    tracker.set_state(KEY, "open")
    issue = server.state.by_key(KEY)
    assert (issue["archivedAt"], issue["state"]["type"]) == (None, "unstarted")


def test_delegating_again_starts_no_second_session_of_the_agent(server, tracker):
    tracker.create(TEXT)
    for _ in range(3):
        tracker.delegate(KEY, "Coder")
    assert server.state.by_key(KEY)["delegations"] == 1


def test_a_person_is_no_agent(server, tracker):
    tracker.create(TEXT)
    with pytest.raises(TrackerError, match=r"0 agent users of the name in tickets\.agent"):
        tracker.delegate(KEY, "maria")
    assert server.state.by_key(KEY)["delegate"] is None


def test_lists_are_read_to_their_end_and_a_cursor_that_stands_still_is_an_error(server, tracker):
    for number in range(7):
        server.state.write(f"Issue {number}", "Words")
    assert len(tracker.open_tickets()) == 7  # the server gives two a page
    server.state.largest_page = 0
    with pytest.raises(TrackerError, match="does not end"):
        tracker.open_tickets()


def test_pull_requests_carry_the_state_that_linear_knows(server, tracker, people):
    tracker.create(TEXT)
    people.name_pull_request(KEY, "https://github.example/team/agent/pull/7")
    (found,) = tracker.pull_requests(KEY)
    assert found.state == "merged"


def test_a_reference_to_another_team_is_no_ticket(server, tracker):
    server.state.write("Mine", "Words")  # ENG-1
    with pytest.raises(TrackerError, match="no such issue"):
        tracker.comment("https://linear.example/acme/issue/OPS-1/mine", "c", "text")


# --- limits, failures, access ---------------------------------------------------------------------------------------


def test_waiting_is_as_long_as_linear_asks_and_doubles_where_it_does_not(server, tracker):
    server.faults = Faults(script=[("Viewer", "failed_before")] * 3)
    tracker.check()
    assert tracker.waits == [0.5, 1.0, 2.0]
    server.faults = Faults(script=[("Viewer", "too_many"), ("Viewer", "limited_short")])
    limited = tracker_of(server)
    limited.check()
    assert limited.waits == [7, pytest.approx(20, abs=2)]


def test_a_limit_that_lasts_longer_than_our_patience_is_said_and_not_waited_for(server, tracker):
    server.faults = Faults(script=[("*", "limited_long")])
    with pytest.raises(LinearUnavailable, match=r"1 attempts \(rate limited, asks to wait 1[78]\d\d s\)"):
        tracker.find(KEY)
    assert tracker.waits == []


def test_repeats_are_bounded(server, tracker):
    server.faults = Faults(rates={"failed_before": 1.0})
    with pytest.raises(LinearUnavailable, match=r"no answer in \d attempts"):
        tracker.find(KEY)
    assert server.asked["Find"] == ATTEMPTS
    server.faults = Faults(rates={"lock": 1.0})
    with pytest.raises(LinearUnavailable, match=f"no answer in {ATTEMPTS} attempts"):
        tracker.find(KEY)
    assert server.asked["Find"] == 2 * ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unauthorized", "LINEAR_API_KEY"),
        ("redirected", "linear.endpoint"),
        ("limited_long", "the next run goes on"),
    ],
)
def test_an_error_says_what_to_do_and_quotes_nothing(server, tracker, fault, words):
    server.faults = Faults(script=[("*", fault)])
    with pytest.raises(TrackerError, match=words) as refused:
        tracker.create(TicketText(KEY, "CANARY title", "CANARY body"))
    shown = f"{refused.value}{refused.value.__cause__}"
    assert "QUOTED" not in shown
    assert "CANARY" not in shown
    assert refused.value.__cause__ is None


def test_a_refusal_of_input_is_no_success_and_quotes_nothing(server, tracker):
    tracker.create(TEXT)
    server.state._update = lambda *_: server.state._find({}, "gone")
    with pytest.raises(LinearRefused, match="invalid input") as refused:
        tracker.set_state(KEY, "closed")
    assert "Entity" not in str(refused.value)


def test_a_mutation_that_says_no_success_is_none(server, tracker):
    server.faults = Faults(script=[("Create", "unsuccessful")])
    server.state.hidden = {tracker._id("issue", KEY)}
    with pytest.raises(LinearRefused, match="did not succeed"):
        tracker.create(TEXT)


def test_an_answer_of_another_shape_is_an_error_without_content(server, tracker):
    tracker.create(TEXT)
    server.answer = lambda question: (200, {"data": {"issues": "QUOTED"}})
    with pytest.raises(TrackerError, match="another shape") as refused:
        tracker.find(KEY)
    assert "QUOTED" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_team_that_cannot_be_seen_is_named_by_its_setting(server):
    client = LinearClient(server.url, "key")
    with pytest.raises(TrackerError, match=r"linear\.team"):
        LinearTracker(client, team="OPS", link=LINK).create(TEXT)


def test_the_door_survives_the_way_into_another_process(server, tracker):
    tracker.create(TEXT)
    client = LinearClient(server.url, "Bearer token")
    again = pickle.loads(pickle.dumps(LinearTracker(client, team="ENG", link=LINK)))
    assert again.find(KEY).state == "open"
    assert server.authorization == {"lin_api_key", "Bearer token"}
    assert again.find(ABSENT) is None


def test_what_is_sent_is_the_rendered_text_and_no_person(server, tracker):
    tracker.create(TEXT)
    (issue,) = server.state.issues.values()
    assert (issue["title"], issue["description"], issue["assignee"]) == (TEXT.title, BODY.strip(), None)


# --- through the choke point ----------------------------------------------------------------------------------------


def test_a_ticket_lives_in_linear_filed_commented_closed_by_a_person_reopened_and_born_again(server, tracker, people):
    ledger, open_door = MemoryLedger(), TicketSettings(dry_run=False, approval=False)
    faults = [(operation, "lost_after") for operation in ("Create", "Attach", "Comment", "Update", "Relate")]
    server.faults = Faults(script=faults)
    first = filed(ledger, tracker, settings=open_door)
    assert first.created
    filed(ledger, tracker, episode="e2", day=DAY + timedelta(1), settings=open_door)
    assert people.comments(first.ticket_key) == ["It crossed again."]

    people.close(first.ticket_key)
    assert reconcile(ledger, tracker, settings=open_door) == []
    assert ledger_tickets(ledger.entries(TICKET_KINDS))[first.ticket_key].state == "closed"
    assert not filed(ledger, tracker, episode="e3", day=DAY + timedelta(20), settings=open_door).created
    assert tracker.find(first.ticket_key).state == "open"

    act(ledger, tracker, TicketAction(first.ticket_key, "close", "fixed", DAY + timedelta(21)), settings=open_door)
    second = filed(ledger, tracker, episode="e4", day=DAY + timedelta(90), settings=open_door)
    assert second.created
    assert people.previous(second.ticket_key) == [first.ticket_key]
    assert len(server.state.issues) == 2
    assert server.faults.script == []


def test_nothing_is_sent_to_linear_unless_a_setting_says_so(server, tracker):
    result = filed(MemoryLedger(), tracker, settings=TicketSettings(approval=False))
    assert (result.created, result.reason) == (False, "dry run: nothing leaves this machine (tickets.dry_run)")
    assert server.asked == {}


def test_a_link_that_leads_to_this_machine_only_is_said_before_others_follow_it(server, tracker):
    client = tracker._client
    assert "this machine" not in LinearTracker(client, team="ENG", link="https://dagster.acme.example/assets").check()
    assert "SIGNALS_LINEAR__LINK" in LinearTracker(client, team="ENG", link="http://[::1]:3000/assets").check()
    assert "SIGNALS_LINEAR__LINK" in LinearTracker(client, team="ENG", link="http://localhost:3000/assets").check()
