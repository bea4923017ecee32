"""`signals estimate`: what asking a language model would take, before anything is asked. Sends nothing, needs no key.

Put here: arguments, the sessions of files or of the home's days, the printed tables.
Not here: sizes, totals and prices (see `core/estimating.py`), which sessions are asked about (see `core/selection.py`).
"""

import tempfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from signals_assets.cli.asking import Known, chosen, how_read, sized, words
from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.analysis_rules import RULES
from signals_assets.core.estimating import ASSUMED_OUTPUT, UNLIMITED, Cost, Outlook, costs, models
from signals_assets.core.prices import TIERS, Tier
from signals_assets.core.selection import PROMPT_TOKENS, Selection, estimated_tokens, select
from signals_assets.core.sessions import from_json
from signals_assets.core.taxonomy import seed
from signals_assets.resources.compute import SerialCompute
from signals_assets.settings import Settings

if TYPE_CHECKING:
    from signals_assets.resources.warehouse import Warehouse

ALL: Final = "all"
SECONDS_EACH: Final = 10
"""What one direct request is taken to last, for the hint. An assumption, said beside it."""
Session = tuple[str, str]
"""Id and canonical JSON."""


@dataclass
class Input(ABC):
    """The sessions of some days: what the metrics say of them, and how to read those that are asked about."""

    where: str
    metrics: dict[date, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    detections: dict[date, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    unreadable: int = 0
    """Sessions and records that cannot be read."""
    notes: list[str] = field(default_factory=list)

    @abstractmethod
    def sessions(self, wanted: frozenset[str]) -> Iterator[Session]:
        """Those of the wanted sessions whose text is there."""


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option("--last", type=click.IntRange(1), help="Without paths: only the newest so many days of the home.")
@click.option("--model", "named", multiple=True, help="Price this model, too; `all` for the whole table. Repeatable.")
@click.option("--min-steps", type=click.IntRange(min=0), help="Least agentic steps to be eligible. Default: settings.")
@click.option("--budget", type=click.IntRange(min=0), help="Input tokens a day. Default: selection.daily_token_budget.")
@click.option(
    "--output-tokens", type=click.IntRange(min=1), help="Assumed for an answer. Default: measured here, else 1000."
)
@click.option("--seed", "number", default=0, show_default=True, help="Of the sample that is condensed.")
@click.option("--format", "session_format", help="Force a reader. Default: recognised by itself.")
@json_option
def command(
    paths: tuple[Path, ...],
    last: int | None,
    named: tuple[str, ...],
    min_steps: int | None,
    budget: int | None,
    output_tokens: int | None,
    number: int,
    session_format: str | None,
    json_file: str | None,
) -> None:
    """Sessions, tokens and price of asking a language model about files, or about the days of the home.

    Sessions are really condensed, a sample of them where they are many. Nothing is sent, and no key is needed.
    """
    settings = Settings()
    model = next((name for name in named if name != ALL), settings.language_model.model)
    settings = chosen(settings, settings.analyst, model, None)
    given = {"min_steps": min_steps, "daily_token_budget": budget}
    chosen_by = settings.selection.model_copy(update={name: one for name, one in given.items() if one is not None})
    settings = settings.model_copy(update={"selection": chosen_by})
    with tempfile.TemporaryDirectory(prefix="signals-estimate-") as spool:
        sessions = _files(settings, paths, session_format, Path(spool)) if paths else _home(settings, last)
        if not sessions.metrics:
            raise click.ClickException(f"no session is stored. {NO_DAY} Or name files: signals estimate PATH")
        picked = _selected(settings, sessions)
        what = _outlook(settings, sessions, picked, number)
    answer, measured = _answers(settings, output_tokens, paths)
    told = _told(settings, sessions, picked, what, _models(model, named), answer, measured)
    write_json(json_file, told)
    if json_file != "-":
        _show(told, what)


# --- where the sessions come from --------------------------------------------------------------------------------


@dataclass
class _Files(Input):
    spool: Any = None
    without: frozenset[int] = frozenset()

    def sessions(self, wanted: frozenset[str]) -> Iterator[Session]:
        for line in self.spool.lines(self.without):
            row = orjson.loads(line)
            if row["session_id"] in wanted:
                yield row["session_id"], row["session"]


def _files(settings: Settings, paths: Sequence[Path], session_format: str | None, folder: Path) -> Input:
    """Sessions of files, measured here."""
    from signals_assets.cli.reading import Reading, Spool
    from signals_assets.core.quick_look import LookChunk, Options, measure
    from signals_assets.resources.session_source import SessionSourceError

    reading = Reading(paths, session_format or settings.session_format, settings.user_from, settings.agent_name)
    spool = Spool(folder)
    try:
        reading.fill(spool, b"not kept")
    except SessionSourceError as error:
        raise click.ClickException(str(error)) from None
    found = _Files(
        where=", ".join(str(path) for path in paths),
        unreadable=sum(reading.quarantined.values()),
        spool=spool,
        without=frozenset(reading.superseded),
    )
    options = Options(
        audience="self", key=b"not kept", min_steps=0, min_confidence=0.0, prompt="", taxonomy=seed(),
        analyst="estimate", model="none",
    )  # fmt: skip
    for line in spool.lines(found.without):
        part = measure(LookChunk((line,), options))
        for table, rows in (("session_metrics", found.metrics), ("detections", found.detections)):
            for row in map(orjson.loads, part.lines[table]):
                rows[date.fromisoformat(row["day"])].append(row)
    return found


@dataclass
class _Home(Input):
    warehouse: "Warehouse | None" = None

    def sessions(self, wanted: frozenset[str]) -> Iterator[Session]:
        from signals_assets.tables import RawSession

        assert self.warehouse is not None
        columns = ["session_id", "session"]
        for day in sorted(set(self.metrics) & set(self.warehouse.days(RawSession))):
            for batch in self.warehouse.stream(RawSession, day, columns=columns, rows_per_batch=32):
                for row in batch.to_pylist():
                    if row["session_id"] in wanted:
                        yield row["session_id"], row["session"]


def _home(settings: Settings, last: int | None) -> Input:
    """Sessions of the days that the home's warehouse has."""
    from signals_assets.resources import doors_or_reasons
    from signals_assets.tables import Detection, RawSession, SessionMetrics

    warehouse = doors_or_reasons(settings)["warehouse"]
    if isinstance(warehouse, Exception):
        raise warehouse
    days = sorted(warehouse.days(SessionMetrics))[-(last or 0) :]
    found = _Home(where=str(settings.home), warehouse=warehouse)
    for day in days:
        found.metrics[day] = warehouse.read(SessionMetrics, day).to_pylist()
        found.detections[day] = warehouse.read(Detection, day).to_pylist()
    if gone := set(days) - set(warehouse.days(RawSession)):
        found.notes.append(f"The raw text of {len(gone)} days has expired: they are estimated from the others.")
    return found


# --- what is asked -----------------------------------------------------------------------------------------------


def _selected(settings: Settings, sessions: Input) -> list[Selection]:
    """What the graph would select on each day."""
    rule = settings.selection
    return [
        one
        for day, metrics in sorted(sessions.metrics.items())
        for one in select(
            metrics,
            sessions.detections.get(day, []),
            min_steps=rule.min_steps,
            daily_token_budget=rule.daily_token_budget,
            seed=rule.seed,
            day=day,
            most_tokens=PROMPT_TOKENS + settings.language_model.session_tokens,
        )
    ]


def _outlook(settings: Settings, sessions: Input, picked: Sequence[Selection], number: int) -> Outlook:
    hints = {row["session_id"]: estimated_tokens(row, UNLIMITED) for rows in sessions.metrics.values() for row in rows}
    known = [Known(one.session_id, hints[one.session_id]) for one in picked if one.selected]
    wanted = frozenset(one.request_id for one in known)
    requests = (
        AnalysisRequest.about(session_id, session_id, from_json(text), "", seed())
        for session_id, text in sessions.sessions(wanted)
    )
    return sized(known, requests, how_read(settings.language_model), SerialCompute(), number)


def _answers(settings: Settings, given: int | None, paths: Sequence[Path]) -> tuple[int, str]:
    """Output tokens of an answer, and where the number comes from."""
    if given is not None:
        return given, "given"
    if not paths:
        from signals_assets.resources import doors_or_reasons
        from signals_assets.tables import Analysis

        warehouse = doors_or_reasons(settings)["warehouse"]
        columns = ["analyst", "state", "output_tokens"]
        rows = [row for day in warehouse.days(Analysis) for row in warehouse.read(Analysis, day, columns).to_pylist()]
        found = [row["output_tokens"] for row in rows if row["analyst"] != RULES and row["state"] == "answered"]
        if found:
            return max(1, round(sum(found) / len(found))), f"the mean of {len(found):,} answers stored here"
    return ASSUMED_OUTPUT, "an assumption: no answer was measured here"


# --- telling -----------------------------------------------------------------------------------------------------


def _models(own: str, named: Iterable[str]) -> list[str]:
    """The models to price: the one that is meant, then those that were named."""
    every = [name for given in named for name in (models() if given == ALL else [given])]
    return list(dict.fromkeys([own, *every]))


def _told(
    settings: Settings,
    sessions: Input,
    picked: Sequence[Selection],
    what: Outlook,
    named: Sequence[str],
    answer: int,
    measured: str,
) -> dict[str, Any]:
    from signals_assets.resources.language_model import prices_of

    asked, rule = settings.language_model, settings.selection
    local: tuple[Tier, ...] = ("local",)
    tiers: tuple[Tier, ...] = local if settings.analyst == "openai-compatible" else TIERS
    overrides = prices_of(asked)
    prices = {
        name: costs(
            name,
            what,
            output_tokens=answer,
            most_output_tokens=asked.output_tokens,
            overrides=overrides,
            tiers=tiers if name == asked.model else TIERS,
        )
        for name in named
    }
    days = len(sessions.metrics)
    return {
        "where": sessions.where,
        "days": days,
        "sessions": {
            "read": len(picked),
            "eligible": sum(one.eligible for one in picked),
            "selected": sum(one.selected for one in picked),
            "condensed": what.counted,
            "unreadable": sessions.unreadable,
        },
        "selection": {"min_steps": rule.min_steps, "daily_token_budget": rule.daily_token_budget},
        "input_tokens": {
            "before": [what.whole.value, what.whole.low, what.whole.high],
            "after": [what.sent.value, what.sent.low, what.sent.high],
            "session_tokens": asked.session_tokens,
            "saved": round(what.saved, 4),
        },
        "requests": [what.requests.value, what.requests.low, what.requests.high],
        "output_tokens": {"each": answer, "known_from": measured, "most": asked.output_tokens},
        "prices": {name: [_price(one, days) for one in found] for name, found in prices.items()},
        "hints": [*sessions.notes, *_hints(settings, what)],
    }


def _price(one: Cost, days: int) -> dict[str, Any]:
    return {
        "tier": one.tier,
        "input": one.input,
        "output": one.output,
        "total": one.total,
        "per_day": one.total / max(days, 1),
        "most": one.most,
    }


def _hints(settings: Settings, what: Outlook) -> list[str]:
    """How long it takes, as far as that can be said."""
    asked = settings.language_model
    minutes = what.requests.value * SECONDS_EACH / asked.concurrency / 60
    lasts = f"{minutes:,.0f} minutes" if minutes < 120 else f"{minutes / 60:,.0f} hours"
    direct = (
        f"Directly (flex, sync, a server of yours): {lasts} with {asked.concurrency} requests at a time, if each takes "
        f"{SECONDS_EACH} seconds."
    )
    if settings.analyst == "openai-compatible":
        return [direct]
    rounds = -(-what.sent.value // asked.enqueued_tokens) if asked.enqueued_tokens else 0
    turns = f"; in {rounds} rounds under language_model.enqueued_tokens" if rounds > 1 else ""
    return [f"In batches: each is answered within 24 hours or expires, and what expired is sent again{turns}.", direct]


def _show(told: Mapping[str, Any], what: Outlook) -> None:
    sessions, rule, tokens = told["sessions"], told["selection"], told["input_tokens"]
    rows = [
        {"what": "sessions", "how much": f"{sessions['read']:,}", "of them": f"on {told['days']} days"},
        {"what": "eligible", "how much": f"{sessions['eligible']:,}", "of them": f"{rule['min_steps']} steps or more"},
        {
            "what": "selected",
            "how much": f"{sessions['selected']:,}",
            "of them": f"within {rule['daily_token_budget']:,} input tokens a day",
        },
        {"what": "requests", "how much": words(what.requests), "of them": "a long session may take several"},
        {"what": "input tokens, uncut", "how much": words(what.whole), "of them": _counted(what)},
        {
            "what": "input tokens, condensed",
            "how much": words(what.sent),
            "of them": f"at most {tokens['session_tokens']:,} a session; {tokens['saved']:.0%} saved",
        },
        {
            "what": "output tokens of an answer",
            "how much": f"{told['output_tokens']['each']:,}",
            "of them": told["output_tokens"]["known_from"],
        },
    ]
    if sessions["unreadable"]:
        rows.append({"what": "unreadable", "how much": f"{sessions['unreadable']:,}", "of them": "records set aside"})
    show(f"To ask about {told['where']}", rows)
    click.echo()
    prices = [
        {
            "model": name,
            "tier": one["tier"],
            "price": f"${one['total']:,.2f}",
            "input": f"${one['input']:,.2f}",
            "output": f"${one['output']:,.2f}",
            "a day": f"${one['per_day']:,.2f}",
            "at most": f"${one['most']:,.2f}",
        }
        for name, found in told["prices"].items()
        for one in found
    ]
    note = "at most: every answer as long as it may be. Cached input is cheaper, repeated requests come on top."
    show("Price", prices, note=note if prices else "")
    for name, found in told["prices"].items():
        if not found and what.requests.value:
            click.echo(
                f"{name}: its price is not known. SIGNALS_LANGUAGE_MODEL__INPUT_PRICE and "
                "SIGNALS_LANGUAGE_MODEL__OUTPUT_PRICE (US dollars per million tokens) tell it."
            )
    for hint in told["hints"]:
        click.echo(hint)
    click.echo("Nothing was sent.")


def _counted(what: Outlook) -> str:
    if what.counted == what.sessions:
        return "every session was counted"
    return f"from {what.counted:,} sessions drawn by chance, 95 % interval"
