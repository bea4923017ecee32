"""A query over the tables as a version of the taxonomy knew them.

Put here: `as_of_version`: SQL (DuckDB's) in which every named table shows what was known under a version.
Not here: running it (see `resources/warehouse.py`), folding decisions (see `taxonomy.py`).

What happened is never rewritten, so nothing has to be restored: labels carry the version they were given under, and the
taxonomy of a version is the fold of the decisions up to it.

    tables of events            `type` is the newest label up to the version, followed through its merges, else as
                                stored; what that version had no type for is `other`
    unmet_needs                 gets a column `type` in the same way
    facets                      the primary intent is the accepted one up to the version, else as the analyst said it
    tables that were computed   rows of later versions are left out (`taxonomy_version`): days after the version have
                                none
    all others                  as they are
"""

import re
from typing import Final

from signals_assets.core.taxonomy import Taxonomy, TaxonomyError
from signals_assets.tables import TABLES, Row

OTHER: Final = "other"
_EVENTS: Final = {"friction_events": "friction", "delight_events": "delight", "causes": "friction"}
"""Tables with a row for an event that has a type -> its kind."""


def as_of_version(query: str, taxonomy: Taxonomy) -> str:
    """The query over the tables as `taxonomy`, the fold up to a version, knew them; one that is no SELECT fails as SQL.

    Raises TaxonomyError when the query names its tables with a schema: those would be today's.
    """
    if re.search(r"\bmain\s*\.", query, re.IGNORECASE):
        raise TaxonomyError("name tables without `main.`: with it they are today's")
    named = [model for name, model in TABLES.items() if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
    views = [f'"{model.table}" AS ({sql})' for model in named if (sql := _view(model, taxonomy))]
    body = query.strip().rstrip(";")
    return f"WITH {', '.join(views)} SELECT * FROM ({body})" if views else body


def _view(model: type[Row], taxonomy: Taxonomy) -> str:
    """What stands for a table under the version; empty where it is the same under every version."""
    name, version = model.table, taxonomy.version
    if name in _EVENTS and "type" in model.model_fields:
        kind = _EVENTS[name]
        return (
            f"SELECT e.* REPLACE (CASE WHEN coalesce(l.type, e.type) IN ({_words(taxonomy, kind)}) "
            f"THEN {_followed('coalesce(l.type, e.type)', taxonomy, kind)} ELSE '{OTHER}' END AS type) "
            f"FROM main.{name} e LEFT JOIN ({_labels(kind, version)}) l ON l.event_id = e.event_id"
        )
    if name == "unmet_needs":
        return (
            f"SELECT e.*, coalesce(nullif({_followed('l.type', taxonomy, 'unmet_need')}, ''), '{OTHER}') AS type "
            f"FROM main.{name} e LEFT JOIN ({_labels('unmet_need', version)}) l "
            "ON l.event_id = e.session_id || ':need:' || CAST(e.number AS VARCHAR)"
        )
    if name == "facets":
        return (
            f"SELECT e.* REPLACE (CASE WHEN e.facet = 'primary_intent' "
            f"THEN coalesce(nullif({_followed('l.type', taxonomy, 'intent')}, ''), e.value) ELSE e.value END AS value) "
            f"FROM main.{name} e LEFT JOIN ({_labels('intent', version)}) l ON l.event_id = e.session_id || ':intent'"
        )
    if "taxonomy_version" in model.model_fields:
        return f"SELECT * FROM main.{name} WHERE taxonomy_version <= {version}"
    return ""


def _labels(kind: str, version: int) -> str:
    return (
        f"SELECT event_id, type FROM main.event_labels WHERE kind = '{kind}' AND taxonomy_version <= {version} "
        "QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY taxonomy_version DESC, day DESC, type) = 1"
    )


def _words(taxonomy: Taxonomy, kind: str) -> str:
    return ", ".join(f"'{_safe(item.slug)}'" for item in taxonomy.types if item.kind == kind) or "''"


def _followed(column: str, taxonomy: Taxonomy, kind: str) -> str:
    """The column with merged types replaced by those that go on."""
    cases = [
        f"WHEN '{_safe(item.slug)}' THEN '{_safe(taxonomy.current(kind, item.slug))}'"
        for item in taxonomy.types
        if item.kind == kind and item.merged_into is not None
    ]
    return f"CASE {column} {' '.join(cases)} ELSE {column} END" if cases else column


def _safe(slug: str) -> str:
    return slug.replace("'", "''")
