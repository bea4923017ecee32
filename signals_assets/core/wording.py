"""What may be said in the published zone: taxonomy names, listed labels, versions, rounded rates, plain text.

Put here: `Wording`.
Not here: how text is escaped (see `core/barrier/publication.py`), the sentences (see `core/levels.py`,
`core/diagnosis.py`, `core/tickets.py`), rules about words of sessions (see `core/barrier`): nothing that comes from a
session's text is published through here.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from signals_assets.core.barrier.publication import one_line
from signals_assets.core.barrier.thresholds import rounded_rate
from signals_assets.core.components import FAMILIES
from signals_assets.core.detectors.intents import INTENTS
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.settings import Audience, Settings
from signals_assets.tables import Kind

_VERSION: Final = re.compile(r"v?\d{1,9}(\.\d{1,9}){0,3}([-.]?(alpha|beta|rc|dev|post)[.-]?\d{0,6})?")
_INTENTS: Final = frozenset(name for name, _ in INTENTS)
_NUMBER: Final = re.compile(r"(PR-|#|!)?\d{1,9}")
_OPAQUE: Final = re.compile(r"[a-z]{1,12}[-_][0-9a-f]{6,20}")


@dataclass(frozen=True, slots=True)
class Wording:
    """What may be said in the published zone, and to whom.

    taxonomy: built-in types and those a person accepted.  allowed: components, services, intents, error templates and
    other labels that may be named.
    """

    taxonomy: Taxonomy
    allowed: Collection[str] = frozenset()
    audience: Audience = "company"

    @classmethod
    def of(cls, taxonomy: Taxonomy, settings: Settings) -> "Wording":
        """What an installation may say: its allow list and the components it named."""
        return cls(taxonomy, frozenset(settings.allowed_labels) | frozenset(settings.components), settings.audience)

    def name(self, slug: str, kind: Kind = "friction") -> str:
        """The accepted name of a type of friction or delight, else an opaque label."""
        known = self.taxonomy.get(kind, slug)
        return one_line(known.name) if known else self.label("type", slug)

    def definition(self, friction_type: str) -> str:
        """What users experience, in the taxonomy's words; empty for a type that is not accepted."""
        known = self.taxonomy.get("friction", friction_type)
        return one_line(known.definition) if known else ""

    def lever(self, friction_type: str) -> str:
        """The taxonomy's lever of a type: tool, intent, answer, product, harness or unknown."""
        known = self.taxonomy.get("friction", friction_type)
        return known.lever if known else "unknown"

    def label(self, kind: str, value: str | None) -> str:
        """`value` where it may be said (listed, of the taxonomy, a version or number, opaque), else a hash."""
        if not value or value == "unknown":
            return "unknown"
        general = (
            (kind == "component" and value in FAMILIES)
            or (kind == "version" and _VERSION.fullmatch(value))
            or (kind == "pull_request" and _NUMBER.fullmatch(value))
            or (kind == "intent" and (value in _INTENTS or self.taxonomy.get("intent", value)))
        )
        if general or value in self.allowed or _OPAQUE.fullmatch(value):
            return one_line(value)
        return f"{kind}-{content_id(kind, value)[len(kind) + 1 :][:8]}"

    def rate(self, rate: float, sessions: int) -> float:
        """A rate rounded for the audience."""
        return rounded_rate(rate, sessions, self.audience)


def percent(rate: float) -> str:
    """A rate for people: 31 %, 0.4 %."""
    points = rate * 100
    return f"{points:.1f} %" if 0 < points < 1 else f"{points:.0f} %"
