"""`signals doctor`: which doors are open, what is missing for the others, what your volume can show.

Put here: calling the doors, what a language model still needs; no key is printed. Not here: the doors (see
`resources`).
"""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.core.estimating import tiers_of
from signals_assets.core.prices import window
from signals_assets.core.volume import predictions
from signals_assets.resources import DoorError, batches_for, doors_or_reasons
from signals_assets.resources.batches import BatchError
from signals_assets.settings import Settings

OTHERS = (
    (
        "session_source",
        "files, bigquery",
        "pip install 'signals-assets[bigquery]'; SIGNALS_SESSION_SOURCE=bigquery, bigquery_sessions in signals.toml",
    ),
    (
        "records",
        "a folder, github, cloudwatch, sentry, bigquery",
        "SIGNALS_RECORDS=folder with releases.jsonl, ...; SIGNALS_RECORDS_FROM__RELEASES=github, __ERROR_LOGS=sentry",
    ),
    (
        "warehouse",
        "parquet, bigquery",
        "pip install 'signals-assets[bigquery]'; SIGNALS_WAREHOUSE=bigquery, SIGNALS_BIGQUERY__PROJECT",
    ),
    ("ledger", "SQLite, PostgreSQL", "SIGNALS_LEDGER_URL=postgresql://..., pip install 'signals-assets[postgres]'"),
    (
        "analyst",
        "rules, openai, openai-compatible",
        "pip install 'signals-assets[openai]'; OPENAI_API_KEY, or SIGNALS_LANGUAGE_MODEL__BASE_URL of your server",
    ),
    (
        "second_reader",
        "none, rules, openai, openai-compatible",
        "SIGNALS_SECOND_READER__ANALYST=openai-compatible, SIGNALS_SECOND_READER__LANGUAGE_MODEL__BASE_URL, ...__MODEL",
    ),
    (
        "embedder",
        "sentence-transformers, none, openai",
        "pip install 'signals-assets[openai]'; SIGNALS_EMBEDDER=openai, OPENAI_API_KEY or SIGNALS_EMBEDDING_SERVER__*",
    ),
    (
        "compute",
        "processes, serial, dask",
        "pip install 'signals-assets[dask]'; SIGNALS_COMPUTE=dask, SIGNALS_DASK_SCHEDULER=tcp://scheduler:8786",
    ),
    ("tracker", "files, linear", "SIGNALS_TRACKER=linear, SIGNALS_LINEAR__TEAM=ENG, LINEAR_API_KEY=..."),
    (
        "code_host",
        "git, github",
        "SIGNALS_CODE_REPOSITORY=path; SIGNALS_CODE_HOST=github, SIGNALS_GITHUB__REPOSITORY=owner/name, GITHUB_TOKEN",
    ),
    (
        "notifier",
        "files, slack",
        "SIGNALS_NOTIFIER=slack, SIGNALS_SLACK__CHANNEL=C..., SLACK_BOT_TOKEN; SIGNALS_SLACK__DRY_RUN=false to post",
    ),
)
_VOLUME = """
select count(*) / greatest(1, count(distinct day)) as sessions_per_day, count(distinct user_id) as users,
       count(distinct organization_id) as organizations, count(*) as sessions
from session_metrics
"""

_PREDICT = "To predict: signals doctor --sessions-per-day 200 --users 10 --audience team."
_NOTHING = {"sessions_per_day": None, "users": None, "organizations": None, "sessions": 0}


@click.command()
@click.option("--sessions-per-day", type=float, help="Predict for this volume instead of the stored one.")
@click.option("--users", type=int, help="Predict for so many users.")
@click.option("--organizations", type=int, help="Predict for so many organisations.")
@click.option("--audience", type=click.Choice(["self", "team", "company", "public"]), help="Default: the settings'.")
@json_option
def command(
    sessions_per_day: float | None,
    users: int | None,
    organizations: int | None,
    audience: str | None,
    json_file: str | None,
) -> None:
    """Check every open door with one harmless call, and say what your volume can and cannot show."""
    settings = Settings()
    doors = doors_or_reasons(settings)
    states = []
    for name, implementations, hint in OTHERS:
        try:
            if isinstance(doors[name], Exception):
                raise doors[name]
            states.append({"door": name, "state": "open", "answer": doors[name].check(), "others": implementations,
                           "to open others": hint})  # fmt: skip
        except Exception as error:  # noqa: BLE001  the whole point is to report whatever a door says
            states.append({"door": name, "state": "closed", "answer": f"{type(error).__name__}: {error}",
                           "others": implementations, "to open others": hint})  # fmt: skip
    closed = {state["door"] for state in states if state["state"] == "closed"}
    stored = _NOTHING if "warehouse" in closed else doors["warehouse"].query(_VOLUME).to_pylist()[0]
    chosen = settings.audience if audience is None else audience
    per_day = sessions_per_day if sessions_per_day is not None else float(stored["sessions_per_day"] or 0)
    people = users if users is not None else int(stored["users"] or 0)
    known = organizations if organizations is not None else (int(stored["organizations"] or 0) or None)
    told = [
        {"question": item.question, "answer": item.answer}
        for item in (predictions(per_day, max(1, people), known, chosen) if per_day else [])  # type: ignore[arg-type]
    ]
    needs = language_model(settings)
    volume = {"sessions_per_day": per_day, "users": people, "organizations": known, "audience": chosen}
    write_json(json_file, {"doors": states, "language_model": needs, "volume": volume, "predictions": told})
    show("Doors", states)
    show("A language model as analyst", needs)
    source = "given" if sessions_per_day is not None else f"from {stored['sessions']} stored sessions"
    title = f"What {per_day:.3g} sessions a day of {people or 'unknown'} users show ({source}), audience {chosen}"
    show(title if told else "What your volume shows", told, empty=f"{NO_DAY} {_PREDICT}")
    if closed or any(row["state"] == "missing" for row in needs):
        raise click.exceptions.Exit(1)


