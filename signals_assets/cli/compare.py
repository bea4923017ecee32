"""`signals compare`: two cohorts of sessions against each other, from files alone.

Put here: arguments, reading cohorts and their outcomes, the printed table.
Not here: pairing, tests and verdicts (see `core/comparing.py`), formats (see `core/readers`), Dagster.
"""

import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.cli.reading import user_origin
from signals_assets.cli.records import records
from signals_assets.core.comparing import Case, Finding, Outcome, case_of, compare_cohorts, measures
from signals_assets.core.readers import READERS, Rejected
from signals_assets.core.sessions import Agent
from signals_assets.core.taxonomy import seed
from signals_assets.resources.session_source import SessionSourceError, read_paths
from signals_assets.settings import Settings, UserFrom

FIELDS: Final = ("version", "model", "prompt_version", "name")
"""Fields of a session's agent that may choose a cohort."""
_CHOICE: Final = re.compile(r":agent\.([A-Za-z_]+)=")
_TOLD: Final = 10
"""Values that an error lists at most."""


@click.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--outcomes", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON Lines of session_id, reward and, where sessions did given tasks, task_id.",
)  # fmt: skip
@click.option("--format", "session_format", type=click.Choice(list(READERS)), help="Default: recognised by itself.")
@click.option(
    "--user-from", metavar="KIND:VALUE",
    help="Where the format knows no user: folder:LEVEL, setting:NAME or field:NAME.",
)  # fmt: skip
@json_option
def command(
    before: str,
    after: str,
    outcomes: tuple[Path, ...],
    session_format: str | None,
    user_from: str | None,
    json_file: str | None,
) -> None:
    """Say what improved, regressed or stayed from the sessions BEFORE to the sessions AFTER.

    BEFORE and AFTER are files or folders of sessions in any readable format. PATH:agent.version=VALUE takes only the
    sessions of that version; agent.model, agent.prompt_version and agent.name work alike, also one after another.

    Friction, delight and outcome are found by the built-in rules; nothing leaves the machine. Sessions are paired by
    task where --outcomes name the tasks of both cohorts, else by user, else by session.
    """
    settings = Settings()
    origin = settings.user_from if user_from is None else user_origin(user_from)
    told = _Told.of(outcomes)
    chosen_format = session_format or settings.session_format
    cohorts = [
        _Cohort.read(side, text, told, settings, chosen_format, origin)
        for side, text in (("BEFORE", before), ("AFTER", after))
    ]
    taxonomy = seed()
    wanted = measures(taxonomy.slugs("friction"), taxonomy.slugs("delight"))
    found = compare_cohorts(cohorts[0].cases, cohorts[1].cases, wanted)
    if not min(found.sessions):
        raise click.ClickException("BEFORE and AFTER hold the same sessions: give two cohorts that differ")
    write_json(json_file, _as_data(found, cohorts, told))
    if json_file != "-":
        _print(found, cohorts, told)


@dataclass(slots=True)
class _Told:
    """What --outcomes say, by session."""

    rewards: dict[str, float]
    tasks: dict[str, str]
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, files: tuple[Path, ...]) -> "_Told":
        """Read the files. Raises click.ClickException for a reward that is no number or a session told twice."""
        told = cls({}, {})
        for file in files:
            for record in records(file, ("session_id", "reward")):
                session_id, reward, task = str(record["session_id"]), record["reward"], record.get("task_id")
                if session_id in told.rewards:
                    raise click.ClickException(f"{file}: a session is told about twice; keep one line per session_id")
                if not isinstance(reward, int | float) or not math.isfinite(reward):
                    raise click.ClickException(f"{file}: a reward is no finite number; rewards are numbers such as 0.5")
                told.rewards[session_id] = float(reward)
                if task is not None:
                    told.tasks[session_id] = str(task)
        return told


@dataclass(slots=True)
class _Cohort:
    """One side of the comparison, and what was met while it was read."""

    text: str
    cases: list[Case]
    other: int
    """Sessions of the same files that belong to another cohort."""
    rejected: Counter[str]
    without_outcome: int

    @classmethod
    def read(
        cls, side: str, text: str, told: _Told, settings: Settings, session_format: str | None, origin: UserFrom
    ) -> "_Cohort":
        """Read a cohort. Raises click.ClickException where it is empty, and says what there is."""
        path, choice = _cohort_of(text, side)
        kept: dict[str, Case] = {}
        rejected: Counter[str] = Counter()
        values: Counter[tuple[str | None, ...]] = Counter()
        other = 0
        try:
            for item in read_paths(
                [path], session_format=session_format, user_from=origin, agent_name=settings.agent_name
            ):
                if isinstance(item, Rejected):
                    rejected[item.reason] += item.count
                    continue
                values[tuple(getattr(item.agent, name) for name, _ in choice)] += 1
                if not _belongs(item.agent, choice):
                    other += 1
                    continue
                known = kept.get(item.key)
                if known is not None:
                    rejected["duplicate_session"] += 1
                if known is None or known.steps < len(item.steps):
                    reward, task = told.rewards.get(item.session_id), told.tasks.get(item.session_id)
                    kept[item.key] = case_of(item, settings.min_confidence, task=task, reward=reward)
                    told.used.add(item.session_id)
        except SessionSourceError as error:
            raise click.ClickException(f"{side}: {error}") from None
        if not kept:
            raise click.ClickException(_nothing(side, path, choice, values, rejected))
        without = sum(case.reward is None for case in kept.values())
        return cls(text, list(kept.values()), other, rejected, without)

    @property
    def coverage(self) -> dict[str, Any]:
        """Counts of sessions and of records that could not be read."""
        return {
            "cohort": self.text,
            "sessions": len(self.cases),
            "sessions_of_other_cohorts": self.other,
            "rejected": dict(sorted(self.rejected.items())),
            "without_outcome": self.without_outcome,
        }


