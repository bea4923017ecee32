"""`signals benchmark NAME`: measure quality and speed; seeded; prints its parameters and a table."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import orjson

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.cli.records import records

Result = dict[str, Any]
Table = tuple[str, Sequence[Mapping[str, Any]], str]
"""Title, rows, note."""
_FILE: Final = click.Path(exists=True, path_type=Path)


LEAST_SIZE: Final = 20
"""A smaller day is none: nothing in it reaches a threshold."""


def _sizes(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    """Sessions a day out of "100,1000", each once, ascending. Raises BadParameter for anything else."""
    parts = [part for part in text.split(",") if part]
    if not all(part.isascii() and part.isdigit() and int(part) >= LEAST_SIZE for part in parts):
        raise click.BadParameter(f"expected whole numbers from {LEAST_SIZE} on with commas between them")
    return tuple(sorted({int(part) for part in parts}))


@click.command()
@click.argument(
    "name",
    type=click.Choice(
        ["analysis", "correlations", "crash", "detectors", "discovery", "loop", "privacy", "sampling", "speed"]
    ),
)
@click.option("--quick", is_flag=True, help="A small run that shows that the benchmark works; its figures are rough.")
@click.option("--seed", default=0, show_default=True)
@click.option("--sessions", multiple=True, type=_FILE, help="analysis, detectors, privacy, speed: sessions.")
@click.option("--labels", multiple=True, type=_FILE, help="analysis, detectors, privacy: label sheets.")
@click.option("--rewards", type=_FILE, help="detectors: lines of session_id and true reward (0 or 1).")
@click.option(
    "--disagreements",
    type=click.Path(dir_okay=False, path_type=Path),
    help="detectors: write every single disagreement with the labels to this file, as JSON lines without any text.",
)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="discovery: folder of train.tsv, dev.tsv.")
@click.option(
    "--part",
    type=click.Choice(["day", "analysis", "backfill"]),
    default="day",
    show_default=True,
    help="speed: all daily stages with the built-in rules, asking a language model, or a year of set-based stages.",
)
@click.option("--sizes", default="", callback=_sizes, help="speed, part day: sessions a day, e.g. 100,1000.")
@json_option
def command(
    name: str,
    quick: bool,
    seed: int,
    sessions: tuple[Path, ...],
    labels: tuple[Path, ...],
    rewards: Path | None,
    disagreements: Path | None,
    data: Path | None,
    part: str,
    sizes: tuple[int, ...],
    json_file: str | None,
) -> None:
    """Run one benchmark: analysis, correlations, crash, detectors, discovery, loop, privacy, sampling or speed.

    analysis measures what condensing a session for a language model costs in labelled moments, and what it saves; it
    ends with an error when more recall is lost than it may.
    analysis and detectors without --sessions, discovery without --data run on made-up data: that proves plumbing only.
    privacy plants made-up private values in simulated sessions (and in copies of yours), and ends with an error when
    a gate does not hold or when its census without a barrier finds too little.
    crash kills the process that asks a language model hundreds of times and ends with an error when a session is lost
    or paid twice, or when a process that was made unsafe on purpose is not caught. It asks a local provider, which is
    part of a checkout, as does speed --part analysis: a day of 2,000 sessions through a language model.
    speed takes made-up days of 100, 1,000 and 10,000 sessions through all daily stages, and ends with an error when
    they take longer or hold more memory than they may, or cost more per session the more there are. --part backfill
    takes a made-up year through the stages that are computed from tables alone, Dagster's own time apart.
    loop measures what decides on tickets: deduplication on made-up texts, diagnoses, verdicts and thresholds on
    seeded worlds; it ends with an error when one of them is wrong more often than it may be.
    """
    if name not in ("analysis", "privacy", "speed") and bool(sessions) != bool(labels or rewards):
        raise click.UsageError("--sessions needs --labels or --rewards beside it, and they need --sessions")
    if name == "speed" and part != "analysis" and sessions:
        raise click.UsageError("--sessions goes with --part analysis: the day is made up")
    if disagreements and sessions and not labels:
        raise click.UsageError("--disagreements are with labels: give --labels too")
    result, tables = {
        "analysis": lambda: _analysis(quick, seed, sessions, labels),
        "correlations": lambda: _correlations(quick, seed),
        "crash": lambda: _with_filings(_crash(quick, seed), quick, seed),
        "detectors": lambda: _detectors(quick, seed, sessions, labels, rewards, disagreements),
        "discovery": lambda: _discovery(quick, seed, data),
        "loop": lambda: _loop(quick, seed),
        "privacy": lambda: _privacy(quick, seed, sessions, labels),
        "sampling": lambda: _sampling(quick, seed),
        "speed": lambda: {
            "analysis": lambda: _speed(quick, seed, sessions),
            "backfill": lambda: _backfill(quick, seed),
            "day": lambda: _day_speed(quick, seed, sizes),
        }[part](),
    }[name]()
    write_json(json_file, result)
    click.echo("parameters: " + ", ".join(f"{key}={value}" for key, value in result["parameters"].items()))
    for title, rows, note in tables:
        show(title, rows, note=note)
    broken = [f"gate: {gate['gate']}" for gate in result.get("gates", ()) if not gate["holds"]]
    broken += result.get("unproven", ())
    if broken:
        raise click.ClickException("; ".join(broken))


def _analysis(
    quick: bool, seed: int, sessions: tuple[Path, ...], labels: tuple[Path, ...]
) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.analysis import JUDGED, Ruler, run
    from signals_assets.benchmarks.detectors import rulers
    from signals_assets.core.readers import Rejected
    from signals_assets.resources.session_source import read_paths

    source = "given sessions" if sessions else "simulation (proves plumbing only)"
    with tempfile.TemporaryDirectory() as folder:
        if not sessions:
            sessions, labels = _simulated(Path(folder), quick, seed)
        items = list(read_paths(sessions))
        read = [item for item in items if not isinstance(item, Rejected)]
        sheets = [(path.name, records(path, ("session_id", "friction"))) for path in labels]
    result = run(read, [Ruler(*ruler) for ruler in rulers(read, sheets)], quick=quick, seed=seed)
    parameters = {
        "source": source,
        "seed": seed,
        "quick": quick,
        "sessions": len(read),
        "unreadable": len(items) - len(read),
        "resamples": result.pop("resamples"),
    }
    budgets = result["budgets"]
    shown = [{key.replace("_", " "): value for key, value in row.items() if key != "labels"} for row in budgets]
    tables: list[Table] = [("What is sent, by budget of tokens per session", shown, _SHOWN_NOTE)]
    for place, block in enumerate(budgets[0]["labels"]):
        by_budget = [(row["budget"], row["labels"][place]) for row in budgets]
        title = f"{block['labels']}: {block['sheets']} sheets of {block['sessions']} sessions"
        tables.append((f"{title}, all types", _lost_rows(by_budget), _LOST_NOTE))
        judged = dict(by_budget)[JUDGED]
        tables.append((f"{block['labels']}: moments by type at {JUDGED}", _lost_types(judged), ""))
    return {"parameters": parameters, **result}, [*tables, ("Gates", _gates(result), "")]


_SHOWN_NOTE: Final = "Tokens are estimated. Over budget: the user's words alone take more. MB of texts and arguments."
_LOST_NOTE: Final = (
    "Recall of labelled moments by the same detectors on whole sessions and on what a reader of the text can know. In "
    "brackets: 95 % by bootstrap over sessions. Strictly: steps that are only counted in the text are taken as unknown."
)


def _lost_rows(by_budget: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Recall of one file of labels by budget, on sessions and on moments."""
    return [
        {
            "budget": budget,
            "on": level,
            "labelled": figures["true"],
            "recall whole": _two(figures["recall_whole"]),
            "recall condensed": _two(figures["recall_condensed"]),
            "lost": _with_interval(figures, "lost"),
            "lost strictly": _two(figures["lost_strictly"]),
            "outcome whole": _two(block["outcome_whole"]),
            "outcome condensed": _two(block["outcome_condensed"]),
        }
        for level in ("sessions", "moments")
        for budget, block in by_budget
        for figures in (block["all"][level],)
    ]


