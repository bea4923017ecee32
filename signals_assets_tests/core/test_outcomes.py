from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from signals_assets.core.outcomes import (
    Effect,
    Surprises,
    fix_outcomes,
    loop_metrics,
    surprises,
    verdict_actions,
    verdict_of,
)
from signals_assets.core.taxonomy import seed
from signals_assets.core.wording import Wording
from signals_assets.settings import TicketSettings
from signals_assets.tables import TicketRow
from signals_assets_tests.fakes.ledger import MemoryLedger

DAY = date(2026, 3, 20)
WORDING = Wording(seed())
KEY = "SIG-0A1B2C3D"


def effect(change=-0.2, half=0.05, e_value=100.0, before=0.3, users=40):
    return Effect(before, before + change, change, change - half, change + half, e_value, users, 200, 5)


def ticket(**columns):
    return TicketRow(
        **{
            "day": DAY,
            "ticket_key": KEY,
            "cause_id": "cause_1",
            "type": "context_churn",
            "component": "file_read",
            "generation": 1,
            "state": "released",
            "filed_on": date(2026, 3, 9),
            "reference": "x.md",
            "pull_request_id": "1",
            "merged_on": date(2026, 3, 11),
            "released_in": "1.5.0",
            "released_on": date(2026, 3, 12),
        }
        | columns
    )


def release(version, day, agent="agent"):
    moment = datetime(2026, 3, day, tzinfo=UTC)
    return {
        "agent_name": agent,
        "kind": "version",
        "version": version,
        "released_at": moment,
        "known_on": moment.date(),
    }


RELEASES = [release("1.4.0", 5), release("1.5.0", 12), release("1.6.0", 15), release("1.5.5", 14, "other agent"),
            release("1.7.0", 25)]  # fmt: skip
STILL = effect(0.0, 0.01, 0.5)


def outcome(found, others=STILL, tickets=None, delight=STILL):
    def compare(kind, type_, versions, ticket):
        if kind == "delight":
            return delight
        return found if type_ == "context_churn" else others

    return fix_outcomes(DAY, tickets or [ticket()], compare, releases=RELEASES, wording=WORDING)[0]


@pytest.mark.parametrize(
    ("verdict", "found"),
    [
        ("improved", effect(-0.2)),
        ("regressed", effect(0.2)),
        ("unchanged", effect(0.0, 0.03, 0.2)),
        ("inconclusive", effect(0.0, 0.06, 0.2)),
        ("inconclusive", effect(-0.2, e_value=19.0)),
        ("inconclusive", effect(-0.04, half=0.05)),
    ],
)
def test_a_verdict_needs_evidence_that_is_safe_to_look_at_daily(verdict, found):
    assert verdict_of(found) == verdict


def test_a_drop_that_all_types_share_is_not_the_fixs():
    assert verdict_of(effect(-0.1, 0.02), expected_change=-0.4) == "inconclusive"
    assert outcome(effect(-0.1, 0.02), effect(-0.12, 0.02)).verdict == "inconclusive"


def test_sessions_are_compared_by_the_versions_they_ran_from_the_fix_on():
    asked = []
    fix_outcomes(DAY, [ticket()], lambda *a: asked.append(a), releases=RELEASES, wording=WORDING)
    assert asked[0] == ("friction", "context_churn", ("1.5.0", "1.6.0"), ticket())


def test_controls_are_the_types_that_no_released_fix_is_aimed_at():
    asked = []
    other = ticket(ticket_key="SIG-FFFFFFFF", type="correction")
    fix_outcomes(DAY, [ticket(), other], lambda *a: asked.append(a), releases=RELEASES, wording=WORDING)
    controls = set(seed().slugs("friction")) - {"context_churn", "correction"}
    friction = [call[1] for call in asked if call[0] == "friction"]
    assert set(friction) == controls | {"context_churn", "correction"}
    assert friction.count("correction") == 1
    assert {call[1] for call in asked if call[0] == "delight"} == set(seed().slugs("delight"))


def test_too_few_people_on_the_fix_are_inconclusive_and_not_shown():
    row = outcome(effect(users=3))
    assert (row.verdict, row.rate_after, row.users_after) == ("inconclusive", None, "<5")


def test_no_comparison_is_inconclusive():
    assert outcome(None).verdict == "inconclusive"


