"""The contract: one row model per table, with its zone, stage, keys and a description of every column.

Put here: columns, types, descriptions, keys. Column schemas in the UI, Parquet and BigQuery schemas, blocking
contract checks, empty test frames and the README's table list are all derived from these models.
Not here: how rows are made (see `core/`) or stored (see `resources/warehouse.py`).

Asset name = table name = `Row.table`. Every table is stored by `day` and a day's rows are as of that day.
Text columns of the abstracted zone are `Abstracted`: only the barrier can make such a value.
"""

import types
import typing
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from signals_assets.zones import Abstracted, Zone

if TYPE_CHECKING:
    import pyarrow as pa

STAGES: Final[tuple[str, ...]] = (
    "sessions",
    "metrics",
    "analysis",
    "abstractions",
    "discovery",
    "correlations",
    "tickets",
    "outcomes",
    "report",
)
"""The order of the flow, once. A stage is a group of the asset graph."""

Kind = Literal["friction", "delight"]
Severity = Literal["low", "medium", "high"]
Source = Literal["detector", "analyst"]
Antecedent = Literal["failed_tool", "tool", "answer", "start", "agent"]
_ANTECEDENT = (
    "What the agent had done before the user spoke: called tools of which one failed, called tools, only answered, "
    "nothing (start); agent where the evidence does not begin with the user's words."
)


