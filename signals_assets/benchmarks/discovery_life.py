"""Benchmark · discovery, lives: when what emerges is proposed, and what is proposed where nothing does.

Put here: simulated lives on their way from sessions to proposals, day by day, judged by what was planted.
Not here: labelled texts, the map, causes, speed (see `discovery.py`), printing (see `cli/benchmark.py`).

The way is the real one without stores: sessions as files, the built-in rules on those that are long enough, word
support of two weeks, the barrier, the embedder, `propose` on every day with its own previous day; audience `company`.
Left out is what proposals do not look at: detections, the map, and in a life with newcomers also intents.

A life with newcomers: friction, an unmet need and a delight begin in the third week. For each: the day on which it has
the least support of the acceptance rules (users, sessions, organisations, days), once by the analysed sessions that it
was planted in and once by those of which the analyst and the barrier let discovery see it; the day on which a group
that is mostly it (`PURE`) is proposed, the day on which such a group passes every rule.

A quiet life: nothing emerges, releases change nothing, the volume swings by a quarter over four weeks. Whatever passes
the rules as friction, delight or an unmet need is false, also what was planted as usual from the first day: a person
who is told on a quiet day that it is new would not thank for it. Intents begin with none, so what comes in the first
four weeks is no news but the product's first list: here a person accepts all that is ready, every evening. From then
on users come for what they always came for, and every further intent is false.
"""

import math
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from signals_assets.core.abstractions import AbstractionChunk, SessionCase, abstract_chunk, answer_texts
from signals_assets.core.analysis_rules import RULES, RULES_MODEL, rules_answer
from signals_assets.core.barrier.lexicon import load
from signals_assets.core.barrier.support import Support, SupportChunk, count_chunk, day_vocabulary, support_rows
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.discovery import WINDOW_DAYS, Item, items_of, propose, texts_to_embed, window_of
from signals_assets.core.discovery_evidence import LEAST_DAYS, frozen_centre
from signals_assets.core.discovery_items import embedded
from signals_assets.core.discovery_labels import LABEL_KINDS
from signals_assets.core.readers import Rejected
from signals_assets.core.records import raw_session_row
from signals_assets.core.taxonomy import LEDGER_KIND, Taxonomy, fold
from signals_assets.resources.ledger import Entry
from signals_assets.resources.session_source import read_paths
from signals_assets.settings import Audience, SelectionSettings
from signals_assets.simulation import World
from signals_assets.simulation.story import EMERGING, Emergence
from signals_assets.tables import TaxonomyProposal

AUDIENCE: Final[Audience] = "company"
FIRST_DAY: Final = date(2026, 1, 5)
SUPPORT_DAYS: Final = 14
KEY: Final = b"a key of the benchmark, no secret"
EMBEDDER: Final = "benchmark"

SEEDS: Final = 3
QUIET_SEEDS: Final = 2
LIFE_DAYS: Final = 30
QUIET_DAYS: Final = 60
SESSIONS_PER_DAY: Final = 100
SWING: Final = 0.25
"""The volume of a quiet life rises and falls by this share in four weeks."""
QUICK: Final = {"days": 24, "quiet_days": 22, "sessions_per_day": 30}

PURE: Final = 0.5
"""Least share of a group's items that tell of a newcomer, so that the group counts as it."""
DELAY: Final = 5
"""Days from enough support to the proposal that are wanted at the most."""

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
Result = dict[str, Any]
Facts = dict[str, tuple[str, str]]


@dataclass
class Life:
    """What discovery knows of a life, and what was planted in it."""

    items: list[Item] = field(default_factory=list)
    facts: dict[date, Facts] = field(default_factory=dict)
    """Day -> analysed session -> primary intent and outcome."""
    steps: dict[str, frozenset[int]] = field(default_factory=dict)
    """Event -> its steps."""
    sheets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Session -> what was planted in it."""
    sessions: int = 0
    vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Item -> its vector."""

    @property
    def analysed(self) -> int:
        """Sessions that were long enough for the analyst."""
        return sum(len(facts) for facts in self.facts.values())

    def tells(self, item: Item) -> frozenset[str]:
        """The planted things that an item tells of: at an event's steps, in a need's session."""
        sheet = self.sheets[item.session_id]
        planted = [*sheet["friction"], *sheet["delight"]]
        if item.kind in ("friction", "delight"):
            planted = [one for one in sheet[item.kind] if not self.steps[item.item_id].isdisjoint(one["steps"])]
        return frozenset(one.get("category") or one["type"] for one in planted)


