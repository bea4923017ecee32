"""`signals detectors`: what each detector looks at, what it ignores, and how right it was when it was measured.

Put here: the registry as a table and as the document docs/detectors.md, the figures taken from a benchmark.
Not here: detectors and what they say of themselves (see `core/detectors`), measuring (see `benchmarks/detectors.py`).

The measured figures stand beside the detectors in `quality.json`: numbers, names of label files and the date. After
the detectors changed, one line brings figures and document up to date:

    signals benchmark detectors --sessions ... --labels ... --json benchmark.json &&
    signals detectors --measured benchmark.json --markdown > docs/detectors.md
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import click
import orjson

from signals_assets.cli.printing import show
from signals_assets.core.detectors import DETECTORS, Detector
from signals_assets.core.taxonomy import Taxonomy, seed

Figures = Mapping[str, Any]
QUALITY: Final = "quality.json"
_PACKAGE: Final = "signals_assets.core.detectors"
_LEVELS: Final = ("sessions", "moments")
_BLOCK: Final = ("labels", "kind", "sheets", "sessions", "languages")
_SCORES: Final = ("precision", "recall", "f1", "f1_interval")
_WORDS: Final = "words of the user or the agent, known in English"
_SEVERITY: Final = "low, medium or high, by its effect"
_RECIPE: Final = """\
signals benchmark detectors --sessions ... --labels ... --json benchmark.json &&
signals detectors --measured benchmark.json --markdown > docs/detectors.md"""


@click.command()
@click.option("--markdown", is_flag=True, help="Print the document docs/detectors.md instead of the table.")
@click.option(
    "--measured", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First take the figures from FILE, written by `signals benchmark detectors ... --json FILE`.",
)  # fmt: skip
def command(markdown: bool, measured: Path | None) -> None:
    """List the detectors: what they look at, what they ignore, how right they are.

    F1 is given by session and by moment with its 95 % interval, against each file of labels by itself.
    """
    if measured is not None:
        taken = orjson.dumps(_taken(measured), option=orjson.OPT_INDENT_2)
        Path(str(files(_PACKAGE).joinpath(QUALITY))).write_bytes(taken + b"\n")
    figures = quality()
    if markdown:
        click.echo(document(figures), nl=False)
        return
    show("Detectors", [_row(detector, figures) for detector in DETECTORS], note=_measured_on(figures))


def quality() -> Figures:
    """The figures that were measured last; without blocks of labels when none were."""
    file = files(_PACKAGE).joinpath(QUALITY)
    found: Figures = orjson.loads(file.read_bytes()) if file.is_file() else {"measured_on": None, "labels": []}
    return found


def _taken(file: Path) -> dict[str, Any]:
    """The figures of a benchmark that belong to the detectors. Raises click.ClickException for any other file."""
    try:
        result = orjson.loads(file.read_bytes())
        parameters = result["parameters"]
        if parameters["source"] != "given sessions" or parameters["quick"]:
            raise click.ClickException(f"{file}: a quick or made-up run says nothing; give it --sessions and --labels")
        return {
            "measured_on": datetime.now(UTC).date().isoformat(),
            "min_confidence": parameters["min_confidence"],
            "resamples": parameters["resamples"],
            "labels": [_block(block) for block in result["labels"]],
        }
    except (KeyError, TypeError, ValueError):
        raise click.ClickException(f"{file} was not written by `signals benchmark detectors ... --json`") from None


def _block(block: Figures) -> dict[str, Any]:
    types = {
        name: {
            "positives": found["positives"],
            "provisional": found["provisional"],
            **{level: {score: found[level][score] for score in _SCORES} for level in _LEVELS},
        }
        for name, found in block["rules"]["types"].items()
    }
    readers = {"level": block["readers"]["level"], "types": dict(block["readers"]["types"])}
    return {name: block[name] for name in _BLOCK} | {"readers": readers, "types": types}


# --- the table -------------------------------------------------------------------------------------------------


def _row(detector: type[Detector], figures: Figures) -> dict[str, Any]:
    measured = {f"F1, {block['kind']}": _f1(block, detector.type) for block in figures["labels"]}
    return {
        "type": detector.type,
        "kind": detector.kind,
        "looks at": detector.looks_at,
        "ignores": detector.ignores,
        **measured,
        "measured in": ", ".join(sorted(_languages(figures, detector.type))) or None,
    }


def _f1(block: Figures, name: str) -> str | None:
    """F1 at the level at which the readers of this block were compared, e.g. `0.95 [0.89, 0.99]`."""
    found = block["types"].get(name)
    if found is None or not found["positives"]:
        return None
    return _with_interval(found[block["readers"]["level"]]) + (" *" if found["provisional"] else "")


def _with_interval(scores: Figures) -> str:
    if scores["f1"] is None:
        return "–"
    interval = scores["f1_interval"]
    return f"{scores['f1']:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _languages(figures: Figures, name: str) -> set[str]:
    """Languages of the sessions on which a type was measured."""
    return {
        language
        for block in figures["labels"]
        if block["types"].get(name, {}).get("positives")
        for language in block["languages"]
    }


def _measured_on(figures: Figures) -> str:
    if not figures["labels"]:
        return "not measured yet: signals benchmark detectors ... --json FILE, then signals detectors --measured FILE"
    parts = [f"{block['kind']}: F1 by {block['readers']['level'][:-1]}" for block in figures["labels"]]
    return f"measured {figures['measured_on']} ({'; '.join(parts)}); * fewer than ten sessions have it: provisional"


# --- the document ----------------------------------------------------------------------------------------------


def document(figures: Figures) -> str:
    """The whole of docs/detectors.md."""
    taxonomy = seed()
    return "\n".join([*_head(figures), *(line for d in DETECTORS for line in _section(d, taxonomy, figures))]) + "\n"


def _head(figures: Figures) -> Iterator[str]:
    yield "# Detectors"
    yield ""
    yield "<!-- Written by `signals detectors --markdown` from the registry and the measured figures; do not edit. -->"
    yield ""
    yield "Each detector is a fold over the steps of a session with bounded state and finds events of one type."
    yield "The rules need no key and no language model; `signals watch` runs them while a session goes on."
    yield ""
    yield "## How right they are"
    yield ""
    if not figures["labels"]:
        yield "Not measured yet."
    else:
        yield from _measured(figures)
    yield ""
    yield "New figures, and this document, after a change:"
    yield ""
    yield f"```\n{_RECIPE}\n```"
    yield ""


def _measured(figures: Figures) -> Iterator[str]:
    yield (
        f"Measured on {figures['measured_on']} without a language model; turns that the model of `correction` was "
        "fitted on are read by models fitted on other persons. F1 with its 95 % interval "
        f"({figures['resamples']:,} resamples of sessions), events of a confidence of at least "
        f"{figures['min_confidence']}. A moment is found when an event shares a step with it. "
        "`*`: fewer than ten sessions have the type, so the figure is provisional. Readers: how far two careful "
        "readers agree, by the same measure. Disagreements with these labels were read while the rules were made: on "
        "other sessions expect less."
    )
    for block in figures["labels"]:
        languages = ", ".join(f"{name} {count}" for name, count in block["languages"].items())
        yield ""
        yield (
            f"### {block['kind'].capitalize()}: `{block['labels']}`, {block['sheets']} sheets of {block['sessions']} "
            f"sessions (by language: {languages})"
        )
        yield ""
        yield f"| type | sessions with it | F1 by session | F1 by moment | readers, by {_level(block)} |"
        yield "|---|---:|---|---|---|"
        for name, found in block["types"].items():
            mark = " *" if found["provisional"] else ""
            agreed = block["readers"]["types"].get(name)
            both = " | ".join(_with_interval(found[level]) for level in _LEVELS) if found["positives"] else "– | –"
            yield f"| {name} | {found['positives']}{mark} | {both} | {'–' if agreed is None else f'{agreed:.2f}'} |"


def _level(block: Figures) -> str:
    return str(block["readers"]["level"]).removesuffix("s")


def _section(detector: type[Detector], taxonomy: Taxonomy, figures: Figures) -> Iterator[str]:
    known = taxonomy.get(detector.kind, detector.type)
    yield f"## {detector.type}"
    yield ""
    if known is not None:
        yield f"{detector.kind.capitalize()}. {known.definition}"
        yield ""
    yield f"- Looks at: {detector.looks_at}."
    yield f"- Ignores: {detector.ignores}."
    yield f"- Needs: {'the structure of the session only; holds in every language' if detector.structural else _WORDS}."
    yield f"- Severity: {_SEVERITY if detector.kind == 'friction' else 'none; delight has no degrees'}."
    yield f"- Measured: {'; '.join(_sentences(detector.type, figures)) or 'not yet'}."
    yield ""


def _sentences(name: str, figures: Figures) -> Iterator[str]:
    for block in figures["labels"]:
        found = block["types"].get(name)
        if found is None:
            continue
        if not found["positives"]:
            yield f"{block['kind']}: no session has it"
            continue
        level = found[block["readers"]["level"]]
        both = f"precision {_number(level['precision'])}, recall {_number(level['recall'])}"
        yield (
            f"{block['kind']}: F1 by {_level(block)} {_with_interval(level)} ({both}) where {found['positives']} "
            f"sessions have it{', provisional' if found['provisional'] else ''}"
        )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
