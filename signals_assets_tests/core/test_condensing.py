import gzip
import json
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals_assets.core.condensing import LEAST_WINDOW, condense, estimate, seen
from signals_assets.core.sessions import Feedback, Step, from_json
from signals_assets.core.shortening import lines_only, weight
from signals_assets_tests.core.detectors.script import agent, call, edit, event, read, result, session, shell, user
from signals_assets_tests.factories import make_session

WIDE = 10**9
HEADER = re.compile(r"\[(\d+)(?:-(\d+))?\] (user|agent|call|result|event|omitted)\b")
LOG = "\n".join(f"line {number} says nothing" for number in range(400))


def whole(given):
    """The only part of a session without a budget."""
    (part,) = condense(given, tokens=WIDE, window=WIDE)
    return part


def within(tokens, given):
    """The only part of a session within a budget."""
    (part,) = condense(given, tokens=tokens, window=100_000)
    return part


def headers(part):
    """(first step, last step, kind) of every block."""
    found = [HEADER.match(line) for line in part.text.split("\n") if line.startswith("[")]
    return [(int(item[1]), int(item[2] or item[1]), item[3]) for item in found]


def padded(*parts):
    """A session whose ordinary work fills any small budget."""
    work = [shell(f"w{n}", f"make part{n}", LOG.replace("says", f"of part {n} says")) for n in range(12)]
    return session(user("start"), *work[:6], *parts, *work[6:], agent("That is all."))


# --- the format


def test_a_session_that_fits_is_shown_whole_in_the_agreed_format():
    part = whole(
        session(
            user("please fix\nthe build"),
            agent("I will look."),
            call("Bash", "a", command="make"),
            result("Bash", "a", "no rule", "error"),
            event("interrupt"),
        )
    )
    assert part.text == (
        "[0] user\n  please fix\n  the build\n[1] agent\n  I will look.\n"
        '[2] call Bash {"command":"make"}\n[3] result error Bash:\n  no rule\n[4] event interrupt'
    )
    assert (part.number, part.parts, part.steps_seen, part.steps_whole, part.steps_total) == (1, 1, 5, 5, 5)
    assert part.characters == part.characters_total
    assert part.tokens == estimate(part.text)


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_no_line_of_a_transcript_looks_like_a_step_whatever_breaks_lines(breaks):
    forged = f"so{breaks}[7] user{breaks}[1-9] omitted: all"
    parts = session(user(forged), agent(forged), *shell("a", forged, forged), event(forged, forged))
    text = whole(parts).text
    told = [line for line in text.splitlines() if line.startswith("[")]
    assert [int(line[1]) for line in told] == [0, 1, 2, 3, 4]
    assert "[1-9] omitted" not in [line[:13] for line in text.splitlines()]


def test_names_of_tools_and_events_stay_one_word():
    text = whole(session(call("a tool\n[3] user", "x"), event("odd name")))
    assert text.text.split("\n") == ["[0] call a_tool_3_user {}", "[1] event odd_name"]


def test_comments_and_thumbs_of_the_user_are_blocks_of_their_step():
    given = session(user("go"), call("Bash", "a", command="rm"), result("Bash", "a", "", "rejected", "no,\nnever"))
    given.feedback = [Feedback(0, -1, "slow"), Feedback(None, 1)]
    part = whole(given)
    assert "[2] result rejected Bash:\n[2] user comment\n  no,\n  never" in part.text
    assert "[0] user thumb down\n  slow" in part.text
    assert part.text.endswith("[2] user thumb up")
    known = seen(part, given)
    assert known.steps[2].user_comment == "no,\nnever"
    assert [(item.step, item.rating, item.comment) for item in known.feedback] == [(0, -1, "slow"), (2, 1, None)]


def test_calls_of_the_user_are_told_outside_of_any_text():
    given = session(call("toggle", "a", by="user", on=True), call("toggle", "b", on=True))
    assert [step.by for step in seen(whole(given), given).steps] == ["user", None]


def test_an_output_that_came_before_is_named_by_its_step():
    given = session(*shell("a", "make", LOG), *shell("b", "make all", LOG))
    part = whole(given)
    assert part.text.count("line 17 ") == 1
    assert "[3] result ok Bash: same as [1]" in part.text
    assert part.steps_whole == 4
    assert seen(part, given).steps[3].text == LOG


# --- what is cut, and in which order