def run(*, quick: bool = False, seed: int = 0, embed: Embed | None = None) -> Result:
    """Three lives with newcomers and two quiet ones; `quick` lives one of each, short and with few users' sessions.

    `embed` defaults to the packaged all-MiniLM-L6-v2.
    """
    started = time.perf_counter()
    embed = embed or _packaged()
    days, quiet_days, volume = LIFE_DAYS, QUIET_DAYS, SESSIONS_PER_DAY
    if quick:
        days, quiet_days, volume = QUICK["days"], QUICK["quiet_days"], QUICK["sessions_per_day"]
    newcomers: list[Result] = []
    lives: list[Result] = []
    for number in range(seed, seed + (1 if quick else SEEDS)):
        life = lived(number, days, lambda _: volume, embed, kinds=("friction", "delight", "unmet_need"))
        newcomers += arrivals(number, life, days)
        lives.append(_volume(number, "newcomers", life, days))
    passed: list[Result] = []
    quiet_seeds = range(seed, seed + (1 if quick else QUIET_SEEDS))
    for number in quiet_seeds:
        quiet = lived(number, quiet_days, lambda day: _swinging(volume, day), embed, quiet=True)
        passed += [{"seed": number} | row for row in passing(quiet, quiet_days)]
        lives.append(_volume(number, "quiet", quiet, quiet_days))
    return {
        "lives": lives,
        "newcomers": newcomers,
        "newcomers_in_time": [_in_time(one.name, newcomers) for one in EMERGING],
        "quiet": [_false(kind, passed, quiet_seeds) for kind in LABEL_KINDS],
        "false_proposals": [row for row in passed if row["false"]],
        "seconds": round(time.perf_counter() - started, 1),
    }


def lived(
    seed: int,
    days: int,
    volume: Callable[[int], int],
    embed: Embed,
    *,
    kinds: Collection[str] = LABEL_KINDS,
    quiet: bool = False,
) -> Life:
    """Live so many days, with `volume(day)` sessions on a day (from 1), and bring them to admitted items of `kinds`."""
    life = Life()
    pseudonyms: dict[str, str] = {}
    supports: deque[list[Any]] = deque(maxlen=SUPPORT_DAYS)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        world = World(seed, volume(1), FIRST_DAY, out, quiet=quiet)
        for number in range(1, days + 1):
            world.sessions_per_day = volume(number)
            world.step(1)
            pseudonyms |= _day(life, out, FIRST_DAY + timedelta(number - 1), supports, kinds)
        with (out / "truth" / "sessions.jsonl").open("rb") as lines:
            sheets = map(orjson.loads, lines)
            life.sheets = {pseudonyms[sheet["session_id"]]: sheet for sheet in sheets}
    asked = texts_to_embed(life.items, {})
    made = dict(zip(asked, embed(asked), strict=True))
    life.vectors = {item.item_id: made[embedded(item.text)] for item in life.items}
    return life


def _day(life: Life, out: Path, day: date, supports: deque[list[Any]], kinds: Collection[str]) -> dict[str, str]:
    """One day from its file to items; returns the pseudonyms of its sessions."""
    taxonomy = fold([])
    read = [one for one in read_paths([out / "sessions" / f"{day.isoformat()}.jsonl"]) if not isinstance(one, Rejected)]
    cases: list[SessionCase] = []
    said: list[str] = []
    for session in read:
        raw = raw_session_row(session, day=day, known_on=day, key=KEY).model_dump()
        analysis = None
        if session.agentic_steps >= SelectionSettings().min_steps:
            answer = rules_answer(session, vocabulary=load())
            said += answer_texts(answer)
            analysis = {
                **{name: raw[name] for name in ("day", "known_on", "session_id", "user_id")},
                "state": "answered",
                "analyst": RULES,
                "model": RULES_MODEL,
                "prompt": "",
                "inclusion_weight": 1.0,
                "answer": answer.model_dump_json(),
            }
        cases.append({"raw": raw, "analysis": analysis, "detections": []})
    heard = SupportChunk(
        [(case["raw"]["user_id"], case["raw"]["session"]) for case in cases], day_vocabulary(said), KEY
    )
    supports.append(support_rows(day, [count_chunk(heard)], KEY))
    found = abstract_chunk(
        AbstractionChunk(
            day=day,
            rows=cases,
            support=Support.from_rows(row for rows in supports for row in rows),
            taxonomy_version=taxonomy.version,
            friction_types=taxonomy.slugs("friction"),
            delight_types=taxonomy.slugs("delight"),
            audience=AUDIENCE,
            key=KEY,
        )
    )
    tables = [
        [row.model_dump() for row in rows]
        for rows in (found.summaries, found.friction, found.delight, found.unmet_needs, found.facets)
    ]
    life.items += [item for item in items_of(*tables) if item.kind in kinds]
    life.steps |= {row["event_id"]: frozenset(row["steps"]) for row in (*tables[1], *tables[2])}
    life.facts[day] = _facts(tables[4])
    life.sessions += len(read)
    return {case["raw"]["source_session_id"]: case["raw"]["session_id"] for case in cases}