def test_types_that_got_surely_worse_are_named_as_guardrails():
    sure = effect(0.1, 0.05, e_value=1000.0)
    assert "Correction" in outcome(effect(), sure).guardrails
    assert outcome(effect()).guardrails == ""
    assert outcome(effect(), effect(0.1, 0.05, e_value=100.0)).guardrails == ""  # one of so many may well be by chance


def test_delight_that_got_surely_less_is_a_guardrail_and_more_of_it_is_none():
    assert "less of Time saved" in outcome(effect(), delight=effect(-0.1, 0.05, e_value=1000.0)).guardrails
    assert outcome(effect(), delight=effect(0.1, 0.05, e_value=1000.0)).guardrails == ""


def test_a_verdict_once_given_stays():
    assert outcome(effect(0.0, 0.2, 0.5), tickets=[ticket(verdict="improved")]).verdict == "improved"


def test_a_ticket_without_a_released_fix_has_no_outcome():
    assert fix_outcomes(DAY, [ticket(released_in=None)], lambda *a: None, releases=RELEASES, wording=WORDING) == []


def actions(found, entries=()):
    return verdict_actions(outcome(found), entries, TicketSettings(), wording=WORDING)


def test_what_follows_from_each_verdict():
    assert [action.kind for action in actions(effect(-0.2))] == ["verdict", "comment", "close"]
    assert [action.kind for action in actions(effect(0.0, 0.03, 0.2))] == ["verdict", "comment", "reopen"]
    assert [action.kind for action in actions(effect(0.2))] == ["verdict", "propose_revert", "reopen"]
    assert actions(effect(0.0, 0.2, 0.2)) == []


def test_the_second_failed_fix_suppresses_and_the_same_verdict_again_does_not_count_twice():
    ledger = MemoryLedger()
    payload = {"type": "context_churn", "cause_id": "cause_1", "component": "x", "generation": 1, "episode": "e"}
    ledger.append("filing", KEY, payload | {"filed_on": "2026-03-09"})
    ledger.append("verdict", f"{KEY}:1.5.0", {"ticket_key": KEY, "version": "1.5.0", "verdict": "regressed"})
    assert actions(effect(0.2), ledger.entries(["filing", "verdict"]))[-1].kind == "reopen"
    ledger.append("verdict", f"{KEY}:1.4.5", {"ticket_key": KEY, "version": "1.4.5", "verdict": "unchanged"})
    assert actions(effect(0.2), ledger.entries(["filing", "verdict"]))[-1].kind == "suppress"


def test_the_comment_says_rates_version_and_what_happens_next():
    text = actions(effect(-0.2))[1].text
    assert "Context churn went from 30 % to 10 % of sessions." in text
    assert "version 1.5.0" in text
    assert "closed" in text


def test_the_same_verdict_asks_for_the_same_actions():
    assert actions(effect(-0.2)) == actions(effect(-0.2))
    assert len({action.action_id for action in actions(effect(-0.2))}) == 3


def metrics(tickets, outcomes=(), levels=(), pull_requests=()):
    return {row.metric: row for row in loop_metrics(DAY, tickets, outcomes, levels, pull_requests=pull_requests)}


def change(number="1", merged=11, title="Keep files in view", body=None, files=("a.py",)):
    moment = datetime(2026, 3, merged, tzinfo=UTC)
    return {
        "pull_request_id": number,
        "day": moment.date(),
        "known_on": moment.date(),
        "title": title,
        "branch": None,
        "body": body,
        "opened_at": datetime(2026, 3, 10, tzinfo=UTC),
        "merged_at": moment,
        "files": list(files),
        "ticket_keys": [KEY] if number == "1" else [],
    }


def test_a_fix_is_reverted_when_a_merged_revert_names_it():
    reverted = [change(), change("2", 14, 'Revert "Keep files in view"', files=["b.py"])]
    assert metrics([ticket()], pull_requests=reverted)["share_of_fixes_reverted"].value == 1.0
    told = [change(), {**change("2", 14, "Back to the former window"), "reverts": "1"}]
    assert metrics([ticket()], pull_requests=told)["share_of_fixes_reverted"].value == 1.0
    other = [change(), change("2", 14, 'Revert "Another title"')]
    assert metrics([ticket()], pull_requests=other)["share_of_fixes_reverted"].value == 0.0
    assert metrics([ticket()])["share_of_fixes_reverted"].value is None


