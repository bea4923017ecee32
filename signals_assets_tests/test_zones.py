import pickle

import pytest
from pydantic import ValidationError

from signals_assets.tables import AbstractedSummary
from signals_assets.zones import Abstracted, Raw, _unpickled
from signals_assets_tests.factories import row_values


def test_abstracted_cannot_be_made_without_the_barriers_key():
    with pytest.raises(TypeError, match="barrier"):
        Abstracted("anything", object())


@pytest.mark.parametrize("value", [Raw("a secret sentence"), _unpickled("a secret sentence")])
def test_neither_type_shows_its_text_when_printed(value):
    assert "secret" not in f"{value} {value!r}"


def test_raw_is_revealed_only_by_name():
    assert Raw(["a"]).reveal() == ["a"]


def test_a_pickled_abstracted_text_stays_admitted():
    admitted = _unpickled("the user asked")
    assert pickle.loads(pickle.dumps(admitted)) == admitted


def test_a_row_of_the_abstracted_zone_refuses_plain_text():
    with pytest.raises(ValidationError):
        AbstractedSummary(**row_values(AbstractedSummary, summary="plain text"))


def test_a_refused_row_does_not_repeat_its_input():
    with pytest.raises(ValidationError) as caught:
        AbstractedSummary(**row_values(AbstractedSummary, summary="the canary sings"))
    assert "canary" not in str(caught.value)
