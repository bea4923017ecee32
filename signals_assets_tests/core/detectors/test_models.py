import json
import re
from importlib.resources import files
from math import exp, log

import pytest

from signals_assets.core.detectors.models import FOLDER, Linear, digest, linear, packaged
from signals_assets.core.detectors.turns import FEATURES

STORED = {"weights": {"calls": 2.0, "asks": -1.0}, "intercept": 0.5, "sessions": ["0123456789ab"]}


@pytest.mark.parametrize(
    ("values", "score"), [((0.0, 0.0), 0.5), ((1.0, 1.0), 1.5), ((0.25, 1.0), 0.0), ((0.0, 0.5 + log(3)), -log(3))]
)
def test_the_probability_is_the_logistic_of_the_weighed_sum(values, score):
    model = Linear(("calls", "asks"), (2.0, -1.0), 0.5)
    assert model.probability(values) == pytest.approx(1 / (1 + exp(-score)))


def test_extreme_values_stay_within_zero_and_one():
    model = Linear(("calls",), (1.0,), 0.0)
    assert 0 < model.probability([-1e6]) < 1e-12
    assert 1 - 1e-12 < model.probability([1e6]) <= 1


def test_a_stored_model_is_read_in_the_order_of_the_features():
    assert linear(STORED, ("asks", "calls")) == Linear(("asks", "calls"), (-1.0, 2.0), 0.5, frozenset({"0123456789ab"}))
    assert linear(STORED | {"sessions": []}, ("calls", "asks")).sessions == frozenset()


@pytest.mark.parametrize("features", [("calls",), ("calls", "asks", "edits"), ("calls", "edits")])
def test_a_model_of_other_features_is_refused(features):
    with pytest.raises(ValueError, match="signals fit"):
        linear(STORED, features)


def test_a_digest_is_short_and_does_not_hold_the_id():
    assert re.fullmatch("[0-9a-f]{12}", digest("lyon-1"))
    assert digest("lyon-1") == digest("lyon-1") != digest("lyon-2")


def test_the_packaged_model_fits_the_measured_features_and_is_read_once():
    model = packaged("correction", FEATURES)
    assert model.features == FEATURES
    assert model is packaged("correction", FEATURES)
    assert model.sessions


def test_the_packaged_model_holds_names_of_features_numbers_digests_and_a_card_and_no_text():
    """Every string in the file is accounted for."""
    stored = json.loads(files("signals_assets.core.detectors").joinpath(FOLDER, "correction.json").read_text())
    assert set(stored) == {"card", "weights", "intercept", "sessions"}
    assert set(stored["weights"]) == set(FEATURES)
    assert all(isinstance(weight, float) for weight in [*stored["weights"].values(), stored["intercept"]])
    assert all(re.fullmatch("[0-9a-f]{12}", name) for name in stored["sessions"])
    assert stored["sessions"] == sorted(set(stored["sessions"]))
    card = stored["card"]
    assert set(card) == {"what", "data", "agents", "fitted", "penalty", "by_turn_on_unseen_persons"}
    assert re.fullmatch(r"[\w.-]+\.jsonl(?:, [\w.-]+\.jsonl)*", card["data"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", card["fitted"])
    assert all(re.fullmatch(r"[\w.-]{1,30}", name) and isinstance(n, int) for name, n in card["agents"].items())
    assert all(isinstance(figure, int | float) for figure in card["by_turn_on_unseen_persons"].values())
    assert card["by_turn_on_unseen_persons"]["sessions"] == len(stored["sessions"])