def _facts(facets: Iterable[Mapping[str, Any]]) -> Facts:
    told: dict[str, dict[str, str]] = {}
    for row in facets:
        told.setdefault(row["session_id"], {})[row["facet"]] = str(getattr(row["value"], "text", row["value"]))
    return {session: (one.get("primary_intent", ""), one["outcome"]) for session, one in told.items()}


Decide = Callable[[int, Sequence[TaxonomyProposal], Taxonomy], Taxonomy]
"""Number of the day, its proposals, the taxonomy that made them -> the taxonomy of the next day."""


def proposed(life: Life, days: int, decide: Decide | None = None) -> Iterator[tuple[int, list[TaxonomyProposal]]]:
    """The proposals of each day, from 1; `decide` is what a person makes of them in the evening."""
    taxonomy = fold([])
    previous: list[dict[str, Any]] = []
    for number in range(1, days + 1):
        day = FIRST_DAY + timedelta(number - 1)
        first = day - timedelta(WINDOW_DAYS - 1)
        rows = propose(
            day,
            window_of((item for item in life.items if first <= item.day <= day), life.vectors),
            taxonomy,
            previous,
            audience=AUDIENCE,
            embedder=EMBEDDER,
            facts={
                session: fact for on in life.facts if first <= on <= day for session, fact in life.facts[on].items()
            },
        )
        yield number, rows
        previous = [row.model_dump() for row in rows]
        taxonomy = decide(number, rows, taxonomy) if decide else taxonomy


# --- newcomers ------------------------------------------------------------------------------------------------------


def arrivals(seed: int, life: Life, days: int) -> list[Result]:
    """For each newcomer, when it had enough support and when it was proposed; None for what did not happen."""
    by_id = {item.item_id: item for item in life.items}
    first: dict[str, dict[str, tuple[int, float]]] = {one.name: {} for one in EMERGING}
    for number, rows in proposed(life, days):
        for one in EMERGING:
            for row in rows:
                purity = sum(one.name in life.tells(by_id[item]) for item in row.item_ids) / len(row.item_ids)
                if row.kind == one.kind and purity >= PURE:
                    first[one.name].setdefault("proposed", (number, purity))
                    if row.ready:
                        first[one.name].setdefault("ready", (number, purity))
    return [_arrival(seed, life, one, first[one.name]) for one in EMERGING]


def _arrival(seed: int, life: Life, one: Emergence, first: Mapping[str, tuple[int, float]]) -> Result:
    planted = [
        (day, session)
        for day, facts in life.facts.items()
        for session in facts
        if any(
            event.get("category") == one.name
            for kind in ("friction", "delight")
            for event in life.sheets[session][kind]
        )
    ]
    seen = {item.session_id for item in life.items if item.kind == one.kind and one.name in life.tells(item)}
    admitted = [(day, session) for day, session in planted if session in seen]
    supported = enough(life, admitted)
    shown, _ = first.get("proposed", (None, None))
    ready, purity = first.get("ready", (None, None))
    return {
        "seed": seed,
        "newcomer": one.name,
        "kind": one.kind,
        "begins": one.first_day,
        "planted": len(planted),
        "admitted": len(admitted),
        "support_planted": enough(life, planted),
        "support": supported,
        "proposed": shown,
        "ready": ready,
        "proposed_delay": None if shown is None or supported is None else shown - supported,
        "delay": None if ready is None or supported is None else ready - supported,
        "purity": None if purity is None else round(purity, 2),
    }