def _lost_types(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Recall and precision of each labelled type on moments, whole and condensed."""
    return [
        {
            "type": name,
            "labelled": figures["moments"]["true"],
            **{
                f"{figure} {form}": _two(figures["moments"][f"{figure}_{form}"])
                for figure in ("recall", "precision")
                for form in ("whole", "condensed")
            },
        }
        for name, figures in block["types"].items()
        if figures["moments"]["true"]
    ]


def _correlations(quick: bool, seed: int) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.correlations import run
    from signals_assets.benchmarks.correlations_speed import speed

    result = {**run(quick=quick, seed=seed), "speed": speed(seed=seed, days=2 if quick else 28)}
    rows = [
        {
            "worlds": cell["name"],
            "a day": cell["sessions_per_day"],
            "shocks": cell["day_spread"],
            "adoption": "staggered" if cell["staggered"] else "switched",
            "method": method,
            "n": figures["worlds"],
            "FDR": _with_error(figures, "fdr"),
            "power": _with_error(figures, "power"),
            "days": figures["median_days"],
            "right release": figures["right_release"],
            "+50 % next day": _with_error(figures, "next_day"),
        }
        for cell in result["cells"]
        for method, figures in cell["methods"].items()
    ]
    clock = [{"figure": name.replace("_", " "), "value": value} for name, value in result["speed"].items()]
    tables: list[Table] = [
        ("False discoveries and power (+- standard error)", rows, _RELEASES_NOTE),
        ("Quoted, not computed here", list(result["quoted"]), "Otava pins old packages; from the project's notes."),
        ("Rates and verdicts, the busiest day again and again", clock, ""),
        ("Gates, within two standard errors", _gates(result), ""),
    ]
    errors, error_table = _errors(quick, seed)
    return {**result, "errors": errors}, [*tables, error_table]


_RELEASES_NOTE = (
    "FDR: share of false ones among all alarms ever raised, looking every day; days: of data until half of what was "
    "found was named; PELT on the first worlds of a cell, where ruptures is installed (extra benchmarks)."
)


def _with_error(figures: Mapping[str, Any], name: str) -> str:
    value, error = figures[name], figures[f"{name}_se"]
    return "" if value is None else f"{value:.3f}" if error is None else f"{value:.3f} +- {error:.3f}"


def _errors(quick: bool, seed: int) -> tuple[Result, Table]:
    from signals_assets.benchmarks.errors import run

    result = run(quick=quick, seed=seed)
    rows = [
        {"sessions": scenario["sessions"], "in bursts": scenario["share_in_bursts"], "method": method, **figures}
        for scenario in result["scenarios"]
        for method, figures in scenario["methods"].items()
    ]
    parameters = ", ".join(f"{key}={value}" for key, value in result["parameters"].items())
    return result, ("Backend errors before friction", rows, parameters)


def _crash(quick: bool, seed: int) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.crash import run

    result = _run(lambda: run(quick=quick, seed=seed))
    tables: list[Table] = []
    for life in result["lives"]:
        killed, phases = life["killed"], life["phase_milliseconds"]
        kills = [
            {"phase": phase, "kills": count, "ms without kills": phases.get(phase)}
            for phase, count in killed["kills_by_phase"].items()
        ]
        tables.append((f"{life['analyst']}: kills by phase", kills, _KILLS_NOTE))
        figures = [
            {"figure": name.replace("_", " "), "without kills": life["calm"][name], "with kills": killed[name]}
            for name in _CRASH_FIGURES
        ]
        tables.append((f"{life['analyst']}: both lives", figures, _compared_note(life)))
    controls = [{**row, "by": ", ".join(row["by"])} for row in result["controls"]]
    return result, [*tables, ("Made unsafe on purpose", controls, ""), ("Gates", _gates(result), "")]


def _with_filings(crash: tuple[Result, list[Table]], quick: bool, seed: int) -> tuple[Result, list[Table]]:
    """The second section of the crash test: tickets that are filed while daemons and server fail."""
    from signals_assets.benchmarks.filing import run

    filed = _run(lambda: run(quick=quick, seed=seed))
    result, tables = crash
    joined = {name: [*result[name], *filed[name]] for name in ("gates", "unproven")}
    lives = [{"life": number + 1, **_without_parts(life["figures"])} for number, life in enumerate(filed["lives"])]
    figures = [{"figure": name, **{f"life {row['life']}": row[name] for row in lives}} for name in lives[0]][1:]
    controls = [{**row, "by": ", ".join(row["by"])} for row in filed["controls"]]
    own: list[Table] = [
        ("Filing: lives of two daemons, killed, at a Linear that fails", figures, ""),
        ("Filing: made unsafe on purpose", controls, ""),
        ("Filing: gates", _gates(filed), ""),
    ]
    return result | {"filing": filed} | joined, [*tables, *own]


_GATE: Final = ("gate", "measured", "at least", "at most", "holds")


def _gates(result: Result) -> list[Result]:
    """A result's gates with the same columns each, whichever way their bound goes."""
    return [{name: row.get(name) for name in _GATE} for row in result["gates"]]


def _without_parts(figures: Mapping[str, Any]) -> Result:
    return {name.replace("_", " "): value for name, value in figures.items() if not isinstance(value, dict)}


_KILLS_NOTE: Final = "Time of one passage without the phases within it. Deciding is mostly waiting for the provider."
_CRASH_FIGURES: Final = (
    "attempts", "kills", "seconds", "runs", "failed_runs", "failed_looks", "selected", "answered", "paid",
    "paid_twice_by_text", "batches", "requests_to_the_provider", "provider_files", "outbox_files",
)  # fmt: skip


def _compared_note(life: Mapping[str, Any]) -> str:
    states = ", ".join(f"{state} {count}" for state, count in life["killed"]["states"].items())
    aims = ", ".join(f"{aim} {count}" for aim, count in life["killed"]["kills_by_aim"].items())
    same = ", ".join(f"{name} {count}" for name, count in life["compared"].items())
    return f"States: {states}. Killed: {aims}. Answers against the life without kills: {same}."


def _speed(quick: bool, seed: int, sessions: tuple[Path, ...]) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.speed import run
    from signals_assets.core.readers import Rejected
    from signals_assets.resources.session_source import read_paths

    read = [item for item in read_paths(sessions) if not isinstance(item, Rejected)] if sessions else []
    result = _run(lambda: run(read, quick=quick, seed=seed))
    result["parameters"]["source"] = "given sessions, repeated" if sessions else "simulation"
    ways = result["ways"]
    stages = [{"way": way["way"], **way["stages"], "all": way["seconds"]} for way in ways]
    figures = [
        {
            "way": way["way"],
            "processor seconds": way["processor_seconds"],
            "peak MB": way["peak_megabytes"],
            "MB per second": way["megabytes_per_second"],
            "sessions per second": way["sessions_per_second"],
            "input tokens": way["cost"]["input_tokens"],
            "cached": way["cost"]["cached_tokens"],
            "steps seen, %": way["cost"]["percent_seen"],
            "$ per session": way["cost"]["micro_usd_per_session"] / 1e6,
        }
        for way in ways
    ]
    note = f"Input tokens saved by condensing: {100 * result['input_tokens_saved']:.1f} %."
    return result, [
        ("Seconds without the provider's", stages, "Provider's own time subtracted, waiting for it not counted."),
        (
            "Memory, pace, tokens and price",
            figures,
            f"{note} Memory: sum over all processes, shared pages counted each.",
        ),
        ("Gates", _gates(result), ""),
    ]


def _backfill(quick: bool, seed: int) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.backfill import run

    result = run(quick=quick, seed=seed)
    return result, [
        ("By stage", result["stages"], f"Peak memory: {result['peak_megabytes']} MB."),
        ("By table", result["tables"], ""),
        ("Gates", _gates(result), ""),
    ]


def _day_speed(quick: bool, seed: int, sizes: tuple[int, ...]) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.speed_day import run

    result = _run(lambda: run(quick=quick, seed=seed, sizes=sizes))
    days = result["days"]
    runs = [
        {
            "sessions": run["sessions"],
            "MB": run["megabytes"],
            "workers": run["workers"] or "one per core",
            "seconds": run["seconds"],
            "processor seconds": run["processor_seconds"],
            "embedding model's": run["model_seconds"],
            "between steps": run["between_steps"],
            "cores busy with other work": run["cores_busy_with_other_work"],
            "peak MB": run["peak_megabytes"],
            "sessions per processor second": round(run["sessions"] / max(run["processor_seconds"], 1e-9), 1),
        }
        for run in (*days, *result["baselines"])
    ]
    figures = {"seconds": "s", "processor_seconds": "CPU s", "peak_megabytes": "MB"}
    stages = [
        {"stage": stage} | {f"{run['sessions']:,}: {unit}": run["stages"][stage][figure]
                            for run in days for figure, unit in figures.items()}
        for stage in days[0]["stages"]
    ]  # fmt: skip
    answers = {name: value for name, value in result["ui"].items() if name != "note"}
    start = [
        {"what": "importing the definitions", **result["import"]},
        {"what": "signals ui answers", **dict.fromkeys(result["import"]), **answers},
    ]
    return result, [
        ("A day through all stages", runs, _DAY_NOTE),
        ("By stage", stages, "Checks run after the tables they check. Memory is what all processes held meanwhile."),
        ("Exponents against sessions a day", result["exponents"], _EXPONENT_NOTE),
        ("Import and start", start, result["ui"]["note"]),
        ("Gates", _gates(result), ""),
    ]


_EXPONENT_NOTE: Final = "Of processor seconds, and of the peak memory of all processes. 1: in proportion."
_DAY_NOTE: Final = (
    "Seconds without those of the embedding model. Memory: sum over all processes, shared pages counted each. "
    "One worker is the baseline."
)


def _run(benchmark: Callable[[], Result]) -> Result:
    """The benchmark's result; what it lacks to run is told without a trace."""
    try:
        return benchmark()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None


def _sampling(quick: bool, seed: int) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.sampling import run

    result = run(quick=quick, seed=seed)
    rows = [{name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
            for row in result["ways"]]  # fmt: skip
    note = "Shares of the rate, of intervals, of the budget. Covered: nominally 0.95. The other ways keep no strata."
    return result, [("Bias, intervals and cost of a sample under a token budget", rows, note)]


def _detectors(
    quick: bool,
    seed: int,
    sessions: tuple[Path, ...],
    labels: tuple[Path, ...],
    rewards: Path | None,
    disagreements: Path | None,
) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.detectors import run
    from signals_assets.core.readers import Rejected
    from signals_assets.resources.session_source import read_paths

    source = "given sessions" if sessions else "simulation (proves plumbing only)"
    with tempfile.TemporaryDirectory() as folder:
        if not sessions:
            sessions, labels = _simulated(Path(folder), quick, seed)
        items = list(read_paths(sessions))
        read = [item for item in items if not isinstance(item, Rejected)]
        sheets = [(path.name, records(path, ("session_id", "friction"))) for path in labels]
        true = records(rewards, ("session_id", "reward")) if rewards else []
    if true and not {record["session_id"] for record in true} & {session.key for session in read}:
        raise click.ClickException(f"{rewards}: none of its sessions is among --sessions; give the files of those")
    result = run(read, sheets, true, quick=quick, seed=seed)
    different = result.pop("disagreements")
    if disagreements:
        disagreements.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in different))
        click.echo(f"{len(different)} disagreements with the labels written to {disagreements}", err=True)
    parameters = {
        "source": source,
        "seed": seed,
        "quick": quick,
        "sessions": len(read),
        "unreadable": len(items) - len(read),
        "resamples": result.pop("resamples"),
        "min_confidence": result.pop("min_confidence"),
    }
    tables = [table for block in result["labels"] for table in _label_tables(block)]
    if result["rewards"]:
        tables += _reward_tables(result["rewards"])
    speed = [{"figure": name.replace("_", " "), "value": value} for name, value in result["speed"].items()]
    return {"parameters": parameters, **result}, [*tables, ("Speed on one core, and memory", speed, "")]


