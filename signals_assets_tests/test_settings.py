"""Settings: what they refuse."""

import pytest
from pydantic import ValidationError

from signals_assets.settings import Settings


def test_a_component_may_be_renamed_several_times():
    renamed = {"reader": "file_reader", "file_reader": "files"}
    settings = Settings(components={"reader": ["read"]}, renamed_components=renamed)
    assert settings.renamed_components == renamed


@pytest.mark.parametrize(
    "renamed", [{"reader": "writer"}, {"reader": "files", "viewer": "files"}, {"reader": "files", "files": "reader"}]
)
def test_two_components_never_become_one_by_a_renaming(renamed: dict[str, str]):
    with pytest.raises(ValidationError, match="an old name is named once and is no component any more"):
        Settings(components={"reader": ["read"], "writer": ["write"]}, renamed_components=renamed)