# --- a language model ----------------------------------------------------------------------------------------------


def language_model(settings: Settings) -> list[dict[str, str]]:
    """What a language model needs, and whether it is there. While the rules are the analyst nobody is called.

    States: ok, missing (the analyst that is set cannot work), off (not needed as it is set), unknown.
    """
    used = settings.analyst != "rules"
    rows = [_use(settings), _second(settings), _library(used), _key(settings), _address(settings), _model(settings)]
    if used and all(row["state"] != "missing" for row in rows):
        rows.append(_served(settings))
    return rows


def _row(what: str, state: str, answer: str) -> dict[str, str]:
    return {"what": what, "state": state, "answer": answer}


def _use(settings: Settings) -> dict[str, str]:
    if settings.analyst == "rules":
        whom = "no session is sent anywhere" if settings.second_reader.analyst in HERE else "it sends no session"
        return _row("use", "off", f"analyst = 'rules': {whom}. SIGNALS_ANALYST=openai sends them")
    return _row("use", "ok", f"analyst = {settings.analyst!r}: condensed sessions are sent to the address below")


HERE: Final = ("none", "rules")
"""Second readers that send nothing."""


def _second(settings: Settings) -> dict[str, str]:
    chosen = settings.second_reader
    if chosen.analyst in HERE:
        return _row("second reader", "off", f"second_reader.analyst = {chosen.analyst!r}: it sends no session anywhere")
    model = chosen.language_model.model
    words = f"{chosen.sessions_a_day} condensed sessions a day are sent to {model}, at the address set for it"
    return _row("second reader", "ok", f"second_reader.analyst = {chosen.analyst!r}: {words}")


def _library(used: bool) -> dict[str, str]:
    try:
        return _row("client library", "ok", f"openai {version('openai')}")
    except PackageNotFoundError:
        return _row("client library", "missing" if used else "off", "pip install 'signals-assets[openai]'")


def _key(settings: Settings) -> dict[str, str]:
    if settings.language_model.api_key is not None:
        return _row("key", "ok", "set by language_model.api_key")
    if os.environ.get("OPENAI_API_KEY"):
        return _row("key", "ok", "set by OPENAI_API_KEY")
    if settings.analyst == "openai-compatible":
        return _row("key", "off", "none is set; servers of your own seldom ask for one")
    wanted = "set OPENAI_API_KEY or SIGNALS_LANGUAGE_MODEL__API_KEY"
    return _row("key", "missing" if settings.analyst == "openai" else "off", wanted)


def _address(settings: Settings) -> dict[str, str]:
    from urllib.parse import urlsplit

    given = settings.language_model.base_url
    if given is None and settings.analyst == "openai-compatible":
        wanted = "set SIGNALS_LANGUAGE_MODEL__BASE_URL, e.g. http://localhost:11434/v1"
        return _row("address", "missing", wanted)
    given = given or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return _row("address", "missing", "language_model.base_url is no address; it begins with http:// or https://")
    return _row("address", "ok", f"{parts.scheme}://{parts.hostname}{parts.path}")  # without name and password


def _model(settings: Settings) -> dict[str, str]:
    asked = settings.language_model
    lacking = []
    if not tiers_of(asked.model) and (asked.input_price is None or asked.output_price is None):
        lacking.append("its price (language_model.input_price and output_price; costs are not known without)")
    if window(asked.model) is None and asked.window is None:
        lacking.append("its window (language_model.window)")
    if lacking:
        return _row("model", "unknown", f"{asked.model}: the price table does not know it; set {' and '.join(lacking)}")
    return _row("model", "ok", f"{asked.model}: price and window are known")


def _served(settings: Settings) -> dict[str, str]:
    """One harmless call: the list of models."""
    model = settings.language_model.model
    try:
        offered = batches_for(settings).models()
    except (BatchError, DoorError) as error:
        return _row("service", "missing", str(error))
    if model in offered:
        return _row("service", "ok", f"it answered and offers {model}")
    some = ", ".join(offered[:5]) + (", ..." if len(offered) > 5 else "")
    return _row("service", "missing", f"it answered and does not offer {model}; it has {some or 'no model at all'}")
