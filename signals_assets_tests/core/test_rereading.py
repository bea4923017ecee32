"""Re-reading: who reads again when, who is drawn, and what two readings of the same sessions say."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from signals_assets.core.analysis import Answer, AnswerEvent
from signals_assets.core.rereading import (
    Again,
    Change,
    Reader,
    asked_rows,
    paired_difference,
    reader_agreement,
    reader_changes,
    reader_payload,
    rereading_rows,
    sample,
    steady_since,
    stored_decision,
)
from signals_assets.core.taxonomy import seed

MON = date(2026, 1, 5)
OLD, NEW = Reader("openai", "old", "p.v1@a"), Reader("openai", "new", "p.v1@a")


@dataclass
class Said:
    payload: dict[str, Any] = field(default_factory=dict)


def day(number: int) -> date:
    return MON + timedelta(days=number)


def lived(*readers: Reader, drifts: dict[int, int] | None = None, overlap_days: int = 2) -> list[Said]:
    """What the ledger holds after so many days; `drifts`: day written -> day that fell out of the band."""
    entries: list[Said] = []
    for number, reader in enumerate(readers):
        fell = [Said({"day": day(of).isoformat()}) for written, of in (drifts or {}).items() if written < number]
        entries.append(Said(reader_payload(day(number), reader, entries, fell, overlap_days=overlap_days)))
    return entries


def because(entries: list[Said]) -> list[str]:
    return [entry.payload["because"] for entry in entries]


# --- when -------------------------------------------------------------------------------------------------------


def test_the_former_reader_reads_along_on_the_first_days_after_a_change():
    entries = lived(OLD, OLD, NEW, NEW, NEW, OLD)
    assert because(entries) == ["none", "none", "change", "change", "none", "change"]
    assert [Reader.of(entry.payload["former"]) for entry in entries if entry.payload["former"]] == [OLD, OLD, NEW]
    assert because(lived(OLD, NEW, NEW, overlap_days=0)) == ["none", "none", "none"]


def test_a_new_prompt_is_a_new_reader():
    assert because(lived(OLD, Reader("openai", "old", "p.v2@b"))) == ["none", "change"]


def test_a_day_out_of_the_band_is_looked_into_once_by_the_same_reader_and_not_when_it_is_long_ago():
    entries = lived(OLD, OLD, OLD, OLD, drifts={1: 1})
    assert because(entries) == ["none", "none", "drift", "none"]
    assert Reader.of(entries[2].payload["former"]) == OLD
    assert entries[2].payload["drift"] == day(1).isoformat()
    assert because(lived(OLD, OLD, OLD, OLD, OLD, OLD, OLD, drifts={5: 1})) == ["none"] * 7


def test_what_was_decided_of_a_day_is_found_again_while_its_reader_is_the_same():
    entries = lived(OLD, NEW, NEW, NEW)
    assert stored_decision(day(1), NEW, entries) == entries[1].payload
    assert stored_decision(day(1), OLD, entries) is None
    assert stored_decision(day(9), NEW, entries) is None
    again = [*entries, Said(reader_payload(day(1), OLD, entries, [], overlap_days=2))]
    assert stored_decision(day(1), NEW, again) is None  # the old one was asked about it last


def test_changes_lie_on_the_days_whoever_was_asked_last():
    entries = lived(OLD, OLD, NEW, NEW)
    assert reader_changes(entries, day(9)) == [Change(day(2), OLD, NEW)]
    assert reader_changes(entries, day(1)) == []
    assert (steady_since(entries, day(9)), steady_since(entries, day(1))) == (day(2), None)
    redone = [*entries, Said(reader_payload(day(1), NEW, entries, [], overlap_days=2))]
    assert steady_since(redone, day(9)) == day(1)


# --- who --------------------------------------------------------------------------------------------------------


def row(number: int, *, selected: bool = True, stratum: str = "none", late: bool = False, weight: float = 1.0):
    return {
        "day": MON, "known_on": day(3) if late else MON, "session_id": f"s{number}", "user_id": f"u{number % 7}",
        "selected": selected, "stratum": stratum, "inclusion_weight": weight, "request_id": f"q{number}",
        "analyst": "openai", "model": "new", "prompt": "p.v1@a",
    }  # fmt: skip


ROWS = [row(n, stratum="one" if n % 10 == 0 else "none", weight=2.0) for n in range(200)]


def test_a_sample_depends_on_the_salt_alone_and_stands_for_all_that_were_asked():
    drawn = sample(ROWS, "former", 50, "x")
    assert len(drawn) == 50
    assert sum(drawn.values()) == pytest.approx(400)
    assert drawn == sample(ROWS[::-1], "former", 50, "x")
    assert drawn.keys() != sample(ROWS, "former", 50, "y").keys()
    assert len(sample(ROWS, "former", 500, "x")) == 200


def test_late_sessions_and_those_that_were_not_asked_about_change_no_draw():
    more = [*ROWS, *(row(n, late=True) for n in range(200, 260)), *(row(n, selected=False) for n in range(260, 300))]
    assert sample(more, "second", 20, "x") == sample(ROWS, "second", 20, "x")


@pytest.mark.parametrize(("events", "others", "expected"), [(50, 50, (10, 10)), (3, 50, (3, 17)), (50, 4, (16, 4)),
                                                            (2, 3, (2, 3)), (0, 9, (0, 9))])  # fmt: skip
def test_the_second_reader_reads_sessions_with_and_without_events(events, others, expected):
    rows = [row(n, stratum="failing") for n in range(events)] + [row(1000 + n) for n in range(others)]
    drawn = sample(rows, "second", 20, "x")
    with_events = {item["session_id"] for item in rows if item["stratum"] != "none"}
    assert (len(drawn.keys() & with_events), len(drawn.keys() - with_events)) == expected
    assert sum(drawn.values()) == pytest.approx(events + others)


def test_everybody_has_the_same_chance():
    counts = Counter(name for salt in range(400) for name in sample(ROWS, "former", 20, str(salt)))
    expected = 400 * 20 / 200
    assert len(counts) == 200
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_reading_again_is_another_request_and_the_note_in_the_ledger_draws_the_same_sessions():
    again = Again("former", "drift", f"{MON}_former", NEW, NEW, sample(ROWS, "former", 5, "x"))
    other = Again("second", "sample", f"{MON}_second", OLD, NEW, again.weights)
    assert len({"q1", again.request_id("q1"), other.request_id("q1"), again.request_id("q2")}) == 4
    assert Again.of(again.payload, ROWS, "x") == again
    asked = asked_rows(again, ROWS)
    assert {item["session_id"]: item["inclusion_weight"] for item in asked} == again.weights
    assert {item["session_id"]: item["request_id"] for item in asked} == again.requests(ROWS)


def test_new_pseudonyms_draw_the_same_sessions_and_ask_under_the_same_ids():
    renamed = [item | {"session_id": f"new-{item['session_id']}"} for item in ROWS]
    again = Again("former", "drift", "l", NEW, NEW, sample(ROWS, "former", 5, "x"))
    anew = Again.of(again.payload, renamed, "x")
    assert sorted(anew.requests(renamed).values()) == sorted(again.requests(ROWS).values())


# --- what they say ----------------------------------------------------------------------------------------------


def answered(number: int, types=(), outcome="success", *, confidence=1.0, steps=(1,), weight=1.0, user=None):
    events = [AnswerEvent(type=name, steps=list(steps), confidence=confidence) for name in types]
    answer = Answer(outcome=outcome, friction=events)
    return {
        "day": MON, "known_on": MON, "session_id": f"s{number}", "user_id": user or f"u{number}",
        "request_id": f"q{number}", "state": "answered", "attempts": 1, "analyst": "openai", "model": "m",
        "prompt": "p", "taxonomy_version": 1, "inclusion_weight": weight, "answer": answer.model_dump_json(),
        "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "steps_seen": 9, "steps_total": 9,
    }  # fmt: skip


AGAIN = Again("former", "change", "l", OLD, NEW)


def compared(first, second, **over):
    again = [item.model_dump() for item in rereading_rows(AGAIN, second)]
    values = {"taxonomy": seed(), "organizations": {}, "min_confidence": 0.5} | over
    found = reader_agreement(MON, first, again, **values)
    return {item.type: item for item in found}


def test_counts_f1_confirmation_and_difference_of_a_type():
    error = ("error_event",)
    first = [answered(n, error if n < 30 else ()) for n in range(50)]
    second = [answered(n, error if n < 20 else ()) for n in range(50)]
    found = compared(first, second)["error_event"]
    assert (found.sessions, found.users, found.both, found.only_first, found.only_second) == (50, 50, 20, 10, 0)
    assert (found.reader, found.reason, found.first, found.second) == ("former", "change", NEW.name, OLD.name)
    assert found.f1 == pytest.approx(2 * 20 / (30 + 20))
    assert found.confirmed == pytest.approx(20 / 30, abs=1e-4)
    assert found.difference == pytest.approx(0.2)
    assert 0 < found.difference_low < 0.2 < found.difference_high
    assert (found.users_concerned, found.users_spared) == (30, 20)


def test_weights_count_in_the_difference_and_users_in_its_width():
    error = ("error_event",)
    first = [answered(n, error if n < 10 else (), weight=3.0 if n < 10 else 1.0) for n in range(40)]
    second = [answered(n, (), weight=3.0 if n < 10 else 1.0) for n in range(40)]
    alone = compared(first, second)["error_event"]
    assert alone.difference == pytest.approx(30 / 60)
    shared = [item | {"user_id": f"u{index % 4}"} for index, item in enumerate(first)]
    few = compared(shared, [item | {"user_id": one["user_id"]} for item, one in zip(second, shared, strict=True)])
    assert few["error_event"].users == 4
    width = [item.difference_high - item.difference_low for item in (few["error_event"], alone)]
    assert width[0] > 1.5 * width[1]


def test_what_counts_as_found():
    first = [answered(1, ("error_event",), confidence=0.4), answered(2, ("error_event",), steps=(99,)),
             answered(3, ("no_such",)), answered(4, ("error_event",))]  # fmt: skip
    found = compared(first, [answered(n) for n in (1, 2, 3, 4)])
    assert found["error_event"].only_first == 1
    assert found["other"].only_first == 1


def test_sessions_without_both_answers_are_not_compared():
    failed = answered(2) | {"state": "failed", "answer": None}
    found = compared([answered(1), failed, answered(3)], [answered(1), answered(2), answered(9)])
    assert found["all"].sessions == 1
    assert compared([failed], [failed]) == {}


def test_outcomes_have_kappa():
    outcomes = ["success"] * 20 + ["abandoned"] * 20
    first = [answered(n, outcome=outcome) for n, outcome in enumerate(outcomes)]
    same = compared(first, first)["all"]
    assert (same.kind, same.kappa, same.both, same.only_first) == ("outcome", 1.0, 40, 0)
    half = [answered(n, outcome="success" if n % 2 else "abandoned") for n in range(40)]
    chance = compared(first, half)["all"]
    assert chance.kappa == 0.0
    assert chance.kappa_low < 0 < chance.kappa_high


def test_the_interval_of_a_difference_covers_and_is_never_of_no_width():
    """Agree always, or seldom: at least 93 % of intervals hold the true difference, also for twenty sessions."""
    generator = np.random.default_rng(1)
    for n, first, second in ((20, 0.1, 0.05), (20, 0.02, 0.02), (50, 0.3, 0.1), (100, 0.0, 0.2)):
        draws = generator.multinomial(n, [first, second, 1 - first - second], 2000)
        intervals = [paired_difference(a / n, b / n, n) for a, b, _ in draws.tolist()]
        held = np.mean([found.low <= first - second <= found.high for found in intervals])
        assert held >= 0.93
        assert all(found.low < found.high for found in intervals)
