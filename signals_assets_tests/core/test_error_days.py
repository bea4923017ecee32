"""Errors by day: which sessions met one, and nothing where few did."""

from datetime import date
from typing import Any

from signals_assets.core.error_days import error_days
from signals_assets.core.error_templates import masked, template_id

DAY = date(2026, 3, 29)
MESSAGE = "upstream search timed out"
ID = template_id(masked(MESSAGE))


def session(number: int, day: date = DAY) -> dict[str, Any]:
    return {
        "session_id": f"s{day.day}-{number}", "user_id": f"u{number}", "organization_id": f"o{number % 4}", "day": day,
    }  # fmt: skip


SESSIONS = [session(number) for number in range(200)]


def lines(count: int, message: str = MESSAGE) -> list[dict[str, Any]]:
    return [{"message": message, "session_id": f"s29-{number % 200}"} for number in range(count)]


def test_a_session_counts_once_however_many_lines_it_has() -> None:
    assert error_days(lines(50), SESSIONS, {ID}, audience="company") == {ID: {DAY: 0.25}}
    assert error_days(lines(50) * 4, SESSIONS, {ID}, audience="company") == {ID: {DAY: 0.25}}


def test_few_nobody_and_nearly_all_look_alike() -> None:
    earlier = [session(number, date(2026, 3, 28)) for number in range(200)]
    found = error_days(lines(6), [*SESSIONS, *earlier], {ID}, audience="company")
    assert found == {ID: {date(2026, 3, 28): None, DAY: None}}
    assert error_days(lines(200), SESSIONS, {ID}, audience="company") == {ID: {DAY: None}}
    assert error_days(lines(50), SESSIONS, {ID}, audience="public") == {ID: {DAY: None}}


def test_lines_without_a_known_session_and_other_templates_are_not_counted() -> None:
    others = [{"message": MESSAGE, "session_id": None}, {"message": MESSAGE, "session_id": "gone"}]
    unlike = lines(200, "certificate expired yesterday evening")
    assert error_days([*lines(50), *others, *unlike], SESSIONS, {ID}, audience="company") == {ID: {DAY: 0.25}}
    assert error_days(others, SESSIONS, {ID}, audience="company") == {}
