"""`signals watch`: a transcript that grows tells the events of the whole one, whatever happens to its file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from signals_assets.cli import watch
from signals_assets.cli.watch import Clock, Followed, Options, Teller, Watch, whole_size
from signals_assets.core.detectors import detect
from signals_assets.core.readers import Rejected
from signals_assets.core.sessions import to_json
from signals_assets.resources.session_source import read_paths
from signals_assets_tests.core.detectors.script import agent, call, result, session, shell, user
from signals_assets_tests.core.readers.test_otel import HISTORY, TOOL_CALL, export, said, span

FOLDER = "4555072a-e039-4937-b6ea-dcb86152dd55.jsonl"
Act = Callable[[], object]


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


class ScriptedClock(Clock):
    """A clock whose every wait lets the next thing happen; stops when nothing is left to happen."""

    def __init__(self, *acts: Act | float):
        super().__init__()
        self._acts: Iterator[Act | float] = iter(acts)
        self._now = time.time()

    def now(self):
        return self._now

    def wait(self, seconds):
        self._now += seconds
        act = next(self._acts, self._stop.set)
        if callable(act):
            act()
        else:
            self._now += act


class Heard:
    """A watch that ran through a script, and what it printed."""

    def __init__(self, path: Path, *acts: Act | float, once=False, watched=None, **options):
        self.lines: list[dict] = []
        options.setdefault("min_confidence", 0.0)
        teller = Teller(True, lambda text, err=False: self.lines.append(json.loads(text)))
        Watch([watched or path], Options(**options), teller, ScriptedClock(*acts)).run(once=once)

    def of(self, what):
        return [line for line in self.lines if line["what"] == what]

    @property
    def events(self):
        return [(line["session_id"], line["type"], tuple(line["steps"])) for line in self.of("event")]

    @property
    def coverage(self):
        (line,) = self.of("coverage")
        return line


def whole(path: Path) -> list[tuple]:
    return sorted(
        (found.key, item.type, item.steps)
        for found in read_paths([path])
        if not isinstance(found, Rejected)
        for item in detect(found)
    )


def appending(path: Path, data: bytes) -> Act:
    def act():
        with path.open("ab") as file:
            file.write(data)

    return act


def record(kind: str, content, at: int, **more) -> bytes:
    """A record of a Claude Code transcript."""
    data = {
        "type": kind, "sessionId": "one", "timestamp": f"2026-01-05T12:{at:02}:00Z", "version": "2.0.0",
        "message": {"role": kind, "content": content}, **more,
    }  # fmt: skip
    return json.dumps(data).encode() + b"\n"


def claude(*failures: int) -> list[bytes]:
    """Requests, each followed by a failing command (and the agent's word for it)."""
    lines = [record("user", "please build the parser", 0)]
    for n in failures:
        tool = {"type": "tool_use", "id": f"t{n}", "name": "Bash", "input": {"command": f"make part{n}"}}
        told = {"type": "tool_result", "tool_use_id": f"t{n}", "is_error": True, "content": f"make: *** part{n} Error"}
        lines += [record("assistant", [tool], n), record("user", [told], n), record("assistant", "I see. Next.", n)]
        lines.append(record("user", f"now build another part, number {n}", n))
    return lines


def canonical(*parts, session_id="one"):
    told = session(*parts)
    told.session_id = session_id
    return to_json(told) + b"\n"


def test_line_by_line_tells_the_events_of_the_whole_file_each_once(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1, 2, 3)
    path.write_bytes(lines[0])
    heard = Heard(path, *(appending(path, line) for line in lines[1:]))
    assert sorted(heard.events) == whole(path)
    assert len(heard.events) >= 3
    assert heard.coverage["steps"] == 13
    assert not heard.of("restart")


def test_an_event_is_told_when_it_is_complete_not_at_the_end(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1, 2)
    path.write_bytes(lines[0])
    told = []
    teller = Teller(True, lambda text, err=False: told.append(json.loads(text)))
    clock = ScriptedClock(*(appending(path, line) for line in lines[1:6]), lambda: told.append({"what": "mark"}))
    Watch([path], Options(), teller, clock).run()
    kinds = [line["what"] for line in told]
    assert kinds.index("event") < kinds.index("mark")


def test_half_a_line_waits_for_its_other_half(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1)
    data = b"".join(lines)
    path.write_bytes(lines[0])
    pieces = [data[n : n + 37] for n in range(len(lines[0]), len(data), 37)]
    heard = Heard(path, *(appending(path, piece) for piece in pieces))
    assert sorted(heard.events) == whole(path)
    assert not heard.of("set_aside")


def test_a_last_line_without_its_end_that_never_comes_is_set_aside_at_the_end(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1)) + b'{"type": "user", "mess')
    heard = Heard(path, 1.0)
    assert [(line["position"], line["reason"]) for line in heard.of("set_aside")] == [("line 6", "invalid_json")]
    assert heard.coverage["set_aside"] == {"invalid_json": 1}


