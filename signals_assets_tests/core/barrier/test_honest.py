"""Honest abstractions of real sessions: what a careful reader wrote under the codebook's privacy rule must pass."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from signals_assets.core.barrier import CITATION_LIMIT, Barrier, Support, TextField, without_clauses

MOST_REFUSED = 0.05
FILES = ("gold_labels.jsonl", "user_side_labels.jsonl")


def fields(path: Path) -> Iterator[str]:
    """Summaries and descriptions of a file of label sheets."""
    for line in path.read_text(encoding="utf-8").splitlines():
        sheet = json.loads(line)
        events = [*sheet.get("friction", ()), *sheet.get("delight", ())]
        yield from (text for text in (sheet.get("summary"), *(e.get("description") for e in events)) if text)


def refused(texts: list[str], *, clauses: bool = False) -> Counter[str]:
    """Fields refused after the one retry, by rule: the retry of the rules' texts, or (clauses) of other analysts'."""
    barrier = Barrier(Support(), "company", b"key")
    rules: Counter[str] = Counter()
    for text in texts:
        field: TextField = "summary" if len(text) > CITATION_LIMIT else "citation"
        verdict = barrier.examine(text, field, transcript=None, revise=without_clauses if clauses else None)
        if verdict.rule is not None:
            rules[verdict.rule] += 1
    return rules


@pytest.mark.data
@pytest.mark.parametrize("clauses", [False, True], ids=["word or clause", "clause"])
@pytest.mark.parametrize("name", FILES)
def test_honest_abstractions_pass_after_one_retry(data_dir: Path, name: str, clauses: bool):
    texts = list(fields(data_dir / name))
    rules = refused(texts, clauses=clauses)
    assert len(texts) > 200
    assert rules.total() <= MOST_REFUSED * len(texts), dict(rules)


def test_the_measure_can_fail():
    assert refused(["The user met zorblatt quux flimflam wibble.", "The user asked for a test."]) == {"R3": 1}
