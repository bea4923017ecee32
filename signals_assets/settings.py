"""Settings: which door is which, where things lie, and the few numbers a team may want to change.

Put here: `Settings`, read from `signals.toml` and SIGNALS_* variables (variables win; nested names with two
underscores, e.g. SIGNALS_ANALYST=rules, SIGNALS_TICKETS__OPEN_LIMIT=5).
Not here: secrets' values in code, the choice of door implementations (see `resources/__init__.py`).
"""

import os
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Audience = Literal["self", "team", "company", "public"]
_MEMBER = r"^$|^(user|group|serviceAccount|domain):[^\s:'\"]+$"
"""A member as Google's IAM writes it, or nobody."""


def _toml_files() -> list[str]:
    """Files read for settings, later ones win: the home's own, then the working folder's (or SIGNALS_TOML)."""
    home = os.environ.get("SIGNALS_HOME", ".signals")
    return [f"{home}/signals.toml", os.environ.get("SIGNALS_TOML", "signals.toml")]


class SelectionSettings(BaseModel):
    """Which sessions are sent to the analyst, and how many."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    min_steps: int = Field(30, ge=0, description="Least agentic steps (assistant messages and tool calls).")
    daily_token_budget: int = Field(50_000_000, ge=0, description="Input tokens a day; above it a sample is drawn.")
    seed: int = 0


SliceKind = Literal["agent", "agent_version", "agent_model", "prompt_version", "intent", "language"]


class SliceThreshold(BaseModel):
    """A slice of the sessions that has a threshold of its own, e.g. {slice_kind = "intent", slice = "new feature"}."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: str | None = Field(None, description="Friction type; default: every type.")
    slice_kind: SliceKind = Field(description="What the sessions are told apart by.")
    slice: str = Field(min_length=1, description="Its value, as sessions have it.")
    ceiling: float = Field(gt=0, le=1, description="Share of the slice's sessions a type may reach.")


class SeverityCeilings(BaseModel):
    """Share of sessions that a type may reach at a severity or worse, e.g. {high = 0.1}; None: not watched."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    medium: float | None = Field(None, gt=0, le=1, description="At medium or high severity.")
    high: float | None = Field(None, gt=0, le=1, description="At high severity.")

    def named(self) -> dict[Literal["medium", "high"], float]:
        """Those that are set."""
        given: dict[Literal["medium", "high"], float | None] = {"medium": self.medium, "high": self.high}
        return {severity: ceiling for severity, ceiling in given.items() if ceiling is not None}


class ThresholdSettings(BaseModel):
    """When a friction partition is over its threshold."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    default_ceiling: float = Field(0.35, gt=0, le=1, description="Share of sessions a type may reach.")
    ceilings: dict[str, float] = Field(default_factory=dict, description="Per type, e.g. {error_event = 0.5}.")
    severity_ceilings: SeverityCeilings = Field(
        default_factory=SeverityCeilings, description="Of every type, watched beside all severities together."
    )
    slices: list[SliceThreshold] = Field(
        default_factory=list,
        description="Watched beside all sessions; one that names a type wins over one that does not.",
    )
    consecutive: int = Field(2, ge=1, description="Evaluations over the threshold before it counts as crossed.")
    cooldown_days: int = Field(7, ge=0)
    act_within_days: int = Field(3, ge=0, description="Older crossings (a backfill) are recorded as stale.")

    @field_validator("slices")
    @classmethod
    def _named_once(cls, slices: list[SliceThreshold]) -> list[SliceThreshold]:
        if len({(one.type, one.slice_kind, one.slice) for one in slices}) < len(slices):
            raise ValueError("a slice has two ceilings for the same type; keep one of them")
        return slices


class PublicSettings(BaseModel):
    """Differential privacy of what the audience `public` sees."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    epsilon: float = Field(1.0, gt=0, description="Spent on each released day.")
    delta: float = Field(1e-6, gt=0, lt=0.01, description="Chance, per released day, that a rare pattern shows.")
    monthly_epsilon: float = Field(10.0, gt=0, description="Hard stop: a month's days together spend no more.")
    patterns_a_day: int = Field(1, ge=1, description="In so many types a day each user counts.")


class BreakerSettings(BaseModel):
    """From where on the data itself says that measuring is broken: nothing is filed on such a day."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    candidates: float = Field(3.0, gt=0, description="Times the usual number of types over their thresholds at once.")
    quarantined: float = Field(0.2, ge=0, le=1, description="Share of the day's sessions that could not be read.")
    refused: float = Field(0.1, ge=0, le=1, description="Share of the day's summaries that the barrier refused.")
    failed_fixes: int = Field(2, ge=1, description="Fixes that were reverted or closed unmerged ...")
    of_fixes: int = Field(5, ge=1, description="... of the last so many.")
    taxonomy_changed: bool = Field(True, description="Whether the first day under other categories counts as one.")