class Row(BaseModel):
    """Base of all row models. Frozen, strict about unknown columns, silent about its input in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)

    table: ClassVar[str]
    stage: ClassVar[str]
    zone: ClassVar[Zone]
    key: ClassVar[tuple[str, ...]]

    day: date = Field(description="Partition: the UTC day these rows are as of.")


class SessionRow(Row):
    """Base of tables with rows under a session key."""

    known_on: date = Field(description="Day on which this row became known; later than `day` for late sessions.")
    session_id: str = Field(description="Keyed pseudonym of the session (and of its segment, where resumed).")
    user_id: str | None = Field(None, description="Keyed pseudonym of the user; null where the source knows none.")


# --- stage 1: sessions -----------------------------------------------------------------------------------------


class RawSession(SessionRow):
    """Every session of the day in the canonical form; nothing is sampled away here."""

    table = "raw_sessions"
    stage = "sessions"
    zone = "restricted"
    key = ("session_id",)

    organization_id: str | None = Field(None, description="Keyed pseudonym of the user's organisation.")
    source_session_id: str = Field(description="The session id as the source gave it.")
    segment: int = Field(0, description="0, or the number of the resumption of the same session id.")
    agent_name: str = Field(description="Name of the agent.")
    agent_version: str | None = Field(None, description="Version of the agent that ran.")
    agent_model: str | None = Field(None, description="Language model the agent used.")
    prompt_version: str | None = Field(None, description="Version of the agent's prompt, where known.")
    started_at: datetime = Field(description="Start, UTC.")
    ended_at: datetime | None = Field(None, description="End, UTC.")
    start_known_from: str = Field("session", description="Where the start comes from: session, first_step or file.")
    steps: int = Field(description="Number of steps.")
    agentic_steps: int = Field(description="Assistant messages and tool calls.")
    source_format: str = Field(description="Reader that understood it.")
    session: str = Field(description="The session as canonical JSON. Raw text: expires with the retention.")


class Quarantined(Row):
    """Records that could not be read, with the reason and no content."""

    table = "quarantine"
    stage = "sessions"
    zone = "restricted"
    key = ("record_id",)

    known_on: date = Field(description="Day on which the record was met.")
    record_id: str = Field(description="Opaque id of the record: keyed hash of its source and position.")
    source_format: str = Field(description="Reader that tried, or unknown.")
    reason: str = Field(description="Code of the reason, e.g. invalid_json, too_deep, too_large.")
    count: int = Field(1, description="How many like it, where they were counted together.")
    bytes: int = Field(0, description="Size of what was set aside.")


class Release(Row):
    """What shipped: versions, prompts and models of the agent, from records or by first sight."""

    table = "releases"
    stage = "sessions"
    zone = "restricted"
    key = ("agent_name", "kind", "version")

    known_on: date = Field(description="Day on which this release became known.")
    agent_name: str = Field(description="Agent that was released.")
    kind: Literal["version", "prompt", "model"] = Field("version", description="What changed.")
    version: str = Field(description="The version, prompt version or model name.")
    released_at: datetime = Field(description="When, UTC.")
    origin: Literal["record", "first_sight"] = Field(description="Told by a record, or first seen in a session.")
    pull_request_ids: list[str] = Field(default_factory=list, description="Pull requests it contains, where told.")


class ErrorLog(Row):
    """What the backend logged at error level."""

    table = "error_logs"
    stage = "sessions"
    zone = "restricted"
    key = ("log_id",)

    known_on: date = Field(description="Day on which the line was read.")
    log_id: str = Field(description="Stable id of the line (source and position).")
    logged_at: datetime = Field(description="When, UTC.")
    service: str = Field(description="Service that logged it.")
    level: str = Field(description="Level as logged.")
    message: str = Field(description="Message as logged.")
    session_id: str | None = Field(None, description="Session pseudonym, where the line names a session.")
    user_id: str | None = Field(None, description="User pseudonym, where the line names a user.")


class FeedbackRecord(Row):
    """What users said with a thumb."""

    table = "feedback"
    stage = "sessions"
    zone = "restricted"
    key = ("feedback_id",)

    known_on: date = Field(description="Day on which it was read.")
    feedback_id: str = Field(description="Stable id of the feedback.")
    session_id: str = Field(description="Session pseudonym.")
    user_id: str | None = Field(None, description="User pseudonym.")
    step: int | None = Field(None, description="Step the thumb is on.")
    rating: int = Field(description="1 or -1.")
    comment: str | None = Field(None, description="What the user wrote with it.")
    given_at: datetime | None = Field(None, description="When, UTC.")


class PullRequest(Row):
    """What is being changed in the agent: the newest known state of each pull request that moved this day."""

    table = "pull_requests"
    stage = "sessions"
    zone = "restricted"
    key = ("pull_request_id",)

    known_on: date = Field(description="Day on which this state was read.")
    pull_request_id: str = Field(description="Id at the code host.")
    title: str = Field(description="Title.")
    branch: str | None = Field(None, description="Head branch.")
    body: str | None = Field(None, description="Description.")
    state: Literal["open", "merged", "closed"] = Field(description="State.")
    opened_at: datetime = Field(description="When opened, UTC.")
    merged_at: datetime | None = Field(None, description="When merged, UTC.")
    files: list[str] = Field(default_factory=list, description="Paths it changes.")
    ticket_keys: list[str] = Field(default_factory=list, description="Tickets it names (branch, title, body).")
    released_in: str | None = Field(None, description="Version that contains it, where told.")
    review: Literal["none", "commented", "changes_requested", "approved"] | None = Field(
        None, description="What its reviewers said last, where told."
    )
    reverts: str | None = Field(None, description="Pull request that it takes back, where told.")


class UserOutcome(Row):
    """Who converted, churned, upgraded, stalled."""

    table = "user_outcomes"
    stage = "sessions"
    zone = "restricted"
    key = ("user_id", "outcome", "happened_at")

    known_on: date = Field(description="Day on which it was read.")
    user_id: str = Field(description="User pseudonym.")
    outcome: str = Field(description="Kind of outcome: churned, converted, upgraded, stalled, ...")
    happened_at: datetime = Field(description="When, UTC.")


# --- stage 2: metrics ------------------------------------------------------------------------------------------


class SessionMetrics(SessionRow):
    """Measured by code on all sessions: counts, durations, latency, confirmations."""

    table = "session_metrics"
    stage = "metrics"
    zone = "abstracted"
    key = ("session_id",)

    organization_id: str | None = Field(None, description="Organisation pseudonym.")
    agent_name: str = Field(description="Name of the agent.")
    agent_version: str | None = Field(None, description="Version that ran.")
    agent_model: str | None = Field(None, description="Model that ran.")
    prompt_version: str | None = Field(None, description="Prompt version that ran.")
    started_at: datetime = Field(description="Start, UTC, to the minute.")
    duration_seconds: float = Field(description="From first to last step, seconds.")
    steps: int = Field(description="Steps.")
    agentic_steps: int = Field(description="Assistant messages and tool calls.")
    user_messages: int = Field(description="User messages.")
    assistant_messages: int = Field(description="Assistant messages.")
    tool_calls: int = Field(description="Tool calls.")
    tool_errors: int = Field(description="Tool results with status error or timeout.")
    tool_rejections: int = Field(description="Tool results the user rejected.")
    interruptions: int = Field(description="Interruptions by the user.")
    tool_call_confirmations: int = Field(description="Tool calls the user explicitly confirmed or rejected.")
    turns_after_failed_tool: int = Field(0, description="User messages before which a tool had failed.")
    turns_after_tool: int = Field(0, description="User messages before which tools were called and none failed.")
    turns_after_answer: int = Field(0, description="User messages before which the agent only spoke.")
    components: list[str] = Field(default_factory=list, description="Components whose tools were called, sorted.")
    median_turn_seconds: float | None = Field(
        None, description="Median wait from a user message to the first sign of the agent (its next step)."
    )
    max_turn_seconds: float | None = Field(
        None, description="Longest wait from a user message to the first sign of the agent."
    )
    median_wait_seconds: float | None = Field(
        None,
        description="Median whole wait of a turn: from a user message to the agent's last step or tool result before "
        "the next one, without gaps that end in something the user did or stopped and without gaps over 30 minutes.",
    )
    p95_wait_seconds: float | None = Field(
        None, description="95th percentile (nearest rank) of the whole waits of a session."
    )
    characters: int = Field(description="Characters of text in the session.")
    language: str = Field("en", description="Two-letter language of the user's words as detected, or other.")


class Detection(SessionRow):
    """One event a detector found: where and what, no text."""

    table = "detections"
    stage = "metrics"
    zone = "abstracted"
    key = ("session_id", "kind", "type", "steps")

    kind: Kind = Field(description="friction or delight.")
    type: str = Field(description="Taxonomy type.")
    severity: Severity | None = Field(None, description="Severity by effect; null for delight.")
    confidence: float = Field(description="0 to 1.")
    steps: list[int] = Field(description="Indices of the steps that are the evidence.")
    component: str = Field("unknown", description="Component concerned, by the settings' map; opaque if not listed.")
    seconds_from_start: float | None = Field(None, description="From the session's start to the first evidence step.")
    antecedent: Antecedent = Field("agent", description=_ANTECEDENT)


# --- stage 3: analysis -----------------------------------------------------------------------------------------


class AnalysisRequestRow(SessionRow):
    """Which sessions were eligible, which were selected and sent to the analyst, with their weights."""

    table = "analysis_batches"
    stage = "analysis"
    zone = "restricted"
    key = ("session_id",)

    eligible: bool = Field(description="Has at least the minimum of agentic steps.")
    selected: bool = Field(description="Drawn into the sample and sent.")
    reason: str = Field(description="selected, too_short, over_budget.")
    stratum: str = Field(description="Stratum of the sample, from the detections.")
    inclusion_weight: float = Field(description="1 over the probability of selection; 0 where not eligible.")
    estimated_tokens: int = Field(description="Estimated input tokens.")
    request_id: str | None = Field(None, description="Opaque id of the request.")
    batch_id: str | None = Field(None, description="Batch that carries it.")
    analyst: str = Field(description="Analyst that was asked.")
    model: str = Field(description="Model that was asked for.")
    prompt: str = Field(description="Prompt id: task, version, checksum.")


ANALYSIS_STATES: Final[tuple[str, ...]] = ("answered", "refused", "invalid", "rejected", "expired", "failed")


class Analysis(SessionRow):
    """The analyst's validated answers, one row per requested session; every row in a known state."""

    table = "analyses"
    stage = "analysis"
    zone = "restricted"
    key: ClassVar[tuple[str, ...]] = ("session_id",)

    request_id: str = Field(description="Opaque id of the request.")
    state: Literal["answered", "refused", "invalid", "rejected", "expired", "failed"] = Field(
        description="What became of the request."
    )
    attempts: int = Field(1, description="How often it was asked.")
    analyst: str = Field(description="Analyst that answered.")
    model: str = Field(description="Model that answered; rules for the built-in rules.")
    prompt: str = Field(description="Prompt id.")
    taxonomy_version: int = Field(description="Taxonomy version the question was asked under.")
    inclusion_weight: float = Field(description="Copied from the request.")
    answer: str | None = Field(None, description="Validated answer as JSON (`core.analysis.Answer`); raw text.")
    input_tokens: int = Field(0, description="Tokens read, all attempts together.")
    cached_tokens: int = Field(0, description="Those of them that the provider had in its cache.")
    output_tokens: int = Field(0, description="Tokens written.")
    cost_usd: float | None = Field(0.0, description="Price of this answer; null where the model's price is unknown.")
    steps_seen: int = Field(description="Steps of the session of which at least something was shown to the analyst.")
    steps_total: int = Field(description="Steps of the session.")


