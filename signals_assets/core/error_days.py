"""How often a backend error was seen, day by day, beside the friction that it coincides with.

Put here: `error_days`. Not here: whether they coincide (see `error_association.py`), drawing (see `svg.py`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from signals_assets.core.barrier.thresholds import Size, day_shown, part_shown, rounded_rate
from signals_assets.core.error_templates import masked, mined, template_id
from signals_assets.settings import Audience

Rows = Sequence[Mapping[str, Any]]


def error_days(
    logs: Rows, sessions: Rows, wanted: Collection[str], *, audience: Audience
) -> dict[str, dict[date, float | None]]:
    """Share of each day's sessions that met the error, by template id and day; None where it may not be told.

    `logs`: message, session_id. `sessions`: session_id, user_id, organization_id, day. Lines that name no known session
    are not counted: nobody can say whom they met. Nobody and few look the same.
    """
    where = {row["session_id"]: row for row in sessions}
    known = [row for row in logs if row["session_id"] in where]
    met: dict[tuple[str, date], set[str]] = defaultdict(set)
    texts = [masked(row["message"]) for row in known]
    ids = {text: template_id(template) for text, template in mined(texts).items()}
    for row, text in zip(known, texts, strict=True):
        met[ids[text], where[row["session_id"]]["day"]].add(row["session_id"])
    by_day: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
    for row in where.values():
        by_day[row["day"]].append(row)
    return {
        template: {
            day: _share([where[session] for session in met.get((template, day), ())], by_day[day], audience)
            for day in sorted(by_day)
        }
        for template in sorted(wanted)
        if any(key[0] == template for key in met)
    }


def _share(part: Rows, whole: Rows, audience: Audience) -> float | None:
    concerned = {row["user_id"] for row in part}
    spared = {row["user_id"] for row in whole} - concerned
    organizations = [row["organization_id"] for row in part if row["organization_id"] is not None]
    largest = max((organizations.count(one) for one in set(organizations)), default=0)
    size = Size(len(concerned), len(part), len(set(organizations)) if organizations else None, largest)
    if not part or not day_shown(audience, size) or not part_shown(audience, len(concerned), len(spared)):
        return None
    return rounded_rate(len(part) / len(whole), len(whole), audience)
