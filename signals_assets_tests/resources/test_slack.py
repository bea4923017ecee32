"""The notifier Slack over HTTP, against a local server that refuses what Slack refuses."""

import json
import threading
import time

import pytest

from signals_assets.core.report import build
from signals_assets.resources.http import HttpError, NotAnswered, RateLimited
from signals_assets.resources.ledger import SqlLedger
from signals_assets.resources.notifier import FileNotifier, NotifierError
from signals_assets.resources.slack import EVENT, INTENT, LEASE, Slack, SlackNotifier, SlackRefused
from signals_assets_tests.core.report_example import COVERAGE, NAMES, example, release
from signals_assets_tests.core.report_example import DAY as EXAMPLE_DAY
from signals_assets_tests.fakes.ledger import MemoryLedger
from signals_assets_tests.fakes.slack_server import CHANNEL, SlackServer
from signals_assets_tests.resources.crashes import Crashed, dying
from signals_assets_tests.resources.notifier_contract import DAY, NEXT, NotifierContract, blocks

MANY = [f"sentence number {number} of them all" for number in range(12)]
PICTURES = {"rates": b"png", "loop": b"gnp"}


@pytest.fixture
def server():
    with SlackServer() as server:
        yield server


@pytest.fixture
def ledger():
    return MemoryLedger()


class Client:
    """Notifiers of one server and one ledger; whoever sleeps lets the server's time pass."""

    def __init__(self, server, ledger, folder):
        self.server, self.ledger, self.folder = server, ledger, folder
        self.waits = []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.server.clock += seconds

    def slack(self, **values):
        given = {"base_url": self.server.url, "sleep": self.sleep, "timeout_seconds": 5, **values}
        return Slack("xoxb-token", **given)

    def notifier(self, *, dry_run=False, **values):
        pages = FileNotifier(self.folder)
        now = lambda: self.server.clock  # noqa: E731
        return SlackNotifier(self.slack(**values), self.ledger, pages, channel=CHANNEL, dry_run=dry_run, now=now)


@pytest.fixture
def client(server, ledger, tmp_path):
    return Client(server, ledger, tmp_path / "reports")


@pytest.fixture
def notifier(client):
    return client.notifier()


class Readers:
    """What the people of the channel see."""

    def __init__(self, server):
        self.server = server

    def _of(self, day):
        place = f"{day}:{CHANNEL}:report"
        return [one for one in self.server.top() if one["metadata"]["event_payload"]["place"] == place]

    def reports(self, day):
        return [json.dumps([one, *self.server.thread(one["ts"])], ensure_ascii=False) for one in self._of(day)]

    def pictures(self, day):
        shown = [block for one in self._of(day) for reply in self.server.thread(one["ts"]) for block in reply["blocks"]]
        files = [self.server.files[block["slack_file"]["id"]] for block in shown if block["type"] == "image"]
        assert all(file["complete"] for file in files)
        return {file["name"].removesuffix(".png"): file["content"] for file in files}


@pytest.fixture
def readers(server):
    return Readers(server)


class TestSlackHoldsTheContract(NotifierContract):
    pass


# --- one message a day ----------------------------------------------------------------------------------------------


def test_the_message_is_short_and_its_thread_whole(notifier, server, client):
    reference = notifier.post(DAY, "<p>page</p>", blocks(*MANY), PICTURES)
    (message,) = server.top()
    assert reference == f"{CHANNEL}/{message['ts']}"
    assert message["text"] == "Quiet day"
    assert "… and 8 more" in message["blocks"][2]["text"]["text"]
    whole, pictures = server.thread(message["ts"])
    assert whole["blocks"][0]["text"]["text"].count("•") == 12
    assert [block["title"]["text"] for block in pictures["blocks"]] == ["loop", "rates"]
    assert (client.folder / "2026-03-02.html").read_text() == "<p>page</p>"


def test_a_day_told_again_is_edited_and_uploads_nothing_again(notifier, client, server):
    first = notifier.post(DAY, "", blocks(*MANY), PICTURES)
    count = len(server.messages)
    assert client.notifier().post(DAY, "", blocks("other", *MANY), PICTURES) == first
    assert (len(server.messages), len(server.files)) == (count, 2)
    assert "other" in json.dumps(server.top())


def test_a_thread_that_has_less_to_say_than_before_does_not_repeat_the_old(notifier, server):
    notifier.post(DAY, "", blocks(*MANY), {})
    notifier.post(DAY, "", blocks("short"), {})
    (message,) = server.top()
    assert [reply["blocks"][0]["text"]["text"] for reply in server.thread(message["ts"])] == ["–"]


def test_a_message_that_a_person_removed_stays_away(notifier, server):
    notifier.post(DAY, "", blocks("a"), {})
    server.messages.clear()
    assert notifier.post(DAY, "", blocks("b"), PICTURES) == f"{CHANNEL}/deleted"
    assert server.messages == {}
    notifier.post(NEXT, "", blocks("c"), {})
    assert len(server.top()) == 1


