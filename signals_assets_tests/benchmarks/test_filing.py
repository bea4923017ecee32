"""The kill test of filing: a handful is filed once each; what is made unsafe is caught; the command prints it."""

import json
from datetime import timedelta

import pytest

from signals_assets.benchmarks import filing
from signals_assets.benchmarks.filing import FIRST, NONE, PER_DAY, SABOTAGES, Plan, gates, plans, run
from signals_assets.cli import benchmark
from signals_assets.cli.printing import show


@pytest.fixture(scope="module")
def result():
    pytest.importorskip("graphql")
    lives = [Plan(1, 2), Plan(1, 3, database="postgresql")]
    return run(seed=2, chosen=[*lives, Plan(1, 2, sabotage="the ledger says filed before it is")])


@pytest.mark.slow
def test_killed_daemons_file_each_cause_once_within_the_budget(result):
    json.dumps(result)
    assert [gate["gate"] for gate in result["gates"] if not gate["holds"]] == []
    for life in result["lives"]:
        figures = life["figures"]
        assert figures["issues"] == figures["filings"] == figures["most_issues_on_a_day"] == PER_DAY
        assert figures["kills"] == figures["kills_at_a_step"] + figures["kills_from_outside"] >= 1
        assert figures["faults"] == sum(figures["faults_by_kind"].values())
        assert figures["daemons"] > figures["kills"]
        assert (figures["connections_lost"] > 0) == (life["plan"]["ledger"] == "postgresql")


@pytest.mark.slow
def test_a_daemon_that_is_made_unsafe_is_caught(result):
    (control,) = result["controls"]
    assert control["caught"]
    assert "filing: causes with a filing and without an issue" in control["by"]
    assert result["unproven"] == []


@pytest.mark.slow
def test_the_command_prints_the_section_and_joins_its_gates(result, monkeypatch, capsys):
    monkeypatch.setattr(filing, "run", lambda **_: result)
    crash = {"gates": [{"gate": "other", "holds": True}], "unproven": ["not caught: other"]}
    joined, tables = benchmark._with_filings((crash, []), True, 0)
    for title, rows, note in tables:
        show(title, rows, note=note)
    printed = " ".join(capsys.readouterr().out.split())
    assert all(gate["gate"] in printed for gate in result["gates"])
    assert [gate["gate"] for gate in joined["gates"]] == ["other", *(gate["gate"] for gate in result["gates"])]
    assert joined["unproven"] == ["not caught: other"]
    assert joined["filing"] is result


def test_a_whole_run_files_more_than_a_thousand_tickets_and_tries_every_sabotage():
    whole = plans(quick=False, seed=0)
    assert sum(plan.filings for plan in whole if plan.sabotage is None) >= 1_000
    assert {plan.sabotage for plan in whole} - {None} == set(SABOTAGES)
    assert sorted(plan.database for plan in whole if plan.sabotage is None) == ["postgresql"] * 3 + ["sqlite"] * 6
    assert len({plan.seed for plan in whole if plan.sabotage is None}) == sum(plan.sabotage is None for plan in whole)


@pytest.mark.parametrize("broken", NONE)
def test_each_figure_that_must_be_none_has_a_gate_of_its_own(broken):
    life = {"figures": dict.fromkeys([*NONE, "causes_with_an_issue", "kills", "faults"], 0) | {broken: 1}}
    assert [gate["gate"] for gate in gates([life], 0) if not gate["holds"]] == [f"filing: {broken.replace('_', ' ')}"]


def test_too_few_issues_kills_or_faults_are_no_proof():
    life = {"figures": dict.fromkeys([*NONE, "causes_with_an_issue", "kills", "faults"], 0)}
    missed = [gate["gate"] for gate in gates([life], 8) if not gate["holds"]]
    assert missed == ["filing: causes with exactly one issue", "filing: daemons killed", "filing: faults met"]


def test_more_causes_wait_on_every_day_than_its_budget_takes_and_each_comes_back_once():
    episodes = {}
    for age in range(10):
        offered = filing._offered(FIRST + timedelta(age))
        assert len(offered) > PER_DAY
        for number, episode in offered:
            episodes.setdefault(number, []).append(episode)
    again = [len(set(named)) for number, named in episodes.items() if number < 40]
    assert set(again) == {2}
