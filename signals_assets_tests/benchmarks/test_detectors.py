import gzip
import json
from dataclasses import replace

import pytest

from signals_assets.benchmarks import detectors
from signals_assets.benchmarks.detectors import memory, naive, run, spoken, standard_sessions
from signals_assets.core.detectors.models import Linear, digest
from signals_assets.core.detectors.turns import FEATURES
from signals_assets.core.sessions import from_json
from signals_assets_tests.core.detectors.script import agent, edit, result, session, shell, user

SECRET = "zanzibar"
FAILING = (user("build it"), shell("a", "make | tail", "make: *** boom"), edit("b"), agent())
"""A failure that its status field hides, at step 2."""


def named(name, *parts):
    return replace(session(*parts), session_id=name)


def sheet(name, *friction, **more):
    events = [{"severity": "low", "confidence": 0.8, "description": SECRET, **event} for event in friction]
    return {"session_id": name, "friction": events, "delight": [], "outcome": "success", **more}


def event(name, *steps, **more):
    return {"type": name, "steps": list(steps), **more}


@pytest.fixture(autouse=True)
def few_sessions_for_speed(monkeypatch):
    monkeypatch.setattr(detectors, "STANDARD_SESSIONS", 2)
    monkeypatch.setattr(detectors, "MEMORY_SESSIONS", (1, 2))
    monkeypatch.setattr(detectors, "RESAMPLES", 100)


def block(sessions, *sheets):
    """The only block of a run over one file of labels."""
    return run(sessions, [("sheets", sheets)])["labels"][0]


def test_figures_compare_sessions_and_moments_beside_a_baseline():
    figures = block([named("one", *FAILING)], sheet("one", event("error_event", 2)))
    errors = figures["rules"]["types"]["error_event"]
    assert errors["sessions"]["f1"] == errors["moments"]["f1"] == 1
    assert errors["provisional"]
    assert figures["naive"]["types"]["error_event"]["sessions"]["f1"] == 0
    assert (figures["sheets"], figures["sessions"], figures["sheets_without_session"]) == (1, 1, 0)


def test_the_baseline_reads_statuses_and_single_words():
    read = naive(session(user("please undo that, great"), result("Bash", "a", "boom", "error")))
    assert {name: [sorted(moment.steps) for moment in found] for name, found in read.moments.items()} == {
        "backtracking": [[0]], "positive_exclamation": [[0]], "error_event": [[1]]
    }  # fmt: skip
    assert [read.moments[name][0].severity for name in ("backtracking", "positive_exclamation")] == ["medium", None]


def test_reported_defects_are_other_where_the_labels_know_no_correction():
    found = named("one", user("build it"), edit("a"), agent(), user("the header is still wrong, it does not show"))
    whole = block([found], sheet("one", event("other", 4)))
    assert whole["kind"] == "whole sessions"
    assert whole["rules"]["types"]["other"]["moments"]["f1"] == 1
    assert "correction" not in whole["types"]
    side = block([found], sheet("one", event("correction", 4)))
    assert side["kind"] == "the user's side"
    assert side["rules"]["types"]["correction"]["moments"]["f1"] == 1


def test_readers_of_the_users_side_are_not_held_to_what_only_the_tools_show():
    failing, wrong = [named("one", *FAILING)], event("correction", 0)
    assert "error_event" not in block(failing, sheet("one", wrong))["types"]
    both = block(failing, sheet("one", wrong, event("error_event", 2)))
    assert both["kind"] == "whole sessions, all types"
    assert {"error_event", "context_churn", "correction", "other"} <= set(both["types"])


def test_the_given_agreement_of_readers_is_that_of_their_kind_of_labels():
    def readers(*friction):
        return block([named("one", *FAILING)], sheet("one", *friction))["readers"]

    assert readers(event("other", 2))["level"] == "sessions"
    assert readers(event("correction", 2))["level"] == "moments"
    assert readers(event("correction", 2), event("error_event", 2))["types"] == {}


def test_types_that_no_detector_knows_are_scored_as_missed():
    figures = block([named("one", *FAILING)], sheet("one", event("unmet_capability", 0)))
    assert figures["rules"]["types"]["unmet_capability"]["sessions"]["recall"] == 0


