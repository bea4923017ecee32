"""Benchmark · crash, its part on filing: daemons that file tickets in Linear are killed, and the server stumbles.

Put here: the lives, the kills, what must hold at the end, controls that must not hold.
Not here: filing (see `resources/filing.py`), the tracker (see `resources/linear.py`), Linear (a local server of the
tests, which speaks GraphQL over HTTP), printing (see `cli/benchmark.py`).

A life is some days with more causes than the day's budget. On each, two daemons at once do what the acting run does:
reconcile, then file every cause that waits, comment on those that came back. They are processes forked from one that
has nothing open, and get SIGKILL: by their own hand at a step drawn by the seed (before and after each request and
each transaction, and before its commit), or from outside after a random time. The server outlives them and, by the
seed, is limited, fails before and after the commit, loses requests and answers, answers too late and in halves, and is
down for whole passages, so that the circuit breaker opens. Nothing tells a daemon what the one before it had done.
Every third life keeps its ledger in PostgreSQL, on a real server that the benchmark starts, where connections are lost
all the time, too.
"""

import importlib
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from unittest import mock

from signals_assets.core.tickets import TICKET_KINDS, Decision, Ticket, ledger_tickets, may_file
from signals_assets.resources import filing
from signals_assets.resources.database import Database
from signals_assets.resources.http import Http
from signals_assets.resources.ledger import LedgerError, SqlLedger
from signals_assets.resources.linear import LinearTracker
from signals_assets.resources.linear_client import LinearClient
from signals_assets.resources.tracker import TicketAtTracker, TicketText, TrackerError
from signals_assets.settings import TicketSettings

Result = dict[str, Any]

FIRST: Final = date(2026, 1, 5)
LINK: Final = "http://127.0.0.1:3000/assets/friction_levels"
PER_DAY: Final = 6
PER_COMPONENT: Final = 2
COMPONENTS: Final = 5
CAUSES_A_DAY: Final = 8
"""New ones, more than the day's budget takes."""
WAIT_DAYS: Final = 3
"""Days on which a cause is offered; on the last it came back as another episode."""
DAEMONS: Final = 2
STEPS: Final = 60
"""A daemon that kills itself does so within so many steps."""
LONGEST_LIFE: Final = 0.3
"""Seconds after which a daemon that is killed from outside is dead."""
FAULTS: Final[Mapping[str, float]] = {
    "limited": 0.01, "too_many": 0.01, "failed_before": 0.02, "failed_after": 0.03, "lost_before": 0.02,
    "lost_after": 0.03, "slow_before": 0.005, "slow_after": 0.005, "cut": 0.01, "internal": 0.005, "lock": 0.005,
}  # fmt: skip
"""Share of questions that meet each fault."""
DOWN: Final = 0.08
"""Share of passages during which the server fails whatever it is asked."""
SLOW: Final = 0.4
"""Seconds that a slow answer takes; a daemon waits for three quarters of them."""
HANG_UPS: Final = 30
"""PostgreSQL: how often a day all connections are ended; as often on a slow machine, whose days take longer."""
PAUSES: Final = (0.02, 0.2)
"""Seconds between two of them, at least and at most."""
PATIENT: Final = 40
"""Daemons of one slot and day after which one that is not killed ends the day."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A life: its days, and the share of daemons that are killed."""

    days: int
    seed: int
    killed: float = 0.8
    sabotage: str | None = None
    database: Literal["sqlite", "postgresql"] = "sqlite"

    @property
    def filings(self) -> int:
        """Tickets that the budget allows, all of which must be filed."""
        return self.days * PER_DAY


def plans(*, quick: bool, seed: int) -> list[Plan]:
    """The lives of a run, and one for each sabotage."""
    days, lives = (3, 2) if quick else (20, 9)
    third: list[Literal["sqlite", "postgresql"]] = ["sqlite", "postgresql", "sqlite"]
    honest = [Plan(days, seed * 1_000 + number, database=third[number % 3]) for number in range(lives)]
    return [*honest, *(Plan(3, seed * 1_000, sabotage=name) for name in SABOTAGES)]


