"""Duplicates: what open tickets and changes in flight say, weighed against a cause before a ticket is filed for it.

Put here: reading the doors and embedding what is compared.
Not here: comparing and deciding (see `core/deduplication.py`), filing (see `resources/filing.py`).

What people wrote is read, compared and forgotten: only numbers and references come out.

What was weighed is not weighed again inside the transaction that files: no transaction reaches a tracker or a code
host, so that a second look would only make the gap shorter, with the ledger held while the doors are asked. What could
be filed twice by us is looked up there again (`may_file`, keys); what a person writes in those seconds costs a second
ticket, never a wrong merge.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

from signals_assets.core.deduplication import (
    NOTHING,
    TRIGRAMS,
    VECTORS,
    Bounds,
    Concern,
    Evidence,
    by_trigrams,
    by_vectors,
    sentences,
    weigh,
)
from signals_assets.resources.code_host import PREFIX, CodeHost
from signals_assets.resources.embedder import Embedder
from signals_assets.resources.tracker import Tracker


def weighed(
    concern: Concern,
    tracker: Tracker,
    code_host: CodeHost,
    embedder: Embedder,
    *,
    types: Mapping[str, Sequence[str]],
    components: Mapping[str, Sequence[str]],
) -> tuple[list[Evidence], Bounds]:
    """How people's open tickets and all changes in flight compare with a cause, and from where on they are the same.

    Our own tickets are known by their fingerprints, and only those that the cause's keys name are looked at; branches
    that we drafted are nobody's work yet. Without an embedder trigrams are compared. Nothing is embedded where there
    is nothing to compare. Raises what the doors raise.
    """
    tickets = [ticket for ticket in tracker.open_tickets() if not ticket.ours or ticket.key in concern.keys]
    changes = [change for change in code_host.pull_requests_in_flight() if not change.branch.startswith(PREFIX)]
    if embedder.dimensions == 0 or not (tickets or changes):
        found = weigh(concern, tickets, changes, types=types, components=components, alike=by_trigrams, bounds=TRIGRAMS)
        return found, TRIGRAMS
    said = [sentences(ticket.title, ticket.body, components) for ticket in tickets]
    said += [sentences(change.title, change.body, components) for change in changes]
    texts = sorted({*concern.symptoms, *NOTHING, *chain.from_iterable(types.values()), *chain.from_iterable(said)})
    alike = by_vectors(dict(zip(texts, embedder.embed(texts), strict=True)))
    return weigh(concern, tickets, changes, types=types, components=components, alike=alike, bounds=VECTORS), VECTORS
