from signals_assets.core.detectors import Detected, detect
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, event, read, result, session, user

ASK = user("please write a parser for the export")


def found(told: Session) -> list[Detected]:
    return [item for item in detect(told) if item.type == "context_churn" and item.confidence >= 0.5]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told)]


def test_equal_reads_without_a_change_are_churn():
    assert steps(session(ASK, read("a"), read("b"), read("c"), agent())) == [(1, 3, 5)]


def test_reads_after_edits_and_other_ranges_are_not_churn():
    assert steps(session(ASK, read("a"), edit("e"), read("b"), edit("f"), read("c"))) == []
    ranges = [read(str(n), "big.py", offset=n * 100, limit=100) for n in range(5)]
    assert steps(session(ASK, *ranges)) == []


def test_ranges_that_share_their_middle_are_the_same_lines_and_ranges_that_share_margins_are_not():
    same = [read("a", offset=1, limit=150), read("b", offset=42, limit=30), read("c", offset=1, limit=60)]
    assert steps(session(ASK, *same)) == [(1, 3, 5)]
    beside = [read("a", lines="1-100"), read("b", lines="95-200"), read("c", lines="190-300")]
    assert steps(session(ASK, *beside)) == []


def test_parts_of_a_file_read_whole_before_are_not_churn_while_each_is_read_once():
    assert steps(session(ASK, read("a"), read("b", offset=94, limit=110), read("c", offset=984, limit=20))) == []


def test_reads_in_different_turns_of_the_user_are_not_churn():
    assert steps(session(ASK, read("a"), user("and?"), read("b"), user("the date?"), read("c"))) == []


def test_a_read_that_failed_and_listings_of_folders_are_not_churn():
    missing = (call("Read", "x", file_path="a.py"), result("Read", "x", "File does not exist.", "error"))
    assert steps(session(ASK, read("a"), missing, read("b"))) == []
    assert steps(session(ASK, *[call("LS", str(n), path="src") for n in range(4)])) == []


def test_a_record_fetched_over_and_over_is_churn_even_over_turns():
    fetch = [call("get_details", str(n), id="L1") for n in range(3)]
    assert steps(session(ASK, fetch[0], user("and?"), fetch[1], user("now?"), fetch[2])) == [(1, 3, 5)]
    assert found(session(ASK, *[call("get_details", str(n), id="L1") for n in range(20)]))[0].severity == "high"


def test_checks_that_the_user_runs_are_not_the_agents_churn():
    assert steps(session(ASK, *[call("get_status", str(n), by="user") for n in range(6)])) == []


def test_adding_and_dropping_the_same_file_again_is_churn():
    marks = (event("slash_command", f"/{verb} src/big.py") for verb in ("add", "drop", "add"))
    assert steps(session(*marks)) == [(0, 1, 2)]
