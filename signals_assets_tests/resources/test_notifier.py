"""The report as files."""

import json
from datetime import date
from pathlib import Path

import pytest

from signals_assets.resources.notifier import FileNotifier, NotifierError
from signals_assets_tests.resources.notifier_contract import NotifierContract

DAY = date(2026, 3, 2)
BLOCKS: list[dict[str, object]] = [{"type": "header", "text": {"type": "plain_text", "text": "Ruhiger Tag – ü"}}]


class Readers:
    """Who opens the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def reports(self, day: date) -> list[str]:
        return [path.read_text() for path in self.folder.glob(f"{day}.html")]

    def pictures(self, day: date) -> dict[str, bytes]:
        return {path.stem.removeprefix(f"{day}-"): path.read_bytes() for path in self.folder.glob(f"{day}-*.png")}


@pytest.fixture
def notifier(tmp_path: Path) -> FileNotifier:
    return FileNotifier(tmp_path / "reports")


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    return Readers(tmp_path / "reports")


class TestFilesHoldTheContract(NotifierContract):
    pass


def test_a_post_is_a_page_its_blocks_and_its_pictures(tmp_path: Path) -> None:
    page = Path(FileNotifier(tmp_path / "reports").post(DAY, "<p>ü</p>", BLOCKS, {"rates": b"png"}))
    assert page.read_text(encoding="utf-8") == "<p>ü</p>"
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8")) == BLOCKS
    assert (page.parent / "2026-03-02-rates.png").read_bytes() == b"png"
    assert (page.parent / "latest.html").read_text(encoding="utf-8") == "<p>ü</p>"
    assert not list(page.parent.glob(".tmp-*"))


def test_the_latest_report_is_never_an_earlier_day(tmp_path: Path) -> None:
    notifier = FileNotifier(tmp_path)
    notifier.post(DAY, "newer", BLOCKS, {})
    notifier.post(date(2026, 2, 28), "older", BLOCKS, {})
    assert (tmp_path / "latest.html").read_text() == "newer"


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file is in the way")
    notifier = FileNotifier(tmp_path / "reports")
    with pytest.raises(NotifierError, match="SIGNALS_HOME"):
        notifier.check()
    with pytest.raises(NotifierError, match="2026-03-02"):
        notifier.post(DAY, "", BLOCKS, {})


def test_the_doctor_hears_how_many_reports_there_are(tmp_path: Path) -> None:
    FileNotifier(tmp_path).post(DAY, "", BLOCKS, {})
    assert FileNotifier(tmp_path).check().startswith("files: 1 reports")
