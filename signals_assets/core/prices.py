"""Prices and limits of language models: what a request cost, as far as it is known.

Put here: the packaged price table (`prices.yaml`) and what is computed from it.
Not here: how many tokens a request has (see `core/answering.py`, `core/condensing.py`), the budget of a day (see
`core/selection.py`).

An unknown model or tier has no price: None, never a guess. Prices that an installation knows better are given as
`overrides`; they also price models of other providers and of the house.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, TypeVar

import yaml

Tier = Literal["sync", "batch", "flex", "local"]
T = TypeVar("T")
TIERS: Final = ("sync", "batch", "flex")
"""Tiers that the table prices; what a server of the house costs ("local") is in no table."""
MILLION: Final = 1_000_000

_SNAPSHOT: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. cached_input: None where cached input costs what all input costs."""

    input: float
    output: float
    cached_input: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a negative or infinite price."""
        known = [value for value in (self.input, self.output, self.cached_input) if value is not None]
        if not all(0 <= value < float("inf") for value in known):
            raise ValueError("a price per million tokens is a number from 0 on; correct the prices in the settings")


@dataclass(frozen=True, slots=True)
class Model:
    """One line of the table."""

    window: int
    """Most input tokens of a request."""
    output: int
    """Most output tokens, reasoning included."""
    prices: Mapping[str, Price]
    """By tier."""
    long_above: int | None = None
    """Above so many input tokens `long_input` and `long_output` multiply the prices of the whole request."""
    long_input: float = 1.0
    long_output: float = 1.0

    def surcharge(self, input_tokens: int) -> tuple[float, float]:
        """What the prices of input and output are multiplied by for so much input."""
        long = self.long_above is not None and input_tokens > self.long_above
        return (self.long_input, self.long_output) if long else (1.0, 1.0)


def price(
    model: str,
    tier: Tier,
    *,
    input_tokens: int,
    cached_tokens: int = 0,
    output_tokens: int,
    overrides: Mapping[str, Price] | None = None,
) -> float | None:
    """US dollars of one request, or None where the price is not known.

    cached_tokens: the part of the input that was read from the provider's cache. Output includes reasoning. An
    override (by model, for every tier) goes before the table and knows no surcharge for long requests.
    """
    given = _known(overrides or {}, model)
    listed = _known(table(), model)
    each = given or (listed.prices.get(tier) if listed else None)
    if each is None:
        return None
    times_in, times_out = (1.0, 1.0) if given or listed is None else listed.surcharge(input_tokens)
    cached = min(max(cached_tokens, 0), input_tokens)
    cached_each = each.input if each.cached_input is None else each.cached_input
    read = (input_tokens - cached) * each.input + cached * cached_each
    return (read * times_in + output_tokens * each.output * times_out) / MILLION


def window(model: str) -> int | None:
    """Most input tokens of a request to a model, or None where the table does not know it."""
    listed = _known(table(), model)
    return listed.window if listed else None


def longest_output(model: str) -> int | None:
    """Most output tokens of a model, reasoning included, or None where the table does not know it."""
    listed = _known(table(), model)
    return listed.output if listed else None


def _known(entries: Mapping[str, T], model: str) -> T | None:
    """The entry of a model, or of the model that a dated snapshot belongs to."""
    return entries.get(model) or entries.get(_SNAPSHOT.sub("", model))


@cache
def table() -> Mapping[str, Model]:
    """The packaged table, by model."""
    text = files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8")
    return {name: _model(line) for name, line in yaml.safe_load(text)["models"].items()}


def _model(line: Mapping[str, Any]) -> Model:
    long = line.get("long", {})
    return Model(
        window=line["window"],
        output=line["output"],
        prices={
            tier: Price(input=i, cached_input=c, output=o) for tier in TIERS if tier in line for i, c, o in [line[tier]]
        },
        long_above=long.get("above"),
        long_input=long.get("input", 1.0),
        long_output=long.get("output", 1.0),
    )