ReaderRole = Literal["former", "second", "person"]
ReadingReason = Literal["change", "drift", "sample", "review"]


class Rereading(Analysis):
    """Answers of another reader about a few of the sessions that the analyst was asked about."""

    table = "rereadings"
    key = ("session_id", "reader")

    reader: ReaderRole = Field(description="former: the analyst before the present one; second: another model family.")
    reason: ReadingReason = Field(description="change of the analyst, drift out of the band, or the daily sample.")
    first: str = Field(description="The day's own reader: analyst, model, prompt.")
    second: str = Field(description="The one that read again.")


class WordSupport(Row):
    """Distinct users per word and word sequence of the day's sessions, for the barrier's rare-word rules."""

    table = "word_support"
    stage = "analysis"
    zone = "restricted"
    key = ("hash",)

    hash: str = Field(description="Keyed hash of the word or word sequence.")
    user_hashes: list[str] = Field(
        description="Short keyed hashes of the users, at most as many as a rule can ask for."
    )


# --- stage 4: abstractions -------------------------------------------------------------------------------------


class AbstractedSummary(SessionRow):
    """What happened in each analysed session, in general words."""

    table = "abstracted_summaries"
    stage = "abstractions"
    zone = "abstracted"
    key = ("session_id",)

    summary: Abstracted | None = Field(None, description="Admitted summary; null when the barrier rejected it.")
    rejected_rule: str | None = Field(None, description="Rule that rejected the summary, if one did.")
    source: Source = Field("analyst", description="Who wrote it.")
    prompt: str = Field(description="Prompt id.")
    inclusion_weight: float = Field(1.0, description="Weight in rates over eligible sessions.")


class Facet(SessionRow):
    """One facet of one session: intent, outcome, languages, confirmations, drift, and what discovery adds."""

    table = "facets"
    stage = "abstractions"
    zone = "abstracted"
    key = ("session_id", "facet", "value")

    facet: str = Field(description="Facet name from the taxonomy.")
    value: Abstracted = Field(
        description="Admitted intent, or a value of a closed list: outcome, technology, true/false, number up to 1000."
    )
    source: Source = Field(description="Who measured it.")
    inclusion_weight: float = Field(1.0, description="Weight in rates over eligible sessions.")


class EventRow(SessionRow):
    """Base of friction and delight events."""

    stage = "abstractions"
    zone = "abstracted"
    key = ("event_id",)

    event_id: str = Field(description="Stable id: session, source, type, steps.")
    organization_id: str | None = Field(None, description="Organisation pseudonym.")
    agent_name: str = Field(description="Agent.")
    agent_version: str | None = Field(None, description="Version that ran.")
    type: str = Field(description="Taxonomy type.")
    severity: Severity | None = Field(None, description="Severity by effect; null for delight.")
    steps: list[int] = Field(description="Evidence: step indices.")
    citation: Abstracted | None = Field(None, description="Admitted description of the moment.")
    source: Source = Field(description="Detector (all sessions) or analyst (selected sessions).")
    confidence: float = Field(description="0 to 1.")
    component: str = Field("unknown", description="Component concerned.")
    seconds_from_start: float | None = Field(None, description="From the session's start to the first evidence step.")
    antecedent: Antecedent = Field("agent", description=_ANTECEDENT)
    inclusion_weight: float = Field(1.0, description="1 for detectors; the sample's weight for the analyst.")
    taxonomy_version: int = Field(description="Taxonomy version the type was given under.")


class FrictionEvent(EventRow):
    """Moments of friction."""

    table = "friction_events"


class DelightEvent(EventRow):
    """Moments of delight."""

    table = "delight_events"


class UnmetNeed(SessionRow):
    """What users asked for and the agent cannot do."""

    table = "unmet_needs"
    stage = "abstractions"
    zone = "abstracted"
    key = ("session_id", "number")

    number: int = Field(description="Position among the session's unmet needs.")
    need: Abstracted = Field(description="Admitted description.")
    inclusion_weight: float = Field(1.0, description="Weight over eligible sessions.")


class Agreement(Row):
    """How far detectors and analyst agree per type on the day's analysed sessions."""

    table = "agreement"
    stage = "abstractions"
    zone = "abstracted"
    key = ("kind", "type")

    kind: Kind = Field(description="friction or delight.")
    type: str = Field(description="Taxonomy type.")
    sessions: int = Field(description="Sessions both looked at.")
    both: int = Field(description="Sessions where both found the type.")
    detector_only: int = Field(description="Sessions where only the detector did.")
    analyst_only: int = Field(description="Sessions where only the analyst did.")
    f1: float | None = Field(None, description="F1 of one against the other; null when neither found any.")
    f1_low: float | None = Field(None, description="Lower end of its 95 % interval.")
    f1_high: float | None = Field(None, description="Upper end.")


