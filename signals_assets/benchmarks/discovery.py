"""Benchmark · discovery: new categories, and the map, on labelled real texts.

Put here: `run`, which measures what `core/discovery_*.py` does on a folder with train.tsv and dev.tsv.
Not here: printing (see `cli.py`), the methods themselves.

New categories: a quarter of the classes is unknown; the known ones give a category from half of their texts; the
stream is the rest. Precision: reported groups at least half of which is one unknown class; recall: unknown classes
found; duplicates: such groups per class found. The map: adjusted Rand index of both levels and, after a second day
with a fifth of the texts, of what the daily assignment makes of them; beside k-means that is told the true k.
"""

import csv
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.discovery_items import Item, Window, window_of
from signals_assets.core.discovery_labels import categories
from signals_assets.core.discovery_map import RESOLUTIONS, cluster_map
from signals_assets.core.discovery_proposals import (
    GATE_QUANTILE,
    JOIN,
    LEAST_GROUP,
    SEPARATION,
    left_overs,
    new_groups,
)
from signals_assets.core.discovery_vectors import Vectors, centroid

UNKNOWN_SHARE: Final = 0.25
QUICK_TEXTS: Final = 2000
FIRST_DAY: Final = date(2026, 1, 5)

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
Result = dict[str, Any]


def run(data: Path | None, *, quick: bool = False, seed: int = 0, embed: Embed | None = None) -> Result:
    """Measure on `data` (a folder with train.tsv and dev.tsv: text, label); made-up vectors where it is None.

    `quick` takes 2,000 texts and one split instead of all texts and four splits. `embed` defaults to the packaged
    all-MiniLM-L6-v2. Raises FileNotFoundError, naming both files, when the folder holds neither.
    """
    generator = np.random.default_rng(seed)
    started = time.perf_counter()
    texts, labels, vectors, source = _corpus(data, quick, embed, generator)
    embedded = time.perf_counter() - started
    splits = [_new_categories(vectors, labels, seed + number) for number in range(1 if quick else 4)]
    return {
        "parameters": {
            "data": source,
            "texts": len(texts),
            "classes": len(set(labels.tolist())),
            "seed": seed,
            "quick": quick,
            "gate_quantile": GATE_QUANTILE,
            "least_group": LEAST_GROUP["company"],
            "join": JOIN,
            "separation": SEPARATION,
            "resolutions": dict(RESOLUTIONS),
        },
        "new_categories": {name: round(float(np.mean([split[name] for split in splits])), 3) for name in splits[0]},
        "map": _map(texts, labels, vectors, seed),
        "seconds": {"embedding": round(embedded, 2), "all": round(time.perf_counter() - started, 2)},
    }


def _corpus(
    data: Path | None, quick: bool, embed: Embed | None, generator: np.random.Generator
) -> tuple[list[str], npt.NDArray[np.int64], Vectors, str]:
    if data is None:
        return _made_up(generator, 12 if quick else 40)
    rows = _labelled(data)
    if quick and len(rows) > QUICK_TEXTS:
        rows = [rows[place] for place in sorted(generator.choice(len(rows), QUICK_TEXTS, replace=False).tolist())]
    names = sorted({label for _, label in rows})
    texts = [text for text, _ in rows]
    labels = np.array([names.index(label) for _, label in rows], dtype=np.int64)
    return texts, labels, (embed or _packaged())(texts), data.name


def _labelled(data: Path) -> list[tuple[str, str]]:
    files = [data / name for name in ("train.tsv", "dev.tsv") if (data / name).is_file()]
    if not files:
        raise FileNotFoundError(f"no train.tsv or dev.tsv in {data.name}: name a folder that has them")
    rows: list[tuple[str, str]] = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as lines:
            rows += [(row[0], row[1]) for row in csv.reader(lines, delimiter="\t") if len(row) == 2][1:]
    return rows


def _packaged() -> Embed:
    from signals_assets.resources.embedder import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder().embed


def _made_up(
    generator: np.random.Generator, classes: int, each: int = 80, dimensions: int = 32
) -> tuple[list[str], npt.NDArray[np.int64], Vectors, str]:
    """Classes around random directions, for a place without data: proves plumbing, not quality."""
    centres = generator.standard_normal((classes, dimensions)) * 1.5
    labels = np.repeat(np.arange(classes), each)
    vectors = centres[labels] + generator.standard_normal((len(labels), dimensions)) * 0.8
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [f"class {label} text {number}" for number, label in enumerate(labels.tolist())]
    return texts, labels.astype(np.int64), vectors.astype(np.float32), "made up"


