"""Benchmark · discovery: new categories, the map and causes, on labelled real texts and on the simulation; speed.

Put here: `run`, which measures what `core/discovery_*.py` does on a folder with train.tsv and dev.tsv, on the
descriptions of label sheets beside it, and `core/causes.py` on simulated sessions.
Not here: printing (see `cli/benchmark.py`), the methods themselves.

New categories: a part of the classes is unknown; the known ones give a category from half of their texts; the stream
is the rest. Precision: reported groups at least half of which is one unknown class; recall: unknown classes found, once
of all and once of those with twice the least group or more (a smaller one has hardly a group in any part of its texts);
duplicates: such groups per class found. Beside it the plain method on the same splits.

The map: adjusted Rand index of both levels and, after a second day with a fifth of the texts, of what the daily
assignment makes of them; on the same vectors k-means that is told the true k, and what two other tools do by default
(the extra `benchmarks`), each with its seconds. The pace: the map and those two tools on 5,000 of the texts, in turn in
the same process, each warmed up before, so that other load on the machine meets all of them, and each with one thread:
on a busy machine waiting threads spin, which would make k-means look many times slower than it is. Causes: adjusted
Rand index of type and component against what was planted.
"""

import csv
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from signals_assets.core.causes import causes as group_causes
from signals_assets.core.components import component_of
from signals_assets.core.detectors import Detected, examine
from signals_assets.core.discovery_groups import JOIN, left_overs, new_groups
from signals_assets.core.discovery_items import Item, Window
from signals_assets.core.discovery_labels import Category, categories
from signals_assets.core.discovery_map import RESOLUTIONS, cluster_map
from signals_assets.core.discovery_proposals import GATE_QUANTILE, LEAST_GROUP, SEPARATION, SURROUNDED, propose
from signals_assets.core.discovery_vectors import Vectors, centroid, dense_groups, nearer_elsewhere, unit
from signals_assets.core.readers import Rejected
from signals_assets.core.taxonomy import seed as taxonomy_seed
from signals_assets.resources.session_source import read_paths
from signals_assets.simulation import COMPONENTS, simulate

UNKNOWN_SHARE: Final = 0.25
OTHER_SHARES: Final = (0.1, 0.5)
SPLITS: Final = 8
CAUSE_SEEDS: Final = 5
QUICK_TEXTS: Final = 2000
PACE_TEXTS: Final = 5_000
PACE_ROUNDS: Final = 5
PACE_WARM: Final = 400
"""Texts of a first call that is not counted: imports and what a tool compiles."""
TIMES_FASTER: Final = 3.0
DAY_TEXTS: Final = 10_000
WINDOW_TEXTS: Final = 200_000
LABELS: Final = "gold_labels.jsonl"
"""Label sheets that may lie beside the folder of intents."""
PLAIN: Final = "gate per category, HDBSCAN leaves, not merged"
PLAIN_QUANTILE: Final = 0.1
LEAST_LABELLED: Final = 7
"""Fewer descriptions of a type are no class."""

FIRST_DAY: Final = date(2026, 1, 5)

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
Result = dict[str, Any]


def run(data: Path | None, *, quick: bool = False, seed: int = 0, embed: Embed | None = None) -> Result:
    """Measure on `data` (a folder with train.tsv and dev.tsv: text, label); made-up vectors where it is None.

    `quick` takes 2,000 texts and one split instead of all texts and four splits. `embed` defaults to the packaged
    all-MiniLM-L6-v2. Raises FileNotFoundError, naming both files, when the folder holds neither.
    """
    started = time.perf_counter()
    embed = embed or (_packaged() if data is not None else None)
    texts, labels, vectors, source = _corpus(data, quick, embed, np.random.default_rng(seed))
    embedded = time.perf_counter() - started
    number = 1 if quick else SPLITS
    shares = (UNKNOWN_SHARE, *OTHER_SHARES)
    splits = [_splits(vectors, labels, share, seed, number, _signals) for share in shares]
    plain = [_splits(vectors, labels, share, seed, number, _plain) for share in shares]
    mapped = _map(texts, labels, vectors, seed)
    baselines = [] if quick else _baselines(texts, labels, vectors, seed)
    pace = [] if quick else _pace(texts, labels, vectors, seed)
    gold = _gold(data, embed, seed) if data is not None and embed is not None else {}
    return {
        "parameters": {
            "data": source,
            "texts": len(texts),
            "classes": len(set(labels.tolist())),
            "seed": seed,
            "splits": number,
            "quick": quick,
            "gate_quantile": GATE_QUANTILE,
            "least_group": LEAST_GROUP["company"],
            "join": JOIN,
            "surrounded": SURROUNDED,
            "separation": SEPARATION,
            "resolutions": dict(RESOLUTIONS),
        },
        "new_categories": {name: value for name, value in splits[0].items() if not name.endswith("_sd")},
        "new_categories_by_share": splits,
        "plain_method_by_share": [{"method": PLAIN, **row} for row in plain],
        "map": mapped,
        "baselines": baselines,
        "pace": pace,
        "gates": _pace_gates(pace) if data is not None else [],
        "gold": gold,
        "causes": causes(range(seed, seed + 1), 2, 30) if quick else causes(range(seed, seed + CAUSE_SEEDS)),
        "speed": [] if quick else [*_day_speed(embed, seed), _alone(_window_speed, seed)],
        "seconds": {"embedding": round(embedded, 2), "all": round(time.perf_counter() - started, 2)},
    }