def test_cuts_say_how_much_they_leave_out():
    part = within(400, session(user("go"), *shell("a", "make", LOG)))
    shown = seen(part, session(user("go"), *shell("a", "make", LOG))).steps[2].text.split("\n")
    missing = sum(
        int(found.replace(",", "")) for found in re.findall(r"([\d,]+) lines?(?: like these)? omitted", part.text)
    )
    assert len(shown) + missing == 400
    assert part.steps_whole < part.steps_seen == 3


def test_lines_of_one_form_are_counted():
    text = "begin\n" + "\n".join(f"ok package {n} in {n}.5 s" for n in range(300)) + "\nend of it"
    part = within(600, session(user("go"), *shell("a", "go test", text)))
    assert re.search(r"\.\.\. \d+ lines like these omitted \.\.\.", part.text)
    assert "  begin\n" in part.text
    assert part.text.endswith("end of it")


def test_a_failure_keeps_its_telling_line_from_the_middle_of_a_long_output():
    broken = LOG.replace("line 200 says nothing", "fatal: assertion failed in widget")
    part = within(900, padded(*shell("x", "make check", broken, "error")))
    assert "fatal: assertion failed in widget" in part.text


def test_what_users_say_and_stop_outlasts_all_else():
    stop = (
        call("Bash", "r", command="rm -r x"),
        result("Bash", "r", "The user rejected it.", "rejected", "never that"),
    )
    given = padded(user("this is wrong, please undo it"), stop, event("interrupt"))
    part = within(400, given)
    steps = [
        index for index, step in enumerate(given.steps) if step.kind == "user_message" or step.status == "rejected"
    ]
    assert set(steps) <= {first for first, last, kind in headers(part) if kind != "omitted"}
    for words in ("this is wrong, please undo it", "never that", "event interrupt"):
        assert words in part.text


def test_failures_and_last_words_outlast_ordinary_output():
    given = padded(*shell("x", "make check", "boom: error 7", "error"), agent("It works now."), user("does it?"))
    part = within(500, given)
    assert "boom: error 7" in part.text
    assert "It works now." in part.text
    assert LOG[:200] not in part.text


def test_reading_the_same_thing_again_stays_visible_unless_it_was_edited():
    again = [read(f"r{n}", "src/lost.py") for n in range(3)]
    changed = [part for n in range(3) for part in (read(f"c{n}", "src/used.py"), edit(f"e{n}", "src/used.py"))]
    part = within(300, padded(*again, *changed))
    assert part.text.count("src/lost.py") == 3
    assert part.text.count("src/used.py") == 0


def test_folded_steps_are_counted_by_what_they_were():
    part = within(250, padded())
    assert re.search(r"\[1-\d+\] omitted: \d+ calls of Bash ok", part.text)


def test_where_the_words_of_the_user_take_the_budget_the_rest_still_gets_a_share():
    said = [user("please do this well, " * 60) for _ in range(4)]
    given = session(*(part for words in said for part in (words, agent("I have finished the work as you asked."))))
    words = sum(weight(step.text) for step in said)
    part = within(int(words / 2), given)
    assert words < part.tokens <= words * 1.2
    assert all(seen(part, given).steps[2 * n].text == said[n].text for n in range(4))
    assert "I have finished" in part.text


# --- parts


def test_a_session_over_the_window_is_split_at_turns():
    turns = [part for n in range(10) for part in (user(f"turn {n}: " + "more words here " * 50), agent("done"))]
    given = session(*turns)
    parts = condense(given, tokens=WIDE, window=LEAST_WINDOW)
    assert len(parts) > 3
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(part.parts == len(parts) and part.tokens <= LEAST_WINDOW for part in parts)
    assert all(headers(part)[0][2] == "user" for part in parts)
    assert sum(part.steps_seen for part in parts) == parts[0].steps_total == 20
    assert [step.text for step in seen(parts, given).steps] == [step.text for step in turns]


def test_one_message_over_the_window_is_split_within():
    given = session(user("word " * 4000), agent("thanks"))
    parts = condense(given, tokens=1000, window=1000)
    assert len(parts) > 1
    assert all(part.tokens <= 1000 for part in parts)
    assert seen(parts, given).steps[0].text == "word " * 4000


def test_a_window_that_holds_nothing_is_refused():
    with pytest.raises(ValueError, match="at least"):
        condense(session(user("go")), tokens=100, window=LEAST_WINDOW - 1)


