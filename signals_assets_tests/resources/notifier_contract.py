"""What every notifier must do, as tests that a test module runs against its own door.

Subclass `NotifierContract` beside two fixtures: `notifier`, and `readers`, what those see who read it:
`reports(day) -> [text]` (each report of the day, all its words), `pictures(day) -> {name: bytes}`.
"""

from datetime import date

import pytest

from signals_assets.core.report_message import plain
from signals_assets.resources.notifier import NotifierError

DAY, NEXT = date(2026, 3, 2), date(2026, 3, 3)


def blocks(*sentences):
    """A report's blocks."""
    lines = "\n".join(f"• {sentence}" for sentence in sentences)
    return [
        {"type": "header", "text": plain("Quiet day")},
        {"type": "context", "elements": [plain("Signals, Monday 2 Mar 2026")]},
        {"type": "divider"},
        {"type": "section", "text": plain(f"What hurts most\n{lines}")},
    ]


class NotifierContract:
    def test_a_day_s_report_is_there_with_its_pictures(self, notifier, readers):
        reference = notifier.post(DAY, "<p>one</p>", blocks("one"), {"rates": b"png", "loop": b"gnp"})
        assert reference
        (report,) = readers.reports(DAY)
        assert "one" in report
        assert readers.pictures(DAY) == {"rates": b"png", "loop": b"gnp"}

    def test_the_same_day_again_replaces_it(self, notifier, readers):
        references = {notifier.post(DAY, f"<p>{word}</p>", blocks(word), {}) for word in ("first", "second", "second")}
        assert len(references) == 1
        (report,) = readers.reports(DAY)
        assert "second" in report
        assert "first" not in report

    def test_a_picture_that_changed_is_replaced(self, notifier, readers):
        for picture in (b"old", b"old", b"new"):
            notifier.post(DAY, "<p>a</p>", blocks("a"), {"rates": picture})
        assert readers.pictures(DAY) == {"rates": b"new"}

    def test_every_day_has_its_own(self, notifier, readers):
        notifier.post(NEXT, "<p>later</p>", blocks("later"), {})
        notifier.post(DAY, "<p>sooner</p>", blocks("sooner"), {})
        assert [("sooner" in report, "later" in report) for report in readers.reports(DAY)] == [(True, False)]
        assert [("sooner" in report, "later" in report) for report in readers.reports(NEXT)] == [(False, True)]

    def test_a_report_of_many_sentences_loses_none(self, notifier, readers):
        sentences = [f"sentence number {number} of them all" for number in range(60)]
        notifier.post(DAY, "".join(f"<p>{one}</p>" for one in sentences), blocks(*sentences), {})
        (report,) = readers.reports(DAY)
        assert [one for one in sentences if one not in report] == []

    @pytest.mark.parametrize("name", ["../outside", "a/b", "", "A.png"])
    def test_a_picture_s_name_cannot_lead_elsewhere(self, notifier, readers, name):
        with pytest.raises(NotifierError):
            notifier.post(DAY, "", blocks("a"), {name: b"png"})
        assert readers.reports(DAY) == []

    def test_the_doctor_hears_its_name(self, notifier):
        assert notifier.check().startswith(f"{notifier.name}: ")