class TicketSettings(BaseModel):
    """Brakes on filing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    per_day: int = Field(3, ge=0)
    open_limit: int = Field(10, ge=0)
    per_component_and_day: int = Field(1, ge=0)
    failed_fixes_until_suppressed: int = Field(2, ge=1)
    reopen_within_days: int = Field(30, ge=0)
    kill_switch: bool = Field(False, description="True stops all filing.")
    dry_run: bool | None = Field(
        None, description="True: decide and audit, file nothing. Default: where tickets leave the machine (linear)."
    )
    approval: bool | None = Field(
        None,
        description="True: a type's first ticket waits for `signals tickets approve`. Default: where tickets leave.",
    )
    failures_until_stopped: int = Field(3, ge=1, description="Failures of the tracker in a row that stop filing.")
    stopped_minutes: int = Field(60, ge=1, description="After which one more is tried.")
    breakers: BreakerSettings = Field(default_factory=BreakerSettings)
    agent: str | None = Field(None, description="Agent user of the tracker that approved tickets are delegated to.")
    agent_components: list[str] = Field(default_factory=list, description="Components whose tickets it may get.")
    agent_severe_share: float = Field(
        0.5, ge=0, le=1, description="Not where more of the sessions with the friction met it at high severity."
    )


class LinearSettings(BaseModel):
    """Where tickets go with the tracker linear."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    team: str = Field("", description="Key of the team, e.g. ENG.")
    api_key: SecretStr | None = Field(None, description="A personal key; default: LINEAR_API_KEY.")
    access_token: SecretStr | None = Field(None, description="An OAuth token; default: LINEAR_ACCESS_TOKEN.")
    endpoint: str = Field("https://api.linear.app/graphql", description="Address of its API.")
    link: str = Field("http://127.0.0.1:3000/assets/friction_levels", description="Where a ticket leads: your Dagster.")
    timeout_seconds: float = Field(30, gt=0)
    patience_seconds: float = Field(60, ge=0, description="Longest wait for one answer, repeats and limits included.")


class GitHubSettings(BaseModel):
    """The agent's repository at GitHub: for the code host github, and for releases and pull requests from there."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    repository: str = Field("", description="owner/name of the agent's repository.")
    token: SecretStr | None = Field(None, description="Default: GITHUB_TOKEN.")
    base_url: str = Field("https://api.github.com", description="GitHub Enterprise: https://HOST/api/v3.")
    timeout_seconds: float = Field(30, gt=0)
    dry_run: bool = Field(True, description="Write drafts as files in home instead of opening pull requests.")
    agent_name: str | None = Field(
        None, description="Agent that it releases, as sessions name it; default: agent_name."
    )
    tag_prefix: str = Field("", description="Only tags that begin so are releases; what follows is the version.")
    team_keys: list[str] = Field(
        default_factory=list, description="Keys of the tracker's teams: ENG where pull requests name ENG-123."
    )


class BigQuerySettings(BaseModel):
    """Where the warehouse bigquery keeps tables; credentials as Google finds them (GOOGLE_APPLICATION_CREDENTIALS)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    project: str = Field("", description="Project that holds the datasets and pays for the jobs.")
    dataset_prefix: str = Field("signals", pattern=r"^[A-Za-z0-9_]{1,100}$", description="Datasets are PREFIX_ZONE.")
    location: str = Field("EU", description="Region or multi-region of the datasets.")
    endpoint: str | None = Field(None, description="Another server than Google's; it is given no credentials.")
    maximum_bytes_billed: int = Field(100 * 2**30, gt=0, description="A query that would read more is refused.")
    patience_seconds: float = Field(120, gt=0, description="How long a refused or lost request is tried again.")
    writer: str = Field("", pattern=_MEMBER, description="Who runs Signals, e.g. serviceAccount:NAME@HOST.")
    analysts: str = Field("", pattern=_MEMBER, description="Who reads abstracted rows, e.g. group:NAME@HOST.")
    readers: str = Field("", pattern=_MEMBER, description="Who reads published tables, e.g. domain:HOST.")


