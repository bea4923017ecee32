import copy
import pickle

import pytest
from pydantic import ValidationError

from signals_assets.tables import TABLES, AbstractedSummary
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


# --- no other way in ---------------------------------------------------------------------------------------------


def forged() -> Abstracted:
    """An object of the type that the barrier never saw."""
    made = object.__new__(Abstracted)
    object.__setattr__(made, "_text", "a secret sentence")
    return made


@pytest.mark.parametrize("parent", [Abstracted, Raw])
def test_neither_type_has_subclasses(parent):
    with pytest.raises(TypeError, match="no subclasses"):
        type("Mine", (parent,), {})


def test_admitted_text_cannot_be_exchanged():
    admitted = _unpickled("the user asked")
    for change in (lambda: setattr(admitted, "_text", "a secret"), lambda: delattr(admitted, "_text")):
        with pytest.raises(TypeError, match="changed"):
            change()
    assert admitted.text == "the user asked"


def test_an_object_that_the_barrier_did_not_make_has_no_text_and_enters_no_row():
    for use in (
        lambda: forged().text,
        lambda: hash(forged()),
        lambda: forged() == forged(),
        lambda: pickle.dumps(forged()),
    ):
        with pytest.raises(TypeError, match="not admitted"):
            use()
    with pytest.raises(ValidationError):
        AbstractedSummary(**row_values(AbstractedSummary, summary=forged()))


def test_a_pickle_from_elsewhere_brings_no_text_of_its_own():
    honest = pickle.dumps(_unpickled("the user asked"))
    assert pickle.loads(honest.replace(b"asked", b"tests")).text == "the user tests"
    with pytest.raises(TypeError, match="pickle") as caught:
        pickle.loads(honest.replace(b"asked", b"zorbl"))
    assert "zorbl" not in str(caught.value)


def test_copies_are_the_same_object_and_raw_has_none():
    admitted = _unpickled("the user asked")
    assert copy.copy(admitted) is admitted
    assert copy.deepcopy([admitted])[0] is admitted
    for use in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="Raw is not pickled"):
            use(Raw("a secret sentence"))


TEXTS = [
    (model, name)
    for model in TABLES.values()
    for name, column in model.model_fields.items()
    if model.zone == "abstracted" and "Abstracted" in str(column.annotation)
]


@pytest.mark.parametrize(("model", "name"), TEXTS, ids=lambda value: getattr(value, "table", value))
def test_every_text_column_of_the_abstracted_zone_takes_admitted_text_only(model, name):
    many = str(model.model_fields[name].annotation).startswith("list")
    for wrong in ("a secret sentence", Raw("a secret sentence"), forged(), b"bytes", {"text": "a secret"}):
        with pytest.raises(ValidationError) as caught:
            model(**row_values(model, **{name: [wrong] if many else wrong}))
        assert "secret" not in str(caught.value)
    good = _unpickled("the user asked")
    assert model(**row_values(model, **{name: [good] if many else good}))
