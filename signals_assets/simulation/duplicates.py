"""Simulation: causes with tickets and pull requests that are about them or about something else.

Put here: `worlds`, seeded: a made-up product, its causes, and for each the texts that others wrote.
Not here: comparing them (see `core/deduplication.py`), figures (see `benchmarks/loop.py`).

The words are written here for this purpose and are none of the matcher's: how developers title tickets and pull
requests, in several registers, with typing errors, noise, stack traces, and places named by tool, path, service or in
passing. Kinds of pairs that are the same: `own` (our ticket under an earlier name of the type and in other slices),
`person` (a ticket a person wrote), `change` (a pull request). Kinds that are not: `other_type` (same component),
`other_place` (same type), `other_defect` (same component and type, another error), `other_change`, `unrelated`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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
"""Written after the bounds were set, and never used to set them: what people write, how a change is titled."""

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
        return self.kind in ("change", "other_change")


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
    """One seeded writer: draws words from the one vocabulary or, `fresh`, from the other."""

    def __init__(self, seed: int, *, fresh: bool) -> None:
        self.rng = random.Random(f"pairs-{seed}")
        self._fresh = fresh

    def symptom(self, kind: str, *, change: bool = False) -> str:
        """A type's phrase with `{place}` in it."""
        return self.rng.choice((_FRESH_SYMPTOMS if self._fresh else _SYMPTOMS)[kind][change])

    def defect(self, component: str, number: int, *, change: bool = False) -> str:
        """A defect in a person's words."""
        if self._fresh:
            return self.rng.choice(_FRESH_DEFECTS[component][number][change])
        return self.rng.choice(_DEFECTS[component][number][1 + change])


def worlds(seeds: Sequence[int], *, fresh: bool = False) -> Iterator[Pair]:
    """The pairs of one made-up tracker per seed; `fresh` takes the words that were never used for tuning."""
    for seed in seeds:
        author = _Author(seed, fresh=fresh)
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
    yield Pair("unrelated", cause.concern, Text(f"{name}-far", rng.choice(_ELSEWHERE), rng.choice(_NOISE)), same=False)


def _place(rng: random.Random, component: str) -> str:
    return rng.choice(_PLACES[component])


def _sentence(author: _Author, cause: _Cause) -> str:
    place = _place(author.rng, cause.component)
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
        called = _SYMPTOMS[cause.type][2]
        said, error = author.symptom(cause.type).format(place="this component"), "No backend error stands out."
    else:
        called, said = "Failing calls", "Something the agent called did not work."
        error = f"Backend error: {_DEFECTS[cause.component][cause.defect][0]}."
    felt = f"## What users experience\n\n{said}\n\n## How many\n\n{author.rng.choice(_SLICES)}"
    body = f"{felt}\n\n## Suspected\n\n- {error}\n"
    return Text(name, f"{called} in {place}", body, key="SIG-00000000")


def _change(author: _Author, cause: _Cause, name: str) -> Text:
    rng = author.rng
    if cause.defect is None:
        title = author.symptom(cause.type, change=True).format(place=_place(rng, cause.component))
    else:
        title = author.defect(cause.component, cause.defect, change=True)
    pattern = next(part for part in COMPONENTS[cause.component] if part.endswith("*"))
    files = (pattern.replace("*", f"{rng.choice(('core', 'limits', 'client'))}.py"),) if rng.random() < 0.8 else ()
    prefix = rng.choice(("fix: ", "", "feat: ", f"{cause.component}: "))
    why = _sentence(author, cause) if rng.random() < 0.6 else rng.choice(_NOISE)
    return Text(name, f"{prefix}{title}", why, f"fix/{rng.randrange(900)}", files)


def _mistyped(rng: random.Random, text: str) -> str:
    """One letter left out or two swapped, in one word in six of more than four letters."""
    words = text.split(" ")
    for number, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 1 / 6:
            at = rng.randrange(1, len(word) - 2)
            swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            words[number] = swapped if rng.random() < 0.5 else word[:at] + word[at + 1 :]
    return " ".join(words)