def _splits(
    vectors: Vectors, labels: npt.NDArray[np.int64], share: float, seed: int, number: int, find: "Find"
) -> Result:
    """Means over splits, and their standard deviations."""
    splits = [_new_categories(vectors, labels, seed + one, share, find) for one in range(number)]
    result: Result = {"unknown": share}
    for name in splits[0]:
        values = [split[name] for split in splits]
        result |= {name: round(float(np.mean(values)), 3), f"{name}_sd": round(float(np.std(values)), 3)}
    return result


def _baselines(texts: Sequence[str], labels: npt.NDArray[np.int64], vectors: Vectors, seed: int) -> list[Result]:
    """Groups, adjusted Rand index and seconds on the same vectors; what is not installed says so."""
    from sklearn.cluster import KMeans

    window = _window(vectors, np.arange(len(texts)), texts)

    def ours(level: Literal["pattern_id", "theme_id"]) -> Sequence[Any]:
        made = cluster_map(FIRST_DAY, window, seed=seed, recluster=True)
        return [getattr(row, level) or "" for row in made.members]

    def kmeans(groups: int) -> Sequence[Any]:
        return list(KMeans(groups, n_init=1, random_state=seed).fit_predict(vectors))

    return [
        _timed("Signals: patterns", labels, lambda: ours("pattern_id")),
        _timed("Signals: themes", labels, lambda: ours("theme_id")),
        _timed("k-means, true k", labels, lambda: kmeans(len(set(labels.tolist())))),
        _timed("BERTopic's default", labels, lambda: _bertopic(texts, vectors), "bertopic==0.17.4"),
        _timed("Kura's default, its own code", labels, lambda: _kura(texts, vectors), "kura==0.5.4"),
        _timed("Kura's default, reproduced: k-means, a group per ten", labels, lambda: kmeans(-(-len(vectors) // 10))),
    ]


def _bertopic(texts: Sequence[str], vectors: Vectors) -> Sequence[Any]:
    topics, _ = import_module("bertopic").BERTopic().fit_transform(list(texts), embeddings=vectors)
    return list(topics)


def _kura(texts: Sequence[str], vectors: Vectors) -> Sequence[Any]:
    items = [{"item": row, "embedding": vector} for row, vector in enumerate(vectors)]
    found = import_module("kura.cluster").KmeansClusteringModel().cluster(items)
    group_of = {row: group for group, rows in found.items() for row in rows}
    return [group_of[row] for row in range(len(texts))]


def _pace(texts: Sequence[str], labels: npt.NDArray[np.int64], vectors: Vectors, seed: int) -> list[Result]:
    """Medians over rounds in which the tools take turns; `times ours` is the median of a round's own ratios.

    A tool that is many times slower takes part in the first round only.
    """
    from sklearn.metrics import adjusted_rand_score
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    def ours(texts: Sequence[str], vectors: Vectors) -> Sequence[Any]:
        made = cluster_map(FIRST_DAY, _window(vectors, np.arange(len(texts)), texts), seed=seed, recluster=True)
        return [row.pattern_id or "" for row in made.members]

    rows = np.sort(np.random.default_rng(seed).permutation(len(texts))[:PACE_TEXTS])
    chosen, truth, theirs = [texts[row] for row in rows.tolist()], labels[rows], vectors[rows]
    tools: dict[str, Tool] = {"Signals: the map": ours, "Kura 0.5.4": _kura, "BERTopic 0.17.4": _bertopic}
    clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in tools}
    aris: dict[str, list[float]] = {name: [] for name in tools}
    missing = []
    for name, tool in tools.items():
        try:
            tool(chosen[:PACE_WARM], theirs[:PACE_WARM])
        except ImportError:
            missing.append(name)
    for round_ in range(PACE_ROUNDS):
        for name in [tool for tool in tools if tool not in missing]:
            if round_ and clocks[name][0][0] > 10 * TIMES_FASTER * clocks["Signals: the map"][0][0]:
                continue
            with threadpool_limits(1):
                wall, used = time.perf_counter(), time.process_time()
                found = tools[name](chosen, theirs)
                clocks[name].append((time.perf_counter() - wall, time.process_time() - used))
            aris[name].append(float(adjusted_rand_score(truth, found)))
    return [_paced(name, clocks[name], clocks["Signals: the map"], aris[name]) for name in tools]


Tool = Callable[[Sequence[str], Vectors], Sequence[Any]]
"""Texts and their vectors -> the group of each."""


def _paced(
    name: str, clocks: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]], aris: Sequence[float]
) -> Result:
    """One row; of a tool that is not installed without figures."""
    nothing = dict.fromkeys(("seconds", "processor_seconds", "times_ours", "processor_times_ours", "ari"))
    if not clocks:
        skipped = f"{name}: skipped, pip install signals-assets[benchmarks]"
        return {"tool": skipped, "texts": PACE_TEXTS, "rounds": 0, **nothing}
    ratios = [(wall / own, used / own_used) for (wall, used), (own, own_used) in zip(clocks, ours, strict=False)]
    return {
        "tool": name,
        "texts": PACE_TEXTS,
        "rounds": len(clocks),
        "seconds": round(float(np.median([wall for wall, _ in clocks])), 2),
        "processor_seconds": round(float(np.median([used for _, used in clocks])), 2),
        "times_ours": round(float(np.median([wall for wall, _ in ratios])), 1),
        "processor_times_ours": round(float(np.median([used for _, used in ratios])), 1),
        "ari": round(float(np.mean(aris)), 3),
    }


