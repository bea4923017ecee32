"""Small linear models over measured features: coefficients that a script fitted, never texts.

Put here: reading a packaged model, its score, its card.
Not here: features (`turns.py`), fitting (see `core/fitting.py`).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

FOLDER: Final = "fitted"


@dataclass(frozen=True, slots=True)
class Linear:
    """A logistic regression fitted with even classes, weights in the units of the features; from one half on: yes."""

    features: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    sessions: frozenset[str] = frozenset()
    """Digests of the sessions it was fitted on: figures on these need other models (see `core/fitting.py`)."""

    def probability(self, values: Sequence[float]) -> float:
        """Probability by the model, 0 to 1; `values` are in the order of `features`."""
        score = self.intercept + sum(map(float.__mul__, self.weights, values))
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))


def linear(stored: Mapping[str, Any], features: Sequence[str]) -> Linear:
    """A model from its stored form; ValueError when it was fitted on other features than the code measures."""
    if set(stored["weights"]) != set(features):
        raise ValueError("the model was fitted on other features than the code measures; run `signals fit`")
    weights = tuple(float(stored["weights"][name]) for name in features)
    return Linear(tuple(features), weights, float(stored["intercept"]), frozenset(stored.get("sessions", ())))


def digest(session_id: str) -> str:
    """A short name for a session that does not give its id away."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:12]


@lru_cache(maxsize=8)
def packaged(name: str, features: tuple[str, ...]) -> Linear:
    """The packaged model of that name."""
    path = resources.files(__package__).joinpath(FOLDER, f"{name}.json")
    return linear(json.loads(path.read_text(encoding="utf-8")), features)
