"""Several readers of a day: who they are, how far all of them are, and the door of the second one."""

from typing import Any

import pytest

from signals_assets.resources import DoorError, resources_for
from signals_assets.resources.analyst import (
    AnalystError,
    NoAnalyst,
    Progress,
    RulesAnalyst,
    all_labels,
    reader_again,
    together,
)
from signals_assets.resources.compute import SerialCompute
from signals_assets.resources.language_model import LanguageModelAnalyst
from signals_assets.settings import Settings


class Polled(NoAnalyst):
    """Is somebody, and as far as it is told to be."""

    def __init__(self, name: str, model: str, **states: str) -> None:
        self.name, self.model, self.states = name, model, states

    def poll(self, label: str) -> Progress:
        return Progress(label, {"submitted": 1}, self.states[label], mark=label)  # type: ignore[arg-type]

    def with_model(self, model: str) -> "Polled | None":
        return Polled(self.name, model, **self.states) if model != "gone" else None


def noted(role: str, analyst: str, model: str) -> dict[str, Any]:
    return {"role": role, "label": f"day_{role}", "analyst": analyst, "model": model}


@pytest.mark.parametrize(
    ("states", "next_"),
    [("dd", "done"), ("dw", "wait"), ("wd", "wait"), ("da", "again"), ("wa", "again"), ("aw", "again")],
)
def test_labels_together_are_done_when_all_are(states, next_):
    words = {"d": "done", "w": "wait", "a": "again"}
    looks = [Progress(f"l{n}", {"submitted": n}, words[state], mark=str(n)) for n, state in enumerate(states, 1)]
    found = together(looks)
    assert found is not None
    assert (found.next, found.states, found.mark) == (next_, {"submitted": 3}, "1.2")


def test_nothing_sent_is_no_progress():
    assert together([]) is None
    assert all_labels({"day": "day", "requests": 0}, NoAnalyst(), NoAnalyst()) is None


def test_a_day_is_as_far_as_the_last_of_its_readers():
    analyst = Polled("openai", "new", day="done", day_former="wait")
    second = Polled("rules", "r", day_second="done")
    sent = {
        "day": "day",
        "requests": 1,
        "rereadings": [noted("former", "openai", "old"), noted("second", "rules", "r")],
    }
    assert all_labels(sent, analyst, second).next == "wait"
    analyst.states["day_former"] = "done"
    assert all_labels(sent, analyst, second).next == "done"


def test_a_reader_that_is_no_longer_there_holds_up_nobody():
    analyst = Polled("openai", "new", day="done")
    sent = {
        "day": "day",
        "requests": 1,
        "rereadings": [noted("former", "openai", "gone"), noted("second", "rules", "r")],
    }
    assert all_labels(sent, analyst, NoAnalyst()).next == "done"
    assert reader_again(noted("former", "rules", "r"), analyst, NoAnalyst()) is None
    assert reader_again(noted("former", "openai", "new"), analyst, NoAnalyst()) is analyst


def test_nobody_refuses_to_be_asked_and_keeps_nothing():
    nobody = NoAnalyst()
    for ask in (lambda: nobody.submit("day", []), lambda: nobody.poll("day"), lambda: list(nobody.collect("day"))):
        with pytest.raises(AnalystError, match="set second_reader"):
            ask()
    assert (nobody.forget(["q"]), nobody.batches("day"), nobody.ask("?"), nobody.with_model("m")) == (0, {}, None, None)


def test_the_rules_cannot_be_another_model(tmp_path):
    assert RulesAnalyst(tmp_path, SerialCompute()).with_model("rules-0") is None


def second(tmp_path, first: str = "rules", **chosen: Any) -> Any:
    model = {"model": "gpt-5.2", "base_url": "http://localhost:9/v1", "api_key": "sk-none"}
    settings = Settings(home=tmp_path, analyst=first, language_model=model, second_reader=chosen)
    return resources_for(settings)["second_reader"]


def test_the_second_reader_is_nobody_the_rules_or_another_model_with_files_of_its_own(tmp_path):
    assert isinstance(second(tmp_path), NoAnalyst)
    rules = second(tmp_path, "openai", analyst="rules")
    assert isinstance(rules, RulesAnalyst)
    other = {"model": "open-weights", "base_url": "http://localhost:9/v1"}
    found = second(tmp_path, "openai", analyst="openai-compatible", language_model=other)
    assert isinstance(found, LanguageModelAnalyst)
    assert (found.name, found.model) == ("openai-compatible", "open-weights")
    former = found.with_model("older")
    assert (former.name, former.model, found.model) == ("openai-compatible", "older", "open-weights")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("analyst", "chosen", "said"),
    [
        ("rules", {"analyst": "rules"}, "is the analyst itself"),
        ("openai", {"analyst": "openai", "language_model": {"model": "gpt-5.2"}}, "is the analyst itself"),
        ("rules", {"analyst": "openai-compatible"}, "of second_reader: .*base_url"),
        ("rules", {"analyst": "openai"}, "of second_reader: .*needs a key"),
    ],
)
def test_a_second_reader_that_says_nothing_new_or_lacks_something_is_refused(
    tmp_path, monkeypatch, analyst, chosen, said
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(DoorError, match=said):
        second(tmp_path, analyst, **chosen)


def test_a_window_that_was_set_is_no_longer_than_the_other_model_s(tmp_path):
    model = {"model": "gpt-5.2", "base_url": "http://localhost:9/v1", "api_key": "sk-none", "window": 200_000}
    analyst = resources_for(Settings(home=tmp_path, analyst="openai", language_model=model))["analyst"]
    assert analyst.with_model("unknown-model")._limits.window == 200_000
    assert analyst.with_model("gpt-5")._limits.window <= 200_000
