from pathlib import Path

import numpy as np
import orjson
import pytest

from signals_assets.benchmarks import discovery
from signals_assets_tests.fakes.embedder import HashEmbedder


def test_on_made_up_vectors_every_new_category_is_found_once() -> None:
    result = discovery.run(None, quick=True, seed=0)
    assert result["new_categories"]["precision"] == result["new_categories"]["recall"] == 1
    assert result["map"]["ari_patterns"] > 0.95
    assert result["parameters"]["data"] == "made up"
    assert [row["unknown"] for row in result["new_categories_by_share"]] == [0.25, 0.1, 0.5]
    assert result["causes"]["ari_mean"] > 0.5
    grouped = result["causes"]
    (seed,) = grouped["seeds"]
    assert seed["under_their_type"] <= seed["found"] <= seed["planted"]
    assert sum(row["events"] for row in grouped["confusion"]) == seed["found"]
    assert sum(grouped["missed"].values()) == seed["planted"] - seed["found"]
    assert sum(grouped["unplanted"].values()) == seed["unplanted"]


def test_files_are_read_with_their_header_and_quotes(tmp_path: Path) -> None:
    words = ["refund", "transfer", "card", "limit", "exchange", "password", "address", "top-up"]
    lines = ["text\tlabel"] + [f'"the {word} {word} question {n}"\t{word}' for word in words for n in range(40)]
    (tmp_path / "train.tsv").write_text("\n".join(lines), encoding="utf-8")
    result = discovery.run(tmp_path, quick=True, seed=1, embed=HashEmbedder().embed)
    assert (result["parameters"]["texts"], result["parameters"]["classes"]) == (320, 8)
    assert result["seconds"]["all"] >= 0


def test_descriptions_of_label_sheets_beside_the_folder_are_measured(tmp_path: Path) -> None:
    folder = tmp_path / "intents"
    folder.mkdir()
    words = {"error_event": "the build failed with code", "escalation_tone": "the user shouted about delays, day"}
    events = [{"type": kind, "description": f"{text} {n}"} for kind, text in words.items() for n in range(30)]
    (tmp_path / "gold_labels.jsonl").write_bytes(orjson.dumps({"friction": events, "delight": []}))
    lines = ["text\tlabel"] + [f"{kind} {text} {n}\t{kind}" for kind, text in words.items() for n in range(40)]
    (folder / "train.tsv").write_text("\n".join(lines), encoding="utf-8")
    gold = discovery.run(folder, quick=True, embed=HashEmbedder().embed)["gold"]
    assert (gold["texts"], gold["types"]) == (60, 2)


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train\.tsv"):
        discovery.run(tmp_path)


def test_tools_are_timed_in_turn_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(texts, vectors):
        raise ImportError

    def one_group(texts, vectors):
        return [0] * len(texts)

    monkeypatch.setattr(discovery, "_kura", one_group)
    monkeypatch.setattr(discovery, "_bertopic", absent)
    monkeypatch.setattr(discovery, "PACE_TEXTS", 200)
    monkeypatch.setattr(discovery, "PACE_ROUNDS", 3)
    texts, labels, vectors, _ = discovery._made_up(np.random.default_rng(0), 8)
    ours, kura, bertopic = discovery._pace(texts, labels, vectors, 0)
    assert (ours["rounds"], kura["rounds"], bertopic["rounds"]) == (3, 3, 0)
    assert ours["times_ours"] == 1.0
    assert kura["times_ours"] < 1.0
    assert ours["ari"] > kura["ari"] == 0.0
    assert "skipped, pip install signals-assets[benchmarks]" in bertopic["tool"]
    assert discovery._pace_gates([ours, kura, bertopic]) == []
    gates = discovery._pace_gates([ours, kura])
    assert [gate["holds"] for gate in gates] == [False, True]


def test_the_pace_is_judged_against_the_faster_tool_and_the_better_one() -> None:
    ours = {"ari": 0.5, "times_ours": 1.0}
    gates = discovery._pace_gates([ours, {"ari": 0.2, "times_ours": 3.1}, {"ari": 0.6, "times_ours": 40.0}])
    assert [(gate["measured"], gate["at least"], gate["holds"]) for gate in gates] == [
        (3.1, discovery.TIMES_FASTER, True),
        (0.5, 0.6, False),
    ]
