"""Simulation: causes with tickets and pull requests that are about them or about something else.

Put here: `worlds`, seeded: a made-up product, its causes, and for each the texts that others wrote.
Not here: comparing them (see `core/deduplication.py`), figures (see `benchmarks/loop.py`).

The words are written here for this purpose and are none of the matcher's: how developers title tickets and pull
requests, in several registers, with typing errors, noise, stack traces, and places named by tool, path, service or in
passing. Kinds of pairs that are the same: `own` (our ticket under an earlier name of the type and in other slices),
`person` (a ticket a person wrote), `change` (a pull request). Kinds that are not: `other_type` (same component),
`other_place` (same type), `other_defect` (same component and type, another error), `other_change`, `other_work` and
`other_wish` (a pull request and a ticket about the place and no friction), `unrelated`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from signals_assets.core.deduplication import Concern

COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "query-gateway": ("run_query", "describe_table", "services/gateway/*", "query-gateway"),
    "preview-deploy": ("deploy_preview", "infra/preview/*", "deploy-proxy"),
    "document-index": ("find_documents", "services/documents/*", "document-indexer"),
    "invoice-export": ("export_invoices", "billing/export/*", "invoice-worker"),
    "calendar-sync": ("sync_calendar", "integrations/calendar/*", "calendar-bridge"),
}
"""The made-up product: component -> tools, paths, log services."""

_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "query-gateway": ("run_query", "the query gateway", "our gateway for queries", "query-gateway",
    "querys in the gateway"),
    "preview-deploy": ("deploy_preview", "preview deploys", "the deploy of a preview", "deploy-proxy", "previews"),
    "document-index": ("find_documents", "the document index", "document lookup", "the indexer for documents",
    "documents"),
    "invoice-export": ("export_invoices", "the invoice export", "exporting an invoice", "invoice-worker", "invoices"),
    "calendar-sync": ("sync_calendar", "calendar sync", "the calendar integration", "calendar-bridge", "calenders"),
}  # fmt: skip
"""How people name the places: one in five in passing or misspelt."""

_DEFECTS: Final[Mapping[str, tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]]] = {
    "query-gateway": (
        ("connection pool exhausted after <n> ms",
         ("no free connections left in the pool", "all db connections are taken, we wait and then it dies",
          "pool runs dry under load and connections time out"),
         ("bump pool size and release idle connections", "more connections in the pool")),
        ("syntax error near <string> in generated statement",
         ("generates SQL that does not parse", "the statement it builds has a syntax error"),
         ("quote identifiers so the statement parses", "fix invalid SQL syntax of generated statements")),
    ),
    "preview-deploy": (
        ("upstream certificate has expired",
         ("TLS cert is past its date", "handshake fails, the certificate ran out last week"),
         ("rotate the expired certificate", "renew TLS certificate automatically")),
        ("build image not found in registry <string>",
         ("cannot pull the image, registry says 404", "the image it wants to build from is missing"),
         ("publish the build image before use", "push missing base image to the registry")),
    ),
    "document-index": (
        ("index shard <n> is read only",
         ("one shard refuses writes", "shard stuck in read-only and nothing gets indexed"),
         ("take shards out of read-only after disk cleanup", "unlock read only shards")),
        ("embedding request exceeds token limit <n>",
         ("long docs blow past the token limit", "too many tokens in one request and it bails out"),
         ("split long requests below the token limit", "chunk input so it fits the token limit")),
    ),
    "invoice-export": (
        ("currency rate missing for <string>",
         ("no exchange rate for some currency and it bombs", "rates table lacks a currency"),
         ("fall back to the last known exchange rate", "load missing currency rates")),
        ("disk quota exceeded while writing archive",
         ("out of disk when zipping the archive", "volume is full, archive cannot be written"),
         ("stream the archive instead of writing it to disk", "raise disk quota for archives")),
    ),
    "calendar-sync": (
        ("refresh token revoked by provider",
         ("google kicks us out, token no longer valid", "auth token got revoked and we never ask for a new one"),
         ("ask for consent again when the token is revoked", "renew revoked refresh tokens")),
        ("recurrence rule <string> cannot be parsed",
         ("weekly events with odd rules choke the parser", "can't parse the RRULE of repeating meetings"),
         ("support more recurrence rules in the parser", "parse RRULE with exceptions")),
    ),
}  # fmt: skip
"""By component: a backend error as its published template, how people put it, how a mending change is titled."""

_SYMPTOMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]]] = {
    "repeated_rephrasing": (
        ("people repeat themselves three, four times before it gets what they mean with {place}",
         "had to ask for the same thing over and over, {place} never got it",
         "{place}: customer phrased one wish five different ways",
         "doesn't get what I want from {place} even though I keep rewording it"),
        ("understand the first wording of a wish in {place}", "fewer rounds of rewording for {place}"),
        "Asked again"),
    "escalation_tone": (
        ("folks are furious about {place}", "very upset customers, {place} drives them mad",
         "several users swore at the bot because of {place}", "people lose patience and shout at it around {place}"),
        ("calm down angry users of {place}", "apologise and hand over when people are furious at {place}"),
        "Anger"),
    "platform_confusion": (
        ("nobody knows whether the assistant is able to use {place}", "where do I find {place}? users keep asking",
         "people misunderstand what the bot can and can't do with {place}",
         "lots of how-does-this-work questions around {place}"),
        ("explain in the onboarding what the assistant can do with {place}", "help text: how {place} works"),
        "Questions about us"),
    "abandoned_tool_flow": (
        ("users hit stop while {place} is running", "people decline the {place} step most of the time",
         "{place} call gets cancelled by the user half way",
         "it never finishes the {place} steps, just leaves them open"),
        ("do not ask for {place} when users keep declining it", "make {place} cancellable and resume unfinished runs"),
        "Stopped half-way"),
    "backtracking": (
        ("had to roll back what the agent did with {place}", "everyone wants their old version back after {place}",
         "agent undoes its own work on {place} all the time",
         "{place}: changes get reverted right after they are made"),
        ("keep a restore point before {place} so nothing has to be rolled back", "stop needless reverts in {place}"),
        "Undone work"),
    "context_churn": (
        ("opens the same file ten times while working on {place}", "keeps rereading identical content of {place}",
         "forgets what it just read from {place} and fetches it again",
         "burns tokens by loading one file again and again for {place}"),
        ("cache file reads for {place}", "remember files already read for {place}"),
        "Reading twice"),
    "correction": (
        ("{place} delivers wrong output and users have to point it out",
         "agent claims {place} is done but the outcome is not what people asked for",
         "users keep telling it that the answer from {place} is incorrect",
         "{place}: wrong results, user has to set it straight"),
        ("make the output of {place} match what was asked", "fix wrong results of {place}"),
        "Put right by users"),
}  # fmt: skip
"""By type: what people write, how a change is titled, and the name that our own tickets once had for it."""

_FRESH_SYMPTOMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "repeated_rephrasing": (
        ("it takes a dozen tries to make it grasp what {place} should do",
         "stuck in a loop of me explaining {place} anew"),
        ("interpret vague wishes about {place} on the first go",)),
    "escalation_tone": (
        ("clients are fed up with {place} and tell us so in capital letters",
         "hostile messages whenever {place} is involved"),
        ("detect irritation early when {place} misbehaves",)),
    "platform_confusion": (
        ("newcomers can't figure out what {place} is good for", "is {place} included? support gets that every day"),
        ("tooltip that tells what {place} is for",)),
    "abandoned_tool_flow": (
        ("most runs of {place} are killed by the person waiting for it",
         "permission prompt for {place} is denied a lot"),
        ("drop the permission prompt of {place}",)),
    "backtracking": (
        ("what it changed in {place} had to be thrown away and reset",
         "I want back what {place} looked like this morning"),
        ("snapshot {place} so a bad edit can be reversed",)),
    "context_churn": (
        ("goes through one and the same file endlessly because of {place}",
         "the assistant has amnesia about files of {place}"),
        ("avoid fetching an unchanged file twice in {place}",)),
    "correction": (
        ("{place} gave a bogus answer, had to tell it what the right one is",
         "what comes out of {place} is not what we ordered"),
        ("validate what {place} delivers against the order",)),
}  # fmt: skip
"""Written after the measure's first bounds: what people write, how a change is titled."""