def _label_tables(block: Result) -> list[Table]:
    """What is printed of one file of labels."""
    head = f"{block['labels']} ({block['kind']})"
    about = (
        f"{block['sheets']} sheets of {block['sessions']} sessions, {block['sessions_read_twice']} read twice; "
        f"{_measured(block['languages'])}. {block['sheets_without_session']} sheets without their session."
    )
    note = (
        "Labelled and found: sheets. In brackets: 95 % by bootstrap over sessions. * provisional: under ten sessions."
    )
    outcomes = block["rules"]["outcome"]["table"]
    found = sorted({name for row in outcomes.values() for name in row})
    return [
        (f"{head}: on sessions", _type_rows(block, "sessions"), f"{about} {note}"),
        (f"{head}: on moments", _type_rows(block, "moments"), "A moment is found by a detection that shares a step."),
        (
            f"{head}: severity, outcome, facets",
            _whole_rows(block),
            "Beside: the naive baseline, or always the majority's answer.",
        ),
        (
            f"{block['labels']}: outcomes",
            [
                {"label \\ rules": name} | {other: row.get(other, 0) for other in found}
                for name, row in outcomes.items()
            ],
            "",
        ),
    ]


def _type_rows(block: Result, level: str) -> list[dict[str, Any]]:
    """One row per type that somebody found, and a second one where other languages than English change it."""
    rows = []
    given, here, english = block["readers"], block["readers_here"], block["rules_in_english"]
    for name in block["types"]:
        ours, naive = block["rules"]["types"][name], block["naive"]["types"][name]
        if not ours[level]["true"] and not ours[level]["found"]:
            continue
        beside = {"naive F1": _two(naive[level]["f1"])}
        if given["level"] == level and given["types"]:
            beside["readers"] = _two(given["types"].get(name))
        if here:
            beside["readers here"] = _two(here["types"][name][level]["f1"])
        rows.append({"type": name + (" *" if ours["provisional"] else ""), **_detection(ours, level), **beside})
        if english and english["types"][name][level] != ours[level]:
            alone = _detection(english["types"][name], level)
            rows.append({"type": "  in English", **alone, **dict.fromkeys(beside)})
    return rows


