"""`signals analyze`: the per-session stages on files and pipes, without Dagster.

Put here: arguments, passes over the input, files that appear whole, the printed tables.
Not here: what is computed of a session (see `core/quick_look.py`), reading (see `reading.py`), asking a language model
(see `asking.py`).

The input is read once into a compressed spool without a name (the system frees it however the run ends). Then which
of two copies of a session is the longer is known, a small input needs no worker processes, an audience that asks for
the support of several users gets its second pass, and a language model is asked between two passes; memory holds a few
chunks, the words of the answers and, of a language model, the answers.
"""

import os
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, get_args

import click
import orjson

from signals_assets.cli.asking import Asking, Known, chosen
from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.cli.reading import Reading, Spool, user_origin
from signals_assets.core import quick_look
from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.analysis_rules import RULES, RULES_MODEL
from signals_assets.core.barrier import Support
from signals_assets.core.barrier.support import day_vocabulary
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.cost import cost_of, cost_words
from signals_assets.core.quick_look import CountChunk, LookChunk, Options, Part
from signals_assets.core.readers import READERS
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.resources.compute import Compute, ComputeError, ProcessCompute, SerialCompute
from signals_assets.resources.session_source import SessionSourceError
from signals_assets.settings import Audience, Settings

CHUNK_SESSIONS: Final = 32
CHUNK_BYTES: Final = 2 << 20
"""A chunk closes at so many sessions or so many bytes of them."""
SERIAL_BYTES: Final = 16 << 20
"""Below it starting worker processes takes longer than the work."""
EMBEDDER_USED: Final = "none (no per-session stage needs vectors)"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the files.")
@click.option(
    "--analyst", type=click.Choice([RULES, "openai", "openai-compatible"]), default=RULES, show_default=True,
    help="Who reads the sessions; a language model is asked directly, after you agreed to what is sent and its price.",
)  # fmt: skip
@click.option("--model", help="The language model. Default: language_model.model of the settings.")
@click.option("--base-url", help="Where its server is. Default: language_model.base_url of the settings.")
@click.option("--yes", is_flag=True, help="Send to the language model without asking.")
@click.option(
    "--audience", type=click.Choice(get_args(Audience)), default="self", show_default=True, help="Who will read it."
)
@click.option(
    "--min-steps", type=click.IntRange(min=0), default=0, show_default=True, help="Least agentic steps to be analysed."
)
@click.option("--format", "session_format", type=click.Choice(list(READERS)), help="Default: recognised by itself.")
@click.option(
    "--embedder", type=click.Choice(["auto", "sentence-transformers", "none"]), default="auto", show_default=True,
    help="For stages that need vectors; at present none of these does.",
)  # fmt: skip
@click.option(
    "--user-from", metavar="KIND:VALUE",
    help="Where the format knows no user: folder:LEVEL, setting:NAME or field:NAME.",
)  # fmt: skip
@json_option
def command(
    paths: tuple[Path, ...],
    out: Path,
    analyst: str,
    model: str | None,
    base_url: str | None,
    yes: bool,
    audience: Audience,
    min_steps: int,
    session_format: str | None,
    embedder: str,
    user_from: str | None,
    json_file: str | None,
) -> None:
    """Read sessions from files, folders or standard input (-) and write what each of them shows to --out.

    Writes session_metrics, detections, facets, abstracted_summaries, friction_events, delight_events and unmet_needs
    as JSON Lines, and coverage.json. Existing files of these names are replaced when all are complete.
    """
    settings = chosen(Settings(), analyst, model, base_url)
    origin = settings.user_from if user_from is None else user_origin(user_from)
    reading = Reading(paths, session_format or settings.session_format, origin, settings.agent_name)
    options = _options(settings, audience, min_steps)
    parameters = {
        "analyst": analyst,
        "model": options.model,
        "prompt": options.prompt,
        "taxonomy_version": options.taxonomy.version,
        "audience": audience,
        "min_steps": min_steps,
        "min_confidence": options.min_confidence,
        "format": reading.session_format or "recognised",
        "user_from": origin.kind,
        "embedder_asked_for": embedder,
        "embedder": EMBEDDER_USED,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            spool, files = opened.enter_context(Spool(out)), opened.enter_context(_Files(out))
            reading.fill(spool, options.key)
            compute = opened.enter_context(_compute(settings, spool))
            asking = None if analyst == RULES else opened.enter_context(Asking(settings, audience, compute))
            total = _Passes(spool, reading.superseded, options, compute, files, asking, yes).all()
            coverage = {"parameters": parameters, **_coverage(reading, total)}
            files.finish(coverage)
            if asking is not None:
                asking.end()
    except (SessionSourceError, ComputeError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise click.ClickException(f"{what}: {error.filename or out}; check the path and its rights") from None
    write_json(json_file, coverage)
    if json_file != "-":
        _show(coverage, out)


def _options(settings: Settings, audience: Audience, min_steps: int) -> Options:
    key = settings.pseudonym_key
    return Options(
        audience=audience,
        key=secrets.token_bytes(32) if key is None else key.get_secret_value().encode(),
        min_steps=min_steps,
        min_confidence=settings.min_confidence,
        prompt=pinned("analyze_session", 2).id,
        taxonomy=seed(),
        components=settings.components,
        analyst=settings.analyst,
        model=RULES_MODEL if settings.analyst == RULES else settings.language_model.model,
    )


@contextmanager
def _compute(settings: Settings, spool: Spool) -> Iterator[Compute]:
    if settings.compute == "serial" or spool.size < SERIAL_BYTES:
        yield SerialCompute()
        return
    pool = ProcessCompute(settings.workers)
    try:
        yield pool
    finally:
        pool.close()


# --- passes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Passes:
    spool: Spool
    without: Collection[int]
    options: Options
    compute: Compute
    files: "_Files"
    asking: Asking | None
    """The language model; None: the rules answer."""
    yes: bool

    def all(self) -> Part:
        """Everything that is known of the sessions except the lines, which are in the files."""
        alone = SHOWN[self.options.audience].users <= 1
        return self._once() if alone and self.asking is None else self._twice(counted=not alone)

    def _once(self) -> Part:
        """All stages of a session at once."""
        total = Part()
        for part in self.compute.map(quick_look.look, self._chunks()):
            self._take(part, total)
        return total

    def _twice(self, *, counted: bool) -> Part:
        """Measure and answer, or ask; count the users behind the words of the answers; then let the barrier judge."""
        total = Part()
        with Spool(self.files.folder) as measured, Spool(self.files.folder) as answered:
            for part in self.compute.map(quick_look.measure, self._chunks()):
                self._take(part, total, measured)
            measured.close()
            cases = measured if self.asking is None else self._ask(self.asking, measured, answered, total)
            support = self._support(total.texts) if counted else Support()
            for part in self.compute.map(quick_look.abstract, self._chunks(cases, support)):
                self._take(part, total)
        return total

    def _ask(self, asking: Asking, measured: Spool, answered: Spool, total: Part) -> Spool:
        """The cases with a language model's answers, in the order of the sessions."""
        rows = [asked for case in measured.lines() if (asked := orjson.loads(case)["asked"]) is not None]
        known = [Known(asked["request_id"], asked["estimated_tokens"]) for asked in rows]
        questions = _Questions(self, measured)
        left = asking.unanswered(known)
        asking.agree(left, len(known) - len(left), questions, yes=self.yes)
        answers = asking.answers(questions) if known else {}
        for case in measured.lines():
            self._take(quick_look.answered(case, answers, self.options), total, answered)
        answered.close()
        return answered

    def _take(self, part: Part, total: Part, cases: Spool | None = None) -> None:
        """Lines go to the files; what stays in memory are counts and, between two passes, the answers' words."""
        if cases is not None:
            for case in part.cases:
                cases.write(case)
        self.files.append(part.lines)
        part.lines, part.cases = {}, []
        total.add(part)

    def _support(self, texts: Iterable[str]) -> Support:
        """Distinct users of what the answers say, over all sessions."""
        key, vocabulary = self.options.key, day_vocabulary(texts)
        chunks = (CountChunk(chunk.sessions, vocabulary, key) for chunk in self._chunks())
        return quick_look.supported(self.compute.map(quick_look.count, chunks), key)

    def _chunks(self, cases: Spool | None = None, support: Support | None = None) -> Iterator[LookChunk]:
        """The sessions in chunks, in the order of the input; with their cases in the second pass."""
        sessions = self.spool.lines(self.without)
        beside = repeat(b"") if cases is None else cases.lines()
        waiting: list[tuple[bytes, bytes]] = []
        size = 0
        for session, case in zip(sessions, beside, strict=False):
            waiting.append((session, case))
            size += len(session)
            if len(waiting) == CHUNK_SESSIONS or size >= CHUNK_BYTES:
                yield self._chunk(waiting, support)
                waiting, size = [], 0
        if waiting:
            yield self._chunk(waiting, support)

    def _chunk(self, waiting: Iterable[tuple[bytes, bytes]], support: Support | None) -> LookChunk:
        sessions, cases = zip(*waiting, strict=True)
        return LookChunk(sessions, self.options, cases, support or Support())


@dataclass(frozen=True, slots=True)
class _Questions:
    """What a language model is asked, made of sessions and cases anew each time it is iterated: never all in memory."""

    passes: _Passes
    cases: Spool

    def __iter__(self) -> Iterator[AnalysisRequest]:
        passes = self.passes
        for session, case in zip(passes.spool.lines(passes.without), self.cases.lines(), strict=True):
            asked = quick_look.question(session, case, passes.options)
            if asked is not None:
                yield asked


# --- writing ---------------------------------------------------------------------------------------------------


class _Files:
    """The files of a run: written beside their place under a passing name, moved to it together when all are whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = f".{os.getpid()}.tmp"
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        for model in quick_look.TABLES:
            self._open[f"{model.table}.jsonl"] = (self.folder / f"{model.table}.jsonl{self._mark}").open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        for name, file in self._open.items():
            file.close()
            (self.folder / f"{name}{self._mark}").unlink(missing_ok=True)

    def append(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        """Append to the files of the tables."""
        for table, rows in lines.items():
            self._open[f"{table}.jsonl"].writelines(row + b"\n" for row in rows)

    def finish(self, coverage: Mapping[str, Any]) -> None:
        """Put all files in their place; coverage.json comes last and says that the others are whole."""
        last = "coverage.json"
        self._open[last] = (self.folder / f"{last}{self._mark}").open("wb")
        self._open[last].write(orjson.dumps(coverage, option=orjson.OPT_INDENT_2) + b"\n")
        for file in self._open.values():
            file.close()
        for name in self._open:
            (self.folder / f"{name}{self._mark}").replace(self.folder / name)


def _coverage(reading: Reading, total: Part) -> dict[str, Any]:
    """What was read, what became of it, and what was found; counts only."""
    stages = {"sessions": reading.coverage, **total.stages}
    return {
        "sessions": {
            "read": reading.sessions,
            "measured": stages["metrics"].answered,
            "analysed": stages["analysis"].answered,
            "quarantined": sum(reading.quarantined.values()),
        },
        "quarantined_by_reason": dict(sorted(reading.quarantined.items())),
        "input": dict(sorted(reading.tally.items())),
        "stages": {name: coverage.as_dict() for name, coverage in stages.items()},
        "refused_by_rule": dict(sorted(total.refused.items())),
        "moments": dict(sorted(total.moments.items())),
        "outcomes": dict(sorted(total.outcomes.items())),
        **({"cost": cost_of(total.costs)} if total.costs else {}),
        "types": [
            {"kind": kind, "type": name, "sessions": total.sessions[kind, name], "events": events}
            for (kind, name), events in sorted(total.events.items(), key=lambda item: (item[0][0] != "friction", item))
        ],
    }


def _show(coverage: Mapping[str, Any], out: Path) -> None:
    sessions = coverage["sessions"]
    rows = [{"what": what, "sessions": n, "why": ""} for what, n in sessions.items() if what != "quarantined"]
    rows += [
        {"what": f"not {past}", "sessions": n, "why": reason}
        for past, stage in (("measured", "metrics"), ("analysed", "analysis"))
        for reason, n in _losses(coverage["stages"][stage])
    ]
    rows += [
        {"what": "quarantined", "sessions": n, "why": reason} for reason, n in coverage["quarantined_by_reason"].items()
    ]
    rows += [
        {"what": "files passed over", "sessions": n, "why": name.partition(".")[2]}
        for name, n in coverage["input"].items()
        if name.startswith("files_passed_over.")
    ]
    show("Sessions", rows)
    click.echo()
    if "cost" in coverage:
        asked = [
            {"what": what.removesuffix(" of the day"), "how much": much} for what, much in cost_words(coverage["cost"])
        ]
        show("What asking took", asked, note="tokens as the server says, prices as the table or the settings say")
        click.echo()
    show("Friction and delight", coverage["types"], note=f"in {out}: one file per table, and coverage.json")


def _losses(stage: Mapping[str, int]) -> list[tuple[str, int]]:
    skipped = [(name.partition(".")[2], n) for name, n in stage.items() if name.startswith("skipped.")]
    return [(name, n) for name, n in [*skipped, ("failed", stage["failed"])] if n]