_FRESH_DEFECTS: Final[Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]] = {
    "query-gateway": (
        (("too many open connections, new ones have to queue until they expire",),
         ("limit idle sessions so the pool has room",)),
        (("database rejects what it wrote: unexpected token",), ("escape names in generated queries",))),
    "preview-deploy": (
        (("browser warns about an outdated certificate",), ("automate certificate renewal",)),
        (("docker pull gives manifest unknown",), ("pin the image tag that exists in the registry",))),
    "document-index": (
        (("cannot write to a shard since the disk filled up",), ("reset the read only flag of shards",)),
        (("context length error for big files",), ("truncate text to the model's token limit",))),
    "invoice-export": (
        (("fails for yen because it finds no conversion rate",), ("import rates for all currencies",)),
        (("no space left on device during archiving",), ("clean up old archives to stay within quota",))),
    "calendar-sync": (
        (("users have to log in anew, their grant was withdrawn",), ("handle revoked grants of the provider",)),
        (("repeating events with exceptions raise a parse error",), ("tolerate unknown parts of recurrence rules",))),
}  # fmt: skip

_THIRD_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "query-gateway": ("describe_table", "services/gateway", "the SQL gateway", "our gateway",
    "whatever sits in front of our queries"),
    "preview-deploy": ("infra/preview", "deploy-proxy", "the preview environment", "the preview link of a branch",
    "throwaway deployments"),
    "document-index": ("services/documents", "document-indexer", "our document search", "the doc index",
    "searching documents"),
    "invoice-export": ("billing/export", "invoice-worker", "the invoice download", "monthly invoices",
    "exported bills"),
    "calendar-sync": ("integrations/calendar", "calendar-bridge", "the Google calendar link", "meeting sync",
    "calendar events"),
}  # fmt: skip
_THIRD_SYMPTOMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]]] = {
    "repeated_rephrasing": (
        ("typed my question about {place} in every way I can think of before it clicked",
         "takes four prompts until it catches on with {place}",
         "{place}: sessions where someone pastes nearly the same prompt again and again"),
        ("recognise {place} requests however they are worded", "{place}: fewer retries of the same prompt"),
        "Prompt retries"),
    "escalation_tone": (
        ("support gets hate mail about {place}", "users swear at the agent once {place} comes up",
         "people write 'this is useless, get me a human' after {place}"),
        ("hand over to support when a user loses it over {place}", "{place}: softer replies to cross users"),
        "Upset users"),
    "platform_confusion": (
        ("users ask if {place} can be switched on, and where",
         "trial customers think {place} does things it was never built for",
         "what does {place} even do? asked five times this week"),
        ("describe {place} in the welcome message", "{place}: list supported actions in the help command"),
        "Product unclear"),
    "abandoned_tool_flow": (
        ("most people press escape before {place} is through",
         "{place} runs are aborted more often than they complete",
         "users click 'no' when the agent wants to start {place}"),
        ("{place}: pick up where the user stopped it", "show progress of {place} so nobody aborts it"),
        "Aborted runs"),
    "backtracking": (
        ("every second session ends in git checkout of what it did to {place}",
         "asked the agent to put {place} back to how it was", "{place}: edits get undone within minutes"),
        ("{place}: dry run before applying edits, so there is less to undo", "make {place} changes easy to roll back"),
        "Rollbacks"),
    "context_churn": (
        ("reads the config of {place} twenty times a session",
         "eats the whole context by loading identical files for {place}",
         "{place}: agent looks at a file, then looks at the same file again a minute later"),
        ("{place}: keep file contents in the session instead of loading them again", "deduplicate reads in {place}"),
        "File loaded twice"),
    "correction": (
        ("{place} reports success but I have to tell it what it got wrong",
         "numbers from {place} are off, customers fix them in chat",
         "not what I meant: {place} returned something else than requested"),
        ("{place}: return what the user requested", "check the answer of {place} before showing it"),
        "Wrong outcome"),
}  # fmt: skip
_THIRD_DEFECTS: Final[Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]] = {
    "query-gateway": (
        (("pool of db connections is full and queries hang until they time out",
          "cannot get a connection, all of them in use"),
         ("release connections back to the pool after each query", "make the pool larger")),
        (("postgres complains about broken SQL it generated", "the query it produces is malformed near a quote"),
         ("validate generated SQL before running it", "escape quotes in the generated statement"))),
    "preview-deploy": (
        (("https fails since Monday, cert not valid anymore", "expired TLS certificate upstream"),
         ("new certificate for the proxy", "alert before a certificate expires")),
        (("image pull fails because the tag is gone from the registry", "builder image does not exist"),
         ("fix image tag of the builder", "mirror base images into our registry"))),
    "document-index": (
        (("writes to a shard are blocked", "shard went read only after the disk was full"),
         ("make shards writable again", "monitor read only shards")),
        (("embedding call rejected, input has too many tokens", "large PDFs are over the limit of the embedding model"),
         ("cut documents into pieces before embedding", "respect the maximum tokens of the embedding API"))),
    "invoice-export": (
        (("no rate for CHF so the total cannot be computed", "exchange rates of some currencies are missing"),
         ("add missing exchange rates", "use yesterday's rate when there is none for today")),
        (("zip cannot be written, quota reached", "disk full while making the archive"),
         ("delete old archives when the disk is full", "write archives to object storage"))),
    "calendar-sync": (
        (("google revoked our refresh token and sync stops silently",
          "provider says invalid_grant, people must reconnect"),
         ("prompt for reconnect when the refresh token is invalid", "handle invalid_grant")),
        (("RRULE with BYSETPOS is not understood", "cannot read recurring events, parser error"),
         ("parse BYSETPOS in recurrence rules", "skip recurrence rules we cannot read"))),
}  # fmt: skip
"""A third set, of types, errors and places: written and committed before anything was tried on it."""

