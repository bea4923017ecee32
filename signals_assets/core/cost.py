"""What a day's answers cost: sums over the rows of `analyses`, and how they are said.

Put here: the sums, and the words for them. Not here: prices of models (see `core/prices.py`), who may see how exact a
sum (see `core/barrier/thresholds.py`): the caller rounds the sums, and everything said follows from the rounded ones.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from signals_assets.core.analysis_rules import RULES

COLUMNS: Final = (
    "analyst", "input_tokens", "cached_tokens", "output_tokens", "cost_usd", "steps_seen", "steps_total",
)  # fmt: skip
"""What is read of `analyses`."""


def cost_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Sums over rows of `analyses` (all states: what failed was paid for, too), in whole numbers.

    sessions: that a model was asked about; unpriced: those of them whose model's price is not known, which
    prices (millionths of a dollar) leave out; tokens read, from the cache, written; percent_seen: of the steps.
    Price per session and per cent stand beside the sums, for what is rounded cannot be divided.
    """
    sent = [row for row in rows if row["analyst"] != RULES]
    unpriced = sum(row["cost_usd"] is None for row in sent)
    price = 1_000_000 * sum(row["cost_usd"] or 0.0 for row in sent)
    steps = sum(row["steps_total"] for row in sent)
    return {
        "sessions": len(sent),
        "unpriced": unpriced,
        "input_tokens": sum(row["input_tokens"] for row in sent),
        "cached_tokens": sum(row["cached_tokens"] for row in sent),
        "output_tokens": sum(row["output_tokens"] for row in sent),
        "micro_usd": round(price),
        "micro_usd_per_session": round(price / max(len(sent) - unpriced, 1)),
        "percent_seen": round(100 * sum(row["steps_seen"] for row in sent) / max(steps, 1)),
    }


def cost_words(cost: Mapping[str, int]) -> list[tuple[str, str]]:
    """(what, how much) of the sums of `cost_of`, to be shown; empty where nothing was sent."""
    if not cost["sessions"]:
        return []
    return [
        ("Sessions asked about", f"{cost['sessions']:,}"),
        ("Input tokens", f"{cost['input_tokens']:,}"),
        ("of them from the provider's cache", f"{cost['cached_tokens']:,}"),
        ("Output tokens", f"{cost['output_tokens']:,}"),
        ("Price of the day", _price(cost, "micro_usd")),
        ("Price per session", _price(cost, "micro_usd_per_session")),
        ("Steps of these sessions that were shown", f"{cost['percent_seen']} %"),
    ]


def _price(cost: Mapping[str, int], figure: str) -> str:
    if cost["unpriced"] and not cost["micro_usd"]:
        return "not known: the model has no price in the table or in the settings"
    beside = f", beside {cost['unpriced']:,} sessions of unknown price" if cost["unpriced"] else ""
    return f"${cost[figure] / 1_000_000:.4g}{beside}"