def test_a_fix_is_reworked_when_its_files_are_changed_again_soon_and_only_after_that_time_is_over():
    late = [change(merged=4), change("2", 10, files=["a.py"])]
    assert metrics([ticket()], pull_requests=late)["share_of_fixes_reworked"].value == 1.0
    apart = [change(merged=4), change("2", 10, files=["b.py"])]
    assert metrics([ticket()], pull_requests=apart)["share_of_fixes_reworked"].value == 0.0
    early = [change(merged=11), change("2", 12, files=["a.py"])]
    assert metrics([ticket()], pull_requests=early)["share_of_fixes_reworked"].value is None


def unexplained(count, labels=()):
    rows = [
        {
            "event_id": f"e{n}",
            "type": "other" if n < count else "correction",
            "source": "analyst",
            "user_id": f"u{n}",
            "inclusion_weight": 2.0,
        }
        for n in range(100)
    ]
    return surprises([*rows, {**rows[0], "source": "detector"}], dict(labels), "company")


def test_surprises_are_what_no_category_explains_under_the_newest_labels():
    assert unexplained(40) == Surprises(100, 0.4)
    assert unexplained(40, {f"e{n}": "new_type" for n in range(20)}) == Surprises(100, 0.2)
    assert unexplained(2) is None  # two people
    assert surprises([], {}, "self") is None
    assert unexplained(99) is None
    found = loop_metrics(DAY, [], [], [], surprises=unexplained(40))
    assert {row.metric: row.value for row in found}["share_of_friction_unexplained"] == 0.4


def test_metrics_of_nothing_are_unknown_and_not_zero_shares():
    found = metrics([])
    assert found["share_resolved"].value is None
    assert found["tickets_filed"].value == 0


def test_resolved_means_verified_and_not_merged():
    found = metrics([ticket(), ticket(ticket_key="SIG-FFFFFFFF", state="verified", verdict="improved")])
    assert found["share_resolved"].value == 0.5


def test_times_run_from_first_friction_to_verified_fix():
    levels = [{"type": "context_churn", "crossed": True, "episode": "context_churn@2026-03-07"}]
    pull_requests = [change()]
    first = outcome(effect(-0.2))
    later = first.model_copy(update={"day": date(2026, 3, 22)})
    found = metrics([ticket()], [later, first], levels, pull_requests)
    assert {name: row.value for name, row in found.items() if row.unit == "days"} == {
        "days_to_ticket": 2,
        "days_friction_to_pull_request": 3,
        "days_friction_to_merge": 4,
        "days_friction_to_verified_fix": 13,
        "days_ticket_to_pull_request": 1,
        "days_pull_request_to_merge": 1,
        "days_ticket_to_merge": 2,
        "days_ticket_to_verified_fix": 11,
    }
    assert found["share_of_fixes_that_worked"].value == 1.0


def test_every_figure_says_of_how_many_it_is_and_what_share_of_all_that_is():
    unmerged = ticket(ticket_key="SIG-FFFFFFFF", pull_request_id=None, merged_on=None, released_in=None)
    levels = [{"type": "context_churn", "crossed": True, "episode": "context_churn@2026-03-07"}]
    found = metrics([ticket(), unmerged], [outcome(effect(-0.2))], levels, [change()])
    covered = {name: (row.n, row.coverage) for name, row in found.items()}
    assert covered["share_resolved"] == covered["days_to_ticket"] == (2, 1.0)
    assert covered["days_friction_to_merge"] == covered["days_ticket_to_verified_fix"] == (1, 0.5)
    assert covered["share_of_fixes_reverted"] == (1, 1.0)
    assert covered["share_of_fixes_that_worked"] == (1, 1.0)
    assert {row.coverage for row in metrics([], []).values()} == {None}


def test_a_slice_tells_when_a_friction_began_only_where_its_type_does_not():
    def began(*episodes):
        levels = [
            {"type": "context_churn", "crossed": True, "episode": f"context_churn@2026-03-{day}", "slice": slice_}
            for slice_, day in episodes
        ]
        return metrics([ticket()], levels=levels)["days_to_ticket"].value

    assert began(("all", "05"), ("new feature", "08")) == 4
    assert began(("new feature", "08")) == 1


def test_the_effect_is_rounded_to_whole_points():
    row = outcome(replace(effect(-0.2), effect=-0.20345))
    assert row.effect == -0.2
