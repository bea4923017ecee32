"""Doors to the outside, one per file; `resources_for` is the only place that chooses between them.

Put here: the choice. Not here: the doors, thinking (see `core/`), table shapes (see `tables.py`).

A door is chosen by its name in the settings. Nothing falls back to another door silently: a name whose
implementation is not part of this installation is an error that says what to install or set.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from signals_assets.settings import Settings


class DoorError(RuntimeError):
    """A door that was asked for by name cannot be opened: names the setting and what to do."""


def resources_for(settings: Settings, **overrides: Any) -> dict[str, Any]:
    """Every door by its resource name, as the settings say; `overrides` replace single doors (tests)."""
    doors: dict[str, Any] = {"settings": settings}
    for name, opened in _OPENERS.items():
        doors[name] = overrides.pop(name) if name in overrides else opened(settings, doors)
    if overrides:
        raise DoorError(f"no such door: {', '.join(sorted(overrides))}; there are {', '.join(_OPENERS)}")
    return doors


def doors_or_reasons(settings: Settings) -> dict[str, Any]:
    """Every door by its resource name, with the DoorError in its place where it cannot be opened (`signals doctor`)."""
    doors: dict[str, Any] = {"settings": settings}
    for name, opened in _OPENERS.items():
        try:
            doors[name] = opened(settings, doors)
        except DoorError as error:
            doors[name] = error
    return doors


Doors = dict[str, Any]


def _pseudonym_key(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.keys import PseudonymKey

    return PseudonymKey(settings)


def _session_source(settings: Settings, doors: Doors) -> Any:
    from signals_assets.resources.erasure import Erased
    from signals_assets.resources.session_source import FileSessionSource

    if settings.session_source == "bigquery":
        return _bigquery_sessions(settings, doors)
    return FileSessionSource(
        settings.sessions,
        session_format=settings.session_format,
        user_from=settings.user_from,
        agent_name=settings.agent_name,
        spool=settings.restricted / "spool",
        erased=lambda: Erased(doors["ledger"], doors["pseudonym_key"])(),  # the ledger is opened after this door
    )


def _bigquery_sessions(settings: Settings, doors: Doors) -> Any:
    asked = settings.bigquery_sessions
    jobs = _bigquery_jobs(settings, "session_source")
    if settings.user_from.kind != "none":
        raise DoorError("user_from is for files: name the user's column in bigquery_sessions.columns (user_id = ...)")
    from signals_assets.resources.bigquery_source import BigQuerySessionSource
    from signals_assets.resources.erasure import Erased

    try:
        return BigQuerySessionSource(
            jobs,
            asked.table,
            shape=asked.shape,
            day_column=asked.day_column,
            columns=asked.columns,
            kinds={**asked.kinds},
            reach_days=asked.reach_days,
            history_days=asked.history_days,
            first_day=settings.start_day,
            agent_name=settings.agent_name,
            spool=settings.restricted / "spool",
            erased=lambda: Erased(doors["ledger"], doors["pseudonym_key"])(),  # the ledger is opened after this door
        )
    except ValueError as error:
        raise DoorError(f"session_source = 'bigquery': bigquery_sessions: {error}") from None


def _records(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.records import RECORD_KINDS, FileRecords, RecordsByKind

    files = FileRecords(settings.records)
    chosen: dict[Any, str] = {kind: getattr(settings.records_from, kind) for kind in RECORD_KINDS}
    doors = {name: _SOURCES[name](settings) for name in sorted(set(chosen.values()) - {"files", "bigquery"})}
    doors_of = {kind: doors[name] for kind, name in chosen.items() if name in doors}
    doors_of |= {kind: _bigquery_records(settings, kind) for kind, name in chosen.items() if name == "bigquery"}
    return RecordsByKind(files, doors_of) if doors_of else files


def _bigquery_records(settings: Settings, kind: Any) -> Any:
    asks = f"records_from.{kind}"
    asked = settings.bigquery_records.get(kind)
    if asked is None:
        raise DoorError(f"{asks} = 'bigquery' needs bigquery_records.{kind}.table, e.g. project.dataset.table")
    jobs = _bigquery_jobs(settings, asks)
    from signals_assets.resources.bigquery_records import BigQueryRecords

    try:
        return BigQueryRecords(
            jobs,
            kind,
            asked.table,
            day_column=asked.day_column,
            columns=asked.columns,
            errors_a_day=asked.errors_a_day,
            first_day=settings.start_day,
            spool=settings.restricted / "spool",
        )
    except ValueError as error:
        raise DoorError(f"{asks} = 'bigquery': bigquery_records.{kind}: {error}") from None


def _github_records(settings: Settings) -> Any:
    from signals_assets.resources.github_records import GitHubRecords

    asked = settings.github
    return GitHubRecords(
        _github(settings, "records_from"),
        agent_name=asked.agent_name or settings.agent_name,
        tag_prefix=asked.tag_prefix,
        team_keys=[*asked.team_keys, *([settings.linear.team] if settings.linear.team else [])],
    )


def _cloudwatch(settings: Settings) -> Any:
    from signals_assets.resources.cloudwatch import CloudWatchRecords

    if importlib.util.find_spec("boto3") is None:
        raise DoorError("records_from.error_logs = 'cloudwatch' needs boto3: pip install 'signals-assets[aws]'")
    asked = settings.cloudwatch
    try:
        return CloudWatchRecords(
            asked.log_groups,
            region=asked.region,
            endpoint_url=asked.endpoint_url,
            filter_terms=asked.filter_terms,
            fields={str(name): path for name, path in asked.fields.items()},
            errors_a_day=asked.errors_a_day,
            timeout_seconds=asked.timeout_seconds,
        )
    except ValueError as error:
        raise DoorError(f"records_from.error_logs = 'cloudwatch': {error}") from None


def _sentry(settings: Settings) -> Any:
    from signals_assets.resources.sentry import SentryRecords

    asked = settings.sentry
    token = asked.token.get_secret_value() if asked.token else os.environ.get("SENTRY_AUTH_TOKEN", "")
    if not token:
        raise DoorError("records_from.error_logs = 'sentry' needs a token: set SENTRY_AUTH_TOKEN (scope project:read)")
    try:
        return SentryRecords(
            asked.organization,
            asked.projects,
            token,
            base_url=asked.base_url,
            session_tag=asked.session_tag,
            service_tag=asked.service_tag,
            errors_a_day=asked.errors_a_day,
            timeout_seconds=asked.timeout_seconds,
        )
    except ValueError as error:
        raise DoorError(f"records_from.error_logs = 'sentry': {error}") from None


def _github(settings: Settings, asks: str) -> Any:
    """The repository at GitHub; `asks` names the setting that wants it."""
    from signals_assets.resources.github import GitHub

    asked = settings.github
    token = asked.token.get_secret_value() if asked.token else os.environ.get("GITHUB_TOKEN", "")
    if not token:
        raise DoorError(f"{asks} = 'github' needs a token: set GITHUB_TOKEN, or leave {asks} at its default")
    try:
        return GitHub(asked.repository, token, base_url=asked.base_url, timeout_seconds=asked.timeout_seconds)
    except ValueError as error:
        raise DoorError(f"{asks} = 'github': {error}") from None


def _warehouse(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.warehouse import ParquetWarehouse

    if settings.warehouse == "bigquery":
        return bigquery_warehouse(settings)
    return ParquetWarehouse(settings.home / "warehouse")


def bigquery_warehouse(settings: Settings) -> Any:
    """The warehouse in BigQuery as the settings describe it; nothing is asked yet.

    Raises DoorError naming what is missing.
    """
    asked, jobs = settings.bigquery, _bigquery_jobs(settings, "warehouse")
    from signals_assets.core.barrier.thresholds import SHOWN
    from signals_assets.resources.bigquery import BigQueryWarehouse
    from signals_assets.resources.bigquery_layout import Audience, Layout

    who = Audience(asked.writer, asked.analysts, asked.readers)
    least = 0 if settings.audience == "public" else SHOWN[settings.audience].users  # what leaves the house is noised
    layout = Layout(asked.project, asked.dataset_prefix, asked.location, least, who)
    return BigQueryWarehouse(jobs, layout, settings.restricted / "spool")


def _bigquery_jobs(settings: Settings, asks: str) -> Any:
    """The connection to BigQuery; `asks` names the setting that wants it."""
    if any(importlib.util.find_spec(name) is None for name in ("dagster_gcp", "sqlglot")):
        raise DoorError(f"{asks} = 'bigquery' needs its packages: pip install 'signals-assets[bigquery]'")
    asked = settings.bigquery
    if not asked.project:
        raise DoorError(f"{asks} = 'bigquery' needs a project: set SIGNALS_BIGQUERY__PROJECT")
    from signals_assets.resources.bigquery_connection import BigQueryConnection, BigQueryJobs

    connection = BigQueryConnection(project=asked.project, location=asked.location, endpoint=asked.endpoint)
    return BigQueryJobs(
        connection, maximum_bytes_billed=asked.maximum_bytes_billed, patience_seconds=asked.patience_seconds
    )


def _ledger(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.ledger import LedgerError, SqlLedger

    try:
        return SqlLedger(ledger_url(settings))
    except LedgerError as error:
        raise DoorError(f"ledger_url: {error}") from None


def _compute(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.compute import ProcessCompute, SerialCompute

    if settings.compute == "serial":
        return SerialCompute()
    if settings.compute == "dask":
        return _dask(settings)
    return ProcessCompute(settings.workers or min(8, os.cpu_count() or 1))


def _dask(settings: Settings) -> Any:
    from signals_assets.resources.dask_compute import DaskCompute

    if not settings.dask_scheduler:
        raise DoorError(
            "compute = 'dask' needs dask_scheduler, e.g. SIGNALS_DASK_SCHEDULER=tcp://scheduler:8786, or "
            "SIGNALS_COMPUTE=processes"
        )
    if importlib.util.find_spec("distributed") is None:
        raise DoorError("compute = 'dask' needs distributed: pip install 'signals-assets[dask]'")
    return DaskCompute(settings.dask_scheduler)


def _analyst(settings: Settings, doors: Doors) -> Any:
    from signals_assets.resources.analyst import RulesAnalyst

    if settings.analyst == "rules":
        return RulesAnalyst(settings.restricted / "batches", doors["compute"])
    return _language_model(settings, doors, "analyst", ledger_url(settings))


def _second_reader(settings: Settings, doors: Doors) -> Any:
    """Beside the analyst, with a folder and requests of its own, so that neither touches the other's."""
    from signals_assets.resources.analyst import NoAnalyst, RulesAnalyst

    chosen = settings.second_reader
    if chosen.analyst == "none":
        return NoAnalyst()
    if chosen.analyst == settings.analyst and (
        chosen.analyst == "rules" or chosen.language_model.model == settings.language_model.model
    ):
        raise DoorError("second_reader is the analyst itself and would agree with it; set a model of another family")
    if chosen.analyst == "rules":
        return RulesAnalyst(settings.restricted / "second" / "batches", doors["compute"])
    own = settings.model_copy(update={"analyst": chosen.analyst, "language_model": chosen.language_model})
    try:
        return _language_model(
            own, doors, "second", f"sqlite:///{(own.restricted / 'second' / 'requests.db').absolute()}"
        )
    except DoorError as error:
        raise DoorError(f"of second_reader: {error}") from None


