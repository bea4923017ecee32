"""`signals taxonomy`: what a person decides becomes a ledger entry, and undo takes it back."""

import json
from datetime import date

import pytest

from signals_assets.resources import resources_for
from signals_assets.settings import Settings
from signals_assets.tables import TaxonomyProposal
from signals_assets_tests.factories import row_values

OLD, NEW = date(2026, 1, 5), date(2026, 1, 6)


def proposal(slug, day=NEW, **over):
    values = {
        "day": day, "proposal_id": f"proposal-{slug}", "slug": slug, "kind": "friction", "users": 7, "sessions": 9,
        "item_ids": ["a", "b"], "ready": True,
    }  # fmt: skip
    return TaxonomyProposal(**row_values(TaxonomyProposal, **(values | over)))


@pytest.fixture
def proposed(empty_home):
    """A home with yesterday's proposal and two of today."""
    warehouse = resources_for(Settings())["warehouse"]
    warehouse.replace(TaxonomyProposal, OLD, [proposal("gone", OLD)])
    warehouse.replace(
        TaxonomyProposal,
        NEW,
        [proposal("lost_file"), proposal("slow_answer", ready=False, waiting_for="days", sessions=2)],
    )
    return empty_home


def listed(signals, tmp_path):
    file = tmp_path / "taxonomy.json"
    signals("taxonomy", "list", "--json", file)
    found = json.loads(file.read_bytes())
    return {(row["kind"], row["slug"]): row for row in found["types"]}, found["decisions"]


def test_proposals_are_those_of_the_newest_day_ready_ones_first(signals, proposed, tmp_path):
    file = tmp_path / "proposals.json"
    output = signals("taxonomy", "proposals", "--json", file).output
    assert [row["slug"] for row in json.loads(file.read_bytes())] == ["lost_file", "slow_answer"]
    assert "gone" not in output
    assert "days" in output


def test_an_accepted_proposal_is_a_type_until_it_is_undone(signals, proposed, tmp_path):
    said = signals("taxonomy", "accept", "lost_file", "--name", "Lost file").output
    assert "taxonomy version 2" in said
    types, decisions = listed(signals, tmp_path)
    assert types["friction", "lost_file"]["name"] == "Lost file"
    assert [(row["action"], row["slug"]) for row in decisions] == [("accept", "lost_file")]
    assert f"(entry {decisions[0]['entry']})" in said

    signals("taxonomy", "undo", decisions[0]["entry"])
    types, decisions = listed(signals, tmp_path)
    assert ("friction", "lost_file") not in types
    assert decisions == []


def test_a_decision_says_who_took_it(signals, proposed, tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "ada")
    signals("taxonomy", "reject", "lost_file")
    monkeypatch.delenv("USER")
    signals("taxonomy", "retire", "friction", "context_churn")
    _, decisions = listed(signals, tmp_path)
    assert decisions[0]["author"] == "ada"
    assert decisions[1]["author"].startswith("user ")


def test_rename_merge_and_retire_change_the_list(signals, proposed, tmp_path):
    signals("taxonomy", "rename", "friction", "context_churn", "Repeats its context")
    signals("taxonomy", "merge", "friction", "backtracking", "context_churn")
    signals("taxonomy", "retire", "delight", "time_saved")
    types, decisions = listed(signals, tmp_path)
    assert types["friction", "context_churn"]["name"] == "Repeats its context"
    assert types["friction", "backtracking"]["retired"]
    assert types["delight", "time_saved"]["retired"]
    assert [row["action"] for row in decisions] == ["rename", "merge", "retire"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["accept", "nothing_such"], "no proposal named nothing_such"),
        (["reject", "gone"], "no proposal named gone"),
        (["rename", "friction", "nothing_such", "Name"], "nothing_such"),
        (["undo", "99"], "entry 99 is not in force"),
    ],
)
def test_a_decision_about_nothing_is_refused_and_not_written(signals, proposed, tmp_path, arguments, said):
    assert said in signals("taxonomy", *arguments, code=1).output
    assert listed(signals, tmp_path)[1] == []


def test_the_same_decision_twice_is_refused(signals, proposed, tmp_path):
    signals("taxonomy", "accept", "lost_file")
    assert "lost_file" in signals("taxonomy", "accept", "lost_file", code=1).output
    assert len(listed(signals, tmp_path)[1]) == 1


def test_everything_known_of_a_proposal_can_be_shown(signals, proposed, tmp_path):
    file = tmp_path / "one.json"
    output = signals("taxonomy", "show", "lost_file", "--json", file).output
    assert "difference" in output
    assert json.loads(file.read_bytes())["proposal_id"] == "proposal-lost_file"
    assert "no proposal named gone" in signals("taxonomy", "show", "gone", code=1).output