def _detection(of_type: Result, level: str) -> dict[str, Any]:
    """What is printed of a type's figures on sessions or on moments."""
    figures = of_type[level]
    return {
        **({"sessions": of_type["positives"]} if level == "sessions" else {}),
        "labelled": figures["true"],
        "found": figures["found"],
        "precision": _two(figures["precision"]),
        "recall": _two(figures["recall"]),
        "F1": _with_interval(figures, "f1"),
    }


_WHOLE: Final[tuple[tuple[str, str, str, str, str], ...]] = (
    ("any_moderate_or_severe", "f1", "any moderate or severe event, F1", "true", ""),
    ("any_moderate_or_severe", "precision", "  precision", "true", ""),
    ("any_moderate_or_severe", "recall", "  recall", "true", ""),
    ("severity", "exact", "severity of matched moments, equal", "moments", "majority_exact"),
    ("severity", "within_one", "  within one level", "moments", ""),
    ("severity", "kappa", "  kappa, quadratic weights", "moments", ""),
    ("outcome", "accuracy", "outcome, accuracy", "sheets", "majority_accuracy"),
    ("outcome", "macro_f1", "  macro-F1", "sheets", "majority_macro_f1"),
    ("specification_drift", "accuracy", "specification drift, accuracy", "sheets", "majority_accuracy"),
    ("specification_drift", "f1", "  F1", "true", ""),
    ("tool_call_confirmations", "exact", "tool call confirmations, equal", "sheets", "majority_exact"),
    ("tool_call_confirmations", "within_one", "  within one", "sheets", "majority_within_one"),
    ("programming_languages", "f1", "programming languages, F1", "true", ""),
)
"""Group, figure, how it is called, what it is counted in, what stands beside it ("" for the naive baseline's own)."""