def test_a_dry_run_writes_what_would_be_posted_and_calls_nobody(client, server):
    page = client.notifier(dry_run=True).post(DAY, "<p>page</p>", blocks(*MANY), PICTURES)
    assert page == str(client.folder / "2026-03-02.html")
    written = json.loads((client.folder / "2026-03-02.slack.json").read_text())
    assert [message["text"] for message in written] == ["Quiet day", "Quiet day"]
    assert server.requests == []
    assert client.ledger.kinds() == []


def test_a_dry_run_needs_no_token(tmp_path, ledger):
    notifier = SlackNotifier(None, ledger, FileNotifier(tmp_path), channel="")
    notifier.post(DAY, "", blocks("a"), {})
    assert notifier.check().startswith("slack: no token, dry run")


@pytest.mark.parametrize("channel", ["", "#general", "general", "c0123456789"])
def test_a_channel_is_named_by_its_id(client, channel):
    with pytest.raises(ValueError, match="channel's id"):
        SlackNotifier(client.slack(), client.ledger, FileNotifier(client.folder), channel=channel, dry_run=False)


# --- exactly once ---------------------------------------------------------------------------------------------------


def counted(server):
    (message,) = server.top()
    replies = [reply["metadata"]["event_payload"]["place"].rpartition(":")[2] for reply in server.thread(message["ts"])]
    return replies, sorted(server.files[file]["name"] for file in server.shown())


EXPECTED = (["thread-1", "pictures"], ["loop.png", "rates.png"])


def test_a_crash_after_any_request_leaves_one_message_one_thread_and_each_picture_shown_once(tmp_path):
    """Killed after each request in turn, before its answer was used; the next run heals."""
    for number in range(1, 30):
        with SlackServer() as server:
            client = Client(server, MemoryLedger(), tmp_path)
            try:
                with dying(number):
                    client.notifier().post(DAY, "", blocks(*MANY), PICTURES)
            except Crashed:
                for _ in range(2):
                    client.notifier().post(DAY, "", blocks(*MANY), PICTURES)
                assert counted(server) == EXPECTED
                assert sum(client.waits) <= LEASE + 1
            else:
                break
    assert number == 10  # a message, a reply, twice three calls for a picture, the message that shows them


@pytest.mark.parametrize("kind", ["too_many", "error", "before", "after", "cut"])
def test_a_fault_at_every_kind_of_request_is_healed_by_the_next_run_at_the_latest(client, server, kind):
    for method in ("chat.postMessage", "getUploadURLExternal", "/upload/", "completeUploadExternal"):
        server.fail(kind, method, times=2)
    for _ in range(6):
        try:
            client.notifier().post(DAY, "", blocks(*MANY), PICTURES)
        except NotAnswered:
            continue
        break
    assert counted(server) == EXPECTED


def test_through_an_unreliable_line_each_of_many_days_has_one_message(client, server):
    server.chance(11, 0.2, ["too_many", "error", "before", "after", "cut"])
    days = [DAY.replace(day=number) for number in range(1, 9)]
    for _ in range(2):
        for day in days:
            while True:
                try:
                    client.notifier().post(day, "", blocks(*MANY), {})
                    break
                except HttpError:  # the next run goes on
                    continue
    places = [one["metadata"]["event_payload"]["place"] for one in server.messages.values()]
    assert sorted(places) == sorted(f"{day}:{CHANNEL}:{part}" for day in days for part in ("report", "thread-1"))


@pytest.mark.parametrize("code", ["internal_error", "fatal_error"])
def test_an_unclear_refusal_is_looked_up_before_it_is_tried_again(notifier, server, code):
    server.refuse(code)
    with pytest.raises(NotAnswered, match="no clear answer"):
        notifier.post(DAY, "", blocks("a"), {})
    assert server.top() == []
    notifier.post(DAY, "", blocks("a"), {})
    assert len(server.top()) == 1


def test_a_message_is_found_among_many_of_other_people(client, server, tmp_path):
    server.page = 7
    for number in range(40):
        server.say(f"hello {number}")
    server.fail("after", "chat.postMessage")
    notifier = client.notifier()
    server.fail("before", "conversations.history", times=5)
    with pytest.raises(NotAnswered):
        notifier.post(DAY, "", blocks("a"), {})
    for number in range(40):
        server.say(f"hello again {number}", metadata={"event_type": "other", "event_payload": {"place": "x"}})
    notifier.post(DAY, "", blocks("b"), {})
    (message,) = server.top()
    assert "b" in message["blocks"][2]["text"]["text"]
    assert message["metadata"]["event_type"] == EVENT


def test_two_runs_at_once_post_one_message(server, tmp_path):
    """Time is real here: who comes second looks again and again until the first has posted."""
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")

    def run(number):
        slack = Slack("xoxb-token", base_url=server.url, sleep=lambda seconds: time.sleep(0.01))
        SlackNotifier(slack, ledger, FileNotifier(tmp_path / str(number)), channel=CHANNEL, dry_run=False).post(
            DAY, "", blocks(*MANY), {}
        )

    server.clock = time.time()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(server) == (["thread-1"], [])
    assert len(ledger.entries([INTENT])) == 2
    assert sum(request.path.endswith("chat.update") for request in server.requests) == 6