def _pace_gates(pace: Sequence[Result]) -> list[Result]:
    """The map against the faster of the other tools, and against the better one; none where one is missing."""
    if any(row["ari"] is None for row in pace) or len(pace) < 2:
        return []
    ours, *others = pace
    times, best = min(row["times_ours"] for row in others), max(row["ari"] for row in others)
    return [
        {"gate": "times faster than the faster other tool", "measured": times, "at least": TIMES_FASTER,
         "holds": times >= TIMES_FASTER},
        {"gate": "adjusted Rand index above the better other tool's", "measured": ours["ari"], "at least": best,
         "holds": ours["ari"] > best},
    ]  # fmt: skip


def _timed(
    method: str, labels: npt.NDArray[np.int64], function: Callable[[], Sequence[Any]], needs: str = ""
) -> Result:
    """One row; a package that is missing is named with what installs it. Groups are counted without -1, no group."""
    from sklearn.metrics import adjusted_rand_score

    started = time.perf_counter()
    try:
        found = function()
    except ImportError:
        return {"method": f"{method}: skipped, pip install {needs}", "groups": None, "ari": None, "seconds": None}
    seconds = round(time.perf_counter() - started, 1)
    ari = round(float(adjusted_rand_score(labels, found)), 3)
    return {"method": method, "groups": len(set(found) - {-1, ""}), "ari": ari, "seconds": seconds}