def _whole_rows(block: Result) -> list[dict[str, Any]]:
    """Figures of whole sessions; facets that the sheets do not carry, and columns that say nothing, are left out."""
    rows = []
    here, english = block["readers_here"], block["rules_in_english"]
    for group, key, called, unit, beside in _WHOLE:
        figures = block["rules"][group]
        if not figures[unit]:
            continue
        rows.append(
            {
                "figure": called,
                "of": figures[unit],
                "value": _with_interval(figures, key),
                "in English": english and _with_interval(english[group], key),
                "beside": _two(figures[beside] if beside else block["naive"][group][key]),
                "readers": _two(block["readers"]["outcome"]) if (group, key) == ("outcome", "accuracy") else None,
                "readers here": here and _two(here[group][key]),
            }
        )
    told = [key for key in (rows[0] if rows else ()) if any(row[key] is not None for row in rows)]
    return [{key: row[key] for key in told} for row in rows]


def _reward_tables(figures: Result) -> list[Table]:
    """Agreement of the outcome with true rewards."""
    gain, table = _with_interval(figures, "gain"), figures["table"]
    rows = [
        {
            "figure": "accuracy",
            "value": _with_interval(figures, "accuracy"),
            f"always {figures['majority']}": _with_interval(figures, "majority_accuracy"),
            "difference": gain,
        },
        {
            "figure": "balanced accuracy",
            "value": _with_interval(figures, "balanced_accuracy"),
            f"always {figures['majority']}": _two(figures["majority_balanced_accuracy"]),
            "difference": None,
        },
    ]
    about = (
        f"{figures['sessions']} sessions, {figures['solved']} solved; {_measured(figures['languages'])}. "
        f"{figures['rewards_without_session']} rewards without their session. The difference is over paired resamples."
    )
    found = sorted({name for row in table.values() for name in row})
    crossed = [{"truth \\ rules": name} | {other: row.get(other, 0) for other in found} for name, row in table.items()]
    return [
        ("Outcome success against true reward", rows, about),
        ("Reward and outcome", crossed, ""),
    ]