@pytest.mark.parametrize(("number", "known"), [(4, False), (5, True)])
def test_readers_are_compared_with_each_other_from_five_sessions_on(number, known):
    names = [str(n) for n in range(number)]
    sheets = [sheet(name, event("error_event", 2), annotator=1) for name in names]
    sheets += [sheet(name, *([event("error_event", 2)] if name != "0" else []), annotator=2) for name in names]
    here = block([named(name, *FAILING) for name in names], *sheets)
    assert here["sessions_read_twice"] == number
    assert (here["readers_here"] is not None) is known
    if known:  # four agree, one reader alone named it in the fifth: 2 * 4 / (4 + 5)
        assert here["readers_here"]["types"]["error_event"]["sessions"]["f1"] == 0.889


def test_files_of_labels_are_reported_apart_and_missing_sessions_are_counted():
    one = named("one", *FAILING)
    sheets = [("first", [sheet("one", event("error_event", 2)), sheet("gone")]), ("second", [sheet("one")])]
    first, second = run([one], sheets)["labels"]
    assert (first["labels"], first["sheets"], first["sheets_without_session"]) == ("first", 1, 1)
    assert second["rules"]["types"]["error_event"]["sessions"]["precision"] == 0


def test_figures_of_labels_without_any_session_are_empty():
    nothing = block([named("one", *FAILING)], sheet("gone", event("error_event", 2)))
    assert nothing["sheets"] == 0
    assert nothing["rules"]["types"]["error_event"]["sessions"]["f1"] is None


def test_sessions_in_another_language_are_told_and_left_out_of_the_english_figures():
    german = user("ich glaube, das ist nicht gut und wir machen es bitte noch mit der anderen Seite für die Kunden")
    english = user("please build it for me and tell me what you have done with the server")
    sessions = [named("de", german, *FAILING[1:]), named("en", english, *FAILING[1:])]
    assert [spoken(found) for found in sessions] == ["de", "en"]
    both = block(sessions, *(sheet(name, event("error_event", 2)) for name in ("de", "en")))
    assert both["languages"] == {"de": 1, "en": 1}
    assert both["rules"]["types"]["error_event"]["sessions"]["true"] == 2
    assert both["rules_in_english"]["types"]["error_event"]["sessions"]["true"] == 1
    alone = block(sessions[1:], sheet("en", event("error_event", 2)))
    assert alone["rules_in_english"] is None


def test_a_session_without_words_of_a_user_has_no_language():
    assert spoken(session(*shell("a", "ls", ""))) == "no words"


def test_rewards_need_no_labels_and_stand_beside_the_majority():
    good = (user("build it"), edit("a"), agent(), user("perfect, it works"))
    open_ = (user("build it"), *edit("a")[:1])
    sessions = [named("a", *good), named("b", *good), named("c", *open_), named("d", *good)]
    rewards = [{"session_id": name, "reward": reward} for name, reward in zip("abcdx", (1, 1, 0, 0, 1), strict=True)]
    found = run(sessions, [], rewards)["rewards"]
    assert (found["sessions"], found["solved"], found["rewards_without_session"]) == (4, 2, 1)
    assert (found["accuracy"], found["balanced_accuracy"], found["majority_accuracy"]) == (0.75, 0.75, 0.5)
    assert found["gain"] == 0.25
    assert found["gain_interval"][0] <= 0.25 <= found["gain_interval"][1]
    assert found["table"]["solved"] == {"success": 2}
    assert run(sessions, [], rewards[4:])["rewards"] is None


def test_disagreements_hold_places_and_no_text():
    found = run([named("one", user(f"the {SECRET} is here"), *FAILING[1:])], [("sheets", [sheet("one")])])
    assert f"{SECRET}" not in json.dumps(found)
    (extra,) = found["disagreements"]
    confidence = extra.pop("confidence")
    assert 0.5 <= confidence <= 1
    assert extra == {
        "labels": "sheets", "session_id": "one", "annotator": None, "type": "error_event", "what": "extra",
        "steps": [2], "severity": extra["severity"],
    }  # fmt: skip


CORRECTED = (user("build it"), edit("a"), agent(), user("no, the header is still wrong, it does not show"), edit("b"),
             agent("Ready."), user("now add a title"))  # fmt: skip
"""A correction at step 4 and a wish at step 8."""
PERSONS = ("ann", "bob", "cem", "dora", "eva", "finn")


def always(*names, score):
    """A model fitted on the sessions of these names that is as sure of every turn."""
    return Linear(FEATURES, (0.0,) * len(FEATURES), score, frozenset(map(digest, names)))


def packaged_is(monkeypatch, model):
    monkeypatch.setattr(detectors, "packaged", lambda name, features: model)
    monkeypatch.setattr("signals_assets.core.detectors.turns.packaged", lambda name, features: model)