def _language_model(settings: Settings, doors: Doors, folder: str, url: str) -> Any:
    """A language model whose files lie in a folder of the restricted zone and its requests in the database at `url`."""
    from signals_assets.resources.language_model import LanguageModelAnalyst, limits_of, prices_of
    from signals_assets.resources.requests import RequestLog

    asked = settings.language_model
    return LanguageModelAnalyst(
        batches_for(settings, folder=folder),
        RequestLog(url),
        settings.restricted / folder,
        doors["compute"],
        model=asked.model,
        secret=doors["pseudonym_key"].bytes,
        audience=settings.audience,
        limits=limits_of(asked),
        prices=prices_of(asked),
    )


def batches_for(settings: Settings, *, directly: bool = False, folder: str = "analyst") -> Any:
    """Where a language model's requests run; `directly` asks OpenAI one by one instead of in batches.

    `folder`: in the restricted zone, for files on their way.

    Raises DoorError naming the setting that is missing.
    """
    from signals_assets.resources.batches import DirectBatches, OpenAIBatches, Server

    asked, compatible = settings.language_model, settings.analyst == "openai-compatible"
    key = asked.api_key.get_secret_value() if asked.api_key else os.environ.get("OPENAI_API_KEY", "")
    if compatible and not asked.base_url:
        raise DoorError(
            "analyst = 'openai-compatible' needs language_model.base_url, e.g. "
            "SIGNALS_LANGUAGE_MODEL__BASE_URL=http://localhost:11434/v1"
        )
    if not compatible and not key:
        raise DoorError(
            "analyst = 'openai' needs a key: set OPENAI_API_KEY or SIGNALS_LANGUAGE_MODEL__API_KEY, or "
            "SIGNALS_ANALYST=rules"
        )
    server = Server(
        api_key=key or "none",  # servers of the house ask for none, the client for some
        base_url=asked.base_url,
        organization=asked.organization,
        project=asked.project,
        timeout=asked.timeout_seconds,
    )
    own_folder = settings.restricted / folder
    days = settings.retention_days
    if compatible:
        return DirectBatches(server, own_folder / "direct", concurrency=asked.concurrency, keep_days=days)
    if directly:
        own: Any = {"name": "openai", "endpoint": "/v1/responses", "tier": "flex"}
        return DirectBatches(server, own_folder / "direct", concurrency=asked.concurrency, keep_days=days, **own)
    return OpenAIBatches(server, own_folder / "scratch", keep_days=days)