def _two(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _with_interval(figures: Result, key: str) -> str | None:
    """A figure as "0.62 [0.50, 0.73]"; without its interval where there is none."""
    value, interval = figures[key], figures.get(f"{key}_interval")
    if value is None:
        return None
    return f"{value:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _measured(languages: Mapping[str, int]) -> str:
    """In which languages the users spoke."""
    others = {name: number for name, number in languages.items() if name != "en"}
    listed = f" ({', '.join(f'{name} {number}' for name, number in others.items())})" if others else ""
    return f"measured in en: {languages.get('en', 0)} sessions; others: {sum(others.values())}{listed}"


def _simulated(folder: Path, quick: bool, seed: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    from signals_assets.simulation import simulate

    simulate(folder, days=2 if quick else 10, sessions_per_day=20 if quick else 60, seed=seed)
    truth = (folder / "truth" / "sessions.jsonl").rename(folder / "planted_truth.jsonl")
    return (folder / "sessions",), (truth,)


def _discovery(quick: bool, seed: int, data: Path | None) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks import discovery_life
    from signals_assets.benchmarks.discovery import run

    try:
        result = run(data, quick=quick, seed=seed)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None
    result["simulation"] = life = discovery_life.run(quick=quick, seed=seed)
    return result, [
        ("New categories, by the share of classes that is unknown", result["new_categories_by_share"], _NEW_NOTE),
        ("The same splits, the plain method", result["plain_method_by_share"], ""),
        ("The map", [{"figure": name, "value": value} for name, value in result["map"].items()], ""),
        ("Beside it, on the same vectors", result["baselines"], ""),
        ("Pace: clustering and bookkeeping, in turn", result["pace"], _PACE_NOTE),
        ("Descriptions of moments in label sheets", [result["gold"]] if result["gold"] else [], ""),
        ("Causes on the simulation, by seed", result["causes"]["seeds"], ""),
        ("Causes, all seeds", [_plain(result["causes"])], ""),
        ("Planted friction by what the detectors and causes made of it", result["causes"]["confusion"], ""),
        ("Beside it, by type", _beside(result["causes"]), "Unplanted: finds that touch no planted moment."),
        ("Simulated lives, company audience, built-in rules", life["lives"], ""),
        ("What emerges: days of its support, its proposal, its readiness", life["newcomers"], _ARRIVALS_NOTE),
        ("What emerges, all lives", life["newcomers_in_time"], ""),
        ("Quiet days: what passed the rules", life["quiet"], "Intents: false from the fifth week on."),
        ("False proposals", life["false_proposals"], ""),
        ("Speed", result["speed"], ""),
        ("Seconds", [result["seconds"] | {"simulation": life["seconds"]}], ""),
        ("Gates", _gates(result), ""),
    ]


_PACE_NOTE: Final = (
    "Medians over rounds, in one process; times ours: median of each round's ratio. Ours makes both levels, ids, terms "
    "and positions, the others one flat grouping. A much slower tool takes part once."
)
_ARRIVALS_NOTE: Final = (
    "Days are numbered from 1. Planted: analysed sessions with it; admitted: those of which discovery sees it. "
    "Proposed delay: days from the support of what is admitted to a proposal; delay: to one that passes every rule."
)


def _loop(quick: bool, seed: int) -> tuple[Result, list[Table]]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from signals_assets.benchmarks import loop, loop_diagnosis, loop_fixes, loop_thresholds

    def seeds(count: int) -> range:
        return range(seed, seed + (1 if quick else count))

    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        parts: dict[str, Any] = {
            "diagnosis": loop_diagnosis.diagnosis(seeds(12), pool.map),
            "fixes": loop_fixes.fixes(seeds(36), pool.map),
            "thresholds": loop_thresholds.thresholds(seeds(12), pool.map),
        }
    result = loop.run(quick=quick, seed=seed) | parts
    if not quick:  # one world of each sort says nothing about shares
        result["gates"] = [*result["gates"], *(gate for part in parts.values() for gate in part["gates"])]
    return result, [
        *_deduplication_tables(result["deduplication"]),
        (
            "Diagnosis: the lever of a planted cause, and silence without one",
            [{"of": name, **parts["diagnosis"][name]} for name in ("lever_right", "cannot_say_right")],
            "Low and high: 95 %, Wilson.",
        ),
        ("What was named, by planted cause", _counted(parts["diagnosis"]["by_plant"], "named"), ""),
        ("Verdicts on fixes", [_plain(parts["fixes"])], "Wrong: confident and not what the fix does."),
        ("Verdicts by what the fix does", _counted(parts["fixes"]["by_sort"], "verdicts"), ""),
        ("Thresholds", [_plain(parts["thresholds"])], ""),
        ("Gates", _gates(result), ""),
    ]


def _deduplication_tables(found: Sequence[Mapping[str, Any]]) -> list[Table]:
    rows = [
        {
            "words": row["words"],
            "measure": row["measure"],
            "pairs": row["pairs"],
            "same": row["same"],
            "found": row["found"],
            "only linked": f"{row['linked']} right, {row['linked_wrongly']} wrong",
            **{name: f"{_two(row[name])} [{_two(row[f'{name}_low'])}, {_two(row[f'{name}_high'])}]"
               for name in ("precision", "recall")},
        }
        for row in found
    ]  # fmt: skip
    kinds = [{"words": row["words"], "measure": row["measure"], **row["found_by_kind"]} for row in found]
    return [
        ("Deduplication: is this text about the cause?", rows, "In brackets: 95 %, pairs taken as independent."),
        ("Found the same, by kind of pair", kinds, "Only own, person and change are about the cause."),
    ]


def _counted(rows: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows with the counts under one name in words."""
    return [{**row, name: ", ".join(f"{what} {count}" for what, count in row[name].items())} for row in rows]


def _plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are one number each."""
    return {name: value for name, value in figures.items() if not isinstance(value, list | dict)}


def _beside(causes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Planted moments that nobody found and finds that nobody planted, by type."""
    types = sorted({*causes["missed"], *causes["unplanted"]})
    return [
        {"type": name, "missed": causes["missed"].get(name, 0), "unplanted": causes["unplanted"].get(name, 0)}
        for name in types
    ]


_NEW_NOTE: Final = (
    "Large: a category with texts for two groups of the least size (30); smaller ones hardly have a group to be found."
)


def _privacy(
    quick: bool, seed: int, sessions: tuple[Path, ...], labels: tuple[Path, ...]
) -> tuple[Result, list[Table]]:
    from signals_assets.benchmarks.privacy import run
    from signals_assets.cli.instance import configuration, quiet

    quiet()
    result = run(configuration=configuration(), quick=quick, seed=seed, sessions=sessions, labels=labels)
    barrier = result["barrier"]
    alone = [
        {"form": form.replace("_", " "), "texts": texts, "admitted": barrier["admitted"]["form"].get(form, 0)}
        for form, texts in barrier["texts"].items()
    ]
    honest = [
        {"texts of": name, **{key: figures[key] for key in ("texts", "rejected", "share")}, "by rule": _listed(figures)}
        for name, figures in barrier["honest"].items()
    ]
    speed = [
        {"figure": "checks per second and core, canaries", "value": barrier["checks_per_second"]},
        {"figure": "checks per second and core, honest texts", "value": barrier["honest_checks_per_second"]},
        {
            "figure": "support counts, MB per second, core",
            "value": barrier["support"]["mb_per_second"],
        },
        {"figure": "search, MB per second", "value": result["censuses"][0]["search_mb_per_second"]},
    ]
    return result, [
        ("Leaks per 10,000 canaries, by judge and surface", _leak_rows(result["censuses"]), _LEAKS_NOTE),
        ("The barrier alone: every canary in every encoding", alone, "A single ordinary word counts as plain here."),
        ("Honest texts refused after one retry", honest, ""),
        ("Speed", speed, ""),
        ("Gates", _gates(result), ""),
    ]


_LEAKS_NOTE: Final = (
    "Canaries found at least once. Fragments: eight characters of a secret. Word codes pass into the abstracted zone "
    "as far as its caps allow; shared words are ordinary words that five or more users wrote. Surfaces not listed: 0."
)


def _leak_rows(censuses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per judge and surface where anything was found, and one per judge for all other surfaces together."""
    from signals_assets.benchmarks.privacy import per_10000

    rows = []
    for census in censuses:
        for surface, forms in census["leaks"].items():
            if forms or surface == "published zone":
                told = ("plain", "encoded", "fragment", "word_coded", "shared_word")
                leaks = {form.replace("_", " "): per_10000(forms.get(form, 0), census["canaries"]) for form in told}
                rows.append({"judge": census["census"], "surface": surface, "canaries": census["canaries"], **leaks})
    return rows


def _listed(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in figures["by_rule"].items())