class SlackSettings(BaseModel):
    """Where the daily report goes with the notifier slack."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    channel: str = Field("", description="Id of the channel (C...), which the bot was invited to.")
    token: SecretStr | None = Field(None, description="A bot's token; default: SLACK_BOT_TOKEN.")
    base_url: str = Field("https://slack.com/api", description="Address of its Web API.")
    timeout_seconds: float = Field(30, gt=0)
    dry_run: bool = Field(True, description="Write messages beside the page instead of posting them.")


class BigQueryTable(BaseModel):
    """A table of your own in BigQuery that records of one kind are read from."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    table: str = Field(description="project.dataset.table")
    day_column: str | None = Field(None, description="DATE column that it is partitioned by; default: read whole.")
    columns: dict[str, str] = Field(default_factory=dict, description="Our names of columns -> the table's.")
    errors_a_day: int = Field(200_000, ge=1, description="Of error logs: a day with more is an error, not cut.")


class BigQuerySessions(BaseModel):
    """The table of your own in BigQuery that sessions are read from, over the connection of `bigquery`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    table: str = Field("", description="project.dataset.table")
    shape: Literal["sessions", "steps"] = Field("sessions", description="What a row is.")
    day_column: str = Field("day", description="DATE column that it is partitioned by: UTC day of start, or of step.")
    columns: dict[str, str] = Field(
        default_factory=dict, description='Our names of columns -> the table\'s, e.g. {session_id = "conversation_id"}.'
    )
    kinds: dict[str, Literal["user_message", "assistant_message", "tool_call", "tool_result", "event"]] = Field(
        default_factory=dict,
        description='What the table calls kinds of steps -> ours, e.g. {bot = "assistant_message"}.',
    )
    reach_days: int = Field(1, ge=0, description="Partitions read before and after a day for its sessions.")
    history_days: int = Field(30, ge=0, description="Of shape steps: partitions looked at for a session's first step.")


class CloudWatchSettings(BaseModel):
    """Which events of Amazon CloudWatch Logs are error logs; credentials are boto3's (a role, AWS_PROFILE)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    log_groups: list[str] = Field(default_factory=list, description="Names or ARNs.")
    region: str | None = Field(None, description="Default: AWS_REGION or the profile's.")
    endpoint_url: str | None = Field(None, description="Another server than Amazon's for the region.")
    filter_terms: str = Field(
        "", description='Words and "quoted texts", all of which an event must hold; levels are judged here anyway.'
    )
    fields: dict[Literal["session_id", "user_id", "service", "level", "message"], str] = Field(
        default_factory=dict, description='Where a JSON message keeps them, e.g. {session_id = "ctx.conversation"}.'
    )
    errors_a_day: int = Field(200_000, ge=1, description="A day with more is an error, not cut.")
    timeout_seconds: float = Field(60, gt=0)


class SentrySettings(BaseModel):
    """Which events of Sentry are error logs."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    organization: str = Field("", description="Its slug.")
    projects: list[str] = Field(default_factory=list, description="Their slugs.")
    token: SecretStr | None = Field(None, description="With the scope project:read; default: SENTRY_AUTH_TOKEN.")
    base_url: str = Field("https://sentry.io", description="Of your region (https://de.sentry.io) or your own server.")
    session_tag: str = Field("session_id", description="Tag that holds the session's id.")
    service_tag: str | None = Field(
        None, description="Tag that holds the service; default: the project is the service."
    )
    errors_a_day: int = Field(200_000, ge=1, description="A day with more is an error, not cut.")
    timeout_seconds: float = Field(30, gt=0)


class RecordsFrom(BaseModel):
    """Which records come from a service instead of the folder `records`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    releases: Literal["files", "github", "bigquery"] = "files"
    error_logs: Literal["files", "cloudwatch", "sentry", "bigquery"] = "files"
    feedback: Literal["files", "bigquery"] = "files"
    pull_requests: Literal["files", "github", "bigquery"] = "files"
    user_outcomes: Literal["files", "bigquery"] = "files"


