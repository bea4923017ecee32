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

from signals_assets.core.deduplication import (
    TRIGRAMS,
    VECTORS,
    Bounds,
    Concern,
    Evidence,
    learnt,
    to_embed,
    weigh,
)
from signals_assets.core.topics import by_trigrams
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
    that we drafted are nobody's work yet. Without an embedder trigrams are compared, and with one that leads outside,
    too: no barrier has seen what people wrote, and the bounds are those of the model on this machine. Nothing is
    embedded where there is nothing to compare. Raises what the doors raise.
    """
    tickets = [ticket for ticket in tracker.open_tickets() if not ticket.ours or ticket.key in concern.keys]
    changes = [change for change in code_host.pull_requests_in_flight() if not change.branch.startswith(PREFIX)]
    bounds = VECTORS if not embedder.outside and embedder.dimensions else TRIGRAMS
    if not (tickets or changes):
        return [], bounds
    said = to_embed(concern, tickets, changes, types=types, components=components)
    vectors = dict(zip(said, embedder.embed(said), strict=True)) if bounds is VECTORS else by_trigrams(said)
    topics = learnt(types, vectors, bounds)
    return weigh(concern, tickets, changes, components=components, topics=topics, bounds=bounds), bounds