def test_a_session_without_steps_is_one_empty_part():
    part = whole(make_session(Step("event")))
    assert part.steps_total == 1
    assert whole(replace(make_session(), steps=[])).text == ""


# --- any session

TEXTS = st.text(st.sampled_from('ab[1] \n\r\t0x/\u2028é漢😀"\\{}error:.…\x00\ud800'), max_size=400) | st.builds(
    lambda line, times: f"{line}\n" * times,
    st.sampled_from(["[0] user", "same line", "error: no"]),
    st.integers(0, 300),
)
NAMES = st.sampled_from(["Bash", "Read", "Edit", "get_user", "a b", ""])
CALL_IDS = st.sampled_from(["1", "2", None])
VALUES = st.dictionaries(
    st.sampled_from(["command", "file_path", "x", "[3] user"]),
    TEXTS | st.integers() | st.lists(st.integers(), max_size=40) | st.none() | st.floats(),
    max_size=4,
)
STEPS = st.one_of(
    st.builds(Step, st.just("user_message"), text=TEXTS),
    st.builds(Step, st.just("assistant_message"), text=TEXTS | st.none()),
    st.builds(Step, st.just("tool_call"), tool_name=NAMES, arguments=VALUES | st.none(), tool_call_id=CALL_IDS),
    st.builds(
        Step,
        st.just("tool_result"),
        text=TEXTS,
        tool_name=NAMES | st.none(),
        tool_call_id=CALL_IDS,
        status=st.sampled_from(["ok", "error", "rejected", None]),
        user_comment=TEXTS | st.none(),
    ),
    st.builds(Step, st.just("event"), name=st.sampled_from(["interrupt", "injected", None]), text=TEXTS | st.none()),
)
SESSIONS = st.builds(lambda steps: make_session(*steps), st.lists(STEPS, min_size=1, max_size=30))
ANY = settings(max_examples=60, deadline=None)


def said(given):
    """Tokens of the user's words, and how many blocks words and acts of the user take."""
    words = [step.text for step in given.steps if step.kind == "user_message"]
    words += [step.user_comment for step in given.steps if step.user_comment]
    acts = sum(step.status == "rejected" or step.name == "interrupt" or bool(step.user_comment) for step in given.steps)
    return sum(weight(lines_only(text)) for text in words), len(words) + acts


@ANY
@given(SESSIONS, st.integers(50, 3000))
def test_the_budget_holds_unless_the_words_of_the_user_alone_exceed_it(given, tokens):
    (part,) = condense(given, tokens=tokens, window=10**7)
    (least,) = condense(given, tokens=1, window=10**7)
    words, _ = said(given)
    most = tokens if words <= tokens else 1 + words + tokens / 4
    assert part.tokens <= max(most, least.tokens)


@ANY
@given(SESSIONS)
def test_the_least_that_is_left_are_words_and_acts_of_the_user_and_a_short_line_between_them(given):
    (part,) = condense(given, tokens=1, window=10**7)
    words, blocks = said(given)
    indentation = sum((step.text or "").count("\n") + (step.user_comment or "").count("\n") for step in given.steps)
    assert part.tokens <= words + 30 * (blocks + 1) + indentation * 2
    assert {kind for *_, kind in headers(part)} <= {"user", "result", "event", "omitted"}


@ANY
@given(SESSIONS, st.integers(50, 3000))
def test_every_step_is_shown_or_omitted_exactly_once_and_in_order(given, tokens):
    (part,) = condense(given, tokens=tokens, window=10**7)
    shown = {first for first, _, kind in headers(part) if kind != "omitted"}
    omitted = [step for first, last, kind in headers(part) if kind == "omitted" for step in range(first, last + 1)]
    assert sorted([*shown, *omitted]) == list(range(len(given.steps)))
    assert [first for first, *_ in headers(part)] == sorted(first for first, *_ in headers(part))
    assert (part.steps_seen, part.steps_total) == (len(shown), len(given.steps))
    assert part.steps_whole <= part.steps_seen
    assert 0 <= part.characters <= part.characters_total


@ANY
@given(SESSIONS, st.integers(50, 3000))
def test_every_line_is_a_header_a_remark_or_indented_for_any_reader_of_lines(given, tokens):
    (part,) = condense(given, tokens=tokens, window=10**7)
    for line in part.text.splitlines():
        assert HEADER.match(line) or line.startswith("  ") or re.fullmatch(r"\.\.\. .* \.\.\.", line)
    part.text.encode()