class ReaderAgreement(Row):
    """How far other readers agree with the analyst, over the trailing two weeks, and a person with what was found.

    `first` is the analyst (for a person: the source of the events), `second` the other reader. A positive difference
    says that the first finds more.
    """

    table = "reader_agreement"
    stage = "abstractions"
    zone = "abstracted"
    key = ("reader", "reason", "first", "second", "kind", "type")

    reader: ReaderRole = Field(description="Who read again: former analyst, second model, or a person.")
    reason: ReadingReason = Field(description="Why: change, drift, sample, or review by a person.")
    first: str = Field(description="Analyst, model and prompt; for a person the source of the events.")
    second: str = Field(description="Analyst, model and prompt of the other reader, or person.")
    kind: Literal["friction", "delight", "outcome"] = Field(description="What was compared.")
    type: str = Field(description="Taxonomy type; `all` for the outcome.")
    days: int = Field(description="Days put together.")
    first_day: date = Field(description="The earliest of them.")
    sessions: int = Field(description="Sessions that both read; for a person the events judged.")
    users: int = Field(description="Distinct users of them.")
    organizations: int | None = Field(None, description="Distinct organisations, where known.")
    largest: int = Field(0, description="Sessions of the organisation with most of them.")
    users_concerned: int = Field(description="Users with a session in which either found it, or outcomes differ.")
    users_spared: int = Field(description="Users with a session in which neither did.")
    both: int = Field(description="Sessions in which both found it (the same outcome); events a person confirmed.")
    only_first: int = Field(description="Sessions in which only the first did; events a person rejected.")
    only_second: int = Field(description="Sessions in which only the second did; events a person gave this type.")
    f1: float | None = Field(None, description="F1 of one against the other.")
    f1_low: float | None = Field(None, description="Lower end of its 95 % interval.")
    f1_high: float | None = Field(None, description="Upper end.")
    confirmed: float | None = Field(None, description="Share of what the first found that the second found, too.")
    confirmed_low: float | None = Field(None, description="Lower end of its 95 % interval.")
    confirmed_high: float | None = Field(None, description="Upper end.")
    difference: float | None = Field(None, description="Weighted share of sessions of the first less the second's.")
    difference_low: float | None = Field(None, description="Lower end of its 95 % interval, by user.")
    difference_high: float | None = Field(None, description="Upper end.")
    kappa: float | None = Field(None, description="Of the outcome: Cohen's kappa.")
    kappa_low: float | None = Field(None, description="Lower end of its 95 % interval, by user.")
    kappa_high: float | None = Field(None, description="Upper end.")


class FeedbackLink(SessionRow):
    """Thumbs joined to the step, call, model and prompt version that produced the answer."""

    table = "feedback_links"
    stage = "abstractions"
    zone = "abstracted"
    key = ("feedback_id",)

    feedback_id: str = Field(description="Id of the feedback.")
    step: int | None = Field(None, description="Step the thumb is on.")
    rating: int = Field(description="1 or -1.")
    llm_call_id: str | None = Field(None, description="Pseudonym of the model call, where the step names one.")
    agent_version: str | None = Field(None, description="Version that ran.")
    agent_model: str | None = Field(None, description="Model that ran.")
    prompt_version: str | None = Field(None, description="Prompt version that ran.")
    primary_intent: str | None = Field(None, description="The session's intent.")


# --- stage 5: discovery ----------------------------------------------------------------------------------------

ItemKind = Literal["summary", "friction", "delight", "unmet_need", "intent"]


class Embedding(Row):
    """Vectors of admitted abstractions. Vectors can be inverted to text: restricted."""

    table = "embeddings"
    stage = "discovery"
    zone = "restricted"
    key = ("item_id",)

    known_on: date = Field(description="Copied from the item.")
    item_id: str = Field(description="Id of the abstraction: event id, or session and kind.")
    kind: ItemKind = Field(description="What was embedded.")
    session_id: str = Field(description="Session pseudonym.")
    user_id: str | None = Field(None, description="User pseudonym.")
    content_hash: str = Field(description="Hash of the text; equal texts share a vector.")
    embedder: str = Field(description="Name and precision of the embedder.")
    vector: list[float] = Field(description="Unit vector.")


class ClusterMember(Row):
    """Which pattern and theme each item belongs to: the day's new items, all of the window on a re-clustering day."""

    table = "cluster_members"
    stage = "discovery"
    zone = "abstracted"
    key = ("item_id",)

    item_id: str = Field(description="Id of the abstraction.")
    kind: ItemKind = Field(description="What it is.")
    session_id: str = Field(description="Session pseudonym.")
    user_id: str | None = Field(None, description="User pseudonym.")
    about_day: date = Field(description="Day of the item.")
    pattern_id: str | None = Field(None, description="Fine cluster; null when no cluster claims it.")
    theme_id: str | None = Field(None, description="Coarse cluster.")
    similarity: float | None = Field(None, description="Cosine to the pattern's centre.")
    x: float | None = Field(None, description="Position on the map.")
    y: float | None = Field(None, description="Position on the map.")


class Cluster(Row):
    """The map as of the day: themes and patterns with ids that survive re-clustering."""

    table = "clusters"
    stage = "discovery"
    zone = "abstracted"
    key = ("cluster_id",)

    cluster_id: str = Field(description="Id, never reused.")
    level: Literal["theme", "pattern"] = Field(description="Coarse or fine.")
    parent_id: str | None = Field(None, description="Theme of a pattern.")
    kind: ItemKind = Field(description="What it groups.")
    terms: list[str] = Field(description="Distinctive words of admitted texts (class-based TF-IDF).")
    items: int = Field(description="Items in the window.")
    users: int = Field(description="Distinct users in the window.")
    sessions: int = Field(description="Distinct sessions in the window.")
    change: Literal["kept", "split", "merged", "new", "gone"] = Field(description="Against the previous map.")
    previous_ids: list[str] = Field(default_factory=list, description="Clusters it came from.")
    stability: float | None = Field(None, description="Overlap with the previous map, 0 to 1.")
    outlier_share: float | None = Field(None, description="Share of the kind's items that no cluster claims.")
    threshold: float = Field(description="Similarity below which a new item is not assigned.")
    reclustered_on: date = Field(description="Day of the last re-clustering.")
    x: float = Field(0.0, description="Position on the map.")
    y: float = Field(0.0, description="Position on the map.")


ProposalKind = Literal["friction", "delight", "unmet_need", "intent", "facet"]