class DiscoverySettings(BaseModel):
    """What is done about new categories without a person."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    auto_accept: bool = Field(False, description="Accept proposals that pass every rule without asking a person.")
    questions_a_day: int = Field(20, ge=0, description="Most questions a day to a language model, for names.")


class ModelSettings(BaseModel):
    """The language model that is asked about sessions, and how. Used by the analysts openai and openai-compatible."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str = Field("gpt-5.2", description="Name of the model, as the provider knows it.")
    base_url: str | None = Field(None, description="Where the server is; needed for openai-compatible.")
    api_key: SecretStr | None = Field(None, description="Default: OPENAI_API_KEY.")
    organization: str | None = Field(None, description="OpenAI's organisation id, where the key has several.")
    project: str | None = Field(None, description="OpenAI's project id, where the key has several.")
    session_tokens: int = Field(32_000, ge=500, description="Longer sessions are condensed to so many tokens.")
    window: int | None = Field(None, ge=4_000, description="Input tokens of a request; default: the model's.")
    output_tokens: int = Field(8_000, ge=500, description="Most tokens of an answer, reasoning included.")
    enqueued_tokens: int = Field(
        0, ge=0, description="Input tokens the provider takes in flight (see your account); 0: learned from refusals."
    )
    concurrency: int = Field(4, ge=1, description="Requests at one time to an openai-compatible server.")
    timeout_seconds: float = Field(600, gt=0)
    input_price: float | None = Field(
        None, ge=0, description="US dollars per million input tokens; default: the price table."
    )
    output_price: float | None = Field(None, ge=0, description="US dollars per million output tokens.")
    cached_input_price: float | None = Field(None, ge=0, description="US dollars per million cached input tokens.")


class EmbeddingServer(BaseModel):
    """Where the embedder openai asks: OpenAI, or any server with its protocol. Admitted texts are sent there."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    base_url: str | None = Field(None, description="Where the server is; default: OpenAI (or OPENAI_BASE_URL).")
    api_key: SecretStr | None = Field(None, description="Default: OPENAI_API_KEY.")
    organization: str | None = Field(None, description="OpenAI's organisation id, where the key has several.")
    project: str | None = Field(None, description="OpenAI's project id, where the key has several.")
    dimensions: int | None = Field(None, ge=1, description="Shorter vectors, where the model can make them.")
    timeout_seconds: float = Field(60, gt=0)


class ReaderSettings(BaseModel):
    """A second reader, of another model family, against what two models of one family overlook together."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    analyst: Literal["none", "rules", "openai", "openai-compatible"] = Field("none", description="Who reads again.")
    language_model: ModelSettings = Field(default_factory=ModelSettings, description="Its model, and where it is.")
    sessions_a_day: int = Field(20, ge=1, description="Of the sessions that the analyst was asked about.")


