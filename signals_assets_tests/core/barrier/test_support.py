"""Distinct users per word: exact, keyed, mergeable, the same in any order."""

import pickle
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.barrier import Support
from signals_assets.core.barrier.support import (
    MOST_USERS,
    SupportChunk,
    TranscriptIndex,
    count_chunk,
    day_vocabulary,
    feature_hash,
    stored_text,
    support_rows,
    tokens,
    transcript_text,
)
from signals_assets.core.sessions import to_json
from signals_assets_tests.factories import make_session, make_step

KEY = b"key of the test"
DAY = date(2026, 1, 5)
TEXT = "The user asked for a castle refund."


def chunk(*said, vocabulary=None):
    sessions = [
        (user, to_json(make_session(make_step(text=text), session_id=f"s{number}")))
        for number, (user, text) in enumerate(said)
    ]
    return SupportChunk(sessions, vocabulary or day_vocabulary([TEXT]), KEY)


def users_of(support, feature):
    return support.users(feature_hash(feature, KEY))


def test_transcripts_and_abstractions_share_one_way_of_cutting_words():
    assert tokens("The User\u2019s re-try, don't: foo_bar2baz") == [
        "the",
        "users",
        "re",
        "try",
        "dont",
        "foo",
        "bar",
        "baz",
    ]


def test_users_are_counted_once_however_often_and_wherever_they_say_it():
    said = [("ann", "my castle"), ("ann", "castle castle"), ("bob", "a Castle."), ("eve", "nothing")]
    support = Support.from_rows(support_rows(DAY, [count_chunk(chunk(*said))], KEY))
    assert users_of(support, "w castle") == 2
    assert users_of(support, "w unheard") == 0


def test_sessions_without_a_user_all_count_as_one_user():
    said = [(None, "castle"), (None, "castle"), (None, "castle"), ("ann", "castle")]
    assert users_of(Support.from_rows(support_rows(DAY, [count_chunk(chunk(*said))], KEY)), "w castle") == 2


def test_a_user_of_two_days_is_one_user_of_the_window():
    first = support_rows(DAY, [count_chunk(chunk(("ann", "castle"), ("bob", "castle")))], KEY)
    second = support_rows(date(2026, 1, 6), [count_chunk(chunk(("ann", "castle"), ("eve", "castle")))], KEY)
    assert users_of(Support.from_rows([*first, *(row.model_dump() for row in second)]), "w castle") == 3


def test_rows_do_not_depend_on_the_cut_into_chunks_and_are_capped():
    said = [(f"user {number}", "castle refund") for number in range(25)]
    whole = support_rows(DAY, [count_chunk(chunk(*said))], KEY)
    parts = support_rows(DAY, [count_chunk(chunk(*said[13:])), count_chunk(chunk(*said[:13]))], KEY)
    assert whole == parts
    assert max(len(row.user_hashes) for row in whole) == MOST_USERS


def test_rows_say_nothing_without_the_key():
    rows = support_rows(DAY, [count_chunk(chunk(("ann", "castle")))], KEY)
    assert feature_hash("w castle", KEY) != feature_hash("w castle", b"another")
    assert all("castle" not in row.model_dump_json() and "ann" not in row.model_dump_json() for row in rows)


def test_chunks_and_partials_travel_between_processes():
    one = chunk(("ann", "my castle refund"))
    assert count_chunk(pickle.loads(pickle.dumps(one))) == pickle.loads(pickle.dumps(count_chunk(one)))


def test_a_process_builds_the_tables_of_a_day_once_and_of_another_day_anew():
    first, second = (pickle.dumps(day_vocabulary([text])) for text in (TEXT, "The user asked for a late flight."))
    assert pickle.loads(first) is pickle.loads(first)
    assert pickle.loads(second) == day_vocabulary(["The user asked for a late flight."])
    assert pickle.loads(first) == day_vocabulary([TEXT])


def test_words_in_tool_arguments_comments_and_names_are_part_of_the_transcript():
    session = make_session(
        make_step("tool_call", None, tool_name="castle_tool", arguments={"depth": [{"moat": "a drawbridge"}]}),
        make_step("tool_result", "ok", user_comment="no towers"),
    )
    index = TranscriptIndex.of(session, ["castle moat drawbridge towers windows"])
    assert {"w castle", "w moat", "w drawbridge", "w towers"} <= index.shared
    assert "w windows" not in index.shared


SOME: list[str] = ["the", "user", "castle", "moat", "of", "and", "refund", "towers", "is", "a", "windows", "7", "It's"]
WORDS = st.lists(st.sampled_from(SOME), max_size=14)


@given(WORDS, WORDS, WORDS)
def test_an_index_for_one_more_text_says_what_one_for_all_texts_says(transcript, first, second):
    said, one, other = (" ".join(words) for words in (transcript, first, second))
    whole = TranscriptIndex.of_text([said], [one, other])
    assert TranscriptIndex.of_text([said], [one]).also(other).shared == whole.shared


def test_stored_text_is_the_sessions_text_in_its_order():
    arguments = {"query": "where is it", "nested": [{"name": "deep"}]}
    steps = [
        make_step("user_message", text="Please look."),
        make_step("tool_call", None, tool_name="search", arguments=arguments),
        make_step("tool_result", tool_name="search", text="nothing", user_comment="stop that"),
        make_step("event", None, name="interrupt"),
    ]
    session = make_session(*steps)
    assert list(stored_text(to_json(session))) == list(transcript_text(session))
    for line in (b"{}", b"[]", b'{"steps": [1]}', b"no json"):
        with pytest.raises(ValueError, match="not a canonical session"):
            list(stored_text(line))