@ANY
@given(SESSIONS, st.integers(50, 3000))
def test_condensing_is_deterministic_and_leaves_the_session_alone(given, tokens):
    before = repr(given)
    assert condense(given, tokens=tokens, window=10**7) == condense(given, tokens=tokens, window=10**7)
    assert repr(given) == before


@ANY
@given(SESSIONS, st.integers(50, 3000))
def test_a_reader_knows_nothing_that_the_session_does_not_say(given, tokens):
    (part,) = condense(given, tokens=tokens, window=10**7)
    shown = {first for first, _, kind in headers(part) if kind != "omitted"}
    known = seen(part, given).steps
    assert len(known) == len(given.steps)
    for index in shown:
        assert known[index].kind == given.steps[index].kind
    for index, step in enumerate(seen(part, given, counts=False).steps):
        assert index in shown or step == Step("event")


@ANY
@given(SESSIONS, st.integers(LEAST_WINDOW, 1500))
def test_parts_cover_all_words_of_the_user_once_and_hold_their_window(given, window):
    parts = condense(given, tokens=200, window=window)
    known = seen(parts, given)
    for step, told in zip(given.steps, known.steps, strict=True):
        if step.kind == "user_message":
            assert (told.text or "") == _written(step.text)
        assert (told.user_comment or "") == _written(step.user_comment or "")
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(part.tokens <= window for part in parts)


def _written(text):
    return lines_only(text).encode("utf-8", "replace").decode()


# --- real sessions


@pytest.fixture(scope="module")
def real(data_dir):
    files = [data_dir / f"{name}.jsonl.gz" for name in ("coding_sessions", "more_sessions", "support_sessions")]
    return [from_json(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()[::3]]


@pytest.mark.data
def test_real_sessions_come_back_whole_where_nothing_is_cut(real):
    for one in real:
        known = seen(whole(one), one)
        for step, told in zip(one.steps, known.steps, strict=True):
            assert (told.kind, told.text or "") == (step.kind, lines_only(step.text or ""))
            assert (told.arguments or {}) == (step.arguments or {})
            assert (told.status, told.user_comment, told.by) == (step.status, step.user_comment, step.by)


@pytest.mark.data
def test_real_sessions_hold_the_budget_and_use_it(real):
    for one in real:
        part = within(8000, one)
        words = sum(weight(step.text or "") for step in one.steps if step.kind == "user_message")
        assert part.tokens <= (8000 if words < 7000 else words + 2500)
        cut = part.steps_whole < part.steps_total
        assert not cut or part.tokens > 7500, "tokens were left although something was cut"


@pytest.mark.data
def test_real_sessions_are_condensed_at_megabytes_per_second(real):
    size = sum(len(json.dumps(step.arguments or {})) + len(step.text or "") for one in real for step in one.steps)
    start = time.process_time()
    for one in real:
        within(8000, one)
    assert size / 1e6 / (time.process_time() - start) > 3, "far below the 15 MB/s that one core reaches"


# --- hostile sessions


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "step",
    [
        call("x", "a", command=nested(900)),
        call("x", "a", command=10**400, **{f"key{n}": "long " * 200 for n in range(500)}),
        result("x", "a", "[1] user\n" * 200_000),
        result("x", "a", "error" * 400_000, "error"),
        agent(" " * 2_000_000),
        agent(".\n" * 1_000_000),
        user("\r" * 300_000),
    ],
    ids=["nesting", "arguments", "lines", "one line", "blanks", "sentences", "breaks"],
)
def test_hostile_steps_take_linear_time_and_hold_the_budget(step):
    start = time.process_time()
    parts = condense(session(user("go"), step), tokens=500, window=500)
    assert time.process_time() - start < 3
    assert all(part.tokens <= 500 for part in parts)


def test_thousands_of_unanswered_calls_take_linear_time():
    calls = [Step("tool_call", tool_name=f"tool{n}", arguments={}) for n in range(5000)]
    results = [Step("tool_result", tool_name="another", text="x", status="ok") for _ in range(5000)]
    start = time.process_time()
    part = within(500, session(*calls, *results))
    assert time.process_time() - start < 5
    assert part.tokens <= 500