def _gold(data: Path, embed: Embed, seed: int) -> Result:
    """Descriptions of moments in label sheets: does the map find the types, and is each type found when unknown?"""
    file = data.parent / LABELS
    if not file.is_file():
        return {"skipped": f"no {LABELS} beside {data.name}"}
    with file.open("rb") as lines:
        sheets = [orjson.loads(line) for line in lines]
    rows = {
        (event["description"], event["type"])
        for sheet in sheets
        for event in (*sheet["friction"], *sheet["delight"])
        if event["type"] != "other"
    }
    counts = Counter(kind for _, kind in rows)
    kept = sorted(row for row in rows if counts[row[1]] >= LEAST_LABELLED)
    names = sorted({kind for _, kind in kept})
    labels = np.array([names.index(kind) for _, kind in kept], dtype=np.int64)
    texts = [text for text, _ in kept]
    vectors = embed(texts)
    alone = [_one_unknown(vectors, labels, label, LEAST_GROUP["team"]) for label in range(len(names))]
    found = _map(texts, labels, vectors, seed)
    return {
        "texts": len(texts),
        "types": len(names),
        **{name: found[name] for name in ("patterns", "themes", "ari_patterns", "ari_themes", "ari_k_means_true_k")},
        "found_when_unknown": sum(one["recall"] > 0 for one in alone),
        "proposals": sum(int(one["proposed"]) for one in alone),
        "precision": round(
            sum(one["precision"] * one["proposed"] for one in alone) / max(sum(one["proposed"] for one in alone), 1), 3
        ),
    }


def causes(seeds: Iterable[int], days: int = 14, sessions_per_day: int = 100) -> Result:
    """Planted friction found by the detectors, grouped into causes by `core/causes.py`: adjusted Rand index per seed.

    The truth of an event is its type and what it came of (the failing tool or service); the grouping is the cause id.
    `ari_with_wrong_types` is of every planted event that a detector found, `ari` only of those found under their own
    type. `confusion` counts planted against found types and places, all seeds together; `unplanted` the finds that
    touch no planted event, by type; `missed` the planted events without a find.
    """
    from sklearn.metrics import adjusted_rand_score

    rows, confusion, unplanted, missed = [], Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    for seed in seeds:
        pairs, extra, lost = _causes_of(seed, days, sessions_per_day)
        own = [(truth, found) for truth, found in pairs if truth[0] == found[0]]
        confusion.update((" ".join(truth).strip(), " ".join(found)) for truth, found in pairs)
        unplanted.update(extra)
        missed.update(lost)
        rows.append(
            {
                "seed": seed,
                "planted": len(pairs) + len(lost),
                "found": len(pairs),
                "under_their_type": len(own),
                "unplanted": len(extra),
                "causes": len({found for _, found in pairs}),
                "planted_causes": len({truth for truth, _ in pairs}),
                "ari": round(float(adjusted_rand_score(*_numbered(own))), 3),
                "ari_with_wrong_types": round(float(adjusted_rand_score(*_numbered(pairs))), 3),
            }
        )
    values, all_types = [row["ari"] for row in rows], [row["ari_with_wrong_types"] for row in rows]
    return {
        "seeds": rows,
        "ari_mean": round(float(np.mean(values)), 3),
        "ari_sd": round(float(np.std(values)), 3),
        "ari_least": min(values),
        "ari_with_wrong_types": round(float(np.mean(all_types)), 3),
        "ari_with_wrong_types_sd": round(float(np.std(all_types)), 3),
        "ari_with_wrong_types_least": min(all_types),
        "confusion": [
            {"planted": planted, "found": found, "events": count}
            for (planted, found), count in sorted(confusion.items(), key=lambda item: (-item[1], item[0]))
        ],
        "unplanted": dict(sorted(unplanted.items())),
        "missed": dict(sorted(missed.items())),
    }


Placed = tuple[str, str]
"""Type and place of a moment."""


def _causes_of(seed: int, days: int, sessions_per_day: int) -> tuple[list[tuple[Placed, Placed]], list[str], list[str]]:
    """Planted and found (type, place) of each planted event found, types of unplanted finds, types missed."""
    pairs, unplanted, missed = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        simulate(out, days=days, sessions_per_day=sessions_per_day, seed=seed)
        with (out / "truth" / "sessions.jsonl").open("rb") as lines:
            sheets = {sheet["session_id"]: sheet for sheet in map(orjson.loads, lines)}
        for session in read_paths([out / "sessions"]):
            if isinstance(session, Rejected):
                continue
            told = sheets[session.session_id]["friction"]
            detected = [event for event in examine(session).detected if event.kind == "friction"]
            places = _places(detected)
            for event in told:
                match = _match(event, detected)
                if match is None:
                    missed.append(event["type"])
                else:
                    found = match.type, places.get(detected.index(match), "unknown")
                    pairs.append((_planted_cause(event), found))
            touched = {step for event in told for step in event["steps"]}
            unplanted += [one.type for one in detected if not touched & set(one.steps)]
    return pairs, unplanted, missed