def _new_categories(vectors: Vectors, labels: npt.NDArray[np.int64], seed: int) -> dict[str, float]:
    """Precision, recall and duplicates of one split."""
    generator = np.random.default_rng(seed)
    classes = np.unique(labels)
    unknown = set(generator.choice(classes, round(UNKNOWN_SHARE * len(classes)), replace=False).tolist())
    known_rows, stream = [], []
    for label in classes.tolist():
        rows = generator.permutation(np.flatnonzero(labels == label))
        half = 0 if label in unknown else len(rows) // 2
        known_rows.append(rows[:half])
        stream.append(rows[half:])
    taught, heard = np.concatenate(known_rows), np.concatenate(stream)
    known = categories(_window(vectors[taught]), [str(label) for label in labels[taught]], GATE_QUANTILE)
    groups = new_groups(vectors[heard], left_overs(vectors[heard], known), LEAST_GROUP["company"])
    proposed = [
        group
        for group in groups
        if max(float(one.centre @ centroid(vectors[heard][group])) for one in known) < SEPARATION
    ]
    hits = []
    for group in proposed:
        found, counts = np.unique(labels[heard][group], return_counts=True)
        if found[counts.argmax()] in unknown and counts.max() * 2 >= len(group):
            hits.append(int(found[counts.argmax()]))
    return {
        "proposed": len(proposed),
        "precision": len(hits) / max(len(proposed), 1),
        "recall": len(set(hits)) / max(len(unknown), 1),
        "duplicates": len(hits) / max(len(set(hits)), 1),
    }


def _map(texts: Sequence[str], labels: npt.NDArray[np.int64], vectors: Vectors, seed: int) -> Result:
    """Both levels against k-means with the true k; a second day with new texts; a re-clustering with all."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    later = np.random.default_rng(seed).random(len(texts)) < 0.2
    truth = {f"i{row:06d}": int(label) for row, label in enumerate(labels)}
    first = _window(vectors[~later], np.flatnonzero(~later), texts)
    both = _window(vectors, np.arange(len(texts)), texts, later)
    started = time.perf_counter()
    monday = cluster_map(FIRST_DAY, first, seed=seed, recluster=True)
    seconds = time.perf_counter() - started
    clusters, members = [row.model_dump() for row in monday.clusters], [row.model_dump() for row in monday.members]
    tuesday = cluster_map(FIRST_DAY + timedelta(1), both, clusters, members, seed=seed)
    weekly = cluster_map(FIRST_DAY + timedelta(7), both, clusters, members, seed=seed, recluster=True)
    assigned = [row for row in tuesday.members if row.pattern_id]
    majority = _majority([(row.pattern_id or "", truth[row.item_id]) for row in monday.members if row.pattern_id])
    old = {row.item_id: row.pattern_id for row in monday.members}
    same = [row.pattern_id == old[row.item_id] for row in weekly.members if row.item_id in old]
    told = KMeans(len(set(labels.tolist())), n_init=1, random_state=seed).fit_predict(vectors[~later])
    patterns = {row.cluster_id for row in monday.clusters if row.level == "pattern"}
    return {
        "themes": len(monday.clusters) - len(patterns),
        "patterns": len(patterns),
        "ari_themes": round(_rand(truth, [(row.item_id, row.theme_id) for row in monday.members]), 3),
        "ari_patterns": round(_rand(truth, [(row.item_id, row.pattern_id) for row in monday.members]), 3),
        "ari_k_means_true_k": round(float(adjusted_rand_score(labels[~later], told)), 3),
        "assigned_next_day": round(len(assigned) / max(len(tuesday.members), 1), 3),
        "right_class_next_day": round(
            sum(majority.get(row.pattern_id or "") == truth[row.item_id] for row in assigned) / max(len(assigned), 1), 3
        ),
        "ids_kept_after_a_week": round(
            len(patterns & {row.cluster_id for row in weekly.clusters if row.change != "gone"}) / max(len(patterns), 1),
            3,
        ),
        "texts_in_the_same_pattern_after_a_week": round(sum(same) / max(len(same), 1), 3),
        "seconds_to_cluster": round(seconds, 2),
    }


def _rand(truth: dict[str, int], pairs: Sequence[tuple[str, str | None]]) -> float:
    """Adjusted Rand index; what no cluster claims counts as one cluster."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score([truth[item] for item, _ in pairs], [cluster or "" for _, cluster in pairs]))


def _majority(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Most frequent class per cluster, ties to the lower."""
    counts: dict[str, dict[int, int]] = {}
    for cluster, label in pairs:
        counts.setdefault(cluster, {})[label] = counts.get(cluster, {}).get(label, 0) + 1
    return {cluster: min(found, key=lambda label: (-found[label], label)) for cluster, found in counts.items()}


def _window(
    vectors: Vectors,
    rows: npt.NDArray[np.int64] | None = None,
    texts: Sequence[str] | None = None,
    later: npt.NDArray[np.bool_] | None = None,
) -> Window:
    """Vectors as items; rows flagged in `later` are of the second day."""
    numbers = np.arange(len(vectors)) if rows is None else rows
    items = []
    for number in numbers.tolist():
        day = FIRST_DAY + timedelta(int(later[number]) if later is not None else 0)
        text = texts[number] if texts is not None else f"text {number}"
        items.append(Item(f"i{number:06d}", "friction", f"s{number}", f"u{number}", None, day, day, text, "other"))
    return window_of(items, {item.item_id: vector for item, vector in zip(items, vectors, strict=True)})
