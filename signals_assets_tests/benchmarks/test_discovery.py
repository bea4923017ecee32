from pathlib import Path

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