# --- a daemon -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Orders:
    """What one daemon does, on which day, and when it dies (at a step, or not by its own hand)."""

    ledger: str
    url: str
    day: date
    at: datetime
    seed: int
    dies_at: int | None
    sabotage: str | None


def _offered(day: date) -> list[tuple[int, str]]:
    """Number and episode of the causes that are over their threshold on a day."""
    age = (day - FIRST).days
    found = []
    for born in range(max(0, age - WAIT_DAYS + 1), age + 1):
        again = age - born == WAIT_DAYS - 1
        found += [(born * CAUSES_A_DAY + n, f"e{born}{'again' if again else ''}") for n in range(CAUSES_A_DAY)]
    return found


def settings() -> TicketSettings:
    """The brakes of a life: the budgets bind every day."""
    return TicketSettings(
        per_day=PER_DAY, per_component_and_day=PER_COMPONENT, open_limit=100_000, dry_run=False, approval=False
    )


def _ticket(number: int, episode: str, day: date) -> Callable[[Decision], Ticket]:
    def render(decision: Decision) -> Ticket:
        return Ticket(
            key=decision.ticket_key, type="context_churn", cause_id=f"cause_{number}",
            component=f"part{number % COMPONENTS}", generation=decision.generation, episode=episode, filed_on=day,
            title=f"Context churn {number}", body=f"Users repeat themselves, case {number}.\n",
        )  # fmt: skip

    return render


def doors(ledger: str, url: str) -> tuple[SqlLedger, LinearTracker]:
    """The real ledger in its database, the real tracker over HTTP; only its pauses are short."""
    client = LinearClient(
        url, "lin_api_key", timeout_seconds=0.75 * SLOW, sleep=lambda seconds: time.sleep(min(seconds, 0.005))
    )
    return SqlLedger(ledger), LinearTracker(client, team="ENG", link=LINK)


def daemon(orders: Orders) -> None:
    """One passage: reconcile, then every cause in a random order. Exit code 0 where nothing was left undone."""
    rng = random.Random(orders.seed)  # noqa: S311
    ledger, tracker = doors(orders.ledger, orders.url)
    left = 0
    with ExitStack() as stack:
        stack.enter_context(SABOTAGES[orders.sabotage](ledger) if orders.sabotage else ExitStack())
        stack.enter_context(_mortal(orders.dies_at))
        common: dict[str, Any] = {"settings": settings(), "clock": lambda: orders.at}
        try:
            filing.reconcile(ledger, tracker, **common)
        except (TrackerError, LedgerError):
            left += 1
        causes = _offered(orders.day)
        rng.shuffle(causes)
        for number, episode in causes:
            try:
                filed = filing.file_ticket(
                    ledger, tracker, type="context_churn", cause_id=f"cause_{number}",
                    component=f"part{number % COMPONENTS}", episode=episode, day=orders.day,
                    render=_ticket(number, episode, orders.day), recurrence=f"Again on {orders.day}.", **common,
                )  # fmt: skip
            except (TrackerError, LedgerError):
                left += 1
            else:
                left += "circuit breaker" in filed.reason
    os._exit(min(left, 100))