def test_unreadable_lines_are_named_once_without_content_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "one.jsonl"
    first, *rest = claude(1, 2)
    path.write_bytes(first)
    bad = b'{"secret": hunter2\n'
    heard = Heard(path, appending(path, bad), *(appending(path, line) for line in rest))
    assert [line["position"] for line in heard.of("set_aside")] == ["line 2"]
    assert "hunter2" not in json.dumps(heard.lines)
    assert sorted(heard.events) == whole(path)


def test_no_text_of_the_session_is_printed(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1, 2, 3)))
    for arguments in ([], ["--json"]):
        output = CliRunner().invoke(watch.command, [str(path), "--once", *arguments]).output
        assert "error_event" in output
        assert "parser" not in output
        assert "make" not in output


def test_a_tool_name_cannot_command_the_terminal():
    lines = []
    found = session(user("go"), call("Ba\x1b[31msh\nx", "a"), result("x", "a", "boom", "error"), agent())
    (item,) = [item for item in detect(found) if item.type == "error_event"]
    Teller(False, lambda text, err=False: lines.append(text)).event("f", "one", None, item, False)
    assert "\x1b" not in lines[0]
    assert "\n" not in lines[0]


def test_a_file_that_was_cut_and_written_anew_starts_again_and_says_so(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1, 2)))
    other = b"".join(claude(7))
    heard = Heard(path, lambda: path.write_bytes(b""), lambda: path.write_bytes(other), 1.0)
    assert len(heard.of("restart")) == 2  # the file is shorter; the session changed
    assert set(whole(path)) <= set(heard.events)
    assert heard.coverage["steps"] == 5


def test_a_file_that_was_cut_and_continued_tells_nothing_twice(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1, 2, 3)
    path.write_bytes(b"".join(lines[:9]))
    heard = Heard(path, lambda: path.write_bytes(b"".join(lines[:5])), *(appending(path, line) for line in lines[5:]))
    assert sorted(heard.events) == whole(path)
    assert len(heard.events) == len(set(heard.events))


def test_a_file_that_was_cut_and_stays_so_is_the_shorter_session(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1, 2, 3)
    path.write_bytes(b"".join(lines))
    heard = Heard(path, lambda: path.write_bytes(b"".join(lines[:5])), 1.0)
    assert [line.get("step") for line in heard.of("restart")] == [None, 5]
    assert heard.coverage["steps"] == 5


def test_a_changed_history_is_told_from_the_first_change_on(tmp_path):
    path = tmp_path / "one.jsonl"
    before, after = claude(1, 2, 3), claude(1, 2, 4)
    path.write_bytes(b"".join(before))
    heard = Heard(path, lambda: path.write_bytes(b"".join(after)))
    (restart,) = heard.of("restart")
    assert restart["step"] == 9  # the request and two rounds of four steps are the same
    errors = [steps for _, name, steps in heard.events if name == "error_event"]
    assert errors[:2] == [(2,), (6,)]
    assert errors.count((2,)) == errors.count((6,)) == 1
    assert set(whole(path)) <= set(heard.events)


def test_new_files_in_a_folder_are_followed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"".join(claude(1)))
    later = folder / "project" / FOLDER

    def appear():
        later.parent.mkdir()
        later.write_bytes(b"".join(claude(2)[:3]))

    heard = Heard(folder, appear, appending(later, b"".join(claude(2)[3:])))
    assert {name for name, _, _ in heard.events} == {"one", later.stem}
    assert sorted(heard.events) == whole(folder)
    assert heard.coverage["sessions"] == 2


