import pytest

from signals_assets.core.readings import Moment, Pair, Reading, disagreements, scores


def moment(*steps, severity="low"):
    return Moment(frozenset(steps), severity)


def reading(outcome=None, drift=None, confirmations=None, languages=None, **moments):
    return Reading(moments, outcome, drift, confirmations, languages)


def compared(*pairs, types=("error_event",)):
    """Figures of (session, wanted, found)."""
    return scores([Pair(*pair) for pair in pairs], types, 200, 0)


def test_sessions_and_moments_are_counted_apart():
    wanted = reading(error_event=[moment(1), moment(5), moment(9)])
    found = reading(error_event=[moment(5, 6), moment(7)])
    figures = compared(("a", wanted, found), ("b", reading(), found), ("c", wanted, reading()))["types"]["error_event"]
    sessions, moments = figures["sessions"], figures["moments"]
    assert (sessions["hits"], sessions["found"], sessions["true"]) == (1, 2, 2)
    assert sessions["precision"] == sessions["recall"] == sessions["f1"] == 0.5
    assert (moments["hits"], moments["found"], moments["true"]) == (1, 4, 6)
    assert (moments["precision"], moments["recall"], moments["f1"]) == (0.25, 0.167, 0.2)
    assert sessions["f1_interval"][0] <= 0.5 <= sessions["f1_interval"][1]


def test_a_session_read_twice_is_compared_twice_but_is_one_positive():
    found = reading(error_event=[moment(1)])
    figures = compared(("a", found, found), ("a", reading(), found), ("b", reading(), reading()))
    of_type = figures["types"]["error_event"]
    assert of_type["positives"] == 1
    assert (of_type["sessions"]["hits"], of_type["sessions"]["found"]) == (1, 2)


@pytest.mark.parametrize(("number", "provisional"), [(9, True), (10, False)])
def test_types_with_fewer_than_ten_positive_sessions_are_provisional(number, provisional):
    found = reading(error_event=[moment(1)])
    figures = compared(*((str(n), found, found) for n in range(number)))
    assert figures["types"]["error_event"]["provisional"] is provisional


def test_any_moderate_or_severe_event_counts_only_scored_types_above_low():
    high, low = reading(error_event=[moment(1, severity="high")]), reading(error_event=[moment(1)])
    elsewhere = reading(correction=[moment(1, severity="medium")])
    figures = compared(("a", high, high), ("b", high, low), ("c", low, elsewhere), ("d", low, high))
    found = figures["any_moderate_or_severe"]
    assert (found["hits"], found["found"], found["true"], found["positives"]) == (1, 2, 2, 2)
    assert found["f1"] == 0.5


def test_severity_is_compared_on_matched_moments_only():
    wanted = reading(error_event=[moment(1), moment(3), moment(5, severity="high"), moment(7)])
    found = reading(error_event=[moment(1), moment(3, severity="medium"), moment(5), moment(8)])
    severity = compared(("a", wanted, found), ("b", reading(), reading()))["severity"]
    assert severity["moments"] == 3
    assert (severity["exact"], severity["within_one"]) == (0.333, 0.667)
    assert (severity["majority"], severity["majority_exact"]) == ("low", 0.667)
    assert severity["table"]["high"] == {"low": 1, "medium": 0, "high": 0}
    # Squared distances seen: 1 + 4; by chance, of cells row * column / 3: 2 * 1 * 1 + 1 * (2 * 4 + 1 * 1) = 11 / 3.
    assert severity["kappa"] == pytest.approx(1 - 5 * 3 / 11, abs=1e-3)


def test_outcome_is_beside_the_majority_and_crossed():
    pairs = [
        ("a", reading("success"), reading("success")),
        ("b", reading("success"), reading("success")),
        ("c", reading("partial"), reading("success")),
        ("d", reading("abandoned"), reading("unclear")),
        ("e", reading(), reading("success")),
    ]
    outcome = compared(*pairs)["outcome"]
    assert (outcome["sheets"], outcome["accuracy"], outcome["majority_accuracy"]) == (4, 0.5, 0.5)
    # F1 of success 2 * 2 / (3 + 2) = 0.8, of the others 0; the guess: success 2 * 2 / (4 + 2).
    assert (outcome["macro_f1"], outcome["majority_macro_f1"]) == (0.267, 0.222)
    assert outcome["table"]["partial"] == {"success": 1}


def test_further_facets_are_compared_where_both_readings_have_them():
    pairs = [
        ("a", reading(drift=True, confirmations=2, languages=frozenset({"go", "shell"})), reading(
            drift=True, confirmations=1, languages=frozenset({"go"}))),
        ("b", reading(drift=False, confirmations=0, languages=frozenset()), reading(
            drift=True, confirmations=3, languages=frozenset({"python"}))),
        ("c", reading(drift=False, confirmations=0), reading(drift=False, confirmations=0)),
        ("d", reading(), reading(drift=True, confirmations=1, languages=frozenset({"c"}))),
    ]  # fmt: skip
    figures = compared(*pairs)
    drift, confirmed = figures["specification_drift"], figures["tool_call_confirmations"]
    assert (drift["sheets"], drift["accuracy"], drift["f1"], drift["majority_accuracy"]) == (3, 0.667, 0.667, 0.667)
    assert (confirmed["exact"], confirmed["within_one"], confirmed["majority_exact"]) == (0.333, 0.667, 0.667)
    languages = figures["programming_languages"]
    assert (languages["sheets"], languages["hits"], languages["found"], languages["true"]) == (2, 1, 2, 2)
    assert languages["f1"] == 0.5


def test_figures_of_nothing_are_empty():
    figures = compared()
    assert figures["types"]["error_event"]["sessions"]["f1"] is None
    assert figures["outcome"]["sheets"] == figures["severity"]["moments"] == 0
    assert figures["outcome"]["majority"] is None


def test_disagreements_say_what_is_missed_and_what_is_extra():
    wanted = reading("partial", error_event=[moment(1), moment(4, 3, severity="high")])
    found = reading("success", error_event=[moment(1), moment(8)], time_saved=[moment(2, severity=None)])
    said = [
        (record["type"], record["what"], record.get("steps"), record.get("severity"))
        for record in disagreements(Pair("a", wanted, found), ["error_event", "time_saved"])
    ]
    assert said == [
        ("error_event", "missed", [3, 4], "high"),
        ("error_event", "extra", [8], "low"),
        ("time_saved", "extra", [2], None),
        ("outcome", "outcome", None, None),
    ]
