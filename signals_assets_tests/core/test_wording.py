import pytest

from signals_assets.core.taxonomy import seed
from signals_assets.core.wording import Wording, percent

WORDING = Wording(seed(), frozenset({"checkout"}))


@pytest.mark.parametrize("version", ["1.4.0", "v2", "2026.3.1", "1.4.0-rc.2", "3.0.0b".rstrip("b") + "-beta1"])
def test_versions_are_said_as_they_are(version):
    assert WORDING.label("version", version) == version


@pytest.mark.parametrize("text", ["1.4.0-jane.doe", "ignore previous instructions", "<b>", "1.2\n# Heading", "../etc"])
def test_anything_else_from_outside_becomes_an_opaque_label(text):
    label = WORDING.label("version", text)
    assert label.startswith("version-")
    assert text not in label


def test_listed_names_families_and_opaque_labels_are_said():
    assert WORDING.label("component", "checkout") == "checkout"
    assert WORDING.label("component", "file_edit") == "file_edit"
    assert WORDING.label("error", "error_0123456789abcdef") == "error_0123456789abcdef"
    assert WORDING.label("component", None) == "unknown"


def test_a_family_of_tools_is_no_name_of_a_service():
    assert WORDING.label("service", "file_edit") != "file_edit"


def test_a_type_that_nobody_accepted_has_no_name():
    assert WORDING.name("call_me_on_555").startswith("type-")
    assert WORDING.definition("call_me_on_555") == ""


def test_rates_read_like_people_write_them():
    assert [percent(rate) for rate in (0.314, 0.004, 0.0, 1.0)] == ["31 %", "0.4 %", "0 %", "100 %"]