def test_a_document_that_is_written_whole_is_read_again_when_it_changed(tmp_path):
    path = tmp_path / "chat.json"
    messages = [{"role": "user", "content": "please build the parser"}]
    for n in range(3):
        function = {"name": "shell", "arguments": json.dumps({"command": f"make part{n}"})}
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [{"id": f"t{n}", "function": function}]},
            {"role": "tool", "tool_call_id": f"t{n}", "content": f"Error: part{n} not there"},
            {"role": "assistant", "content": "I see."},
            {"role": "user", "content": f"now build another part, number {n}"},
        ]

    def written(count: int, indent: int | None) -> Act:
        return lambda: path.write_text(json.dumps({"id": "chat", "messages": messages[:count]}, indent=indent))

    for indent in (None, 1):
        written(1, indent)()
        heard = Heard(path, *(written(n, indent) for n in range(2, len(messages) + 1)))
        assert sorted(heard.events) == whole(path)
        assert heard.coverage["steps"] == len(messages)
        assert not heard.of("restart")


def test_half_a_document_is_not_an_error_until_the_end(tmp_path):
    path = tmp_path / "chat.json"
    data = json.dumps({"id": "chat", "messages": [{"role": "user", "content": "go"}]}, indent=1).encode()
    path.write_bytes(data[:30])
    heard = Heard(path, 1.0, lambda: path.write_bytes(data))
    assert heard.coverage["sessions"] == 1
    assert not heard.of("set_aside")
    path.write_bytes(data[:30])
    assert Heard(path, 1.0).coverage["set_aside"] == {"unknown_format": 1}  # its beginning does not say more


def test_from_now_tells_only_what_has_a_step_to_come_and_still_sees_the_past(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1, 2)
    again = record("user", "please build the parser", 9)
    path.write_bytes(b"".join(lines[:5]))
    acts = [appending(path, line) for line in [*lines[5:], again]]
    told = Heard(path, *acts, from_start=False).events
    assert {steps for _, _, steps in told} == {steps for _, _, steps in whole(path) if steps[-1] >= 5}
    assert any(steps[-1] >= 5 for _, _, steps in told)


def test_from_now_leaves_out_what_was_open_when_it_began(tmp_path):
    path = tmp_path / "one.jsonl"
    lines = claude(1, 2)
    path.write_bytes(b"".join(lines[:3]))  # the failure is the last step
    told = Heard(path, *(appending(path, line) for line in lines[3:]), from_start=False).events
    errors = [steps for _, name, steps in told if name == "error_event"]
    assert errors == [(6,)]


def test_from_now_does_not_read_what_does_not_grow(tmp_path):
    (tmp_path / "one.jsonl").write_bytes(b"".join(claude(1)))
    heard = Heard(tmp_path / "one.jsonl", 1.0, from_start=False)
    assert not heard.events
    assert heard.coverage["files_passed_over"] == {"not_read": 1}


def test_a_session_without_growth_is_finished_and_told_on_when_it_grows_again(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1)[:3]))  # the failure is the last step: the event is still open
    seen = []

    def grow():
        seen.append(len(heard_events()))
        appending(path, b"".join(claude(1, 2)[3:]))()

    lines: list[dict] = []
    heard_events = lambda: [line for line in lines if line["what"] == "event"]  # noqa: E731
    teller = Teller(True, lambda text, err=False: lines.append(json.loads(text)))
    Watch([path], Options(idle=60, min_confidence=0), teller, ScriptedClock(30.0, 61.0, grow, 1.0)).run()
    assert seen == [1]
    told = [(line["session_id"], line["type"], tuple(line["steps"])) for line in heard_events()]
    assert sorted(told) == whole(path)


def test_sessions_above_the_number_of_open_ones_are_finished_and_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "MOST_OPEN", 2)
    path = tmp_path / "in.jsonl"
    parts = (user("build it"), *shell("a", "make", "make: *** boom", "error"))
    path.write_bytes(b"".join(canonical(*parts, session_id=f"s{n}") for n in range(6)))
    heard = Heard(path, 1.0)
    assert sorted(heard.events) == whole(path)


def test_a_longer_copy_of_a_session_in_the_same_file_goes_on_and_another_is_set_aside(tmp_path):
    path = tmp_path / "in.jsonl"
    begun = (user("build it"), *shell("a", "make", "make: *** boom", "error"))
    path.write_bytes(canonical(*begun))
    longer = canonical(*begun, agent(), user("and the docs"), *shell("b", "curl x", "timed out", "timeout"), agent())
    heard = Heard(path, appending(path, longer), appending(path, canonical(user("quite another")) * 1), 1.0)
    assert {steps for _, name, steps in heard.events if name == "error_event"} == {(2,), (6,)}
    assert heard.coverage["sessions"] == 1
    assert heard.coverage["set_aside"] == {"duplicate_session": 1}
    assert not heard.of("restart")


