"""`signals doctor`: which doors are open, what is missing for the others, what your volume can show."""

import click

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.core.volume import predictions
from signals_assets.resources import doors_or_reasons
from signals_assets.settings import Settings

OTHERS = (
    ("session_source", "files, bigquery", "bigquery: not part of this version"),
    ("records", "a folder", "SIGNALS_RECORDS=folder with releases.jsonl, error_logs.jsonl, ..."),
    ("warehouse", "parquet, bigquery", "bigquery: not part of this version"),
    ("ledger", "SQLite, PostgreSQL", "SIGNALS_LEDGER_URL=postgresql+psycopg://..."),
    (
        "analyst",
        "rules, openai, openai-compatible",
        "pip install 'signals-assets[openai]'; OPENAI_API_KEY, or SIGNALS_LANGUAGE_MODEL__BASE_URL of your server",
    ),
    ("embedder", "sentence-transformers, none, openai", "openai: not part of this version"),
    ("compute", "processes, serial, dask", "dask: not part of this version"),
    ("tracker", "files, linear", "linear: not part of this version"),
    ("code_host", "git, github", "SIGNALS_CODE_REPOSITORY=path of the agent's repository"),
    ("notifier", "files, slack", "slack: not part of this version"),
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
    write_json(json_file, {"doors": states, "volume": {"sessions_per_day": per_day, "users": people,
                           "organizations": known, "audience": chosen}, "predictions": told})  # fmt: skip
    show("Doors", states)
    source = "given" if sessions_per_day is not None else f"from {stored['sessions']} stored sessions"
    title = f"What {per_day:.3g} sessions a day of {people or 'unknown'} users show ({source}), audience {chosen}"
    show(title if told else "What your volume shows", told, empty=f"{NO_DAY} {_PREDICT}")
    if closed:
        raise click.exceptions.Exit(1)