def _cohort_of(text: str, side: str) -> tuple[Path, list[tuple[str, str]]]:
    """The path of a cohort and what its sessions' agent has to be."""
    path, *rest = _CHOICE.split(text)
    choice = list(zip(rest[::2], rest[1::2], strict=True))
    for name, _ in choice:
        if name not in FIELDS:
            known = ", ".join(f"agent.{field_}" for field_ in FIELDS)
            raise click.ClickException(f"{side}: agent.{name} chooses no cohort; use one of {known}")
    return Path(path), choice


def _belongs(agent: Agent, choice: list[tuple[str, str]]) -> bool:
    return all(getattr(agent, name) == value for name, value in choice)


def _nothing(
    side: str,
    path: Path,
    choice: list[tuple[str, str]],
    values: Counter[tuple[str | None, ...]],
    rejected: Counter[str],
) -> str:
    """Why a cohort is empty, and what could be asked for instead."""
    if not values:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in sorted(rejected.items())) or "nothing there"
        return f"{side}: no session could be read from {path} ({reasons}); name the format with --format"
    asked = ":".join(f"agent.{name}={value}" for name, value in choice)
    there = [", ".join(value or "unknown" for value in found) for found, _ in values.most_common(_TOLD)]
    more = f" and {len(values) - _TOLD} more" if len(values) > _TOLD else ""
    return f"{side}: none of {values.total()} sessions has {asked}; there are {'; '.join(there)}{more}"


def _as_data(found: Outcome, cohorts: list[_Cohort], told: _Told) -> dict[str, Any]:
    """The comparison for scripts."""
    return {
        "pairing": found.pairing,
        "units": {"before": found.units[0], "after": found.units[1], "in_both": found.shared},
        "sessions": {"before": found.sessions[0], "after": found.sessions[1]},
        "family": {"comparisons": found.comparisons, "method": "Benjamini-Hochberg", "false_discovery_rate": 0.05},
        "days_overlap": found.days_overlap,
        "coverage": {
            "before": cohorts[0].coverage,
            "after": cohorts[1].coverage,
            "left_out": found.left_out,
            "outcomes_without_session": len(told.rewards) - len(told.used & told.rewards.keys()),
        },
        "verdicts": [
            {**asdict(finding.measure), **{key: value for key, value in asdict(finding).items() if key != "measure"}}
            for finding in found.findings
        ],
    }


def _print(found: Outcome, cohorts: list[_Cohort], told: _Told) -> None:
    for name, cohort in zip(("before", "after"), cohorts, strict=True):
        rejected = sum(cohort.rejected.values())
        said = [f"{len(cohort.cases)} sessions"]
        said += [f"{cohort.other} of other cohorts"] if cohort.other else []
        said += [f"{rejected} records not read"] if rejected else []
        said += [f"{cohort.without_outcome} without an outcome"] if told.rewards and cohort.without_outcome else []
        click.echo(f"{name}: {cohort.text}: {', '.join(said)}")
    click.echo(_pairing_words(found))
    if found.left_out:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in found.left_out.items())
        click.echo(f"left out: {reasons}")
    show("Verdicts", [_row(finding) for finding in found.findings], note=_note(found))


def _pairing_words(found: Outcome) -> str:
    before, after = found.units
    if found.pairing == "task":
        return f"paired by task: {found.shared} tasks in both cohorts, each counts the same"
    if found.pairing == "user":
        return f"paired by user: {before} and {after} users, {found.shared} of them in both cohorts"
    return f"by session, for no task is in both cohorts and most sessions know no user: {before} against {after}"


def _row(finding: Finding) -> dict[str, Any]:
    measure = finding.measure
    name = "any of medium or high severity" if (measure.what, measure.name) == ("friction", "all") else measure.name
    return {
        "what": measure.what,
        "name": name,
        "before": round(finding.before, 3),
        "after": round(finding.after, 3),
        "effect": round(finding.effect, 3),
        "95 % interval": f"{finding.low:+.3f} to {finding.high:+.3f}",
        "q": finding.q,
        "would see": round(finding.smallest_detectable, 3),
        "verdict": finding.verdict,
    }


def _note(found: Outcome) -> str:
    said = (
        f"Shares of sessions (reward: mean). Family: the {found.comparisons} comparisons with a q; at most 5 % of its "
        "verdicts improved or regressed are expected to be false (Benjamini-Hochberg), at one look. Unchanged: the "
        "interval lies within a margin that would not matter. Would see: least effect that so many sessions show with "
        "80 % power."
    )
    if not found.days_overlap:
        said += " The cohorts share no day: what else changed between their days cannot be told from what you compare."
    return said
