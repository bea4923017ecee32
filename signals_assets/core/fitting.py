"""Fitting the small models that detectors use, with cross-validation by person.

Put here: examples from labelled sessions, the fit, the folds.
Not here: the features (`detectors/turns.py`), using a model (`detectors/models.py`), files (see `cli/fit.py`).

Turns of one person are alike, so a fold holds whole persons: a figure from it is one on people the model never saw.
Classes are weighed to be even, so one half is the bar; F1 on unseen persons is flat around it. Nothing of a text gets
into a model.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from signals_assets.core.detectors.context import Context
from signals_assets.core.detectors.models import Linear, digest, linear
from signals_assets.core.detectors.turns import FEATURES, TurnReader
from signals_assets.core.sessions import Session

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BAR: Final = 0.5
STRENGTH: Final = 0.003
"""Inverse of the penalty on squared weights of standardised features (scikit-learn's C)."""
FOLDS: Final = 8
DIGITS: Final = 4
Sheet = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Examples:
    """Turns of labelled sessions: values (n, features), whether the type holds, whose they are, weights."""

    values: "npt.NDArray[np.float64]"
    holds: "npt.NDArray[np.bool_]"
    persons: tuple[str, ...]
    sessions: tuple[str, ...]
    """Digests of the sessions, sorted."""
    weights: "npt.NDArray[np.float64]"
    """One for each turn, shared between the sheets of a session that was read several times."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model in the form in which it is stored, and how right it was on persons it had not seen."""

    stored: Mapping[str, Any]
    turns: int
    positives: float
    precision: float
    recall: float
    f1: float


def person(session: Session) -> str:
    """Whose session it is: the user, or where none is recorded the agent."""
    return session.user_id or f"unnamed user of {session.agent.name}"


def examples(sessions: Mapping[str, Session], sheets: Iterable[Sheet], kind: str) -> Examples:
    """All turns of the labelled sessions that are here; a turn is positive when a moment of `kind` has its step."""
    import numpy as np

    present = [sheet for sheet in sheets if sheet["session_id"] in sessions]
    readings = Counter(sheet["session_id"] for sheet in present)
    measured = {key: list(_turns(sessions[key])) for key in readings}
    values, holds, persons, weights = [], [], [], []
    for sheet in present:
        key = sheet["session_id"]
        events = [*sheet["friction"], *sheet.get("delight", [])]
        positive = {step for event in events if event["type"] == kind for step in event["steps"]}
        for index, features in measured[key]:
            values.append(features)
            holds.append(index in positive)
            persons.append(person(sessions[key]))
            weights.append(1.0 / readings[key])
    return Examples(
        np.array(values, dtype=np.float64).reshape(-1, len(FEATURES)),
        np.array(holds, dtype=bool),
        tuple(persons),
        tuple(sorted(map(digest, readings))),
        np.array(weights),
    )


def fit(given: Examples, strength: float = STRENGTH) -> Fitted:
    """A model on all examples, and its figures from folds by person.

    Raises ValueError when there are fewer than two persons, or no positive or no other turn.
    """
    import numpy as np

    stored = _stored(given, strength)
    fold = _folds(given.persons)
    probability = np.zeros(len(given.holds))
    for k in sorted(set(fold.tolist())):
        outside, inside = fold != k, fold == k
        if _both(given.holds[outside]):
            probability[inside] = _predict(_weights(given, outside, strength), given.values[inside])
    chosen = probability >= BAR
    found, true = given.weights[chosen].sum(), given.weights[given.holds].sum()
    hits = given.weights[chosen & given.holds].sum()
    precision, recall = hits / max(found, 1e-9), hits / true
    return Fitted(
        stored, len(given.holds), float(true), float(precision), float(recall), float(2 * hits / (found + true))
    )


def cross_validated(
    sessions: Mapping[str, Session], sheets: Sequence[Sheet], kind: str, strength: float = STRENGTH
) -> Callable[[Session], Linear]:
    """For a session the model fitted on the sheets of other folds' persons; a person without sheets gets the first.

    Raises ValueError when what is left of a fold cannot be fitted (see `fit`), as with fewer than three persons.
    """
    present = [sheet for sheet in sheets if sheet["session_id"] in sessions]
    owners = [person(sessions[sheet["session_id"]]) for sheet in present]
    fold = dict(zip(owners, _folds(owners).tolist(), strict=True))
    models = {}
    for k in sorted(set(fold.values())):
        rest = [sheet for sheet, owner in zip(present, owners, strict=True) if fold[owner] != k]
        models[k] = linear(_stored(examples(sessions, rest, kind), strength), FEATURES)
    if not models:
        raise ValueError("none of the labelled sessions is here: give the sessions that the labels name")
    first = min(models)
    return lambda session: models[fold.get(person(session), first)]


def _stored(given: Examples, strength: float) -> dict[str, Any]:
    """A model on all examples in the form in which it is stored; raises as `fit` does."""
    import numpy as np

    if len(set(given.persons)) < 2 or not _both(given.holds):
        raise ValueError(
            "fitting needs labelled turns of at least two persons, one at least that is of the type and one that is not"
        )
    weights, intercept = _weights(given, np.ones(len(given.holds), dtype=bool), strength)
    return {
        "weights": {name: round(float(weight), DIGITS) for name, weight in zip(FEATURES, weights, strict=True)},
        "intercept": round(intercept, DIGITS),
        "sessions": list(given.sessions),
    }


def _turns(session: Session) -> Iterable[tuple[int, list[float]]]:
    context, reader = Context(), TurnReader()
    for index, step in enumerate(session.steps):
        values = reader.update(context.look(index, step))
        if values is not None:
            yield index, values


def _folds(persons: Sequence[str]) -> "npt.NDArray[np.int64]":
    """Whole persons to folds of about one size: the largest person first, each to the emptiest fold."""
    import numpy as np

    sizes = Counter(persons)
    filled: dict[int, int] = defaultdict(int, dict.fromkeys(range(min(FOLDS, len(sizes))), 0))
    where = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        where[name] = min(filled, key=lambda k: (filled[k], k))
        filled[where[name]] += sizes[name]
    return np.array([where[name] for name in persons], dtype=np.int64)


def _both(holds: "npt.NDArray[np.bool_]") -> bool:
    """Whether there are turns of the type and others."""
    return bool(holds.any() and not holds.all())


def _weights(
    given: Examples, chosen: "npt.NDArray[np.bool_]", strength: float
) -> tuple["npt.NDArray[np.float64]", float]:
    """Weights in the units of the features, and the intercept, of a logistic regression with balanced classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(given.values[chosen])
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000)
    model.fit(scaler.transform(given.values[chosen]), given.holds[chosen], sample_weight=given.weights[chosen])
    weights = model.coef_[0] / scaler.scale_
    return weights, float(model.intercept_[0] - (weights * scaler.mean_).sum())


def _predict(model: tuple["npt.NDArray[np.float64]", float], values: "npt.NDArray[np.float64]") -> Any:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-(values @ model[0] + model[1])))