class TaxonomyProposal(Row):
    """New categories that no existing one claims, with the evidence; a person accepts or rejects."""

    table = "taxonomy_proposals"
    stage = "discovery"
    zone = "abstracted"
    key = ("proposal_id",)

    proposal_id: str = Field(description="Stable while its evidence is alike.")
    kind: ProposalKind = Field(description="Kind of category.")
    slug: str = Field(description="Proposed type id.")
    name: Abstracted = Field(description="Proposed name.")
    definition: Abstracted = Field(description="Proposed definition.")
    is_not: Abstracted | None = Field(None, description="What does not belong to it.")
    named_by: Literal["terms", "model"] = Field("terms", description="Distinctive words, or the analyst's model.")
    nearest: str | None = Field(None, description="Existing category it is nearest to.")
    nearest_similarity: float | None = Field(None, description="Cosine to that category.")
    outside_nearest: float | None = Field(None, description="Share of its items that this category does not claim.")
    difference: Abstracted | None = Field(None, description="Why it is not that category.")
    items: int = Field(description="Items in the window.")
    users: int = Field(description="Distinct users.")
    sessions: int = Field(description="Distinct sessions.")
    organizations: int | None = Field(None, description="Distinct organisations, where known.")
    days_seen: int = Field(description="Distinct days on which items occurred.")
    first_day: date = Field(description="Day of the first item.")
    stability: float | None = Field(None, description="Share of resamples in which it re-appears.")
    agreement: float | None = Field(
        None, description="Share of held-back members and near misses that a second pass puts right."
    )
    judged: int = Field(0, description="Members and near misses of the second pass.")
    judged_by: Literal["vectors", "model"] = Field("vectors", description="Who took the second pass.")
    explains: float | None = Field(
        None, description="Bits it tells of outcome and other friction beyond the facets, less what chance gives."
    )
    explains_chance: float | None = Field(None, description="Chance of as much without any relation.")
    rank: int = Field(0, description="Place within its kind by users, then sessions; 1 is the most wanted.")
    ready: bool = Field(description="Passes the acceptance rules; waits for a person only.")
    waiting_for: str = Field("", description="The acceptance rule it does not pass yet.")
    examples: list[Abstracted] = Field(default_factory=list, description="Admitted texts, at most three.")
    item_ids: list[str] = Field(default_factory=list, description="Its items: relabelled on acceptance.")
    ledger_seq: int = Field(0, description="Ledger sequence number read up to.")


class EventLabel(Row):
    """Newer labels for events: relabelled under a later taxonomy version without rewriting the event."""

    table = "event_labels"
    stage = "discovery"
    zone = "abstracted"
    key = ("event_id",)

    event_id: str = Field(description="The event.")
    about_day: date = Field(description="Day of the event.")
    session_id: str = Field(description="Session pseudonym.")
    kind: ProposalKind = Field(description="Kind of the label.")
    type: str = Field(description="Type under the newer taxonomy.")
    previous_type: str = Field(description="Type it was stored with.")
    similarity: float | None = Field(None, description="Cosine to the type's centre.")
    taxonomy_version: int = Field(description="Version the label was given under.")
    ledger_seq: int = Field(0, description="Ledger sequence number read up to.")


class TaxonomyReview(Row):
    """How each category in force fares: size, last sight, drift of meaning, whether to retire it."""

    table = "taxonomy_reviews"
    stage = "discovery"
    zone = "abstracted"
    key = ("kind", "slug")

    kind: ProposalKind = Field(description="Kind of category.")
    slug: str = Field(description="The category.")
    since_version: int = Field(description="Taxonomy version that it came with.")
    items: int = Field(description="Items of the window that have it.")
    users: int = Field(description="Distinct users.")
    sessions: int = Field(description="Distinct sessions.")
    last_day: date | None = Field(None, description="Day of its newest item ever seen.")
    same_meaning: float | None = Field(
        None, description="Cosine of the last week's items to its definition, or to the weeks before; null for few."
    )
    drifts: bool = Field(description="Its items have moved away from its definition.")
    explains: float | None = Field(
        None, description="Bits it tells of outcome and other friction beyond the intent, less what chance gives."
    )
    explains_chance: float | None = Field(None, description="Chance of as much without any relation.")
    silent_days: int = Field(0, description="Days in a row on which it told nothing although enough users had it.")
    retire: bool = Field(description="Its retirement is proposed; a person decides.")
    reason: Literal["", "no_longer_occurs", "tells_nothing"] = Field("", description="Why it should be retired.")
    taxonomy_version: int = Field(description="Version of the taxonomy.")
    ledger_seq: int = Field(0, description="Ledger sequence number read up to.")


# --- stage 6: correlations -------------------------------------------------------------------------------------


class UserDay(Row):
    """Counts by user, day, version, slice and type: what every rate and comparison is computed from.

    Partition D holds `about_day` = D and restates earlier days whose sessions or labels changed by D; for each
    `about_day` the newest partition counts. `kind` session is the exposure: rows without an event still count.
    """

    table = "user_days"
    stage = "correlations"
    zone = "abstracted"
    key = (
        "about_day",
        "user_id",
        "agent_name",
        "agent_version",
        "agent_model",
        "prompt_version",
        "intent",
        "language",
        "source",
        "kind",
        "type",
    )

    about_day: date = Field(description="Day the counts are about.")
    known_on: date = Field(description="Latest day on which one of the counted sessions became known.")
    user_id: str = Field(description="User pseudonym; for sessions without a user, `anonymous:` and the session's.")
    organization_id: str | None = Field(None, description="Organisation pseudonym.")
    agent_name: str = Field(description="Agent.")
    agent_version: str | None = Field(None, description="Version that ran.")
    agent_model: str | None = Field(None, description="Model that ran.")
    prompt_version: str | None = Field(None, description="Prompt version that ran.")
    intent: str = Field("unknown", description="Primary intent of the sessions.")
    language: str | None = Field(None, description="Programming language of the analysed ones, or `several`.")
    source: Source = Field(description="Detector: all sessions. Analyst: analysed ones, weighted.")
    kind: Literal["session", "friction", "delight", "outcome", "unmet_need"] = Field(description="What is counted.")
    type: str = Field(description="Taxonomy type, outcome value, or `all` for kind session.")
    sessions: int = Field(description="Sessions (kind session), or sessions with at least one such event.")
    weight: float = Field(description="The same, weighted by inclusion.")
    events: int = Field(0, description="Events.")
    high: float = Field(0.0, description="Weighted sessions with at least one event of high severity.")
    medium: float = Field(0.0, description="Weighted sessions whose worst such event is of medium severity.")
    taxonomy_version: int = Field(description="Taxonomy version of the labels.")


