"""The language model behind the analyst's door: every request accounted for, nothing paid twice, safe to kill."""

import itertools
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta

import pytest

from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.requests import ATTEMPTS, PAID_ATTEMPTS
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.resources import language_model as door
from signals_assets.resources.analyst import AnalystError
from signals_assets.resources.batches import DirectBatches, OpenAIBatches, Server
from signals_assets.resources.compute import SerialCompute
from signals_assets.resources.language_model import LanguageModelAnalyst, Limits
from signals_assets.resources.requests import RequestLog
from signals_assets_tests.core.detectors.script import agent, session, shell, user
from signals_assets_tests.fakes.openai_server import OpenAIServer

PROMPT = pinned("analyze_session", 2).id
SECRET = "the garden party of aunt Wilhelmina is on Friday"


def ask(number: int) -> AnalysisRequest:
    found = session(
        user(f"please fix the parser of module {number}, {SECRET}"),
        shell("a", "make", "make: *** boom", "error"),
        agent("I fixed it."),
        user("that is wrong, it does not work"),
        agent("Sorry. Done."),
    )
    return AnalysisRequest.about(f"q_{number}", f"session-{number}-key", found, PROMPT, seed())


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing is caught, nothing is cleaned up."""


class World:
    """An analyst in a folder, at a server; `again` is a new process with the same folder."""

    def __init__(self, folder, server, backend="openai", url=None, **limits):
        self.folder, self.server, self.kind, self.limits = folder, server, backend, limits
        self.url = url or f"sqlite:///{folder / 'restricted' / 'ledger.db'}"
        self.again()

    def again(self):
        reach = Server(api_key="sk-none", base_url=self.server.url, timeout=5.0, pause=0.001)
        restricted = self.folder / "restricted"
        if self.kind == "openai":
            self.backend = OpenAIBatches(reach, restricted / "scratch")
            self.backend.settles_after = 0.0
        else:
            self.backend = DirectBatches(reach, restricted / "direct", concurrency=2)
        self.log = RequestLog(self.url)
        model = "gpt-5.2" if self.kind == "openai" else "open-weights"
        self.analyst = LanguageModelAnalyst(
            self.backend,
            self.log,
            restricted / "analyst",
            SerialCompute(),
            model=model,
            secret=lambda: b"secret",
            audience="company",
            limits=Limits(**self.limits),
        )
        return self

    def live(self, requests, label="day", rounds=30):
        """Bring the label forward until it is done, as the sensor does."""
        for _ in range(rounds):
            if (progress := self.analyst.submit(label, requests)).next == "done":
                return progress
            for _ in range(20):
                if self.analyst.poll(label).next != "wait":
                    break
        raise AssertionError(f"not done after {rounds} rounds: {progress}")

    def answers(self, label="day"):
        return {answer.request_id: answer for answer in self.analyst.collect(label)}


@pytest.fixture(params=["openai", "direct"])
def kind(request):
    return request.param


@contextmanager
def serving(**faults):
    with OpenAIServer(**faults) as server:
        yield server
        assert server.state.spec_violations == []


@pytest.fixture
def world(tmp_path, kind):
    with serving() as server:
        yield World(tmp_path, server, kind)


def test_every_request_is_answered_priced_and_paid_once(world, kind):
    requests = [ask(n) for n in range(12)]
    progress = world.live(requests)
    assert (progress.states, progress.next) == ({"answered": 12}, "done")
    answers = world.answers()
    assert set(answers) == {request.request_id for request in requests}
    for answer in answers.values():
        assert (answer.state, answer.session_key, answer.attempts) == ("answered", None, 1)
        assert answer.steps_seen == answer.steps_total == 6
        assert answer.input_tokens > 500
        assert answer.output_tokens > 0
        assert {event.type for event in answer.answer.friction} >= {"error_event"}
        assert (answer.cost_usd is None) == (kind == "direct")
    assert world.server.paid_twice() == {}
    assert sum(world.server.paid_texts.values()) >= 12
    assert world.analyst.batches("day").keys() == answers.keys()


def test_the_same_requests_again_send_nothing_and_later_ones_are_added(world):
    world.live([ask(1), ask(2)])
    paid = dict(world.server.paid_texts)
    world.again().live([ask(1), ask(2)])
    assert dict(world.server.paid_texts) == paid
    world.live([ask(1), ask(2), ask(3)])
    assert set(world.answers()) == {"q_1", "q_2", "q_3"}
    assert world.server.paid_twice() == {}


def test_nothing_of_a_session_stays_at_the_provider_or_in_the_outbox(world):
    world.live([ask(n) for n in range(3)])
    assert world.server.state.files == {}
    assert list((world.folder / "restricted" / "analyst" / "outbox").iterdir()) == []
    ledger = b"".join(path.read_bytes() for path in (world.folder / "restricted").glob("ledger.db*"))
    assert b"Wilhelmina" not in ledger
    assert b"session-1-key" not in ledger


def test_collecting_too_early_and_what_was_never_submitted_are_refused(tmp_path):
    with serving(polls=None) as server:
        world = World(tmp_path, server)
        with pytest.raises(AnalystError, match="nothing was submitted"):
            world.analyst.poll("day")
        assert world.analyst.submit("day", [ask(1)]).next == "wait"
        with pytest.raises(AnalystError, match="1 requests are under way"):
            list(world.analyst.collect("day"))
        assert world.analyst.poll("day").states == {"submitted": 1}


@pytest.mark.parametrize(
    ("faults", "state", "reason", "attempts"),
    [
        ({"refused": 1.0}, "refused", "refusal", 1),
        ({"filtered": 1.0}, "refused", "content_filter", 1),
        ({"rejected": 1.0}, "failed", None, 1),
        ({"truncated": 1.0}, "invalid", None, PAID_ATTEMPTS),
        ({"incomplete": 1.0}, "invalid", "incomplete_max_output_tokens", PAID_ATTEMPTS),
        ({"zero": 1.0}, "failed", None, ATTEMPTS),
        ({"missing": 1.0}, "failed", "no_result", ATTEMPTS),
        ({"expired": 1.0, "expired_share": 1.0}, "expired", "batch_expired", ATTEMPTS),
        ({"all_failed": 1.0}, "failed", None, ATTEMPTS),
    ],
)
def test_what_goes_wrong_for_good_ends_in_a_state_that_says_why(tmp_path, faults, state, reason, attempts):
    with OpenAIServer(**faults) as server:
        world = World(tmp_path, server)
        progress = world.live([ask(1)])
        [answer] = world.answers().values()
        assert (answer.state, answer.answer) == (state, None)
        assert progress.states == {state: 1}
        assert sum(progress.reasons.values()) == 1
        assert reason is None or progress.reasons == {reason: 1}
        assert answer.attempts == attempts


@pytest.mark.parametrize("fault", ["zero", "throttled", "broken", "missing", "truncated", "incomplete"])
def test_what_goes_wrong_once_is_asked_again_and_answered(tmp_path, fault):
    with OpenAIServer(**{fault: 1.0}) as server:
        world = World(tmp_path, server)
        world.analyst.submit("day", [ask(1), ask(2)])
        while world.analyst.poll("day").next == "wait":
            pass
        server.switch(**{fault: 0.0})
        world.live([ask(1), ask(2)])
        assert {answer.state for answer in world.answers().values()} == {"answered"}
        assert {answer.attempts for answer in world.answers().values()} == {2}


def test_an_answer_that_ran_out_of_room_gets_more(tmp_path):
    with OpenAIServer(incomplete=1.0) as server:
        world = World(tmp_path, server, output_tokens=1000)
        world.analyst.submit("day", [ask(1)])
        while world.analyst.poll("day").next == "wait":
            pass
        [line] = world.log.of_label("day")
        world.analyst._take_in("day", seed())
        [line] = world.log.of_label("day")
        assert (line.state, line.reason) == ("planned", "incomplete_max_output_tokens")
        [chunk] = [world.analyst._chunk([ask(1)], {"q_1": {1: line}})]
        assert chunk.rooms == {"q_1.1": 2000}


def test_the_finished_half_of_an_expired_batch_is_kept_and_paid_once(tmp_path):
    with OpenAIServer(expired=1.0, expired_share=0.5) as server:
        world = World(tmp_path, server)
        requests = [ask(n) for n in range(10)]
        world.analyst.submit("day", requests)
        while world.analyst.poll("day").next == "wait":
            pass
        server.switch(expired=0.0)
        world.live(requests)
        assert {answer.state for answer in world.answers().values()} == {"answered"}
        attempts = Counter(answer.attempts for answer in world.answers().values())
        assert set(attempts) == {1, 2}
        assert attempts.total() == 10
        assert server.paid_twice() == {}


def test_a_lost_answer_of_the_creation_makes_no_second_batch(tmp_path):
    with OpenAIServer(lost_answers={"POST /batches": [0]}) as server:
        world = World(tmp_path, server)
        world.live([ask(n) for n in range(5)])
        assert {answer.state for answer in world.answers().values()} == {"answered"}
        assert server.paid_twice() == {}
        assert len(world.log.sends("done")) == len(server.state.batches)


def test_a_provider_without_room_teaches_how_much_room_there_is(tmp_path):
    requests = [ask(n) for n in range(12)]
    with OpenAIServer(enqueued_limit=18_000) as server:
        world = World(tmp_path, server)
        world.live(requests, rounds=80)
        assert {answer.state for answer in world.answers().values()} == {"answered"}
        assert {answer.attempts for answer in world.answers().values()} == {1}
        assert server.paid_twice() == {}


def test_a_known_limit_is_kept_and_the_rest_waits_its_turn(tmp_path):
    requests = [ask(n) for n in range(8)]
    with OpenAIServer(polls=None) as server:
        world = World(tmp_path, server, enqueued_tokens=12_000)
        progress = world.analyst.submit("day", requests)
        assert progress.next == "wait"
        assert progress.states["planned"] + progress.states["submitted"] == 8
        assert 0 < progress.states["submitted"] < 8
        flying = sum(send.tokens for send in world.log.sends("submitted"))
        assert flying <= 12_000
        server.switch(polls=1)
        world.live(requests)
        assert len(world.answers()) == 8
        assert server.paid_twice() == {}


def test_too_many_requests_and_a_broken_provider_lose_nothing(tmp_path):
    with OpenAIServer(too_many={"POST /batches": [0]}, server_errors={"POST /files": 1.0}) as server:
        world = World(tmp_path, server)
        with pytest.raises(AnalystError, match="Nothing is lost") as told:
            world.analyst.submit("day", [ask(1)])
        assert "Wilhelmina" not in str(told.value)
        server.switch(server_errors={})
        world.live([ask(1)])
        assert world.answers()["q_1"].state == "answered"
        assert server.paid_twice() == {}


def test_answers_under_strange_ids_and_two_answers_to_one_question_are_not_believed(tmp_path):
    with OpenAIServer(unknown_ids=3, duplicated=1.0) as server:
        world = World(tmp_path, server)
        world.live([ask(1), ask(2)])
        assert set(world.answers()) == {"q_1", "q_2"}


def test_invented_steps_and_types_are_left_out(tmp_path):
    with OpenAIServer(invented_steps=1.0, wrong_types=1.0, unenforced=0.0) as server:
        world = World(tmp_path, server)
        world.live([ask(1)])
        answer = world.answers()["q_1"].answer
        events = [*answer.friction, *answer.delight] if answer else []
        assert all(0 <= step < 6 for event in events for step in event.steps)


def test_a_server_that_does_not_enforce_the_schema_is_read_all_the_same(tmp_path):
    with OpenAIServer(unenforced=1.0, chat_only=True) as server:
        world = World(tmp_path, server, "direct")
        world.live([ask(1), ask(2)])
        assert {answer.state for answer in world.answers().values()} == {"answered"}


def test_a_text_that_quotes_the_session_is_asked_for_anew_by_rule_and_the_answer_is_bettered(tmp_path):
    with OpenAIServer(quotes=1.0) as server:
        world = World(tmp_path, server)
        world.live([ask(1)])
        revisions = [row for row in world.log.of_label("day") if row.part == 0]
        assert [row.state for row in revisions] == ["answered"]
        assert revisions[0].fields
        assert all(rule.startswith("R") for _, rule in revisions[0].fields)
        texts = door.answer_texts(world.answers()["q_1"].answer)
        refused = {number for number, _ in revisions[0].fields}
        assert not any("Wilhelmina" in texts[number] for number in refused)
        asked = server.paid
        assert asked["q_1.0"] == asked["q_1.1"] == 1


def test_a_session_that_no_request_can_be_made_of_fails_alone(world, monkeypatch):
    real = door.ask_chunk

    def stumble(chunk):
        return [asked if asked.request_id != "q_2" else type(asked)(asked.request_id, ()) for asked in real(chunk)]

    monkeypatch.setattr(door, "ask_chunk", stumble)
    progress = world.live([ask(1), ask(2), ask(3)])
    assert progress.states == {"answered": 2, "failed": 1}
    assert progress.reasons == {"cannot_be_prepared": 1}
    assert world.answers()["q_2"].state == "failed"


def test_a_session_over_the_window_is_split_and_merged(tmp_path):
    words = " ".join(f"word{n}" for n in range(4000))
    found = session(*itertools.chain.from_iterable((user(words), agent("Done.")) for _ in range(4)))
    request = AnalysisRequest.about("q_1", "s_1", found, PROMPT, seed())
    with serving() as server:
        world = World(tmp_path, server, window=16_000, session_tokens=8_000)
        world.live([request])
        parts = [row for row in world.log.of_label("day") if row.part]
        assert len(parts) > 1
        assert [row.part for row in parts] == list(range(1, len(parts) + 1))
        answer = world.answers()["q_1"]
        assert answer.state == "answered"
        assert answer.steps_seen <= answer.steps_total == 8
        assert server.paid_twice() == {}


def test_a_forgotten_request_leaves_rows_and_answers_and_its_late_result_is_thrown_away(tmp_path):
    with serving(polls=None) as server:
        world = World(tmp_path, server)
        world.analyst.submit("day", [ask(1), ask(2)])
        assert world.analyst.forget(["q_1"]) == 1
        server.switch(polls=1)
        world.live([ask(2)])
        assert set(world.answers()) == {"q_2"}
        kept = b"".join(path.read_bytes() for path in (world.folder / "restricted").rglob("*") if path.is_file())
        assert b"q_1" not in kept
        assert world.analyst.forget(["q_2"]) >= 1
        assert world.analyst.forget(["q_2"]) == 0


def test_a_forgotten_request_may_be_asked_anew(world):
    world.live([ask(1)])
    world.analyst.forget(["q_1"])
    world.again().live([ask(1)])
    assert world.answers()["q_1"].state == "answered"
    assert world.server.state.files == {}


def test_what_a_killed_process_left_of_a_forgotten_request_goes_too(world, kind, monkeypatch):
    backend = OpenAIBatches if kind == "openai" else DirectBatches
    inside = "_uploaded" if kind == "openai" else "_run"
    real = getattr(backend, inside)

    def killed(*args, **kwargs):
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(backend, inside, killed)
    with pytest.raises(Killed):
        world.analyst.submit("day", [ask(1), ask(2)])
    monkeypatch.undo()
    restricted = world.folder / "restricted"
    assert any("Wilhelmina" in path.read_text("latin-1") for path in restricted.rglob("*.jsonl"))
    assert world.again().analyst.forget(["q_1"]) >= 1
    kept = b"".join(path.read_bytes() for path in restricted.rglob("*") if path.is_file())
    assert b"q_1" not in kept
    assert b"Wilhelmina" not in kept
    assert world.server.state.files == {}
    world.live([ask(2)])
    assert set(world.answers()) == {"q_2"}


STEPS = [
    (door, "store_lines"),
    *((RequestLog, name) for name in ("plan", "prepare", "creating", "submitted", "stored", "done")),
]
OWN = ("create", "results", "delete")
KILLS = [
    (kind, owner, name)
    for kind, backend in (("openai", OpenAIBatches), ("direct", DirectBatches))
    for owner, name in [*STEPS, *((backend, name) for name in OWN)]
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("kind", "owner", "name"), KILLS, ids=lambda value: getattr(value, "__name__", value))
def test_killed_at_any_step_the_next_process_goes_on_and_pays_nothing_twice(world, owner, name, when, monkeypatch):
    real = getattr(owner, name)
    left = [1]

    def killed(*args, **kwargs):
        if left and when == "before":
            raise Killed(left.pop())
        found = real(*args, **kwargs)
        if left:
            raise Killed(left.pop())
        return found

    requests = [ask(n) for n in range(6)]
    monkeypatch.setattr(owner, name, killed)
    for _ in range(5):
        try:
            world.again().live(requests)
            break
        except Killed:
            continue
    assert left == []
    assert {answer.state for answer in world.answers().values()} == {"answered"}
    assert len(world.answers()) == 6
    assert world.server.paid_twice() == {}
    assert world.server.state.files == {}


@pytest.mark.parametrize("kind", ["openai", "direct"])
def test_in_postgresql_connections_that_are_lost_between_any_two_steps_cost_nothing(
    tmp_path, kind, postgres, postgres_url, monkeypatch
):
    steps = []

    def losing(name, real):
        def lost(*args, **kwargs):
            postgres.hang_up(f"datname = '{postgres_url.rpartition('/')[2]}'")
            steps.append(name)
            return real(*args, **kwargs)

        return lost

    names = ("plan", "prepare", "creating", "submitted", "stored", "done", "of_requests", "sends")
    for name in names:
        monkeypatch.setattr(RequestLog, name, losing(name, getattr(RequestLog, name)))
    with serving() as server:
        world = World(tmp_path, server, kind, postgres_url)
        world.live([ask(n) for n in range(4)])
        assert {answer.state for answer in world.answers().values()} == {"answered"}
        assert len(world.answers()) == 4
        assert server.paid_twice() == {}
    assert set(steps) == set(names)
    world.log.close()


def test_what_a_process_that_died_left_unfinished_is_removed_by_the_next_one_and_not_under_one_at_work(tmp_path):
    with serving(polls=None) as server:
        world = World(tmp_path, server)
        world.analyst.submit("day", [ask(1)])
        outbox = world.folder / "restricted" / "analyst" / "outbox"
        answers = outbox.parent / "answers" / "day"
        answers.mkdir(parents=True)
        left = [outbox / "lines_0.4711.jsonl", outbox / "k_of_no_batch.jsonl", answers / ".k_1.jsonl.zst.4711"]
        for path in left:
            path.write_text(SECRET)
        with world.analyst._at_work():  # finds nobody: removes
            assert not any(path.exists() for path in left)
            left[0].write_text(SECRET)
            world.again().analyst.submit("day", [ask(1)])  # finds somebody: leaves
            assert left[0].exists()
        world.again().analyst.submit("day", [ask(1)])
        assert list(outbox.iterdir()) == []


@pytest.mark.parametrize("name", ["prepare", "submitted"])
def test_lines_wait_in_the_outbox_no_longer_than_their_batch_has_no_id(tmp_path, name, monkeypatch):
    with serving(polls=None) as server:
        world = World(tmp_path, server)
        real = getattr(RequestLog, name)

        def killed(*args, **kwargs):
            real(*args, **kwargs)
            raise Killed

        with monkeypatch.context() as context:
            context.setattr(RequestLog, name, killed)
            with pytest.raises(Killed):
                world.analyst.submit("day", [ask(1)])
        outbox = world.folder / "restricted" / "analyst" / "outbox"
        assert len(list(outbox.iterdir())) == 1
        world.again().analyst.submit("day", [ask(1)])
        assert list(outbox.iterdir()) == []
        assert world.analyst.poll("day").states == {"submitted": 1}


def test_the_input_of_a_batch_that_found_no_room_does_not_stay_at_the_provider(tmp_path):
    with OpenAIServer(token_limited=[0]) as server:
        world = World(tmp_path, server)
        requests = [ask(n) for n in range(4)]
        world.live(requests, rounds=80)
        assert [send.requests for send in world.log.sends("held")] == [4]
        assert {answer.state for answer in world.answers().values()} == {"answered"}
        assert server.state.files == {}


def test_a_single_request_that_finds_no_room_waits_and_is_given_up_after_so_many_tries_only(tmp_path, monkeypatch):
    with OpenAIServer(token_limited=[0, 1]) as server:
        world = World(tmp_path, server)
        world.analyst.submit("day", [ask(1)])
        while world.analyst.poll("day").next == "wait":
            pass
        progress = world.analyst.submit("day", [ask(1)])
        assert (progress.states, progress.next) == ({"planned": 1}, "wait")
        assert len(server.state.batches) == 1
        monkeypatch.setattr(door, "HOLDS", timedelta(0))
        world.live([ask(1)])
        assert world.answers()["q_1"].state == "answered"
        assert world.answers()["q_1"].attempts == 3
        assert server.state.files == {}
    with OpenAIServer(token_limited=1.0) as server:
        world = World(tmp_path / "other", server)
        assert world.live([ask(1)]).reasons == {"token_limit_exceeded": 1}
        assert world.answers()["q_1"].state == "failed"
        assert server.state.files == {}


def test_an_upload_whose_process_died_goes_with_the_batch_that_is_given_up(tmp_path, monkeypatch):
    with OpenAIServer(too_many={"POST /batches": [0]}) as server:
        world = World(tmp_path, server)
        real = OpenAIBatches._uploaded

        def killed(*args):
            real(*args)
            raise Killed

        with monkeypatch.context() as context:
            context.setattr(OpenAIBatches, "_uploaded", killed)
            with pytest.raises(Killed):
                world.analyst.submit("day", [ask(1)])
        assert len(server.state.files) == 1
        world.again().analyst._recover("day")  # creates it again, is asked to wait, gives the batch up
        assert world.log.sends("prepared") == []
        assert server.state.files == {}
        world.live([ask(1), ask(2)])
        assert server.paid_twice() == {}


def test_a_provider_that_deletes_nothing_now_is_named_and_its_files_go_later(tmp_path):
    with OpenAIServer(server_errors={"DELETE /files/{file_id}": 1.0}) as server:
        world = World(tmp_path, server)
        world.analyst.submit("day", [ask(1)])
        while world.analyst.poll("day").next == "wait":
            pass
        with pytest.raises(AnalystError, match="Nothing is lost"):
            world.analyst.submit("day", [ask(1)])
        assert server.state.files
        server.switch(server_errors={})
        world.live([ask(1)])
        assert server.state.files == {}


def test_a_free_question_is_answered_and_the_door_says_who_it_is(world, kind):
    assert world.analyst.ask("Name this group of complaints.")
    said = world.analyst.check()
    assert world.analyst.model in said
    assert "127.0.0.1" in said
