import json
from datetime import date, timedelta

import pytest

from signals_assets.core.levels import LevelInput, LevelPart, friction_levels, replay
from signals_assets.core.taxonomy import seed
from signals_assets.core.wording import Wording
from signals_assets.settings import SeverityCeilings, SliceThreshold, ThresholdSettings
from signals_assets_tests.fakes.ledger import MemoryLedger

START = date(2026, 3, 2)
TYPE = "context_churn"
THRESHOLDS = ThresholdSettings(default_ceiling=0.2, consecutive=2, cooldown_days=7)


def week(rate, low=None, users=40, sessions=80, organizations=5, n=400):
    return LevelInput(rate, rate * 0.8 if low is None else low, rate * 1.2, users, sessions, organizations, n)


def cause_rows(day, people=12, component="file_read", type_=TYPE):
    return [
        {
            "event_id": f"{component}{i}",
            "day": day,
            "about_day": day,
            "cause_id": f"cause_{component}",
            "type": type_,
            "component": component,
            "session_id": f"s_{i}",
            "user_id": f"u_{i}",
            "organization_id": f"o_{i % 4}",
        }
        for i in range(people)
    ]


def rise(version="1.4.0", before=0.08, after=0.31, z=5.0, evidence="confirmed"):
    return {
        "kind": "friction",
        "type": TYPE,
        "verdict": "regressed",
        "evidence": evidence,
        "version": version,
        "rate_before": before,
        "rate_after": after,
        "z": z,
    }


class Life:
    """Day after day of one type, each reading the row of the day before."""

    def __init__(self, audience="company", thresholds=THRESHOLDS):
        self.day = START - timedelta(1)
        self.rows = []
        self.audits = []
        self.ledger = MemoryLedger()
        self.wording = Wording(seed(), frozenset(), audience)
        self.thresholds = thresholds

    def live(self, level, rises=(), causes=None, skip=0, **options):
        self.day += timedelta(1 + skip)
        found, audits = friction_levels(
            self.day,
            levels={TYPE: level} if level else {},
            release_correlations=rises,
            causes_window=cause_rows(self.day) if causes is None else causes,
            previous=[self.rows[-1].model_dump()] if self.rows else [],
            entries=self.ledger.entries(["verdict", "kill_switch"]),
            wording=self.wording,
            thresholds=self.thresholds,
            **options,
        )
        self.rows.append(next(row for row in found if row.type == TYPE))
        self.audits += [audit for audit in audits if audit["inputs"]["type"] == TYPE]
        return self.rows[-1]

    def states(self):
        return [row.state for row in self.rows]


def test_a_level_crosses_once_after_two_evaluations_and_recovers_with_hysteresis():
    life = Life()
    for rate in (0.1, 0.4, 0.4, 0.4, 0.25, 0.22, 0.25, 0.2, 0.2, 0.2, 0.2):
        life.live(week(rate))
    assert life.states() == [
        "ok", "rising", "crossed", "over", "over", "recovering", "over", "recovering", "recovering", "ok", "ok",
    ]  # fmt: skip
    assert [row.crossed for row in life.rows].count(True) == 1
    assert life.rows[2].closing_level == pytest.approx(0.24)


def test_an_episode_is_named_after_its_first_day_over_and_kept_until_it_ends():
    life = Life()
    for rate in (0.4, 0.4, 0.4, 0.1, 0.1, 0.1):
        life.live(week(rate))
    assert [row.episode for row in life.rows] == [f"{TYPE}@2026-03-02"] * 5 + [""]


def test_one_evaluation_over_is_not_enough():
    life = Life()
    for rate in (0.4, 0.1, 0.4, 0.1):
        life.live(week(rate))
    assert life.states() == ["rising", "ok", "rising", "ok"]


def test_evaluations_with_a_gap_between_are_not_consecutive():
    life = Life()
    life.live(week(0.4))
    assert life.live(week(0.4), skip=3).state == "rising"


def test_a_level_whose_bound_is_under_the_ceiling_is_ok():
    life = Life()
    life.live(week(0.4, low=0.19))
    assert life.live(week(0.4, low=0.19)).state == "ok"


def test_over_again_within_the_cooldown_waits_and_then_crosses():
    life = Life()
    for rate in (0.4, 0.4, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4, 0.4):
        life.live(week(rate))
    assert life.states() == [
        "rising", "crossed", "recovering", "recovering", "ok", "rising", "cooldown", "cooldown", "cooldown", "crossed",
    ]  # fmt: skip