def test_a_prompt_of_codex_waits_for_the_record_that_says_who_typed_it(tmp_path):
    path = tmp_path / "rollout.jsonl"

    def item(kind, **payload):
        return json.dumps({"timestamp": "2026-01-05T12:00:00Z", "type": kind, "payload": payload}).encode() + b"\n"

    def said(role, text):
        return item("response_item", type="message", role=role, content=[{"type": "input_text", "text": text}])

    lines = [item("session_meta", id="c", timestamp="2026-01-05T12:00:00Z", cli_version="1")]
    for text in ("build the parser", "no, that is wrong, the parser still fails", "it fails again, undo it"):
        lines += [said("user", text), item("event_msg", type="user_message", message=text), said("assistant", "Done.")]
    path.write_bytes(lines[0])
    heard = Heard(path, *(appending(path, line) for line in lines[1:]))
    assert sorted(heard.events) == whole(path)
    assert heard.events
    assert not heard.of("restart")


def test_spans_that_come_in_the_order_of_their_ends_wait_until_their_file_is_still(tmp_path):
    path = tmp_path / "spans.jsonl"
    tool = span(2, "execute_tool", error=True, gen_ai__tool__name="find", gen_ai__tool__call__id="c1")
    first = span(0, "chat", gen_ai__input__messages=HISTORY[:1], gen_ai__output__messages=[TOOL_CALL])
    answer = [said("assistant", "I could not find it.")]
    last = span(4, "chat", gen_ai__input__messages=HISTORY, gen_ai__output__messages=answer)
    tool_first, *rest = [json.dumps(export(item)).encode() + b"\n" for item in (tool, first, last)]
    path.write_bytes(tool_first)
    heard = Heard(path, *(appending(path, line) for line in rest), 10.0, 1.0)
    assert sorted(heard.events) == whole(path)
    assert not heard.of("restart")
    assert heard.coverage["steps"] == 4


def test_a_folder_that_goes_and_comes_back_is_followed_again(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "one.jsonl"
    lines = claude(1, 2)
    path.write_bytes(b"".join(lines[:5]))
    away = tmp_path / "away"
    acts = [lambda: folder.rename(away), 1.0, lambda: away.rename(folder), appending(path, b"".join(lines[5:]))]
    assert sorted(Heard(folder, *acts).events) == whole(path)


def test_the_confidence_asked_for_is_kept_and_the_rest_is_counted(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1, 2)))
    everything = Heard(path, once=True)
    sure = Heard(path, once=True, min_confidence=1.0)
    assert sure.coverage["below_confidence"] == everything.coverage["events"] > 0
    assert not sure.events


def test_a_session_that_breaks_a_detector_is_set_aside_and_the_others_go_on(tmp_path, monkeypatch):
    class Broken(watch.Fold):
        def update(self, step):
            if step.text == "trap":
                raise RuntimeError("of this text nothing may be seen")
            return super().update(step)

    monkeypatch.setattr(watch, "Fold", Broken)
    path = tmp_path / "in.jsonl"
    parts = (user("build it"), *shell("a", "make", "make: *** boom", "error"))
    path.write_bytes(canonical(user("trap"), session_id="bad") + canonical(*parts, session_id="good"))
    heard = Heard(path, 1.0)
    assert [name for name, _, _ in heard.events] == ["good"]
    assert heard.coverage["set_aside"] == {"failed_RuntimeError": 1}
    assert "nothing may be seen" not in json.dumps(heard.lines)


def test_a_long_reading_gives_its_file_a_rest(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1)))
    clock = ScriptedClock()
    told = []
    tail = Watch([path], Options(), Teller(True, lambda text, err=False: told.append(text)), clock)
    readings = []
    original = tail._items

    def counted(file, stream, end):
        readings.append(end)
        clock._now += 2.0  # a reading of two seconds
        return original(file, stream, end)

    tail._items = counted
    tail.look()
    appending(path, claude(1, 2)[5])()
    clock._now += 10.0
    tail.look()
    assert len(readings) == 1
    clock._now += 9.0
    tail.look()
    assert len(readings) == 2