def enough(life: Life, sessions: Iterable[tuple[date, str]]) -> int | None:
    """Number of the first day on which the sessions (with their days) have the least support that is asked for."""
    least = SHOWN[AUDIENCE]
    users: set[str] = set()
    organizations: set[str] = set()
    days: set[date] = set()
    for count, (day, session) in enumerate(sorted(sessions), start=1):
        users.add(life.sheets[session]["user"])
        organizations.add(life.sheets[session]["organization"])
        days.add(day)
        wide = len(users) >= least.users and len(organizations) >= least.organizations
        if wide and count >= least.sessions and len(days) >= LEAST_DAYS:
            return (day - FIRST_DAY).days + 1
    return None


def _in_time(name: str, rows: Sequence[Result]) -> Result:
    own = [row for row in rows if row["newcomer"] == name]
    result: Result = {
        "newcomer": name,
        "lives": len(own),
        "had_support": sum(row["support"] is not None for row in own),
    }
    for what, name in (("proposed", "proposed_delay"), ("ready", "delay")):
        delays = [row[name] for row in own if row[name] is not None]
        result |= {
            what: sum(row[what] is not None for row in own),
            f"{what}_within_{DELAY}_days": sum(delay <= DELAY for delay in delays),
            f"{what}_slowest": max(delays, default=None),
        }
    return result


# --- quiet ----------------------------------------------------------------------------------------------------------


def passing(life: Life, days: int) -> list[Result]:
    """Each proposal that passed the acceptance rules on a day: since when, on how many days, of what it is made."""
    by_id = {item.item_id: item for item in life.items}
    found: dict[str, Result] = {}
    for number, rows in proposed(life, days, _accepting(life)):
        for row in rows:
            if not row.ready:
                continue
            told = Counter(name for item in row.item_ids for name in _made_of(life, by_id[item]))
            false = row.kind != "intent" or number > WINDOW_DAYS
            one = found.setdefault(
                row.proposal_id, {"kind": row.kind, "name": row.name.text, "since": number, "days": 0, "false": false}
            )
            one["days"] += 1
            most = {name: f"{name} {count}" for name, count in told.most_common(2)}
            one |= {"items": row.items, "users": row.users, "made_of": ", ".join(most.values())}
    return list(found.values())


def _made_of(life: Life, item: Item) -> Collection[str]:
    return (life.sheets[item.session_id]["intent"],) if item.kind == "intent" else life.tells(item)


def _accepting(life: Life) -> Decide:
    """A person who accepts every intent that is ready in the evening of each of the first four weeks' days."""
    entries: list[Entry] = []

    def decide(number: int, rows: Sequence[TaxonomyProposal], taxonomy: Taxonomy) -> Taxonomy:
        if number > WINDOW_DAYS:
            return taxonomy
        for row in rows:
            if row.kind == "intent" and row.ready:
                payload = {
                    "action": "accept",
                    "kind": row.kind,
                    "slug": row.slug,
                    "name": row.name.text,
                    "definition": row.definition.text,
                    "item_ids": row.item_ids,
                    "centre": frozen_centre(np.stack([life.vectors[item] for item in row.item_ids]), EMBEDDER),
                }
                entries.append(Entry(len(entries) + 1, LEDGER_KIND, row.proposal_id, None, payload))
        return fold(entries)

    return decide


def _false(kind: str, passed: Sequence[Result], seeds: Sequence[int]) -> Result:
    own = [row for row in passed if row["kind"] == kind]
    false = [row for row in own if row["false"]]
    return {
        "kind": kind,
        "lives": len(seeds),
        "passed": len(own),
        "false": len(false),
        "most_false_in_a_life": max(sum(row["seed"] == seed for row in false) for seed in seeds),
        "days_of_false": sum(row["days"] for row in false),
    }


def _swinging(volume: int, day: int) -> int:
    return round(volume * (1 + SWING * math.sin(2 * math.pi * day / WINDOW_DAYS)))


def _volume(seed: int, what: str, life: Life, days: int) -> Result:
    return {
        "seed": seed,
        "life": what,
        "days": days,
        "sessions_a_day": round(life.sessions / days),
        "analysed_a_day": round(life.analysed / days),
        "users": len({sheet["user"] for sheet in life.sheets.values()}),
        "items": len(life.items),
    }


def _packaged() -> Embed:
    from signals_assets.resources.embedder import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder().embed