def test_a_confirmed_rise_crosses_under_the_ceiling_and_names_its_release():
    life = Life()
    life.live(week(0.12), [rise()])
    row = life.live(week(0.16), [rise()])
    assert (row.state, row.trigger, row.version) == ("crossed", "rise", "1.4.0")
    assert row.reason == "Context churn rose from 8 % to 31 % with version 1.4.0 (confirmed)."


def test_a_suspected_rise_waits_for_a_person():
    life = Life()
    life.live(week(0.12), [rise(evidence="suspected")])
    assert life.live(week(0.12), [rise(evidence="suspected")]).state == "ok"


def test_a_release_opens_one_episode_only_although_it_stays_confirmed():
    life = Life()
    for rate in (0.12, 0.16, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09):
        life.live(week(rate), [rise()])
    assert life.states()[:5] == ["rising", "crossed", "recovering", "recovering", "ok"]
    assert set(life.states()[5:]) == {"ok"}


def test_a_small_rise_can_recover_although_its_baseline_is_over_60_percent_of_it():
    life = Life()
    small = rise(before=0.10, after=0.15)
    for rate in (0.14, 0.14, 0.10, 0.10, 0.10):
        life.live(week(rate), [small])
    assert life.states() == ["rising", "crossed", "recovering", "recovering", "ok"]


def test_another_release_crosses_anew_within_an_open_episode_once_the_cooldown_is_over():
    life = Life()
    for _ in range(4):
        life.live(week(0.16), [rise()])
    for _ in range(7):
        life.live(week(0.3), [rise(), rise("1.6.0", z=9.0)])
    crossings = [(row.day, row.version) for row in life.rows if row.crossed]
    assert [version for _, version in crossings] == ["1.4.0", "1.6.0"]
    assert crossings[1][0] - crossings[0][0] == timedelta(8)


def test_a_version_with_an_odd_name_is_blamed_once_under_its_opaque_label():
    life = Life()
    for _ in range(3):
        row = life.live(week(0.16), [rise("jane's laptop")])
    assert "jane" not in json.dumps(row.model_dump(), default=str)
    assert row.state == "over"
    assert len(row.versions_blamed) == 1


def test_too_few_people_are_no_ticket_and_are_not_shown():
    life = Life()
    few = week(0.4, users=4, sessions=30)
    life.live(few)
    row = life.live(few)
    assert (row.state, row.crossed, row.level) == ("ok", False, None)
    assert (row.users, row.sessions, row.episode, row.trigger, row.days_over) == ("<5", "<5", "", "", 0)


def test_over_and_under_the_ceiling_look_the_same_while_few_are_concerned():
    over, under = Life(), Life()
    assert over.live(week(0.9, users=4, sessions=30)) == under.live(week(0.01, users=1, sessions=1))


def test_a_cause_that_concerns_too_few_cannot_carry_a_crossing():
    life = Life()
    lonely = cause_rows(START, people=2)
    life.live(week(0.4), causes=lonely)
    row = life.live(week(0.4), causes=lonely)
    assert (row.state, row.causes) == ("not_enough_data", [])


def test_accounts_made_for_the_purpose_open_no_ticket():
    life = Life()
    for _ in range(3):
        life.live(week(0.45, 0.4), newcomers=[f"u_{i}" for i in range(8)])
    assert [row.state for row in life.rows] == ["not_enough_data"] * 3
    assert life.rows[-1].causes == []
    life.live(week(0.45, 0.4), newcomers=[])
    assert life.rows[-1].state == "crossed"


def test_newcomers_lift_nothing_to_a_tickets_size_where_there_are_enough_others_to_be_spoken_of():
    life = Life()  # seven accounts of age: their cause may be named, but a ticket needs ten
    for _ in range(3):
        life.live(week(0.45, 0.4), newcomers=[f"u_{i}" for i in range(5)])
    assert [row.state for row in life.rows] == ["not_enough_data"] * 3
    two = Life()
    for _ in range(2):
        two.live(week(0.45, 0.4), causes=cause_rows(START, people=24), newcomers=["u_0"])
    assert two.rows[-1].state == "crossed"


def test_one_person_alone_may_cross_for_the_audience_self():
    life = Life(audience="self")
    mine = week(0.5, users=1, sessions=4, organizations=None, n=8)
    alone = cause_rows(START, people=1)
    life.live(mine, causes=alone)
    assert life.live(mine, causes=alone).state == "crossed"


def test_causes_are_listed_largest_first():
    life = Life()
    both = cause_rows(START, 8, "shell") + cause_rows(START, 12)
    assert life.live(week(0.4), causes=both).causes == ["cause_file_read", "cause_shell"]