class FrictionRate(Row):
    """Share of sessions with each type of friction or delight, by slice, with intervals by user."""

    table = "friction_rates"
    stage = "correlations"
    zone = "published"
    key = ("kind", "type", "slice_kind", "slice", "source", "window_days")

    kind: Kind = Field(description="friction or delight.")
    type: str = Field(description="Taxonomy type.")
    slice_kind: str = Field(
        description="all, agent, agent_version, agent_model, prompt_version, intent, language; organization for self."
    )
    slice: str = Field(description="Value of the slice; opaque where not on an allow list.")
    source: Source = Field(description="Which source the rate is from; never added.")
    window_days: int = Field(description="Trailing days counted: 1 or 7.")
    rate: float = Field(description="Share of sessions, rounded; for the audience public of the day's users, noisy.")
    low: float = Field(description="Lower end of the 95 % interval, by user; for public that of the noise.")
    high: float = Field(description="Upper end.")
    users: str = Field(description="Distinct users, as a band; for public those concerned, with noise.")
    sessions: str = Field(description="Sessions, as a band.")
    coverage: float = Field(description="Share of the window's sessions that the source looked at (weighted).")
    severe_share: float | None = Field(None, description="Share of such sessions whose worst event was high, rounded.")
    taxonomy_version: int = Field(description="Taxonomy version of the labels.")


class RestatedRate(Row):
    """Past rates of types that are new today, under today's labels: what `friction_rates` of those days cannot know."""

    table = "restated_rates"
    stage = "correlations"
    zone = "published"
    key = ("kind", "type", "source", "window_days", "about_day")

    about_day: date = Field(description="Last day of the window that the rate is about; earlier than `day`.")
    kind: Kind = Field(description="friction or delight.")
    type: str = Field(description="Taxonomy type, accepted since.")
    source: Source = Field(description="Which source the rate is from.")
    window_days: int = Field(description="Days counted: 1 or 7.")
    rate: float = Field(description="Share of sessions, rounded.")
    low: float = Field(description="Lower end of the 95 % interval, by user.")
    high: float = Field(description="Upper end.")
    users: str = Field(description="Distinct users, as a band.")
    sessions: str = Field(description="Sessions, as a band.")
    coverage: float = Field(description="Share of the window's sessions that the source looked at (weighted).")
    severe_share: float | None = Field(None, description="Share of such sessions whose worst event was high, rounded.")
    taxonomy_version: int = Field(description="Taxonomy version of the labels.")


Verdict = Literal["regressed", "improved", "unchanged", "inconclusive"]
Evidence = Literal["confirmed", "suspected", "none", "not_enough_data"]


class ReleaseCorrelation(Row):
    """What rose or fell with each open release, by the version each session actually ran."""

    table = "release_correlations"
    stage = "correlations"
    zone = "published"
    key = ("agent_name", "release_kind", "version", "kind", "type")

    agent_name: str = Field(description="Agent.")
    release_kind: Literal["version", "prompt", "model"] = Field(description="What was released.")
    version: str = Field(description="The release.")
    released_on: date = Field(description="Its day.")
    kind: Kind = Field(description="friction or delight.")
    type: str = Field(description="Taxonomy type.")
    source: Source = Field(description="Source of the counts.")
    verdict: Verdict = Field(description="regressed, improved, unchanged (equivalence shown) or inconclusive.")
    evidence: Evidence = Field(description="confirmed, suspected, none or not_enough_data.")
    rate_before: float | None = Field(None, description="Rate on versions before, weekday-standardised, rounded.")
    rate_after: float | None = Field(None, description="Rate on the release, rounded.")
    effect: float | None = Field(None, description="Difference of rates (after minus before).")
    low: float | None = Field(None, description="Lower end of its 95 % interval.")
    high: float | None = Field(None, description="Upper end.")
    z: float | None = Field(None, description="Standardised effect.")
    q: float | None = Field(None, description="Benjamini-Hochberg q over the day's open comparisons.")
    e_value: float | None = Field(None, description="mSPRT e-value; e-BH at 5 % confirms.")
    smallest_detectable: float | None = Field(None, description="Smallest change that would be seen (80 % power).")
    users_after: str = Field(description="Distinct users on the release, as a band.")
    sessions_after: str = Field(description="Sessions on the release, as a band.")
    comparisons: int = Field(description="Size of the family controlled.")
    incidents: int = Field(0, description="Days since the release set apart: many types moved at once, whatever ran.")


class ErrorCorrelation(Row):
    """Which backend error goes with which friction: coincides with, never causes."""

    table = "error_correlations"
    stage = "correlations"
    zone = "published"
    key = ("template_id", "type")

    template_id: str = Field(description="Hash of the masked template text.")
    template: str = Field(description="Template text where on the allow list or accepted, else its opaque label.")
    service: str = Field(description="Service, where allow-listed, else an opaque label.")
    type: str = Field(description="Friction type.")
    method: Literal["self_controlled", "time_bins"] = Field(description="Test used.")
    verdict: Literal["coincides", "not_shown", "not_enough_data"] = Field(description="What was found.")
    observed: float | None = Field(None, description="Frictions with the error in the window before, rounded.")
    expected: float | None = Field(None, description="Expected by chance within the same sessions, rounded.")
    ratio: float | None = Field(None, description="Observed over expected.")
    low: float | None = Field(None, description="Lower end of the ratio's 95 % interval.")
    high: float | None = Field(None, description="Upper end.")
    q: float | None = Field(None, description="Benjamini-Hochberg q over the day's pairs.")
    users: str = Field(description="Distinct users, as a band.")
    sessions: str = Field(description="Sessions, as a band.")
    comparisons: int = Field(description="Size of the family controlled.")


