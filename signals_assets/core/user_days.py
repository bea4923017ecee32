"""Counting: from sessions and events to `user_days`, and from `user_days` to arrays that every rate is computed from.

Put here: `user_days`, the rule which stored rows count as of a day (`as_of`), `Counts`, which source counts a type.
Not here: rates, tests and thresholds (see `correlations.py`, `statistics.py`).

Days are whole numbers inside (days since 1970-01-01), so that arrays of them stay small and fast.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import Floats, Integers, add_up
from signals_assets.core.discovery_items import intent_id, need_id
from signals_assets.core.statistics import Cohort
from signals_assets.core.taxonomy import Taxonomy, seed
from signals_assets.tables import Kind, Source, UserDay, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

Rows: TypeAlias = Any
"""Stored rows: an Arrow table, or an iterable of dicts with the same names."""
ANONYMOUS: Final = "anonymous:"
"""Prefix of the stand-in user of a session without one: a unit of its own in statistics, one user for thresholds."""
ANY: Final = "all"
"""Type of the rows that count sessions with any event of a kind, and of the exposure rows."""
OTHER: Final = "other"
UNKNOWN: Final = "unknown"
SEVERAL: Final = "several"
"""Language of a session that uses more than one: each session belongs to one slice."""
AT_A_TIME: Final = 4_096
"""Rows of a table that are Python objects at a time."""
_EPOCH: Final = date(1970, 1, 1)
_EPOCH_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITY: Final = {"low": 1, "medium": 2, "high": 3}


@dataclass(frozen=True, slots=True)
class CountedType:
    """A type of friction or delight and the one source it is counted from."""

    kind: Kind
    type: str
    source: Source


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH).days


def source_of(type_: str, builtin: Collection[str]) -> Source:
    """Where a type is counted: built-in types by detectors (all sessions), `other` and emerging ones by the analyst.

    One source per type; the two are never added.
    """
    return "detector" if type_ in builtin and type_ != OTHER else "analyst"


def counted_types(types: Mapping[Kind, Iterable[str]], builtin: Collection[str]) -> list[CountedType]:
    """The types of a taxonomy (kind -> slugs) with their source; `builtin`: slugs that the detectors look for."""
    return [CountedType(kind, slug, source_of(slug, builtin)) for kind, slugs in types.items() for slug in slugs]


def types_counted(taxonomy: Taxonomy, kinds: Sequence[Kind] = ("friction", "delight")) -> list[CountedType]:
    """The active types of a taxonomy with their source; the detectors look for those of the packaged one."""
    return [item for kind in kinds for item in counted_types({kind: taxonomy.slugs(kind)}, seed().slugs(kind))]


def records(rows: Rows, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The named columns of a table or of dict rows as tuples, in stored order; a column that is missing is None.

    Of a table some thousands are there at a time. Times come as microseconds since 1970: making datetime objects of a
    table's column costs more than all else.
    """
    column_names = getattr(rows, "column_names", None)
    if column_names is None:
        yield from (tuple(_plain(row.get(name)) for name in names) for row in rows)
        return
    for start in range(0, len(rows), AT_A_TIME):
        part = rows.slice(start, AT_A_TIME)
        yield from zip(
            *(_values(part, name) if name in column_names else [None] * len(part) for name in names), strict=True
        )


def _values(rows: Rows, name: str) -> list[Any]:
    import pyarrow as pa

    column = rows.column(name)
    values: list[Any] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return values


def _plain(value: Any) -> Any:
    return (value - _EPOCH_TIME) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def newest_labels(labels: Rows, day: date) -> dict[str, tuple[str, str]]:
    """Newest label of each event as of `day`: event id -> (kind, type). Later taxonomy versions win, then days."""
    newest: dict[str, tuple[int, date, str, str]] = {}
    for event, kind, type_, version, labelled in records(
        labels, ("event_id", "kind", "type", "taxonomy_version", "day")
    ):
        entry = (int(version), labelled, str(kind), str(type_))
        if labelled <= day and (event not in newest or entry > newest[event]):
            newest[event] = entry
    return {event: (kind, type_) for event, (_, _, kind, type_) in newest.items()}


# --- counting ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Session:
    """A session while it is being counted."""

    about_day: date
    known_on: date
    user: str
    organization: str | None
    agent: tuple[str, str | None, str | None, str | None]
    weight: float = 0.0
    """Inclusion weight; 0 for a session without an answer of the analyst."""
    intent: str = UNKNOWN
    languages: set[str] = field(default_factory=set)
    """Programming languages that its facets name."""

    def cell(self) -> tuple[Any, ...]:
        language = SEVERAL if len(self.languages) > 1 else next(iter(self.languages), None)
        return (self.about_day, self.user, self.organization, *self.agent, self.intent, language)