class UserFrom(BaseModel):
    """Where the user of a session comes from when its format knows none."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: Literal["none", "folder", "setting", "field"] = "none"
    value: str = Field("", description="Folder level (0 = first below the path), the user's name, or a field name.")


def _olds(name: str, renamed: dict[str, str]) -> set[str]:
    """All names that a component had, its own too where they go in a circle."""
    found: set[str] = set()
    while name in renamed and renamed[name] not in found:
        name = renamed[name]
        found.add(name)
    return found


class Settings(BaseSettings):
    """All settings with their defaults: a laptop, no key, no network."""

    model_config = SettingsConfigDict(
        env_prefix="SIGNALS_",
        env_nested_delimiter="__",
        toml_file=_toml_files(),
        extra="forbid",
        hide_input_in_errors=True,
    )

    home: Path = Field(Path(".signals"), description="Where everything local lies.")
    sessions: list[Path] = Field(default_factory=list, description="Files and folders of sessions.")
    records: Path | None = Field(None, description="Folder of releases, error logs, feedback, pull requests.")
    records_from: RecordsFrom = Field(default_factory=RecordsFrom)
    session_format: str | None = Field(None, description="Force a reader; default: recognised by itself.")
    user_from: UserFrom = Field(default_factory=UserFrom)
    start_day: date = Field(date(2026, 1, 1), description="First day of the partitions.")
    end_day: date | None = Field(None, description="Last day of the partitions; default: yesterday.")
    agent_name: str | None = Field(None, description="Name for sessions whose format knows none.")

    audience: Audience = "company"
    pseudonym_key: SecretStr | None = Field(None, description="Key of the pseudonyms; default: made once in home.")
    retention_days: int = Field(14, ge=1, description="Days after which raw text is removed.")
    abstracted_retention_days: int = Field(
        90, ge=56, description="Days after which rows under pseudonyms are removed; rates look back up to 56."
    )
    min_confidence: float = Field(0.5, ge=0, le=1, description="Detections below it are stored but not counted.")

    session_source: Literal["files", "bigquery"] = "files"
    warehouse: Literal["parquet", "bigquery"] = "parquet"
    ledger_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL (sqlite:///..., postgresql://...), which may hold a password; default: SQLite.",
    )
    analyst: Literal["rules", "openai", "openai-compatible"] = "rules"
    language_model: ModelSettings = Field(default_factory=ModelSettings)
    second_reader: ReaderSettings = Field(default_factory=ReaderSettings)
    overlap_sessions: int = Field(
        50, ge=0, description="Sessions of a day that the former analyst reads, too, when model or prompt changed."
    )
    overlap_days: int = Field(2, ge=0, description="On so many days after the change.")
    embedder: Literal["sentence-transformers", "openai", "none"] = "sentence-transformers"
    embedding_model: str | None = Field(
        None,
        description="Model name, or a folder with its weights; default: all-MiniLM-L6-v2, and text-embedding-3-small "
        "for the embedder openai.",
    )
    embedding_server: EmbeddingServer = Field(default_factory=EmbeddingServer)
    compute: Literal["processes", "serial", "dask"] = "processes"
    workers: int = Field(0, ge=0, description="Worker processes; 0: one per core, at most 8.")
    dask_scheduler: str | None = Field(None, description="Address for compute = dask, e.g. tcp://scheduler:8786.")
    tracker: Literal["files", "linear"] = "files"
    code_host: Literal["git", "github"] = "git"
    notifier: Literal["files", "slack"] = "files"
    code_repository: Path | None = Field(None, description="The agent's own repository, for the git code host.")

    selection: SelectionSettings = Field(default_factory=SelectionSettings)
    discovery: DiscoverySettings = Field(default_factory=DiscoverySettings)
    thresholds: ThresholdSettings = Field(default_factory=ThresholdSettings)
    tickets: TicketSettings = Field(default_factory=TicketSettings)
    linear: LinearSettings = Field(default_factory=LinearSettings)
    github: GitHubSettings = Field(default_factory=GitHubSettings)
    bigquery: BigQuerySettings = Field(default_factory=BigQuerySettings)
    slack: SlackSettings = Field(default_factory=SlackSettings)
    bigquery_sessions: BigQuerySessions = Field(default_factory=BigQuerySessions)
    bigquery_records: dict[
        Literal["releases", "error_logs", "feedback", "pull_requests", "user_outcomes"], BigQueryTable
    ] = Field(default_factory=dict, description="Kind of records -> the table that `records_from` reads it from.")
    cloudwatch: CloudWatchSettings = Field(default_factory=CloudWatchSettings)
    sentry: SentrySettings = Field(default_factory=SentrySettings)
    public: PublicSettings = Field(default_factory=PublicSettings)
    components: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Component name -> tool names, path patterns and log services that belong to it.",
    )
    renamed_components: dict[str, str] = Field(
        default_factory=dict,
        description="New component name -> its old name: its causes and tickets go on. Without it they begin anew.",
    )
    allowed_labels: list[str] = Field(
        default_factory=list, description="Services, tools and versions that may be named in the published zone."
    )

    @field_validator("renamed_components")
    @classmethod
    def _renamed_once(cls, renamed: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        """Two components with one old name would be one cause, and a circle has no first name."""
        old = list(renamed.values())
        kept = sorted(set(old) & set(info.data.get("components", ())))
        circles = any(new in _olds(new, renamed) for new in renamed)
        if kept or len(set(old)) < len(old) or circles:
            raise ValueError(
                "renamed_components: an old name is named once and is no component any more; name each new component "
                f"with its own old name{': still components: ' + ', '.join(kept) if kept else ''}"
            )
        return renamed

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then signals.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def restricted(self) -> Path:
        """Folder of the restricted zone."""
        return self.home / "restricted"