def test_a_day_without_data_decides_nothing_and_forgets_nothing():
    life = Life()
    for level in (week(0.4), week(0.4), None, week(0.4)):
        life.live(level)
    assert life.states() == ["rising", "crossed", "not_enough_data", "over"]
    assert life.rows[2].episode == life.rows[1].episode


def test_the_kill_switch_holds_a_crossing_and_it_crosses_when_the_switch_is_off():
    life = Life()
    life.ledger.append("kill_switch", "1", {"on": True})
    life.live(week(0.4))
    assert life.live(week(0.4)).state == "suppressed"
    life.ledger.append("kill_switch", "2", {"on": False})
    assert life.live(week(0.4)).crossed


def test_a_kill_switch_that_cannot_be_read_counts_as_on():
    life = Life()
    life.ledger.append("kill_switch", "1", {"on": "perhaps"})
    life.live(week(0.4))
    assert not life.live(week(0.4)).crossed


def test_a_verdict_improved_ends_the_episode_of_its_type():
    life = Life()
    for rate in (0.4, 0.4):
        life.live(week(rate))
    payload = {"type": TYPE, "verdict": "improved", "day": life.day.isoformat(), "ticket_key": "SIG-00000000"}
    life.ledger.append("verdict", "1", payload)
    assert life.live(week(0.22, low=0.18)).state == "ok"


def test_every_decision_is_replayed_from_its_audit_row_alone():
    life = Life()
    for rate in (0.1, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1):
        life.live(week(rate), [rise("1.5.0")] if rate == 0.4 else [])
    for audit in json.loads(json.dumps(life.audits)):
        decision = replay(audit)
        assert {"state": decision.state, "crossed": decision.crossed, "episode": decision.episode} == audit["decision"]


def test_audit_rows_hold_no_key_of_a_session_or_user():
    life = Life()
    life.live(week(0.4))
    assert "s_" not in json.dumps(life.audits[0]["causes"])
    assert "u_" not in json.dumps(life.audits)


def test_every_type_of_the_taxonomy_has_a_row_on_an_empty_day():
    rows, audits = friction_levels(
        START,
        levels={},
        release_correlations=[],
        causes_window=[],
        previous=[],
        entries=[],
        wording=Wording(seed()),
        thresholds=THRESHOLDS,
    )
    assert {row.type for row in rows} == set(seed().slugs("friction"))
    assert {row.state for row in rows} == {"not_enough_data"}
    assert len(audits) == len(rows)


# --- slices


FEATURE = SliceThreshold(slice_kind="intent", slice="new feature", ceiling=0.1)


def levels_with(
    part,
    *,
    all_of_it=None,
    slices=(FEATURE,),
    day=START,
    previous=(),
    audience="company",
    causes=None,
    thresholds=THRESHOLDS,
):
    rows, audits = friction_levels(
        day,
        levels={TYPE: all_of_it or week(0.1)},
        release_correlations=[rise()],
        causes_window=cause_rows(day) if causes is None else causes,
        previous=[row.model_dump() for row in previous],
        entries=[],
        wording=Wording(seed(), frozenset(), audience),
        thresholds=thresholds.model_copy(update={"slices": list(slices)}),
        parts=[part],
    )
    return rows, audits


def part(level, sessions=None, kind="intent", value="new feature"):
    return LevelPart(kind, value, {TYPE: level}, frozenset(sessions or [f"s_{i}" for i in range(12)]))


def of_slice(rows):
    return next(row for row in rows if row.type == TYPE and row.slice_kind != "all")


def test_a_slice_crosses_beside_its_type_with_an_episode_of_its_own_and_no_rise():
    first, _ = levels_with(part(week(0.3)))
    second, audits = levels_with(part(week(0.3)), day=START + timedelta(1), previous=first)
    crossed = of_slice(second)
    assert [of_slice(first).state, crossed.state] == ["rising", "crossed"]
    assert (crossed.slice_kind, crossed.slice) == ("intent", "new feature")
    assert (crossed.trigger, crossed.ceiling) == ("level", 0.1)
    assert crossed.episode == f"{TYPE}:intent=new feature@{START}"
    assert crossed.reason.startswith("Context churn (intent: new feature) is at ")
    assert crossed.reason.endswith(" of sessions at least, over its ceiling of 10 %.")
    whole = next(row for row in second if row.type == TYPE and row.slice_kind == "all")
    assert (whole.slice, whole.trigger, whole.episode) == ("all", "rise", f"{TYPE}@{START}")
    audit = next(one for one in audits if one["inputs"]["type"] == TYPE and one["inputs"]["slice_kind"] == "intent")
    again = replay(json.loads(json.dumps(audit)))
    assert (again.state, again.episode) == (crossed.state, crossed.episode)


