"""Small makers of sessions and rows for tests: plain functions with keyword overrides."""

from datetime import UTC, date, datetime
from typing import Any

from signals_assets.core.sessions import Agent, Session, Step

DAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()


def make_step(kind: str = "user_message", text: str | None = "please add a test", **over: Any) -> Step:
    """One step; give `at` in seconds after noon of DAY."""
    if "at" in over and over["at"] is not None:
        over["at"] = NOON + over["at"]
    return Step(kind=kind, text=text, **over)


def make_session(*steps: Step, session_id: str = "one", **over: Any) -> Session:
    """A session of DAY that started at noon."""
    values: dict[str, Any] = {"agent": Agent("helper", "1.0.0", "some-model"), "started_at": NOON, "user_id": "ann"}
    return Session(session_id=session_id, steps=list(steps or [make_step()]), **(values | over))


def row_values(model: type, **over: Any) -> dict[str, Any]:
    """Values that satisfy a row model: neutral ones by type, overridden by name."""
    import typing

    from signals_assets.zones import Abstracted, _unpickled

    neutral: dict[Any, Any] = {
        str: "x", int: 1, float: 0.5, bool: False, date: DAY, datetime: datetime(2026, 1, 5, 12, tzinfo=UTC),
        Abstracted: _unpickled("the user asked for a test"),
    }  # fmt: skip
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name in over:
            values[name] = over[name]
        elif info.is_required():
            annotation = info.annotation
            if typing.get_origin(annotation) is typing.Literal:
                values[name] = typing.get_args(annotation)[0]
            elif typing.get_origin(annotation) is list:
                values[name] = []
            else:
                arguments = [item for item in typing.get_args(annotation) if item is not type(None)]
                values[name] = neutral[arguments[0] if arguments else annotation]
    return values
