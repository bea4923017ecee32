"""The job `taxonomy`: a decision from the UI. The sensor: proposals that pass every rule, where nobody has to be asked.

Put here: the job's configuration and op, which proposals are accepted without a person (a setting, off by default).
Not here: the rules (a column of `taxonomy_proposals`), what a decision does (see `resources/decisions.py`).
"""

from typing import Any

import dagster as dg
from pydantic import ConfigDict, Field

from signals_assets import automation
from signals_assets.core.taxonomy import ACTIONS, KINDS, TaxonomyError, check
from signals_assets.guard import guarded
from signals_assets.partitions import FRICTION_TYPES
from signals_assets.resources.decisions import (
    acceptance,
    category,
    decide,
    last_decision,
    proposal,
    proposals,
    rejection,
    splitting,
    taxonomy_of,
)
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.sensors import request
from signals_assets.settings import Settings

AUTHOR = "auto-accept"


class Decision(dg.Config):
    """One decision about the taxonomy, as `signals taxonomy` takes it. What an action does not use stays empty."""

    model_config = ConfigDict(hide_input_in_errors=True)

    action: str = Field(description=f"One of {', '.join(ACTIONS)}.")
    slug: str = Field("", description="The proposal (accept, reject) or the category.")
    kind: str = Field("", description=f"Where categories of several kinds have the slug: {', '.join(KINDS)}.")
    into: str = Field("", description="Of merge: the category that goes on.")
    name: str = Field("", description="Of accept and rename: the name.")
    definition: str = Field("", description="Of accept and rename: the definition.")
    is_not: str = Field("", description="Of accept and rename: what does not belong to it.")
    pieces: int = Field(2, description="Of split: into how many.")
    entry: int = Field(0, description="Of undo: the decision's entry; 0 is the last one.")
    author: str = Field("the UI", description="Who decides: stands in the ledger.")


def payload_of(decision: Decision, warehouse: Warehouse, ledger: Ledger) -> dict[str, Any]:
    """The ledger's payload of a decision. Raises TaxonomyError where it names nothing that there is."""
    taxonomy = taxonomy_of(ledger)
    words = {name: getattr(decision, name) for name in ("name", "definition", "is_not")}
    match decision.action:
        case "accept":
            return acceptance(warehouse, proposal(warehouse, decision.slug), **words)
        case "reject":
            return rejection(warehouse, proposal(warehouse, decision.slug))
        case "undo":
            return {"action": "undo", "undoes": decision.entry or last_decision(taxonomy)}
    item = category(taxonomy, decision.slug, decision.kind or None)
    if decision.action == "split":
        return splitting(warehouse, taxonomy, item, decision.pieces)
    more = {"merge": {"into": decision.into}, "rename": {k: v for k, v in words.items() if v}}
    return {"action": decision.action, "kind": item.kind, "slug": item.slug, **more.get(decision.action, {})}


@dg.op(description="Write one decision about the taxonomy into the ledger; it counts from the next day on.")
@guarded
def decide_taxonomy(
    context: dg.OpExecutionContext,
    config: Decision,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
) -> None:
    """The same as `signals taxonomy`: refused decisions fail the run and write nothing."""
    payload = payload_of(config, warehouse, ledger)
    entry, taxonomy = decide(ledger, payload, author=config.author)
    context.instance.add_dynamic_partitions(str(FRICTION_TYPES.name), list(taxonomy.slugs("friction")))
    context.log.info("taxonomy version %d, entry %d", taxonomy.version, entry.seq)


@dg.job(
    name="taxonomy",
    description="Decide about the taxonomy: accept or reject a proposal, rename, merge, split, retire, undo.",
)
def taxonomy_job() -> None:
    """One step with the decision as its configuration."""
    decide_taxonomy()


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor; it does nothing unless the setting says so."""

    @dg.sensor(
        name="auto_acceptance",
        job=taxonomy_job,
        minimum_interval_seconds=300,
        default_status=automation.sensor_status(settings),
        description="Accept what passes every rule, where the setting discovery.auto_accept says so.",
    )
    @guarded
    def auto_acceptance(
        context: dg.SensorEvaluationContext, warehouse: dg.ResourceParam[Warehouse], ledger: dg.ResourceParam[Ledger]
    ) -> dg.SensorResult | dg.SkipReason:
        if not settings.discovery.auto_accept:
            return dg.SkipReason("discovery.auto_accept is off: a person decides")
        taxonomy = taxonomy_of(ledger)
        requests = []
        for row in proposals(warehouse):
            if not row["ready"] or row["day"] != ledger.newest_day():
                continue
            try:
                check(taxonomy, {"action": "accept", "kind": row["kind"], "slug": row["slug"]})
            except TaxonomyError:
                continue  # accepted already: it is no proposal from the next day on
            asked = request(context, f"accept:{row['proposal_id']}:{row['day']}", "", {})
            config = {"action": "accept", "slug": row["proposal_id"], "author": AUTHOR}
            requests.append(
                dg.RunRequest(
                    run_key=asked.run_key,
                    tags=asked.tags,
                    run_config={"ops": {"decide_taxonomy": {"config": config}}},
                )
            )
        return dg.SensorResult(run_requests=requests)

    return auto_acceptance