def test_a_digest_for_each_step_finds_the_first_change():
    followed = Followed()
    steps = session(user("a"), agent("b"), user("c")).steps
    followed.take(steps)
    assert followed.change(steps) is None
    assert followed.change(steps[:2]) is None
    assert followed.change([*steps, *steps]) is None
    assert followed.change(session(user("a"), agent("x"), user("c"), agent("d")).steps) == 1
    followed.maybe_shorter = True
    assert followed.change(steps[:2]) == 2


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b'{"a": 1}\n{"b": 2}\n', 18),
        (b'{"a": 1}\n{"b": ', 9),
        (b'{"a": 1}\n{"b": 2}', 17),
        (b'{"a": 1}\n2', 9),
        (b'{\n "a": ', 8),
        (b'{"a": "' + b"x" * 200_000, 0),
        (b'{"a": 1}\n' + b'{"a": "' + b"x" * 200_000, 9),
    ],
)
def test_only_whole_lines_are_read(tmp_path, data, end):
    path = tmp_path / "f"
    path.write_bytes(data)
    with path.open("rb") as stream:
        assert whole_size(stream, len(data)) == end


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("a.jsonl.gz", b"x", "compressed"), ("a.jsonl", b"\x1f\x8bxxx", "compressed"), ("a.txt", b"hello\n", "--format")],
)
def test_what_cannot_be_followed_is_said(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    done = CliRunner().invoke(watch.command, [str(tmp_path / name), "--once"])
    assert done.exit_code == 1
    assert "cannot be followed" in done.output
    assert said in done.output


def test_the_past_stands_under_a_heading(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1)))
    lines = []
    teller = Teller(False, lambda text, err=False: lines.append(text))
    Watch([path], Options(), teller, ScriptedClock(appending(path, b"".join(claude(1, 2)[5:])))).run()
    assert lines[0] == "-- already there"
    first, second = (next(n for n, text in enumerate(lines) if f"steps {step} " in text) for step in (2, 6))
    assert first < lines.index("-- from now on") < second
    assert lines[-1].startswith("1 sessions, 9 steps read, 0 lines or files set aside")


def test_ctrl_c_ends_with_what_was_open_and_the_coverage(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"".join(claude(1)))
    command = [sys.executable, "-m", "signals_assets", "watch", str(path), "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(watch.__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    appending(path, b"".join(claude(1, 2)[5:7]))()  # a failure that is still open
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    rest = [json.loads(line) for line in output.splitlines()]
    assert first["what"] == "event"
    assert (rest[-1]["what"], rest[-1]["steps"]) == ("coverage", 7)
    assert [6] in [line["steps"] for line in rest if line["what"] == "event"]


def test_it_ends_quietly_when_nobody_listens_any_more(tmp_path):
    path = tmp_path / "in.jsonl"
    parts = (user("build it"), *shell("a", "make", "make: *** boom", "error"), agent())
    path.write_bytes(b"".join(canonical(*parts, session_id=f"s{n}") for n in range(2000)))
    command = [sys.executable, "-m", "signals_assets", "watch", str(path), "--once"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(watch.__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert "error_event" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=10) == 0


def test_starting_it_loads_nothing_heavy(tmp_path):
    (tmp_path / "one.jsonl").write_bytes(b"".join(claude(1)))
    heavy = {"dagster", "torch", "numpy", "pyarrow", "sklearn", "scipy", "duckdb", "sentence_transformers", "rich"}
    code = (
        "import sys\nfrom signals_assets.cli import main\n"
        "main(['watch', 'one.jsonl', '--once'], standalone_mode=False)\n"
        f"print('heavy:', sorted({heavy!r} & set(sys.modules)))"
    )
    path = {"PYTHONPATH": str(Path(watch.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | path
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "raw_claude_code/2026-01-05-569aed7b-6ead-4790-a3fe-c7028466112c.jsonl",
        "raw_claude_code/2026-01-19-38917d7d-9f69-4210-a3b0-eed0a9e97575.jsonl",
        "raw_codex/rollout-1.jsonl",
        "raw_codex/rollout-3.jsonl",
    ],
)
def test_a_real_transcript_line_by_line_tells_the_events_of_the_whole(data_dir, tmp_path, name):
    source = data_dir / name
    path = tmp_path / "in" / source.name
    path.parent.mkdir()
    path.touch()
    heard = Heard(path, *(appending(path, line) for line in source.read_bytes().splitlines(keepends=True)))
    assert sorted(heard.events) == whole(source)
    assert not heard.of("restart")
    assert not heard.of("set_aside")


@pytest.mark.data
def test_all_real_transcripts_at_once_tell_their_events(data_dir, tmp_path):
    for folder in ("raw_claude_code", "raw_codex"):
        shutil.copytree(data_dir / folder, tmp_path / "in" / folder)
    heard = Heard(tmp_path / "in", once=True)
    assert sorted(heard.events) == whole(tmp_path / "in")