_FOURTH_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "query-gateway": ("run_query", "Query Gateway", "the gateway that runs SQL", "describe_table", "queries"),
    "preview-deploy": ("infra/preview", "preview deployments", "the deploy-proxy", "a PR preview",
    "deploying previews"),
    "document-index": ("document search", "the documents index", "find_documents", "document-indexer",
    "indexed documents"),
    "invoice-export": ("export of invoices", "invoice-worker", "billing export", "export_invoices", "an invoice"),
    "calendar-sync": ("calendar-bridge", "syncing a calendar", "calendars", "sync_calendar", "Calendar"),
}  # fmt: skip
_FOURTH_SYMPTOMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]]] = {
    "repeated_rephrasing": (
        ("[Bug] assistant ignores what I ask for in {place}, same instruction sent three times before it acted",
         "Prompt for {place} is not understood unless you spell it out several times",
         "{place}: user restates the identical request turn after turn"),
        ("parse instructions for {place} correctly the first time",
         "prompt: follow repeated instructions about {place}"),
        "Restated instruction"),
    "escalation_tone": (
        ("Customer anger spikes in chats that touch {place}",
         "users insult the assistant and say they will cancel because of {place}",
         "{place} - sentiment turns sour within minutes, lots of complaining and all caps"),
        ("route enraged users of {place} to a human agent", "de-escalate when someone is frustrated by {place}"),
        "Frustrated users"),
    "platform_confusion": (
        ("Docs gap: people do not understand what {place} supports",
         "assistant gets asked how to enable {place}, and whether it even has that feature",
         "users assume {place} does more than it can"),
        ("document the limits of {place}", "teach the assistant to explain {place} and its features"),
        "Unclear features"),
    "abandoned_tool_flow": (
        ("Users interrupt {place} before it returns",
         "{place} approval dialog is rejected in most sessions",
         "agent quits half-done with {place} and the user has to finish it by hand"),
        ("ask for fewer approvals in {place}", "let {place} continue after the user interrupted it"),
        "Rejected calls"),
    "backtracking": (
        ("Edits made through {place} are rolled back by users",
         "user asks 'undo that' after nearly every {place} change",
         "{place}: agent breaks working state and then has to restore the old one"),
        ("{place}: checkpoint and one-click undo", "avoid having to revert work done with {place}"),
        "Reverted edits"),
    "context_churn": (
        ("Agent re-reads unchanged files up to nine times per session when using {place}",
         "redundant reads of the same document in {place} sessions waste tokens",
         "no memory of what was read before: {place} files are loaded from scratch every turn"),
        ("session-level read cache for {place}", "stop the agent from re-reading what {place} already returned"),
        "Redundant reading"),
    "correction": (
        ("{place} says done but nothing was done, users have to point out the mistake",
         "Incorrect results from {place}, customer had to correct the agent",
         "agent makes false claims about {place} and gets corrected"),
        ("verify the result of {place} before claiming success", "{place}: fix incorrect output"),
        "False claims"),
}  # fmt: skip
_FOURTH_DEFECTS: Final[Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]] = {
    "query-gateway": (
        (("Timeout waiting for a connection from the pool", "connection leak: the pool is empty after an hour"),
         ("fix connection leak so the pool does not run out", "close connections after use")),
        (("generated SQL is invalid, parser complains near a keyword",
          "malformed statement when a column name has quotes"),
         ("escape identifiers in generated SQL", "repair the SQL generator's syntax"))),
    "preview-deploy": (
        (("SSL certificate expired, upstream cannot be verified", "x509: certificate is no longer valid"),
         ("auto-renew the upstream certificate", "replace expired cert")),
        (("build fails since the base image is not in the registry", "registry returns not found for our build image"),
         ("restore the missing image in the registry", "check that the image exists before the build"))),
    "document-index": (
        (("index is stuck read-only, shards do not accept new documents", "cannot index: shard is in read only mode"),
         ("turn off read-only mode of index shards", "auto recover shards from read only")),
        (("request to the embedding API is over the maximum number of tokens", "token limit exceeded on long texts"),
         ("respect token limit of embedding requests", "batch embedding requests by tokens"))),
    "invoice-export": (
        (("missing FX rate breaks the totals", "KeyError for a currency without a rate"),
         ("default rate when a currency has none", "update the currency rates daily")),
        (("archive step runs out of disk space", "quota exceeded when the zip is written"),
         ("more disk for archives", "delete temporary archives so the quota holds"))),
    "calendar-sync": (
        (("OAuth refresh token is revoked and there is no re-login", "provider revoked access, refresh fails with 400"),
         ("re-authenticate when the provider revokes a token", "detect revoked refresh token")),
        (("unsupported recurrence rule makes the parser throw", "recurring meetings fail to parse"),
         ("handle complex recurrence rules", "more robust RRULE parsing"))),
}  # fmt: skip
"""A fourth set, in the register of bug reports: written and committed before anything was tried on it. Since then its
misses showed what to build."""

