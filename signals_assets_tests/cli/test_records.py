import click
import pytest

from signals_assets.cli.records import records


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "sheets.jsonl"
        path.write_text(text)
        return path

    return write


def test_records_are_read_line_by_line_and_blank_lines_are_passed_over(written):
    assert records(written('{"a": 1}\n\n  \n{"a": 2, "b": 3}'), ("a",)) == [{"a": 1}, {"a": 2, "b": 3}]


@pytest.mark.parametrize("line", ["not json", "[1]", '{"b": 1}', '{"a": 1'])
def test_a_line_that_cannot_be_used_is_named_by_its_number_without_its_text(written, line):
    with pytest.raises(click.ClickException) as refused:
        records(written('{"a": 1}\n' + line), ("a",))
    assert str(refused.value.message).endswith("sheets.jsonl, line 2: not a JSON object with a")