def correction_figures(found):
    return found["labels"][0]["rules"]["types"]["correction"]["moments"]


def talks(*persons):
    return [replace(named(f"s{number}", *CORRECTED), user_id=who) for number, who in enumerate(persons)]


def test_sessions_the_packaged_model_was_fitted_on_are_read_by_models_that_did_not_see_the_person(monkeypatch):
    """The packaged model of this test finds nothing: what is found of its own sessions others found."""
    sessions = talks(*PERSONS)
    packaged_is(monkeypatch, always(*(found.key for found in sessions), score=-5.0))
    labels = [("side", [sheet(found.key, event("correction", 4)) for found in sessions])]
    found = run(sessions, labels)
    assert (found["fitted_on"], found["cross_validated"]) == (6, 6)
    assert correction_figures(found)["f1"] == 1
    models = detectors._unseen({told.key: told for told in sessions}, labels[0][1])
    for told in sessions:
        assert digest(told.key) not in models(told)["correction"].sessions


def test_other_sessions_are_read_by_the_packaged_model(monkeypatch):
    known, new = talks(*PERSONS), replace(named("new", *CORRECTED), user_id="zoe")
    packaged_is(monkeypatch, always(*(found.key for found in known), score=-5.0))
    sheets = [sheet(found.key, event("correction", 4)) for found in (*known, new)]
    found = run([*known, new], [("side", sheets)])
    assert (found["fitted_on"], found["cross_validated"]) == (6, 6)
    assert correction_figures(found)["recall"] == 0.857  # six of seven


def test_a_model_of_others_is_fitted_on_nothing_but_what_the_packaged_one_was(monkeypatch):
    known, new = talks(*PERSONS), replace(named("new", *CORRECTED), user_id="zoe")
    packaged_is(monkeypatch, always(*(found.key for found in known), score=-5.0))
    sheets = [sheet(found.key, event("correction", 4)) for found in (*known, new)]
    models = detectors._unseen({told.key: told for told in (*known, new)}, sheets)
    assert models(new) is None
    assert all(digest("new") not in models(told)["correction"].sessions for told in known)


@pytest.mark.parametrize(
    ("persons", "corrected"),
    [(("ann", "bob"), 2), (("ann", "bob", "cem"), 1)],
    ids=["too few persons", "too few moments"],
)
def test_where_nothing_can_be_fitted_the_packaged_model_reads_and_the_counts_tell(monkeypatch, persons, corrected):
    sessions = talks(*persons)
    packaged_is(monkeypatch, always(*(found.key for found in sessions), score=5.0))
    sheets = [sheet(told.key, *[event("correction", 4)] * (n < corrected)) for n, told in enumerate(sessions)]
    found = run(sessions, [("side", sheets)])
    assert (found["fitted_on"], found["cross_validated"]) == (len(persons), 0)
    assert correction_figures(found)["recall"] == 1


def test_labels_without_the_learned_type_fit_nothing(monkeypatch):
    sessions = talks(*PERSONS)
    packaged_is(monkeypatch, always(*(found.key for found in sessions), score=-5.0))
    found = run(sessions, [("whole", [sheet(told.key, event("error_event", 2)) for told in sessions])])
    assert (found["fitted_on"], found["cross_validated"]) == (6, 0)


def test_standard_sessions_have_a_hundred_steps_each_and_keep_the_order():
    steps = [user(str(number)) for number in range(70)]
    cut = standard_sessions([session(*steps[:30]), session(*steps[30:])], 3)
    assert [len(found.steps) for found in cut] == [100, 100, 100]
    assert [step.text for found in cut for step in found.steps] == [str(number % 70) for number in range(300)]
    assert standard_sessions([], 3) == []


def test_memory_is_measured_over_ten_times_as_many_sessions():
    found = memory([session(*FAILING)], (2, 20))
    assert (found["few_sessions"], found["many_sessions"]) == (2, 20)
    assert found["many_peak_megabytes"] < 5 * found["few_peak_megabytes"]


@pytest.mark.data
def test_on_real_sessions_the_floors_of_reading_status_fields_hold(data_dir):
    with gzip.open(data_dir / "coding_sessions.jsonl.gz") as lines:
        sessions = [from_json(line) for line in lines]
    types = block(sessions, *map(json.loads, (data_dir / "gold_labels.jsonl").open()))["rules"]["types"]
    assert types["error_event"]["sessions"]["f1"] >= 0.87
    assert types["abandoned_tool_flow"]["sessions"]["f1"] >= 0.93