def _places(detected: Sequence[Detected]) -> dict[int, str]:
    """The place that `core/causes.py` gives to each detected moment of a session, by its number.

    All types are taken as if their source and confidence counted, so that none is left out.
    """
    rows = [
        {
            "event_id": str(number),
            "type": one.type,
            "source": "analyst" if one.type == "other" else "detector",
            "confidence": 1.0,
            "component": component_of(COMPONENTS, one.tool_names, one.paths),
            "session_id": "s",
            "steps": one.steps,
        }
        for number, one in enumerate(detected)
    ]
    placed = group_causes(FIRST_DAY, rows, (), taxonomy=taxonomy_seed(), named=COMPONENTS)
    return {int(row.event_id): row.component for row in placed}


def _numbered(pairs: Sequence[tuple[Placed, Placed]]) -> tuple[list[str], list[str]]:
    return [" ".join(truth) for truth, _ in pairs], [" ".join(found) for _, found in pairs]


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


def _planted_cause(event: Mapping[str, Any]) -> Placed:
    """Type and place of a planted moment: what failed, else the component of the tool, else only the type."""
    cause, tool = event.get("cause"), event.get("tool")
    place = cause if cause in COMPONENTS else component_of(COMPONENTS, [tool]) if tool else cause or ""
    return str(event["type"]), str(place)


def _match(event: Mapping[str, Any], detected: Sequence[Detected]) -> Detected | None:
    """The detected moment at a planted one's steps: of its own type, where there is one, then with most steps."""
    steps = set(event["steps"])
    here = [one for one in detected if steps & set(one.steps)]
    return max(here, key=lambda one: (one.type == event["type"], len(steps & set(one.steps))), default=None)


def _day_speed(embed: Embed | None, seed: int) -> list[Result]:
    """A day of new texts: embedded, put on a map of four weeks of a twentieth of it, proposed from. Made-up texts."""
    words = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ala", "emi", "ico", "oru", "usa", "ynt")]
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(words, 18).tolist()) + f" {n}" for n in range(DAY_TEXTS)]
    nothing: Result = {"seconds": None, "cpu_seconds": None, "peak_gb": None}
    embedded = _measured(lambda: embed(texts)) if embed else nothing
    vectors, labels = _blobs(generator, 2 * DAY_TEXTS, 120)
    window = _window(vectors)
    before = Window(window.items[:DAY_TEXTS], window.vectors[:DAY_TEXTS])
    monday = cluster_map(FIRST_DAY, before, recluster=True)
    rows = [row.model_dump() for row in monday.clusters], [row.model_dump() for row in monday.members]
    assigned = _measured(lambda: cluster_map(FIRST_DAY + timedelta(1), window, *rows))
    types = [str(label) if label >= 20 else "other" for label in labels.tolist()]
    items = tuple(replace(item, type=kind) for item, kind in zip(window.items, types, strict=True))
    new = Window(items, window.vectors)
    proposed = _measured(lambda: propose(FIRST_DAY, new, taxonomy_seed(), audience="company"))
    return [
        {"what": f"{DAY_TEXTS} new texts embedded"} | embedded,
        {"what": "assigned to a map of as many"} | assigned,
        {"what": "proposed from, both together"} | proposed,
    ]


def _window_speed(seed: int) -> Result:
    """A full window clustered anew. Made-up vectors with the dimensions of real ones."""
    vectors, _ = _blobs(np.random.default_rng(seed), WINDOW_TEXTS, 400)
    window = _window(vectors)
    del vectors
    return {"what": f"{WINDOW_TEXTS} in the window: cluster anew"} | _measured(
        lambda: cluster_map(FIRST_DAY, window, recluster=True)
    )