def test_without_slices_there_is_one_row_a_type_as_ever():
    rows, _ = friction_levels(
        START, levels={}, release_correlations=[], causes_window=[], previous=[], entries=[],
        wording=Wording(seed()), thresholds=THRESHOLDS,
    )  # fmt: skip
    assert {(row.slice_kind, row.slice) for row in rows} == {("all", "all")}
    assert len({row.type for row in rows}) == len(rows)


def test_a_slice_of_one_type_gives_that_type_a_row_and_the_narrower_ceiling_wins():
    of_type = SliceThreshold(type=TYPE, slice_kind="intent", slice="new feature", ceiling=0.6)
    rows, _ = levels_with(part(week(0.3)), slices=[of_type])
    assert [row.type for row in rows if row.slice_kind == "intent"] == [TYPE]
    rows, _ = levels_with(part(week(0.3)), slices=[FEATURE, of_type])
    assert {row.type: row.ceiling for row in rows if row.slice_kind == "intent"} == dict.fromkeys(
        seed().slugs("friction"), 0.1
    ) | {TYPE: 0.6}


def test_the_thresholds_of_a_ticket_hold_for_the_sessions_of_the_slice():
    few = [f"s_{i}" for i in range(3)]
    first, _ = levels_with(part(week(0.3), few))
    second, _ = levels_with(part(week(0.3), few), day=START + timedelta(1), previous=first)
    assert of_slice(second).state == "not_enough_data"
    assert of_slice(second).causes == []
    small, _ = levels_with(part(week(0.3, users=4, sessions=6)))
    assert (of_slice(small).state, of_slice(small).level) == ("ok", None)


def test_a_slice_that_may_not_stand_beside_the_total_is_not_spoken_of():
    alone = LevelInput(0.3, 0.25, 0.4, 40, 80, 5, 400, told=False)
    row = of_slice(levels_with(part(alone))[0])
    assert (row.state, row.level, row.users, row.days_over) == ("ok", None, "<5", 0)
    assert row.reason == (
        "Context churn (intent: new feature) is within its bounds, or concerns too few people to be spoken of."
    )


def test_a_slice_is_named_by_its_label():
    slices = [SliceThreshold(slice_kind="agent", slice="acme's agent", ceiling=0.1)]
    row = of_slice(levels_with(part(week(0.3), kind="agent", value="acme's agent"), slices=slices)[0])
    assert row.slice.startswith("agent-")
    assert "acme" not in row.model_dump_json()


def test_two_ceilings_for_one_slice_and_type_are_refused():
    with pytest.raises(ValueError, match="two ceilings for the same type"):
        ThresholdSettings(slices=[FEATURE, FEATURE.model_copy(update={"ceiling": 0.2})])


# --- severities


def of_severity(level, **given):
    causes = cause_rows(START) + cause_rows(START + timedelta(1))
    severe = LevelPart("severity", "high", {TYPE: level}, (), frozenset(row["event_id"] for row in causes))
    thresholds = THRESHOLDS.model_copy(update={"severity_ceilings": SeverityCeilings(high=0.1)})
    return levels_with(severe, slices=(), causes=causes, thresholds=thresholds, **given)


def test_a_type_crosses_at_a_severity_by_the_ceiling_of_that_severity_and_is_replayed():
    first, _ = of_severity(week(0.3))
    second, audits = of_severity(week(0.3), day=START + timedelta(1), previous=first)
    crossed = of_slice(second)
    assert (crossed.state, crossed.slice_kind, crossed.slice, crossed.ceiling) == ("crossed", "severity", "high", 0.1)
    assert crossed.episode == f"{TYPE}:severity=high@{START}"
    assert crossed.causes
    assert crossed.reason.startswith("Context churn (severity: high) is at ")
    audit = next(one for one in audits if one["inputs"]["slice_kind"] == "severity" and one["inputs"]["type"] == TYPE)
    assert audit["inputs"]["low"] > audit["inputs"]["ceiling"] == 0.1
    again = replay(json.loads(json.dumps(audit)))
    assert (again.state, again.episode, again.closing_level) == ("crossed", crossed.episode, crossed.closing_level)
    under, _ = of_severity(week(0.08), day=START + timedelta(1), previous=first)
    assert of_slice(under).state == "ok"


def test_causes_of_a_severity_are_of_its_events_not_of_its_sessions():
    part = LevelPart("severity", "high", {}, (), frozenset({"e_1"}))
    assert part.holds({"event_id": "e_1", "session_id": "s"})
    assert not part.holds({"event_id": "e_2", "session_id": "s"})