class LeadingIndicator(Row):
    """What comes before what, and what it costs: questions about sessions and users, each with its answer.

    A question without figures is one that this volume, or this audience, cannot be answered.
    """

    table = "leading_indicators"
    stage = "correlations"
    zone = "published"
    key = ("indicator", "outcome")

    indicator: str = Field(description="What happened first, e.g. repeated_rephrasing>=1.")
    outcome: str = Field(description="What followed, e.g. outcome=abandoned, or a user's outcome.")
    design: Literal["session_length", "same_step", "next_stage", "by_user"] = Field(
        "session_length",
        description="What it is compared with: sessions of the same length, sessions that came as far, the stage "
        "before, or users as active.",
    )
    verdict: Literal["more_often", "less_often", "not_shown", "not_enough_data"] = Field(
        "not_shown", description="The answer, false discoveries among the day's answers controlled at 5 %."
    )
    rate_with: float | None = Field(None, description="Share with the outcome where the indicator was present.")
    rate_without: float | None = Field(None, description="Share where it was absent, among those compared with.")
    difference: float | None = Field(None, description="Difference of the two.")
    low: float | None = Field(None, description="Lower end of its 95 % interval, by user.")
    high: float | None = Field(None, description="Upper end.")
    q: float | None = Field(None, description="Benjamini-Hochberg q over the day's questions.")
    lead_steps: float | None = Field(None, description="Median steps from indicator to outcome or session end.")
    lead_minutes: float | None = Field(None, description="Median minutes.")
    users: str = Field(description="Distinct users with the indicator, as a band.")
    sessions: str = Field(description="Sessions with the indicator, as a band; of users, theirs in the first half.")


class IntentTrend(Row):
    """Volume, friction and outcome per intent, against the week before; what costs most comes first."""

    table = "intent_trends"
    stage = "correlations"
    zone = "published"
    key = ("intent",)

    intent: str = Field(description="Primary intent: a taxonomy name or an accepted theme, else other.")
    share: float = Field(description="Share of the window's analysed sessions (weighted), rounded.")
    friction_rate: float = Field(description="Share of them with any friction of medium or high severity.")
    low: float = Field(description="Lower end of its 95 % interval, by user.")
    high: float = Field(description="Upper end.")
    cost: float = Field(0.0, description="Share of all sessions that had this intent and met friction: what it costs.")
    success_rate: float | None = Field(None, description="Share with outcome success.")
    abandoned_rate: float | None = Field(None, description="Share with outcome abandoned.")
    change: float | None = Field(None, description="Change of the share against the week before.")
    friction_change: float | None = Field(None, description="Change of the friction rate against the week before.")
    success_change: float | None = Field(None, description="Change of the share with outcome success.")
    abandoned_change: float | None = Field(None, description="Change of the share with outcome abandoned.")
    verdict: Verdict = Field(
        "inconclusive", description="What became of its friction, false discoveries among the day's intents controlled."
    )
    users: str = Field(description="Distinct users, as a band.")
    sessions: str = Field(description="Sessions, as a band.")


# --- stage 7: tickets ------------------------------------------------------------------------------------------


class Cause(Row):
    """Friction events grouped into what one pull request could fix: same symptom, same component."""

    table = "causes"
    stage = "tickets"
    zone = "abstracted"
    key = ("event_id",)

    event_id: str = Field(description="The event.")
    about_day: date = Field(description="Day of the event.")
    cause_id: str = Field(description="Stable id of the cause.")
    type: str = Field(description="Friction type under the newest labels.")
    component: str = Field(description="Component concerned.")
    session_id: str = Field(description="Session pseudonym.")
    user_id: str | None = Field(None, description="User pseudonym.")
    organization_id: str | None = Field(None, description="Organisation pseudonym.")


LevelState = Literal[
    "ok", "rising", "over", "crossed", "cooldown", "recovering", "stale", "not_enough_data", "suppressed"
]


class FrictionLevel(Row):
    """Per friction type and slice: the level, its bound, and whether it crossed its threshold."""

    table = "friction_levels"
    stage = "tickets"
    zone = "published"
    key = ("type", "slice_kind", "slice")

    type: str = Field(description="Friction type: the partition of diagnoses and tickets.")
    slice_kind: str = Field("all", description="all, severity, or what the named slices are told apart by.")
    slice: str = Field(
        "all", description="Value of the slice, each with an episode of its own; opaque where not listed."
    )
    level: float | None = Field(None, description="Rate over the trailing week, rounded.")
    lower_bound: float | None = Field(None, description="User-robust lower 95 % bound of the level.")
    ceiling: float = Field(description="Ceiling set for the type, or for the type in the slice.")
    trigger: Literal["", "rise", "level"] = Field("", description="Why it is over: a confirmed rise or the ceiling.")
    version: str | None = Field(None, description="Release blamed for a rise.")
    state: LevelState = Field(description="State of the decision.")
    crossed: bool = Field(description="True on the day the threshold is crossed: the sensor acts on this.")
    episode: str = Field("", description="Id of the episode; one filing per episode and cause.")
    days_over: int = Field(0, description="Consecutive evaluations over the threshold.")
    days_below: int = Field(0, description="Consecutive evaluations under the closing level.")
    closing_level: float | None = Field(None, description="Level under which the open episode recovers; null: none.")
    crossed_on: date | None = Field(None, description="Day of the newest crossing: the cooldown counts from it.")
    versions_blamed: list[str] = Field(
        default_factory=list, description="Releases whose rise opened an episode: each opens at most one."
    )
    users: str = Field(description="Distinct users concerned, as a band.")
    sessions: str = Field(description="Sessions concerned, as a band.")
    causes: list[str] = Field(default_factory=list, description="Ticket-sized causes, largest first.")
    reason: str = Field(description="The decision in words of a template.")
    ledger_seq: int = Field(0, description="Ledger sequence number read up to.")


# --- stage 8: outcomes -----------------------------------------------------------------------------------------

TicketState = Literal[
    "open", "in_progress", "merged", "released", "verified", "failed", "closed", "reopened", "suppressed"
]


class TicketRow(Row):
    """Every ticket as of the day."""

    table = "ticket_states"
    stage = "outcomes"
    zone = "published"
    key = ("ticket_key",)

    ticket_key: str = Field(description="Key, e.g. SIG-1A2B3C4D.")
    cause_id: str = Field(description="The cause.")
    type: str = Field(description="Friction type.")
    component: str = Field(description="Component, where allow-listed, else an opaque label.")
    generation: int = Field(description="1, or more where an earlier ticket of the cause was closed long ago.")
    state: TicketState = Field(description="State.")
    filed_on: date = Field(description="Newest day when it was filed.")
    reference: str = Field(description="Where it is: path or address at the tracker.")
    pull_request_id: str | None = Field(None, description="Pull request that names it.")
    merged_on: date | None = Field(None, description="When that was merged.")
    released_in: str | None = Field(None, description="Version that contains the fix.")
    released_on: date | None = Field(None, description="When that was released.")
    verdict: Verdict | None = Field(None, description="Newest verdict on the fix.")
    failed_fixes: int = Field(0, description="Fixes that did not work.")
    ledger_seq: int = Field(0, description="Ledger sequence number read up to.")