@dataclass(slots=True)
class _Total:
    """Counts of one row of `user_days` while they add up."""

    sessions: int = 0
    weight: float = 0.0
    events: int = 0
    high: float = 0.0
    medium: float = 0.0
    known_on: date = date.min

    def add(self, session: _Session, source: Source, events: int, worst: int) -> None:
        weight = 1.0 if source == "detector" else session.weight
        self.sessions += 1
        self.weight += weight
        self.events += events
        self.high += weight if worst == 3 else 0.0
        self.medium += weight if worst == 2 else 0.0
        self.known_on = max(self.known_on, session.known_on)


@dataclass(frozen=True, slots=True, eq=False)
class UserDays:
    """Rows of `user_days`, made anew each time they are iterated: there are several for every session."""

    day: date
    taxonomy_version: int
    _totals: Mapping[tuple[Any, ...], _Total] = field(repr=False)

    @property
    def exposed(self) -> int:
        """Sessions that were counted."""
        return sum(total.sessions for key, total in self._totals.items() if key[-3:] == ("detector", "session", ANY))

    def __iter__(self) -> Iterator[UserDay]:
        return (
            _row(self.day, key, self._totals[key], self.taxonomy_version) for key in sorted(self._totals, key=_order)
        )


def user_days(
    day: date,
    *,
    metrics: Rows,
    friction: Rows,
    delight: Rows,
    facets: Rows,
    analyses: Rows,
    unmet_needs: Rows,
    labels: Rows,
    about_days: Collection[date],
    publishable_intents: Collection[str],
    min_confidence: float,
    taxonomy_version: int,
) -> UserDays:
    """Count the sessions of `about_days` as they are known on `day`: the rows of partition `day`.

    Inputs are stored rows (tables of the same names; `friction` and `delight` are the event tables); rows of other
    days and rows known later than `day` are left out. Every session is exposure of source `detector` with weight 1,
    every answered one also of source `analyst` with its inclusion weight. Events below `min_confidence` are not
    counted unless discovery gave them a type of its own. Labels override the type an event was stored with (and
    give unmet needs theirs); an intent outside `publishable_intents` counts as `other`, one of a session that was
    not analysed as `unknown`. Type `all` of kinds friction and delight counts sessions with any such event.
    """
    wanted = frozenset(about_days)
    newest = newest_labels(labels, day)
    sessions = _sessions(metrics, wanted, day)
    _add_analyses(sessions, analyses, wanted, day)
    outcomes = _add_facets(sessions, facets, wanted, day, frozenset(publishable_intents), newest)
    found: dict[tuple[str, Source, str, str], tuple[int, int]] = {}
    for key in outcomes:
        found[key] = (1, 0)
    for kind, rows in (("friction", friction), ("delight", delight)):
        _add_events(found, rows, kind, newest, sessions, min_confidence, day)
    _add_needs(found, unmet_needs, newest, sessions, day)

    totals: dict[tuple[Any, ...], _Total] = {}
    for session in sessions.values():
        totals.setdefault((*session.cell(), "detector", "session", ANY), _Total()).add(session, "detector", 0, 0)
        if session.weight:
            totals.setdefault((*session.cell(), "analyst", "session", ANY), _Total()).add(session, "analyst", 0, 0)
    for (session_id, source, kind, type_), (events, worst) in found.items():
        session = sessions[session_id]
        totals.setdefault((*session.cell(), source, kind, type_), _Total()).add(session, source, events, worst)
    return UserDays(day, taxonomy_version, totals)