@contextmanager
def _mortal(dies_at: int | None) -> Iterator[None]:
    """Dies at the given step: SIGKILL, which no code can catch or clean up after."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    send, transaction, run = Http.send, SqlLedger.transaction, Database.run

    def mortal_send(self: Http, *args: Any, **options: Any) -> Any:
        step()
        answer = send(self, *args, **options)
        step()
        return answer

    @contextmanager
    def mortal_transaction(self: SqlLedger) -> Iterator[Any]:
        step()
        with transaction(self) as writer:
            yield writer
            step()
        step()

    def mortal_run(self: Database, work: Callable[[Any], Any], *, writes: bool = False) -> Any:
        def mortal_work(connection: Any) -> Any:
            done = work(connection)
            step()
            return done

        return run(self, mortal_work if writes else work, writes=writes)

    with (
        mock.patch.object(Http, "send", mortal_send),
        mock.patch.object(SqlLedger, "transaction", mortal_transaction),
        mock.patch.object(Database, "run", mortal_run),
    ):
        yield


# --- sabotage: what the checks must catch ---------------------------------------------------------------------------


@contextmanager
def _random_ids(_: SqlLedger) -> Iterator[None]:
    """A new id at each attempt: only the attachment would tell that the issue is there."""
    with mock.patch.object(LinearTracker, "_id", side_effect=lambda *_: str(uuid.uuid4())):
        yield


@contextmanager
def _peeking(ledger: SqlLedger) -> Iterator[None]:
    """Budgets are looked up when the daemon starts instead of in the transaction that reserves."""
    seen = ledger.entries(TICKET_KINDS)

    def peeked(entries: Sequence[Any], **asked: Any) -> Decision:
        own = [entry for entry in entries if entry.payload.get("cause_id") == asked["cause_id"]]
        known = {entry.seq for entry in seen}
        return may_file([*seen, *(entry for entry in own if entry.seq not in known)], **asked)

    with mock.patch.object(filing, "may_file", peeked):
        yield


@contextmanager
def _noted_first(ledger: SqlLedger) -> Iterator[None]:
    """The ledger says `filed` before the tracker was asked."""
    create = LinearTracker.create

    def hasty(self: LinearTracker, ticket: TicketText) -> TicketAtTracker:
        ledger.append("filed", ticket.key, {"reference": "soon", "body_is_ours": True})
        return create(self, ticket)

    with mock.patch.object(LinearTracker, "create", hasty):
        yield


@contextmanager
def _random_comments(_: SqlLedger) -> Iterator[None]:
    """Comments get a new id at each attempt."""
    comment = LinearTracker.comment

    def careless(self: LinearTracker, ticket: str, comment_id: str, text: str) -> None:
        comment(self, ticket, f"{comment_id}{random.random()}", text)  # noqa: S311

    with mock.patch.object(LinearTracker, "comment", careless):
        yield


SABOTAGES: Final[dict[str, Callable[[SqlLedger], Any]]] = {
    "an issue has a random id": _random_ids,
    "budgets are read before the transaction": _peeking,
    "the ledger says filed before it is": _noted_first,
    "a comment has a random id": _random_comments,
}
"""Name -> what makes a daemon unsafe in this way."""


# --- a life ---------------------------------------------------------------------------------------------------------


COUNTED: Final = (
    "connections lost", "daemons", "kills at a step", "kills from outside", "passages that left something",
    "passages while down",
)  # fmt: skip


class Life:
    """Days that are lived on one ledger and one server; counts what happened."""

    def __init__(self, plan: Plan, ledger: str, server: Any) -> None:
        """`ledger`: its URL.  `server`: the local Linear, running."""
        self.plan, self.ledger, self.server = plan, ledger, server
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self._context = multiprocessing.get_context("forkserver")
        dialects = ("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "psycopg2")
        self._context.set_forkserver_preload([__name__, *dialects])
        self._lock = threading.Lock()
        self._passage = 0
        self._rng = random.Random(plan.seed)  # noqa: S311

    def live(self, postgres: Any = None) -> None:
        """All days; then one passage without kills and faults, as the next day's would be.

        `postgres`: the ledger's server, where it is one; its connections are ended again and again until then.
        """
        for number in range(self.plan.days):
            day = FIRST + timedelta(number)
            doors(self.ledger, self.server.url)[0].day_materialized(day)
            slots = [threading.Thread(target=self._slot, args=(day, slot)) for slot in range(DAEMONS)]
            with self._hanging_up(postgres) if postgres else nullcontext():
                for slot in slots:
                    slot.start()
                for slot in slots:
                    slot.join()
        self.server.faults = self._faults({})
        self._run(day, killed=False, seed=0)

    @contextmanager
    def _hanging_up(self, postgres: Any) -> Iterator[None]:
        ended, rng = threading.Event(), random.Random(self.plan.seed)  # noqa: S311

        def hang_up() -> None:
            for _ in range(HANG_UPS):
                if ended.wait(rng.uniform(*PAUSES)):
                    return
                self.counts["connections lost"] += postgres.hang_up()

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _slot(self, day: date, slot: int) -> None:
        """One daemon after the other, until one ends with nothing left undone."""
        rng = random.Random(f"{self.plan.seed}:{day}:{slot}")  # noqa: S311
        for attempt in range(PATIENT + 1):
            down = rng.random() < DOWN
            with self._lock:
                self.server.faults = self._faults({"failed_before": 1.0} if down else FAULTS)
                self.counts["passages while down"] += down
            killed = attempt < PATIENT and rng.random() < self.plan.killed
            if self._run(day, killed=killed, seed=rng.randrange(2**32)) == 0 and attempt:
                return

    def _faults(self, rates: Mapping[str, float]) -> Any:
        from signals_assets_tests.fakes.linear_server import Faults

        before = self.server.faults.met
        faults = Faults(rates=dict(rates), seed=self._rng.randrange(2**32), slow_seconds=SLOW)  # type: ignore[arg-type]
        faults.met = before
        return faults

    def _run(self, day: date, *, killed: bool, seed: int) -> int:
        """One daemon from birth to death: its exit code, negative where it was killed."""
        rng = random.Random(seed)  # noqa: S311
        with self._lock:
            self._passage += 1
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=2 * self._passage)
        from_outside = killed and rng.random() < 0.3
        dies_at = rng.randint(1, STEPS) if killed and not from_outside else None
        orders = Orders(self.ledger, self.server.url, day, at, seed, dies_at, self.plan.sabotage)
        process = self._context.Process(target=daemon, args=(orders,))
        process.start()
        if from_outside:
            process.join(rng.uniform(0.05, LONGEST_LIFE))
            process.kill()
        process.join()
        code = process.exitcode or 0
        with self._lock:
            self.counts["daemons"] += 1
            self.counts["kills from outside" if from_outside else "kills at a step"] += code == -signal.SIGKILL
            self.counts["passages that left something"] += code > 0
        return code


def lived(plan: Plan) -> Result:
    """Live a plan: figures and gates."""
    from signals_assets_tests.fakes.linear_server import LinearServer

    folder = Path(tempfile.mkdtemp(prefix="signals-filing-"))
    begun = time.monotonic()
    try:
        with LinearServer() as server, _ledger(plan, folder) as (ledger, postgres):
            life = Life(plan, ledger, server)
            life.live(postgres)
            figures = _left(ledger, server) | {
                "daemons": life.counts["daemons"],
                "kills": life.counts["kills from outside"] + life.counts["kills at a step"],
                **{name.replace(" ", "_"): count for name, count in sorted(life.counts.items()) if name != "daemons"},
                "requests": sum(server.asked.values()),
                "faults": sum(server.faults.met.values()),
                "faults_by_kind": dict(sorted(server.faults.met.items())),
                "seconds": round(time.monotonic() - begun, 1),
            }
    finally:
        shutil.rmtree(folder)
    known = {"days": plan.days, "seed": plan.seed, "ledger": plan.database}
    return {"plan": known, "sabotage": plan.sabotage, "figures": figures}


@contextmanager
def _ledger(plan: Plan, folder: Path) -> Iterator[tuple[str, Any]]:
    """The URL of a new ledger, and its server where it has one."""
    if plan.database == "sqlite":
        yield f"sqlite:///{folder / 'ledger.db'}", None
        return
    from signals_assets_tests.fakes.postgres import PostgresServer

    with PostgresServer() as postgres:
        yield postgres.database(), postgres


def _left(url: str, server: Any) -> Result:
    """What a life left at the server and in the ledger; the two are counted apart."""
    ledger, _ = doors(url, server.url)
    state = server.state
    by_issue = {row["issue"]["id"]: row["metadata"] for row in state.attachments.values()}
    causes = Counter(row["fingerprint"] for row in by_issue.values())
    days = Counter(row["filed_on"] for row in by_issue.values())
    parts = Counter((row["filed_on"], row["component"]) for row in by_issue.values())
    comments = Counter((row["issue"]["id"], row["body"]) for row in state.comments.values())
    tickets = ledger_tickets(ledger.entries(TICKET_KINDS))
    kinds = Counter(entry.kind for entry in ledger.entries([filing.FAILURE_KIND, filing.PROBE_KIND]))
    return {
        "filings": len(tickets),
        "issues": len(state.issues),
        "causes_with_an_issue": len(causes),
        "most_issues_on_a_day": max(days.values(), default=0),
        "comments": len(state.comments),
        "breaker_failures": kinds[filing.FAILURE_KIND],
        "breaker_probes": kinds[filing.PROBE_KIND],
        "issues_beyond_one_for_each_cause": len(state.issues) - len(causes),
        "causes_with_a_filing_and_without_an_issue": len({t.cause_id for t in tickets.values()} - causes.keys()),
        "issues_that_no_filing_knows": len(causes.keys() - {t.cause_id for t in tickets.values()}),
        "issues_without_their_attachment": len(state.issues.keys() - by_issue.keys()),
        "filings_not_noted_as_filed": sum(t.reference is None for t in tickets.values()),
        "references_that_lead_nowhere": len(
            {t.reference for t in tickets.values()} - {row["url"] for row in state.issues.values()}
        ),
        "days_over_the_budget": sum(count > PER_DAY for count in days.values()),
        "component_days_over_the_budget": sum(count > PER_COMPONENT for count in parts.values()),
        "comments_made_twice": sum(count - 1 for count in comments.values()),
        "labels_made_twice": len(state.labels) - len({row["name"].lower() for row in state.labels.values()}),
        "breaks_in_the_audit": int(filing.broken_link(ledger.entries([filing.AUDIT_KIND])) is not None),
        "questions_against_the_schema": len(server.refused),
    }


NONE: Final = (
    "issues_beyond_one_for_each_cause", "causes_with_a_filing_and_without_an_issue", "issues_that_no_filing_knows",
    "issues_without_their_attachment", "filings_not_noted_as_filed", "references_that_lead_nowhere",
    "days_over_the_budget", "component_days_over_the_budget", "comments_made_twice", "labels_made_twice",
    "breaks_in_the_audit", "questions_against_the_schema",
)  # fmt: skip
"""Figures that must be 0, in every life together."""


def gates(lives: Sequence[Mapping[str, Any]], wanted: int) -> list[Result]:
    """What must hold of these lives together; `wanted`: filings that the budget allowed."""
    total: Counter[str] = Counter()
    for life in lives:
        total.update({name: life["figures"][name] for name in (*NONE, "causes_with_an_issue", "kills", "faults")})
    least = [
        ("causes with exactly one issue", total["causes_with_an_issue"], wanted),
        ("daemons killed", total["kills"], wanted // 4),
        ("faults met", total["faults"], wanted // 4),
    ]
    return [
        {"gate": f"filing: {gate}", "measured": value, "at least": limit, "holds": value >= limit}
        for gate, value, limit in least
    ] + [
        {"gate": f"filing: {name.replace('_', ' ')}", "measured": total[name], "at most": 0, "holds": total[name] == 0}
        for name in NONE
    ]


def run(*, quick: bool = False, seed: int = 0, chosen: Sequence[Plan] | None = None) -> Result:
    """Live every plan; figures, gates, and sabotages that were not caught; ready for JSON.

    Raises RuntimeError where the local server is not there (it is part of a checkout, not of an installation).
    """
    try:
        importlib.import_module("signals_assets_tests.fakes.linear_server")
        importlib.import_module("psycopg2")
    except ImportError:
        raise RuntimeError(
            "this benchmark needs the local Linear in signals_assets_tests, graphql-core and psycopg2: run it from a "
            "checkout that was installed with `make install`"
        ) from None
    every = plans(quick=quick, seed=seed) if chosen is None else list(chosen)
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}):
        lives = [lived(plan) for plan in every]
    honest = [life for life in lives if life["sabotage"] is None]
    controls = []
    for plan, life in zip(every, lives, strict=True):
        if plan.sabotage:
            broken = [gate["gate"] for gate in gates([life], 0) if not gate["holds"]]
            controls.append({"sabotage": plan.sabotage, "caught": bool(broken), "by": broken})
    return {
        "benchmark": "crash, filing",
        "parameters": {
            "seed": seed,
            "quick": quick,
            "lives": len(honest),
            "days": sum(p["plan"]["days"] for p in honest),
        },
        "lives": honest,
        "controls": controls,
        "gates": gates(honest, sum(plan.filings for plan in every if plan.sabotage is None)),
        "unproven": [f"not caught: {row['sabotage']}" for row in controls if not row["caught"]],
    }