def test_a_picture_that_is_not_ready_is_waited_for(notifier, server, client):
    server.unready = 2
    notifier.post(DAY, "", blocks("a"), PICTURES)
    assert len(server.shown()) == 2
    assert client.waits == [1, 2]


# --- limits, errors -------------------------------------------------------------------------------------------------


def test_a_rate_limit_is_waited_for_as_long_as_it_says(notifier, client, server):
    server.fail("too_many", wait=9)
    notifier.post(DAY, "", blocks("a"), {})
    assert client.waits == [9]
    assert len(server.top()) == 1


def test_a_rate_limit_that_lasts_ends_the_call_and_the_next_run_does_not_wait(notifier, client, server):
    server.fail("too_many", wait=900)
    with pytest.raises(RateLimited, match="900 s"):
        notifier.post(DAY, "", blocks("a"), {})
    assert client.waits == []
    notifier.post(DAY, "", blocks("a"), {})
    assert (client.waits, len(server.top())) == ([], 1)


@pytest.mark.parametrize(
    ("code", "told"),
    [("invalid_auth", "SLACK_BOT_TOKEN"), ("missing_scope", "chat:write"), ("not_in_channel", "invite the bot"),
     ("<script>", "unknown")],
)  # fmt: skip
def test_a_refusal_says_what_to_set(notifier, server, code, told):
    server.refuse(code)
    with pytest.raises(SlackRefused, match=told):
        notifier.post(DAY, "", blocks("a"), {})
    assert server.top() == []


def test_an_upload_goes_to_https_only_and_without_our_token(notifier, server, client):
    notifier.post(DAY, "", blocks("a"), PICTURES)
    uploads = [request for request in server.requests if request.path.startswith("/upload/")]
    assert len(uploads) == 2
    assert all("authorization" not in request.headers for request in uploads)
    server._upload_url = None
    slack = client.slack()
    slack.call = lambda method, values=None, *, repeatable: {"upload_url": "http://elsewhere.example/", "file_id": "F1"}
    with pytest.raises(NotifierError, match="not https"):
        slack.upload("a.png", b"png")


def test_the_token_is_in_no_text(client):
    assert "xoxb" not in repr(client.slack())
    assert "xoxb" not in repr(vars(client.slack())["_http"])


def test_the_doctor_hears_who_and_where(notifier):
    assert notifier.check().startswith(f"slack: signals in Workspace, {CHANNEL}, messages are posted; files: ")


# --- the whole report, and what strangers write into it -------------------------------------------------------------

ATTACK = "<!channel> <@U1> @here *bold* <https://evil.example|click> &lt; :smile: `code` \u202e"


def test_the_report_of_a_full_day_is_a_message_that_slack_takes(notifier, server):
    cost = dict.fromkeys(("input_tokens", "cached_tokens", "output_tokens", "unpriced", "percent_seen"), 0)
    cost |= {"sessions": 120, "micro_usd": 1_500_000, "micro_usd_per_session": 12_500}
    covered = {"sessions": {"read": 412, "set_aside": 20}, **COVERAGE, "cost": cost}
    report = build(EXAMPLE_DAY, example(), names=NAMES, audience="company", coverage=covered)
    notifier.post(EXAMPLE_DAY, report.html, report.blocks, PICTURES)
    (message,) = server.top()
    told = json.dumps(message["blocks"], ensure_ascii=False)
    for part in ("What hurts most", "What changed, and since which release", "What is new", "What delighted", "fixes"):
        assert part in told
    for part in ("Sessions: read 410, set aside 20", "Analyses: 120 of 130 answered", "$1.5 for 120 sessions"):
        assert part in told


def test_what_strangers_wrote_mentions_formats_and_links_nothing(notifier, server):
    tables = example()
    tables["release_correlations"] = [
        release(type_, f"1.0 {ATTACK}", 2, "regressed", "confirmed", effect=0.1, rate_before=0.1) for type_ in NAMES
    ]
    names = {type_: f"{name} {ATTACK}" for type_, name in NAMES.items()}
    report = build(EXAMPLE_DAY, tables, names=names, audience="company", coverage=COVERAGE)
    notifier.post(EXAMPLE_DAY, report.html, report.blocks, {})
    assert "evil.example" in json.dumps(list(server.messages.values()))
    for message in server.messages.values():
        texts = [message["text"]]
        for block in message["blocks"]:
            parts = [*([block["text"]] if "text" in block else []), *block.get("elements", [])]
            assert {part["type"] for part in parts} <= {"plain_text"}
            assert not any(part["emoji"] for part in parts)
            texts += [part["text"] for part in parts]
        for text in texts:
            assert not set(text) & {"<", ">", "\u202e"}
            assert "@here" not in text
    sent = [request.body.decode() for request in server.requests]
    assert all("mrkdwn=false" in body and "parse=none" in body for body in sent if "blocks=" in body)
    assert "evil.example|click>" not in report.html