def ledger_url(settings: Settings) -> str:
    """SQLAlchemy's URL of the ledger, which the requests to the analyst share."""
    if settings.ledger_url is not None:
        return settings.ledger_url.get_secret_value()
    return f"sqlite:///{(settings.restricted / 'ledger.db').absolute()}"


def _embedder(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.embedder import PACKAGED, NoEmbedder, SentenceTransformerEmbedder

    if settings.embedder == "none":
        return NoEmbedder()
    if settings.embedder == "openai":
        return _openai_embedder(settings)
    return SentenceTransformerEmbedder(settings.embedding_model or PACKAGED)


def _openai_embedder(settings: Settings) -> Any:
    from signals_assets.resources.batches import Server
    from signals_assets.resources.http import address
    from signals_assets.resources.openai_embedder import MODEL, OpenAIEmbedder

    asked = settings.embedding_server
    base_url = asked.base_url or os.environ.get("OPENAI_BASE_URL") or None
    key = asked.api_key.get_secret_value() if asked.api_key else os.environ.get("OPENAI_API_KEY", "")
    if importlib.util.find_spec("openai") is None:
        raise DoorError("embedder = 'openai' needs its client: pip install 'signals-assets[openai]'")
    if not key and not base_url:
        raise DoorError(
            "embedder = 'openai' needs a key: set OPENAI_API_KEY or SIGNALS_EMBEDDING_SERVER__API_KEY, or "
            "SIGNALS_EMBEDDER=sentence-transformers"
        )
    try:
        server = Server(
            api_key=key or "none",  # servers of the house ask for none, the client for some
            base_url=address(base_url, "embedding_server.base_url") if base_url else None,
            organization=asked.organization,
            project=asked.project,
            timeout=asked.timeout_seconds,
        )
    except ValueError as error:
        raise DoorError(f"embedder = 'openai': {error}") from None
    return OpenAIEmbedder(server, settings.embedding_model or MODEL, dimensions=asked.dimensions)


def _tracker(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.tracker import FileTracker

    if settings.tracker == "linear":
        return _linear(settings)
    return FileTracker(settings.home / "tickets")


def _linear(settings: Settings) -> Any:
    from signals_assets.resources.http import address
    from signals_assets.resources.linear import LinearTracker
    from signals_assets.resources.linear_client import LinearClient

    asked = settings.linear
    key = asked.api_key.get_secret_value() if asked.api_key else os.environ.get("LINEAR_API_KEY", "")
    token = asked.access_token.get_secret_value() if asked.access_token else os.environ.get("LINEAR_ACCESS_TOKEN", "")
    if not asked.team:
        raise DoorError("tracker = 'linear' needs a team: set SIGNALS_LINEAR__TEAM to its key, e.g. ENG")
    if not key and not token:
        raise DoorError(
            "tracker = 'linear' needs LINEAR_API_KEY (a personal key) or LINEAR_ACCESS_TOKEN (OAuth), or "
            "SIGNALS_TRACKER=files"
        )
    try:
        endpoint = address(asked.endpoint, "linear.endpoint")
    except ValueError as error:
        raise DoorError(str(error)) from None
    client = LinearClient(endpoint, key or f"Bearer {token}", asked.timeout_seconds, asked.patience_seconds)
    return LinearTracker(client, team=asked.team, link=asked.link)


def _code_host(settings: Settings, _: Doors) -> Any:
    from signals_assets.resources.code_host import GitCodeHost

    if settings.code_host == "github":
        from signals_assets.resources.github import GitHubCodeHost

        github = _github(settings, "code_host")
        return GitHubCodeHost(github, dry_run=settings.github.dry_run, folder=settings.home / "drafts")
    return GitCodeHost(settings.code_repository)


def _notifier(settings: Settings, doors: Doors) -> Any:
    from signals_assets.resources.notifier import FileNotifier

    files = FileNotifier(settings.home / "reports")
    return _slack(settings, doors, files) if settings.notifier == "slack" else files


def _slack(settings: Settings, doors: Doors, files: Any) -> Any:
    from signals_assets.resources.slack import Slack, SlackNotifier

    asked = settings.slack
    token = asked.token.get_secret_value() if asked.token else os.environ.get("SLACK_BOT_TOKEN", "")
    if not token and not asked.dry_run:
        raise DoorError("notifier = 'slack' needs a bot's token: set SLACK_BOT_TOKEN, or SIGNALS_SLACK__DRY_RUN=true")
    try:
        slack = Slack(token, base_url=asked.base_url, timeout_seconds=asked.timeout_seconds) if token else None
        return SlackNotifier(slack, doors["ledger"], files, channel=asked.channel, dry_run=asked.dry_run)
    except ValueError as error:
        raise DoorError(f"notifier = 'slack': {error}") from None


_SOURCES: dict[str, Callable[[Settings], Any]] = {
    "cloudwatch": _cloudwatch,
    "github": _github_records,
    "sentry": _sentry,
}
"""Where records come from beside files, by the name that `records_from` has for it."""

_OPENERS: dict[str, Callable[[Settings, Doors], Any]] = {
    "pseudonym_key": _pseudonym_key,
    "session_source": _session_source,
    "records": _records,
    "warehouse": _warehouse,
    "ledger": _ledger,
    "compute": _compute,
    "analyst": _analyst,
    "second_reader": _second_reader,
    "embedder": _embedder,
    "tracker": _tracker,
    "code_host": _code_host,
    "notifier": _notifier,
}