def _order(key: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple("" if part is None else str(part) for part in key)


def _row(day: date, key: tuple[Any, ...], total: _Total, taxonomy_version: int) -> UserDay:
    about_day, user, organization, name, version, model, prompt, intent, language, source, kind, type_ = key
    return UserDay(
        day=day,
        about_day=about_day,
        known_on=total.known_on,
        user_id=user,
        organization_id=organization,
        agent_name=name,
        agent_version=version,
        agent_model=model,
        prompt_version=prompt,
        intent=intent,
        language=language,
        source=source,
        kind=kind,
        type=type_,
        sessions=total.sessions,
        weight=total.weight,
        events=total.events,
        high=total.high,
        medium=total.medium,
        taxonomy_version=taxonomy_version,
    )


def _sessions(metrics: Rows, wanted: frozenset[date], day: date) -> dict[str, _Session]:
    names = ("session_id", "day", "known_on", "user_id", "organization_id")
    agent = ("agent_name", "agent_version", "agent_model", "prompt_version")
    return {
        row[0]: _Session(row[1], row[2], row[3] or ANONYMOUS + row[0], row[4], (row[5], row[6], row[7], row[8]))
        for row in records(metrics, (*names, *agent))
        if row[1] in wanted and row[2] <= day
    }


def _add_analyses(sessions: dict[str, _Session], analyses: Rows, wanted: frozenset[date], day: date) -> None:
    names = ("session_id", "day", "known_on", "state", "inclusion_weight")
    for session_id, about_day, known_on, state, weight in records(analyses, names):
        session = sessions.get(session_id)
        if session is not None and about_day in wanted and known_on <= day and state == "answered":
            session.weight = float(weight)
            session.intent = OTHER
            session.known_on = max(session.known_on, known_on)


def _add_facets(
    sessions: dict[str, _Session],
    facets: Rows,
    wanted: frozenset[date],
    day: date,
    publishable: frozenset[str],
    labels: Mapping[str, tuple[str, str]],
) -> list[tuple[str, Source, str, str]]:
    """Give sessions their intent and languages; return the outcome counts."""
    outcomes: list[tuple[str, Source, str, str]] = []
    names = ("session_id", "day", "known_on", "facet", "value")
    for session_id, about_day, known_on, facet, value in records(facets, names):
        session = sessions.get(session_id)
        if session is None or not session.weight or about_day not in wanted or known_on > day:
            continue
        if facet == "outcome":
            outcomes.append((session_id, "analyst", "outcome", value))
        elif facet == "primary_intent":
            intent = labels.get(intent_id(session_id), ("", ""))[1] or value  # an empty label: an acceptance was undone
            session.intent = intent if intent in publishable else OTHER
        elif facet == "programming_languages":
            session.languages.add(value)
    return outcomes


def _add_events(
    found: dict[tuple[str, Source, str, str], tuple[int, int]],
    rows: Rows,
    kind: str,
    labels: Mapping[str, tuple[str, str]],
    sessions: Mapping[str, _Session],
    min_confidence: float,
    day: date,
) -> None:
    names = ("session_id", "known_on", "event_id", "type", "severity", "source", "confidence")
    for session_id, known_on, event_id, stored, severity, source, confidence in records(rows, names):
        session = sessions.get(session_id)
        label = labels.get(event_id)
        relabelled = label is not None and label[0] == kind and label[1] != stored
        sure = relabelled or confidence >= min_confidence  # the doubt was about the type that it was stored with
        exposed = session is not None and (source != "analyst" or session.weight > 0)
        if session is None or known_on > day or not (sure and exposed):
            continue
        type_ = label[1] if label is not None and relabelled else stored
        for name in (type_, ANY):
            events, worst = found.get((session_id, source, kind, name), (0, 0))
            found[session_id, source, kind, name] = (events + 1, max(worst, _SEVERITY.get(severity, 0)))


def _add_needs(
    found: dict[tuple[str, Source, str, str], tuple[int, int]],
    needs: Rows,
    labels: Mapping[str, tuple[str, str]],
    sessions: Mapping[str, _Session],
    day: date,
) -> None:
    """Unmet needs carry no type of their own: an accepted one comes from a label, else `other`."""
    for session_id, number, known_on in records(needs, ("session_id", "number", "known_on")):
        session = sessions.get(session_id)
        if session is not None and known_on <= day and session.weight:
            type_ = labels.get(need_id(session_id, number), ("", ""))[1] or OTHER
            key: tuple[str, Source, str, str] = (session_id, "analyst", "unmet_need", type_)
            found[key] = (found.get(key, (0, 0))[0] + 1, 0)


# --- reading back -----------------------------------------------------------------------------------------------


def as_of(rows: "pa.Table", day: date) -> "pa.Table":
    """The rows of `user_days` that count as of `day`: for each `about_day` those of its newest partition up to `day`.

    Rows that became known later than `day` (a redo of an old partition) are left out.
    """
    import pyarrow as pa

    return rows.filter(
        pa.array(_newest(_days(rows, "day"), _days(rows, "known_on"), _days(rows, "about_day"), day_number(day)))
    )


def _days(rows: "pa.Table", name: str) -> Integers:
    import pyarrow as pa

    return np.asarray(rows.column(name).cast(pa.int32()).to_numpy(), dtype=np.int64)


def _newest(partition: Integers, known: Integers, about: Integers, day: int) -> NDArray[np.bool_]:
    visible = (partition <= day) & (known <= day)
    if not visible.any():
        return visible
    first = int(about.min())
    newest = np.full(int(about.max()) - first + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, about[visible] - first, partition[visible])
    return np.asarray(visible & (partition == newest[about - first]))


_CODED: Final[Mapping[str, str]] = {
    "user": "user_id",
    "organization": "organization_id",
    "agent": "agent_name",
    "agent_version": "agent_version",
    "agent_model": "agent_model",
    "prompt_version": "prompt_version",
    "intent": "intent",
    "language": "language",
    "source": "source",
    "kind": "kind",
    "type": "type",
}
"""Text columns as codes: name in `Counts` -> column of the table."""


@dataclass(frozen=True, slots=True)
class Counts:
    """`user_days` as arrays: built once per run, cut to a day or a selection cheaply.

    columns: `day` (partition), `known`, `about` as day numbers; the coded text columns (-1 for null);
    `sessions`, `weight`, `high`, `medium`, `taxonomy_version`. words: the values behind the codes, sorted.
    """

    columns: Mapping[str, NDArray[Any]]
    words: Mapping[str, Sequence[str]]
    _codes: Mapping[str, Mapping[str, int]] = field(repr=False)
    _people: Integers = field(repr=False)
    """Per user code the person it stands for in thresholds: one for all who are unknown."""

    @classmethod
    def of(cls, rows: Rows) -> "Counts":
        """From stored rows (all partitions and days that matter)."""
        import pyarrow as pa

        if not hasattr(rows, "column_names"):
            names = arrow_schema(UserDay).names
            rows = pa.Table.from_pylist(
                [dict(zip(names, r, strict=True)) for r in records(rows, names)], arrow_schema(UserDay)
            )
        table: pa.Table = rows
        columns: dict[str, NDArray[Any]] = {
            "day": _days(table, "day"),
            "known": _days(table, "known_on"),
            "about": _days(table, "about_day"),
        }
        for name in ("sessions", "weight", "high", "medium"):
            columns[name] = np.asarray(table.column(name).to_numpy(), dtype=np.float64)
        columns["taxonomy_version"] = np.asarray(table.column("taxonomy_version").to_numpy(), dtype=np.int64)
        words: dict[str, list[str]] = {}
        for name, column in _CODED.items():
            columns[name], words[name] = _coded(table, column)
        codes = {name: {word: code for code, word in enumerate(values)} for name, values in words.items()}
        people = np.array(
            [-1 if user.startswith(ANONYMOUS) else code for user, code in codes["user"].items()], dtype=np.int64
        )
        return cls(columns, words, codes, people)

    def __len__(self) -> int:
        return len(self.columns["about"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column."""
        return self.columns[name]

    def code(self, name: str, word: str) -> int:
        """Code of a word in a column; -2, which no row has, when it never occurs."""
        return self._codes[name].get(word, -2)

    def where(self, mask: NDArray[np.bool_]) -> "Counts":
        """The rows for which `mask` holds."""
        return replace(self, columns={name: values[mask] for name, values in self.columns.items()})

    def as_of(self, day: date) -> "Counts":
        """The rows that count as of `day` (see `as_of`)."""
        return self.where(_newest(self["day"], self["known"], self["about"], day_number(day)))

    def window(self, last: date, days: int) -> "Counts":
        """The rows about the trailing `days` days that end with `last`."""
        end = day_number(last)
        return self.where((self["about"] <= end) & (self["about"] > end - days))

    def of_one_reader(self, since: date | None) -> "Counts":
        """Without what the analyst counted on days before `since`, when it was another model or prompt.

        A step between two readers would be laid to whatever else changed then. None: it was always the same.
        """
        if since is None:
            return self
        return self.where((self["source"] != self.code("source", "analyst")) | (self["about"] >= day_number(since)))

    def exposure(self, source: Source) -> "Counts":
        """The rows of kind session of a source: what rates are shares of."""
        return self.where(
            (self["source"] == self.code("source", source)) & (self["kind"] == self.code("kind", "session"))
        )

    def cells(self, source: Source, types: Sequence[tuple[str, str]], by: Sequence[str]) -> "Cells":
        """Exposure and events of some (kind, type) pairs of one source, added up by the columns `by`."""
        exposure = self.exposure(source)
        sizes = [_size(self, name) for name in by]
        keys, index = np.unique(_joined(exposure, by, sizes), return_inverse=True)
        size = len(keys)
        events, high, medium, concerned = (np.zeros((len(types), size)) for _ in range(4))
        of_source = self["source"] == self.code("source", source)
        joined = _joined(self, by, sizes)
        for row, (kind, type_) in enumerate(types):
            chosen = of_source & (self["kind"] == self.code("kind", kind)) & (self["type"] == self.code("type", type_))
            chosen &= np.isin(joined, keys)
            place = np.searchsorted(keys, joined[chosen])
            events[row] = add_up(place, self["weight"][chosen], size)
            high[row] = add_up(place, self["high"][chosen], size)
            medium[row] = add_up(place, self["medium"][chosen], size)
            concerned[row] = add_up(place, self["sessions"][chosen], size)
        return Cells(
            columns=_split(keys, by, sizes),
            sessions=add_up(index, exposure["sessions"], size),
            weight=add_up(index, exposure["weight"], size),
            squares=add_up(index, exposure["weight"] ** 2 / np.maximum(exposure["sessions"], 1), size),
            events=events,
            high=high,
            medium=medium,
            concerned=concerned,
        )

    def met(self, types: Iterable[tuple[str, str]], source: Source) -> set[tuple[str, str]]:
        """(person, type) pairs of some (kind, type): who met what. All sessions without a user are one person."""
        found: set[tuple[str, str]] = set()
        for kind, type_ in types:
            chosen = (
                (self["source"] == self.code("source", source))
                & (self["kind"] == self.code("kind", kind))
                & (self["type"] == self.code("type", type_))
                & (self["sessions"] > 0)
            )
            people = np.unique(self._people[self["user"][chosen]])
            found |= {(self.words["user"][person] if person >= 0 else ANONYMOUS, type_) for person in people}
        return found

    def users(self, codes: Integers) -> int:
        """Distinct users among codes, for thresholds: all sessions without a user are one."""
        return len(np.unique(self._people[codes]))


@dataclass(frozen=True, slots=True)
class Cells:
    """Sums by some columns: `columns` the values per cell; `events`, `high`, `medium`, `concerned`: (types, cells).

    `weight`, `events`, `high` and `medium` are weighted by inclusion, `sessions` and `concerned` (sessions with the
    event) are counts. `squares`: the weights squared, as if those of one row of `user_days` were equal.
    """

    columns: Mapping[str, Integers]
    sessions: Floats
    weight: Floats
    squares: Floats
    events: Floats
    high: Floats
    medium: Floats
    concerned: Floats

    def worth(self, mask: NDArray[np.bool_]) -> float:
        """How many sessions of equal weight the chosen cells are worth (Kish); all of them where weights are equal."""
        squares = float(self.squares[mask].sum())
        return float(self.weight[mask].sum()) ** 2 / squares if squares else 0.0

    def cohort(self, mask: NDArray[np.bool_], rows: Integers | None = None) -> Cohort:
        """The chosen cells (of some types) as a cohort; needs the columns `user` and `about`."""
        place = np.nonzero(mask)[0]
        return Cohort(
            user=self.columns["user"][mask],
            day=self.columns["about"][mask],
            sessions=self.sessions[mask],
            weight=self.weight[mask],
            events=self.events[:, place] if rows is None else self.events[np.ix_(rows, place)],
        )


def _coded(table: "pa.Table", column: str) -> tuple[Integers, list[str]]:
    """Codes by sorted words, -1 for null: the same rows in another order get the same codes."""
    import pyarrow as pa

    encoded = pa.chunked_array(table.column(column)).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    found = encoded.dictionary.to_pylist()
    words = sorted(found)
    rank = {word: code for code, word in enumerate(words)}
    place = np.array([*(rank[word] for word in found), -1], dtype=np.int64)
    return place[encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)], words


def _size(counts: Counts, name: str) -> tuple[int, int]:
    """Offset and number of values of a column for joined keys."""
    if name in counts.words:
        return -1, len(counts.words[name]) + 1
    values = counts[name]
    return (int(values.min()), int(values.max() - values.min()) + 1) if len(values) else (0, 1)


def _joined(counts: Counts, by: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Integers:
    joined = np.zeros(len(counts), dtype=np.int64)
    for name, (offset, size) in zip(by, sizes, strict=True):
        joined = joined * size + (counts[name] - offset)
    return joined


def _split(keys: Integers, by: Sequence[str], sizes: Sequence[tuple[int, int]]) -> dict[str, Integers]:
    columns: dict[str, Integers] = {}
    for name, (offset, size) in zip(reversed(by), reversed(sizes), strict=True):
        columns[name] = keys % size + offset
        keys = keys // size
    return columns