Words = Literal["tuning", "fresh", "third", "fourth"]

_WORK: Final[Mapping[Words, tuple[str, ...]]] = {
    "tuning": (
        "Bump the SDK that {place} uses", "Add metrics to {place}", "Refactor {place} into smaller modules",
        "{place}: move config to yaml", "New field for {place}: owner", "Rename variables in {place}",
        "Unit tests for {place}", "{place} with paging", "Speed up {place}"),
    "fresh": (
        "Extract an interface from {place}", "{place} supports a second region", "Log more of {place}",
        "type hints for {place}", "Let admins choose the colours of {place}"),
    "third": (
        "split {place} into two packages", "add a keyboard shortcut to {place}", "{place}: upgrade to Python 3.13",
        "translate labels of {place} into French", "make {place} twice as fast", "tracing spans for {place}",
        "Budget planning for {place}", "feature flag for {place} v2"),
    "fourth": (
        "chore: remove dead code in {place}", "{place}: dark mode", "Migrate {place} to the new cluster",
        "Nicer icons for {place}", "Rate limits per plan for {place}", "{place} dashboard: show p95",
        "Add {place} to the public API", "Security review of {place}"),
}  # fmt: skip
"""What else is done and wished for in a place: about no friction at all."""

_FAILS: Final = (
    "{place} breaks: {error}", "{error} ({place})", "{place} keeps failing, {error}", "errors from {place} - {error}",
    "{place} down for some tenants. {error}",
)  # fmt: skip
_NOISE: Final = (
    "Seen on staging too.", "cc @maria, can you have a look?", "Not sure since when.",
    "Happens mostly in the mornings.",
    "Two customers mentioned it this week.", "Low prio for now?", "See thread in support.",
    "Steps to reproduce: unclear.",
    "```\nTraceback (most recent call last)\n  line 12, in main\n```", "Labels: needs triage",
)  # fmt: skip
_SLICES: Final = (
    "Mostly in version 2.3 and TypeScript projects.", "Concentrates in Python, version 1.9.",
    "Half of the sessions wanted a report.", "Seen in German and English.",
)  # fmt: skip
_ELSEWHERE: Final = (
    "Update dependencies", "Dark mode for the settings page", "Write the on-call handbook",
    "Remove unused feature flags",
    "Nightly job is slow", "Move CI to the new runners", "Typos in the README", "Onboard the new designer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """A ticket (`key` where it is ours) or a pull request, as a door would give it."""

    id: str
    title: str
    body: str
    branch: str = ""
    files: tuple[str, ...] = ()
    key: str | None = None

    @property
    def reference(self) -> str:
        """As a ticket it is named like this."""
        return self.id


@dataclass(frozen=True, slots=True)
class Pair:
    """A cause and a text, and whether the text is about it."""

    kind: str
    concern: Concern
    text: Text
    same: bool

    @property
    def is_change(self) -> bool:
        """Whether the text is a pull request."""
        return self.kind in ("change", "other_change", "other_work")


@dataclass(frozen=True, slots=True)
class _Cause:
    type: str
    component: str
    defect: int | None

    @property
    def concern(self) -> Concern:
        symptoms = () if self.defect is None else (_DEFECTS[self.component][self.defect][0],)
        return Concern(self.type, self.component, symptoms)


class _Author:
    """One seeded writer, who draws from one set of words."""

    def __init__(self, seed: int, words: Words) -> None:
        self.rng = random.Random(f"pairs-{seed}")
        self._symptoms: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
            "tuning": {kind: said[:2] for kind, said in _SYMPTOMS.items()},
            "fresh": _FRESH_SYMPTOMS,
            "third": {kind: said[:2] for kind, said in _THIRD_SYMPTOMS.items()},
            "fourth": {kind: said[:2] for kind, said in _FOURTH_SYMPTOMS.items()},
        }[words]
        self._defects: Mapping[str, Sequence[tuple[tuple[str, ...], tuple[str, ...]]]] = {
            "tuning": {place: [said[1:] for said in defects] for place, defects in _DEFECTS.items()},
            "fresh": _FRESH_DEFECTS,
            "third": _THIRD_DEFECTS,
            "fourth": _FOURTH_DEFECTS,
        }[words]
        self._places = {"third": _THIRD_PLACES, "fourth": _FOURTH_PLACES}.get(words, _PLACES)
        self._names = {"third": _THIRD_SYMPTOMS, "fourth": _FOURTH_SYMPTOMS}.get(words, _SYMPTOMS)
        self._failing = {"third": "Tool failures", "fourth": "Errors of tools"}.get(words, "Failing calls")
        self._work = _WORK[words]

    def symptom(self, kind: str, *, change: bool = False) -> str:
        """A type's phrase with `{place}` in it."""
        return self.rng.choice(self._symptoms[kind][change])

    def defect(self, component: str, number: int, *, change: bool = False) -> str:
        """A defect in a person's words."""
        return self.rng.choice(self._defects[component][number][change])

    def place(self, component: str) -> str:
        """How a person names a component."""
        return self.rng.choice(self._places[component])

    def work(self, component: str) -> str:
        """Something else that is done in a component."""
        return self.rng.choice(self._work).format(place=self.place(component))

    def called(self, kind: str) -> str:
        """The name that our own tickets once had for a type."""
        return self._failing if kind == "error_event" else self._names[kind][2]


def worlds(seeds: Sequence[int], words: Words = "tuning") -> Iterator[Pair]:
    """The pairs of one made-up tracker per seed, in one of the sets of words."""
    for seed in seeds:
        author = _Author(seed, words)
        rng = author.rng
        causes = [_Cause("error_event", place, defect) for place in COMPONENTS for defect in (0, 1)]
        causes += [_Cause(kind, place, None) for kind in _SYMPTOMS for place in rng.sample(sorted(COMPONENTS), 2)]
        for number, cause in enumerate(causes):
            yield from _pairs(author, cause, f"{seed}-{number}")


def _pairs(author: _Author, cause: _Cause, name: str) -> Iterator[Pair]:
    rng = author.rng

    def pair(kind: str, about: _Cause, text: Text) -> Pair:
        return Pair(kind, cause.concern, text, about == cause)

    yield pair("own", cause, _own(author, cause, f"{name}-own"))
    yield pair("person", cause, _person(author, cause, f"{name}-person"))
    yield pair("person", cause, _person(author, cause, f"{name}-person-2"))
    yield pair("change", cause, _change(author, cause, f"{name}-change"))
    other_type = _Cause(rng.choice(sorted(set(_SYMPTOMS) - {cause.type})), cause.component, None)
    other_component = rng.choice(sorted(set(COMPONENTS) - {cause.component}))
    other_place = _Cause(cause.type, other_component, cause.defect)
    yield pair("other_type", other_type, _person(author, other_type, f"{name}-type"))
    yield pair("other_type", other_type, _own(author, other_type, f"{name}-type-own"))
    yield pair("other_place", other_place, _person(author, other_place, f"{name}-place"))
    yield pair("other_change", other_type, _change(author, other_type, f"{name}-change-other"))
    if cause.defect is not None:
        other = _Cause(cause.type, cause.component, 1 - cause.defect)
        yield pair("other_defect", other, _person(author, other, f"{name}-defect"))
        yield pair("other_change", other, _change(author, other, f"{name}-change-defect"))
    for kind in ("other_work", "other_wish"):
        files = _files(rng, cause.component) if kind == "other_work" else ()
        work = Text(f"{name}-{kind}", author.work(cause.component), rng.choice(_NOISE), files=files)
        yield Pair(kind, cause.concern, work, same=False)
    yield Pair("unrelated", cause.concern, Text(f"{name}-far", rng.choice(_ELSEWHERE), rng.choice(_NOISE)), same=False)


def _sentence(author: _Author, cause: _Cause) -> str:
    place = author.place(cause.component)
    if cause.defect is None:
        return author.symptom(cause.type).format(place=place)
    return author.rng.choice(_FAILS).format(place=place, error=author.defect(cause.component, cause.defect))


def _person(author: _Author, cause: _Cause, name: str) -> Text:
    rng = author.rng
    title = _sentence(author, cause)
    body = [rng.choice(_NOISE), _sentence(author, cause) if rng.random() < 0.5 else "", rng.choice(_NOISE)]
    if rng.random() < 0.3:
        title = _mistyped(rng, title)
    if rng.random() < 0.3:
        title = title.capitalize()
    return Text(name, title, "\n".join(part for part in body if part))


def _own(author: _Author, cause: _Cause, name: str) -> Text:
    """A ticket of ours as it was when the type had another name and definition."""
    place = cause.component.replace("-", " ")
    if cause.defect is None:
        said, error = author.symptom(cause.type).format(place="this component"), "No backend error stands out."
    else:
        said = "Something the agent called did not work."
        error = f"Backend error: {_DEFECTS[cause.component][cause.defect][0]}."
    felt = f"## What users experience\n\n{said}\n\n## How many\n\n{author.rng.choice(_SLICES)}"
    body = f"{felt}\n\n## Suspected\n\n- {error}\n"
    return Text(name, f"{author.called(cause.type)} in {place}", body, key="SIG-00000000")


def _change(author: _Author, cause: _Cause, name: str) -> Text:
    rng = author.rng
    if cause.defect is None:
        title = author.symptom(cause.type, change=True).format(place=author.place(cause.component))
    else:
        title = author.defect(cause.component, cause.defect, change=True)
    files = _files(rng, cause.component)
    prefix = rng.choice(("fix: ", "", "feat: ", f"{cause.component}: "))
    why = _sentence(author, cause) if rng.random() < 0.6 else rng.choice(_NOISE)
    return Text(name, f"{prefix}{title}", why, f"fix/{rng.randrange(900)}", files)


def _files(rng: random.Random, component: str) -> tuple[str, ...]:
    pattern = next(part for part in COMPONENTS[component] if part.endswith("*"))
    return (pattern.replace("*", f"{rng.choice(('core', 'limits', 'client'))}.py"),) if rng.random() < 0.8 else ()


def _mistyped(rng: random.Random, text: str) -> str:
    """One letter left out or two swapped, in one word in six of more than four letters."""
    words = text.split(" ")
    for number, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 1 / 6:
            at = rng.randrange(1, len(word) - 2)
            swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            words[number] = swapped if rng.random() < 0.5 else word[:at] + word[at + 1 :]
    return " ".join(words)
