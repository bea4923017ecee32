"""The three forms: the page, Slack's blocks, the rows of `daily_report`.

Put here: what stands around the sections. Not here: what they say.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from signals_assets.core.barrier.publication import slack_plain
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import long_day
from signals_assets.core.report.releases import confirmed_changes
from signals_assets.core.svg import esc
from signals_assets.tables import DailyReport

SLACK_TEXT: Final = 2900

SLACK_HEADER: Final = 148
"""Slack refuses longer texts (3000) and headers (150)."""


def page_of(at: Day, headline: str, sections: Sequence[Section]) -> str:
    """The whole page: one file that needs nothing else."""
    body = "".join(
        f'<section id="{section.id}"><h2>{esc(section.title)}</h2>'
        + (f'<p class="lead">{esc(section.lead)}</p>' if section.lead else "")
        + f"{section.body}</section>"
        for section in sections
    )
    links = "".join(f'<a href="#{section.id}">{esc(section.title)}</a>' for section in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Signals, {at.day.isoformat()}</title><style>{_css()}</style></head><body><main>"
        f"<header><p>Signals · {long_day(at.day)} · for {esc(at.audience)}</p><h1>{esc(headline)}</h1></header>"
        f"{_figures(at)}<nav>{links}</nav>{body}</main></body></html>\n"
    )


@cache
def _css() -> str:
    return files("signals_assets.core").joinpath("report.css").read_text(encoding="utf-8")


def _figures(at: Day) -> str:
    """The five numbers one wants at a glance."""
    sessions = next((at.coverage[key] for key in ("raw_sessions", "sessions") if key in at.coverage), {})
    levels = [row for row in at.rows("friction_levels") if row["slice"] == "all"]
    tickets = at.rows("ticket_states")
    done = ("verified", "closed", "suppressed", "failed")
    figures = [
        ("Sessions read", sessions.get("answered", sessions.get("read", "–"))),
        ("Over their ceiling", sum(row["state"] in ("over", "crossed") for row in levels)),
        ("Worse, confirmed", len(confirmed_changes(at, "regressed"))),
        ("Better, confirmed", len(confirmed_changes(at, "improved"))),
        ("Open tickets", sum(row["state"] not in done for row in tickets)),
        ("Fixes that work", sum(row["verdict"] == "improved" for row in at.rows("fix_outcomes"))),
    ]
    cells = "".join(f"<div><dt>{esc(what)}</dt><dd>{esc(n)}</dd></div>" for what, n in figures)
    return f'<dl class="figures">{cells}</dl>'


def blocks_of(at: Day, headline: str, sections: Iterable[Section]) -> list[dict[str, object]]:
    """Slack Block Kit; plain text only, so that no name can turn into a mention or a link."""
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": _plain(headline, SLACK_HEADER)},
        {"type": "context", "elements": [_plain(f"Signals, {long_day(at.day)}", SLACK_TEXT)]},
    ]
    for section in sections:
        if section.lines:
            text = "\n".join([section.title, *(f"• {line}" for line, _ in section.lines)])
            blocks += [{"type": "divider"}, {"type": "section", "text": _plain(text, SLACK_TEXT)}]
    return blocks


def _plain(text: str, most: int) -> dict[str, object]:
    escaped = "\n".join(map(slack_plain, text.splitlines()))
    if len(escaped) > most:
        return _plain(f"{text[: len(text) - (len(escaped) - most) - 1]}…", most)
    return {"type": "plain_text", "text": escaped, "emoji": False}


def rows_of(at: Day, headline: str, sections: Iterable[Section]) -> list[DailyReport]:
    """Rows of `daily_report`: the sentences and where they come from."""
    rows = [DailyReport(day=at.day, section="headline", position=0, headline=headline, reference="daily_report")]
    for section in sections:
        rows += [
            DailyReport(day=at.day, section=section.id, position=position, headline=line, reference=reference)
            for position, (line, reference) in enumerate(section.lines)
        ]
    return rows