def test_proposals_of_one_kind_come_by_rank(signals, proposed, tmp_path):
    warehouse = resources_for(Settings())["warehouse"]
    needs = [proposal("mail", kind="unmet_need", rank=2), proposal("export", kind="unmet_need", rank=1, ready=False)]
    warehouse.replace(TaxonomyProposal, NEW, [*needs, proposal("lost_file", rank=1)])
    file = tmp_path / "needs.json"
    signals("taxonomy", "proposals", "--kind", "unmet_need", "--json", file)
    assert [row["slug"] for row in json.loads(file.read_bytes())] == ["export", "mail"]


def test_the_kind_is_needed_only_where_a_slug_is_of_several(signals, proposed, tmp_path):
    signals("taxonomy", "merge", "backtracking", "context_churn")
    signals("taxonomy", "rename", "time_saved", "Saved time", "--definition", "The user said that time was saved.")
    warehouse = resources_for(Settings())["warehouse"]
    warehouse.replace(TaxonomyProposal, NEW, [proposal("correction", kind="delight")])
    signals("taxonomy", "accept", "correction")
    assert "several kinds" in signals("taxonomy", "retire", "correction", code=1).output
    signals("taxonomy", "retire", "delight", "correction")
    types, _ = listed(signals, tmp_path)
    assert types["friction", "backtracking"]["retired"]
    assert types["delight", "time_saved"]["name"] == "Saved time"
    assert types["delight", "correction"]["retired"]
    assert not types["friction", "correction"]["retired"]
    assert "give SLUG INTO" in signals("taxonomy", "merge", "correction", code=2).output


def test_undo_without_a_number_takes_back_the_last_decision(signals, proposed, tmp_path):
    assert "no decision is in force" in signals("taxonomy", "undo", code=1).output
    signals("taxonomy", "accept", "lost_file")
    signals("taxonomy", "retire", "context_churn")
    signals("taxonomy", "undo")
    types, decisions = listed(signals, tmp_path)
    assert [row["action"] for row in decisions] == ["accept"]
    assert not types["friction", "context_churn"]["retired"]


def test_an_acceptance_remembers_its_evidence(signals, proposed):
    signals("taxonomy", "accept", "lost_file", "--is-not", "A file that never was")
    (entry,) = resources_for(Settings())["ledger"].entries(["taxonomy"])
    assert entry.payload["evidence"]["users"] == 7
    assert entry.payload["evidence"]["day"] == NEW.isoformat()
    assert entry.payload["is_not"] == "A file that never was"
    assert "centre" not in entry.payload  # nothing was embedded here


def test_a_type_without_vectors_cannot_be_split(signals, proposed):
    assert "too few" in signals("taxonomy", "split", "correction", "--dry-run", code=1).output
    assert "only friction" in signals("taxonomy", "split", "outcome", code=1).output


def test_without_a_day_there_is_nothing_to_review(signals, empty_home):
    assert "No day is materialized yet" in signals("taxonomy", "reviews").output


def test_a_category_is_shown_with_every_decision_about_it_also_those_taken_back(signals, proposed, tmp_path):
    signals("taxonomy", "accept", "lost_file")
    signals("taxonomy", "rename", "lost_file", "File that is gone")
    signals("taxonomy", "undo")
    file = tmp_path / "one.json"
    output = signals("taxonomy", "show", "lost_file", "--json", file).output
    history = json.loads(file.read_bytes())["history"]
    assert [(row["version"], row["action"], row["taken_back_by"]) for row in history] == [
        (2, "accept", None),
        (3, "rename", 4),
        (4, "undo", None),
    ]
    assert "users 7" in output


def test_a_built_in_type_is_shown_with_its_definition_and_no_history(signals, proposed, tmp_path):
    file = tmp_path / "one.json"
    output = signals("taxonomy", "show", "context_churn", "--json", file).output
    shown = json.loads(file.read_bytes())
    assert shown["kind"] == "friction"
    assert shown["definition"]
    assert shown["history"] == []
    assert "Nothing was decided about it yet" in output


def test_the_list_holds_what_was_taken_back(signals, proposed, tmp_path):
    signals("taxonomy", "accept", "lost_file")
    signals("taxonomy", "undo")
    file = tmp_path / "taxonomy.json"
    signals("taxonomy", "list", "--json", file)
    assert [(row["action"], row["in_force"]) for row in json.loads(file.read_bytes())["history"]] == [
        ("accept", False),
        ("undo", True),
    ]