class FixOutcome(Row):
    """Each shipped fix, measured on the next cohort: sessions that ran the version with the fix."""

    table = "fix_outcomes"
    stage = "outcomes"
    zone = "published"
    key = ("ticket_key", "version")

    ticket_key: str = Field(description="The ticket.")
    type: str = Field(description="Friction type measured.")
    version: str = Field(description="Version with the fix.")
    released_on: date = Field(description="Its day.")
    verdict: Verdict = Field(description="improved, regressed, unchanged or inconclusive.")
    rate_before: float | None = Field(None, description="Rate on versions without the fix, rounded.")
    rate_after: float | None = Field(None, description="Rate on versions with it, rounded.")
    effect: float | None = Field(None, description="Difference (after minus before).")
    low: float | None = Field(None, description="Lower end of its interval.")
    high: float | None = Field(None, description="Upper end.")
    e_value: float | None = Field(None, description="Evidence, safe to look at every day.")
    control_effect: float | None = Field(None, description="Mean effect on untouched friction types.")
    cohort: str = Field(description="all users, or users outside the diagnosis.")
    guardrails: str = Field("", description="Other types that got worse on the fixed version.")
    users_after: str = Field(description="Distinct users on the fix, as a band.")
    sessions_after: str = Field(description="Sessions on the fix, as a band.")


class LoopMetric(Row):
    """How well the loop works: share resolved by the measured rate, times to ticket, PR, merge, verified fix."""

    table = "loop_metrics"
    stage = "outcomes"
    zone = "published"
    key = ("metric",)

    metric: str = Field(description="Name of the metric.")
    value: float | None = Field(None, description="Value; null where nothing can be said yet.")
    unit: str = Field(description="days, share or count.")
    n: int = Field(description="Tickets or events it is over.")
    coverage: float | None = Field(
        None, description="Share of all tickets or fixes that n is; the others are not that far, or unknown."
    )


# --- stage 9: report -------------------------------------------------------------------------------------------


class DailyReport(Row):
    """The day's report: where it is and what it says at the top."""

    table = "daily_report"
    stage = "report"
    zone = "published"
    key = ("section", "position")

    section: str = Field(description="Section of the report.")
    position: int = Field(description="Order within the section.")
    headline: str = Field(description="One sentence from a template.")
    reference: str = Field("", description="Asset or page it points to.")


TABLES: Final[dict[str, type[Row]]] = {
    model.table: model
    for model in (
        RawSession, Quarantined, Release, ErrorLog, FeedbackRecord, PullRequest, UserOutcome,
        SessionMetrics, Detection,
        AnalysisRequestRow, Analysis, Rereading, WordSupport,
        AbstractedSummary, Facet, FrictionEvent, DelightEvent, UnmetNeed, Agreement, ReaderAgreement, FeedbackLink,
        Embedding, ClusterMember, Cluster, TaxonomyProposal, EventLabel, TaxonomyReview,
        UserDay, FrictionRate, RestatedRate, ReleaseCorrelation, ErrorCorrelation, LeadingIndicator, IntentTrend,
        Cause, FrictionLevel,
        TicketRow, FixOutcome, LoopMetric,
        DailyReport,
    )
}  # fmt: skip
"""Every table by name, in the order of the flow."""


@cache
def arrow_schema(model: type[Row]) -> "pa.Schema":
    """The Arrow schema of a row model: names, types, nullability and descriptions, in declared order.

    Raises TypeError naming the column when its annotation has no column type.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(
                name,
                _arrow_type(info.annotation, f"{model.table}.{name}"),
                nullable=_is_optional(info.annotation),
                metadata={"description": info.description or ""},
            )
            for name, info in model.model_fields.items()
        ]
    )


def _is_optional(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)


def _arrow_type(annotation: Any, column: str) -> "pa.DataType":
    import pyarrow as pa

    origin = typing.get_origin(annotation)
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    if origin in (typing.Union, types.UnionType):
        if len(arguments) != 1:
            raise TypeError(f"{column}: a column holds one type (or none); split it into two columns")
        return _arrow_type(arguments[0], column)
    if origin is Literal:
        return pa.string()
    if origin is list:
        return pa.list_(pa.float32() if arguments[0] is float else _arrow_type(arguments[0], column))
    simple = {
        str: pa.string(),
        Abstracted: pa.string(),
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        date: pa.date32(),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    if annotation not in simple:
        raise TypeError(f"{column}: no column type for this annotation; add it to tables._arrow_type")
    return simple[annotation]


@cache
def admitted_columns(model: type[Row]) -> tuple[str, ...]:
    """The columns of a row model that hold text which the barrier admitted (`Abstracted`, or a list of it)."""
    return tuple(name for name, info in model.model_fields.items() if _holds_admitted(info.annotation))


def _holds_admitted(annotation: Any) -> bool:
    return annotation is Abstracted or any(map(_holds_admitted, typing.get_args(annotation)))


def to_arrow(model: type[Row], rows: "typing.Iterable[Row]") -> "pa.Table":
    """The rows as an Arrow table with the model's schema; `Abstracted` becomes its text. Zero rows are fine.

    Raises TypeError for text in a column of admitted text that the barrier did not make (a row that was built past
    its validation).
    """
    import pyarrow as pa

    schema, admitted = arrow_schema(model), admitted_columns(model)
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        for name, values in columns.items():
            value = getattr(row, name)
            values.append(_admitted(value, model, name) if name in admitted else value)
    return pa.table([pa.array(columns[f.name], type=f.type) for f in schema], schema=schema)


def _admitted(value: Any, model: type[Row], column: str) -> Any:
    """The text of admitted text, none of none."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_admitted(item, model, column) for item in value]
    if not isinstance(value, Abstracted):
        raise TypeError(f"{model.table}.{column}: text that the barrier did not admit; build rows by their model")
    return value.text