def _alone(function: Callable[[int], Result], seed: int) -> Result:
    """The function in a fresh process, so that the memory of what ran before does not count."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, seed).result()


def _blobs(generator: np.random.Generator, count: int, groups: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
    centres = unit(generator.standard_normal((groups, 384), dtype=np.float32))
    labels = generator.integers(0, groups, count)
    made = centres[labels]
    for start in range(0, count, DAY_TEXTS):
        part = made[start : start + DAY_TEXTS]
        part += 0.06 * generator.standard_normal(part.shape, dtype=np.float32)
    return unit(made), labels


def _measured(function: Callable[[], Any]) -> Result:
    """Wall and CPU seconds, and the most memory that the process has had so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return {
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


@dataclass(frozen=True)
class _Split:
    """What a split gives a method: vectors and labels of all, the rows of the stream, those that are taught."""

    vectors: Vectors
    labels: npt.NDArray[np.int64]
    taught: npt.NDArray[np.int64]
    stream: npt.NDArray[np.int64]
    least: int

    def known(self, quantile: float) -> list[Category]:
        """The known categories, each with a gate at the quantile."""
        types = [str(label) for label in self.labels[self.taught]]
        return categories(_window(self.vectors[self.taught]), types, quantile)


Find = Callable[[_Split], list[npt.NDArray[np.int64]]]
"""A method: a split -> the groups of rows that it would propose."""


def _signals(split: _Split) -> list[npt.NDArray[np.int64]]:
    """What `propose` does with rows and known categories."""
    vectors, known = split.vectors, split.known(GATE_QUANTILE)
    left = split.stream[left_overs(vectors[split.stream], known)]
    groups = new_groups(vectors, left, split.least, known=known, rows=split.stream)
    claimed = np.setdiff1d(np.arange(len(vectors)), np.concatenate([left, *groups]))
    return [
        group
        for group in groups
        if max((float(one.centre @ centroid(vectors[group])) for one in known), default=-1.0) < SEPARATION
        and nearer_elsewhere(vectors, group, claimed) < SURROUNDED
    ]


def _plain(split: _Split) -> list[npt.NDArray[np.int64]]:
    """What most would try first: a gate per category, HDBSCAN's leaves over what is left, nothing else."""
    left = split.stream[left_overs(split.vectors[split.stream], split.known(PLAIN_QUANTILE))]
    found = dense_groups(split.vectors[left], split.least)
    return [left[found == number] for number in range(int(found.max(initial=-1)) + 1)]


def _new_categories(
    vectors: Vectors, labels: npt.NDArray[np.int64], seed: int, share: float, find: Find
) -> dict[str, float]:
    """Precision, recall and duplicates of one split."""
    generator = np.random.default_rng(seed)
    classes = np.unique(labels)
    chosen = generator.choice(classes, max(1, round(share * len(classes))), replace=False)
    return _found(vectors, labels, set(chosen.tolist()), generator, LEAST_GROUP["company"], find)


def _one_unknown(vectors: Vectors, labels: npt.NDArray[np.int64], label: int, least: int) -> dict[str, float]:
    """The same with one class unknown."""
    return _found(vectors, labels, {label}, np.random.default_rng(label), least, _signals)


def _found(
    vectors: Vectors,
    labels: npt.NDArray[np.int64],
    unknown: set[int],
    generator: np.random.Generator,
    least: int,
    find: Find,
) -> dict[str, float]:
    known_rows, stream = [], []
    for label in np.unique(labels).tolist():
        rows = generator.permutation(np.flatnonzero(labels == label))
        half = 0 if label in unknown else len(rows) // 2
        known_rows.append(rows[:half])
        stream.append(rows[half:])
    taught, heard = np.concatenate(known_rows), np.concatenate(stream)
    order = np.concatenate([taught, heard])
    labels, places = labels[order], np.arange(len(order))
    proposed = find(_Split(vectors[order], labels, places[: len(taught)], places[len(taught) :], least))
    hits = []
    for group in proposed:
        found, counts = np.unique(labels[group], return_counts=True)
        if found[counts.argmax()] in unknown and counts.max() * 2 >= len(group):
            hits.append(int(found[counts.argmax()]))
    large = {label for label in unknown if (labels == label).sum() >= 2 * least}
    return {
        "proposed": len(proposed),
        "precision": len(hits) / max(len(proposed), 1),
        "recall": len(set(hits)) / max(len(unknown), 1),
        "recall_of_large": len(set(hits) & large) / max(len(large), 1),
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
        "ari_patterns_after_a_week": round(_rand(truth, [(row.item_id, row.pattern_id) for row in weekly.members]), 3),
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
    """Vectors as items, in their order; rows flagged in `later` are of the second day."""
    numbers = np.arange(len(vectors)) if rows is None else rows
    items = []
    for number in numbers.tolist():
        day = FIRST_DAY + timedelta(int(later[number]) if later is not None else 0)
        text = texts[number] if texts is not None else f"text {number}"
        items.append(Item(f"i{number:06d}", "friction", f"s{number}", f"u{number}", None, day, day, text, "other"))
    return Window(tuple(items), unit(vectors))
