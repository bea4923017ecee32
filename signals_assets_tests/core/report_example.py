"""Made-up rows of every table that the report reads: four weeks, two releases, a fix that works and one that does not.

Every row is validated by its row model, so an example cannot drift from the contract.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import sin
from typing import Any

from signals_assets import tables
from signals_assets.core.barrier.thresholds import Size
from signals_assets.core.landscape import Standing
from signals_assets.zones import Abstracted, _unpickled

DAY = date(2026, 3, 29)

NAMES = {
    "error_event": "Error", "repeated_rephrasing": "Repeated rephrasing", "escalation_tone": "Escalation in tone",
    "platform_confusion": "Confusion about the product", "abandoned_tool_flow": "Abandoned tool flow",
    "backtracking": "Backtracking", "context_churn": "Context churn", "correction": "Correction",
    "first_attempt_success": "Success at the first attempt", "positive_exclamation": "Positive exclamation",
    "time_saved": "Time saved",
}  # fmt: skip

LEVELS = {
    "error_event": 0.34, "correction": 0.27, "context_churn": 0.12, "repeated_rephrasing": 0.2, "backtracking": 0.09,
    "abandoned_tool_flow": 0.14, "platform_confusion": 0.06, "escalation_tone": 0.035,
}  # fmt: skip

CLUSTER_USERS = [80, 64, 51, 44, 33, 30, 24, 18, 12, 9, 7, 6, 2]

DELIGHTS = {"first_attempt_success": 0.16, "positive_exclamation": 0.08, "time_saved": 0.03}


def row(model: type[tables.Row], day: date = DAY, **values: Any) -> dict[str, Any]:
    """A row as the warehouse gives it back: a mapping with plain text."""
    admitted = {key: _admitted(model, key, value) for key, value in values.items()}
    made = model.model_validate({"day": day, **admitted})
    return {name: _text(getattr(made, name)) for name in model.model_fields}


def _admitted(model: type[tables.Row], key: str, value: Any) -> Any:
    annotation = str(model.model_fields[key].annotation)
    if "Abstracted" not in annotation:
        return value
    return [_unpickled(one) for one in value] if isinstance(value, list) else _unpickled(value)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value.text if isinstance(value, Abstracted) else value


def rate(type_: str, value: float, day: date = DAY, **changes: Any) -> dict[str, Any]:
    half = 0.02 + value * 0.12
    values = {
        "kind": "friction", "type": type_, "slice_kind": "all", "slice": "all", "source": "detector", "window_days": 7,
        "rate": round(value, 3), "low": round(max(0.0, value - half), 3), "high": round(min(1.0, value + half), 3),
        "users": "50-99", "sessions": "200-499", "coverage": 1.0, "severe_share": 0.1, "taxonomy_version": 1,
    }  # fmt: skip
    return row(tables.FrictionRate, day, **{**values, **changes})


def friction_rates() -> list[dict[str, Any]]:
    rows = []
    for back in range(28):
        day = DAY - timedelta(days=back)
        for number, (type_, level) in enumerate(LEVELS.items()):
            week = level * (1 + 0.08 * sin(back / 3 + number))
            if type_ == "context_churn":
                week = level * (1 + 1.6 * min(1.0, max(0.0, (13 - back) / 7)))
            rows.append(rate(type_, week, day))
            single = max(0.0, week * (1 + 0.3 * sin(back * 2.3 + number)))
            rows.append(rate(type_, single, day, window_days=1, sessions="50-99"))
        for type_, level in DELIGHTS.items():
            rows.append(rate(type_, level * (1 + 0.1 * sin(back)), day, kind="delight", severe_share=None))
    analyst = {"source": "analyst", "coverage": 0.31, "sessions": "100-199"}
    return rows + [rate(type_, level * 0.9, **analyst) for type_, level in LEVELS.items()]


def release(type_: str, version: str, days_ago: int, verdict: str, evidence: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "agent_name": "assistant", "release_kind": "version", "version": version, "kind": "friction", "type": type_,
        "released_on": DAY - timedelta(days=days_ago), "source": "detector", "verdict": verdict, "evidence": evidence,
        "rate_before": 0.2, "rate_after": 0.21, "effect": 0.01, "low": -0.03, "high": 0.05, "q": 0.7, "e_value": 0.4,
        "smallest_detectable": 0.06, "users_after": "50-99", "sessions_after": "200-499", "comparisons": 24,
    }  # fmt: skip
    return row(tables.ReleaseCorrelation, **{**values, **changes})


def release_correlations() -> list[dict[str, Any]]:
    worse = {"rate_before": 0.12, "rate_after": 0.31, "effect": 0.19, "low": 0.12, "high": 0.26, "q": 0.0004}
    better = {"rate_before": 0.27, "rate_after": 0.2, "effect": -0.07, "low": -0.12, "high": -0.02, "q": 0.011}
    fewer = {"rate_before": 0.15, "rate_after": 0.1, "effect": -0.05, "low": -0.1, "high": -0.002, "q": 0.09}
    return [
        release("error_event", "2.4.0", 13, "inconclusive", "none"),
        release("context_churn", "2.4.0", 13, "regressed", "confirmed", e_value=48_000.0, **worse),
        release("repeated_rephrasing", "2.5.0", 4, "improved", "confirmed", e_value=210.0, **better),
        release("abandoned_tool_flow", "2.5.0", 4, "improved", "suspected", e_value=3.2, **fewer),
        release("correction", "2.4.0", 13, "unchanged", "none"),
        release("escalation_tone", "2.5.0", 4, "inconclusive", "not_enough_data", effect=None, low=None, high=None),
        release("error_event", "2.3.2", 22, "unchanged", "none"),
    ]


def error(template: str, type_: str, verdict: str, ratio: float) -> dict[str, Any]:
    return row(
        tables.ErrorCorrelation, template_id=template, template=template, service="search-api", type=type_,
        method="self_controlled", verdict=verdict, observed=41.0, expected=round(41 / ratio, 1), ratio=ratio,
        low=ratio * 0.7, high=ratio * 1.4, q=0.002, users="20-49", sessions="50-99", comparisons=36,
    )  # fmt: skip


def indicator(first: str, outcome: str, difference: float, low: float) -> dict[str, Any]:
    return row(
        tables.LeadingIndicator, indicator=first, outcome=outcome, rate_with=0.12 + difference, rate_without=0.12,
        difference=difference, low=low, high=2 * difference - low, q=0.01, lead_steps=6.0, lead_minutes=4.5,
        users="50-99", sessions="100-199",
    )  # fmt: skip


def level(type_: str, value: float | None, state: str, **changes: Any) -> dict[str, Any]:
    values = {
        "type": type_, "level": value, "lower_bound": (value or 0.0) * 0.85, "ceiling": 0.25, "state": state,
        "crossed": state == "crossed", "users": "50-99", "sessions": "200-499",
        "reason": f"level {value or 0.0:.0%} against a ceiling of 25%",
    }  # fmt: skip
    return row(tables.FrictionLevel, **{**values, **changes})


def proposal(number: int, name: str, users: int, **changes: Any) -> dict[str, Any]:
    values = {
        "proposal_id": f"P-{number:04d}", "kind": "friction", "slug": name.replace(" ", "_"), "name": name,
        "definition": f"The agent showed {name}.", "nearest": "correction", "nearest_similarity": 0.41, "items": 64,
        "users": users, "sessions": users * 2, "organizations": 6, "days_seen": 9, "first_day": date(2026, 3, 16),
        "stability": 0.92, "ready": True,
    }  # fmt: skip
    return row(tables.TaxonomyProposal, **{**values, **changes})


def cluster(number: int, theme: int, users: int, **changes: Any) -> dict[str, Any]:
    values = {
        "cluster_id": f"C-{number:03d}", "level": "pattern", "parent_id": f"T-{theme:03d}", "kind": "friction",
        "terms": ["search", "timeout", "again", "slow"], "items": users * 3, "users": users, "sessions": users * 2,
        "change": "new" if number == 4 else "kept", "threshold": 0.5, "reclustered_on": DAY,
        "x": theme + 0.6 * sin(number * 1.9), "y": sin(theme * 2.1) + 0.5 * sin(number * 2.7),
    }  # fmt: skip
    return row(tables.Cluster, **{**values, **changes})


def theme(number: int, users: int, **changes: Any) -> dict[str, Any]:
    values = {"cluster_id": f"T-{number:03d}", "level": "theme", "parent_id": None, "x": number, "y": sin(number * 2.1)}
    return cluster(number, number, users, **{**values, **changes})


def behind(clusters: Sequence[Mapping[str, Any]], **sizes: Any) -> dict[str, Standing]:
    """Standings that say the same of users and sessions as the rows of the clusters."""
    return {
        one["cluster_id"]: Standing(
            Size(**{"users": one["users"], "sessions": one["sessions"], "organizations": 4, "largest": 1, **sizes}),
            (None, 0.1, 0.1, 0.2),
            "correction",
        )
        for one in clusters
    }


def ticket(key: str, type_: str, state: str, filed: int, **changes: Any) -> dict[str, Any]:
    values = {
        "ticket_key": key, "cause_id": f"cause-{key}", "type": type_, "component": "search", "generation": 1,
        "state": state, "filed_on": DAY - timedelta(days=filed), "reference": f"tickets/{key}.md",
    }  # fmt: skip
    return row(tables.TicketRow, **{**values, **changes})


def fix(key: str, type_: str, verdict: str, before: float, after: float, half: float) -> dict[str, Any]:
    return row(
        tables.FixOutcome, ticket_key=key, type=type_, version="2.5.0", released_on=DAY - timedelta(days=4),
        verdict=verdict, rate_before=before, rate_after=after, effect=after - before, low=after - before - half,
        high=after - before + half, e_value=60.0, control_effect=0.002, cohort="users outside the diagnosis",
        users_after="20-49", sessions_after="100-199",
    )  # fmt: skip


def intent(name: str, share: float, friction: float, **changes: Any) -> dict[str, Any]:
    values = {
        "intent": name, "share": share, "friction_rate": friction, "low": friction - 0.05, "high": friction + 0.06,
        "success_rate": 0.62, "abandoned_rate": 0.11, "change": 0.02, "users": "20-49", "sessions": "100-199",
    }  # fmt: skip
    return row(tables.IntentTrend, **{**values, **changes})


def severity(number: int, type_: str, value: str | None, **changes: Any) -> dict[str, Any]:
    values = {
        "known_on": DAY, "session_id": f"s{number}", "user_id": f"u{number % 12}", "organization_id": f"o{number % 3}",
        "event_id": f"e{number}", "agent_name": "assistant", "type": type_, "severity": value, "steps": [number],
        "source": "detector", "confidence": 1.0, "taxonomy_version": 1,
    }  # fmt: skip
    return row(tables.FrictionEvent, **{**values, **changes})


def days_before(count: int) -> date:
    return DAY - timedelta(days=count)


def example() -> dict[str, list[dict[str, Any]]]:
    return {
        "friction_rates": friction_rates(),
        "release_correlations": release_correlations(),
        "error_correlations": [
            error("upstream search timed out after <num> ms", "error_event", "coincides", 4.2),
            error("E-77c1", "repeated_rephrasing", "coincides", 2.1),
            error("E-0b1d", "correction", "not_shown", 1.1),
        ],
        "leading_indicators": [
            indicator("repeated_rephrasing>=2", "outcome=abandoned", 0.31, 0.2),
            indicator("escalation_tone>=1", "outcome=abandoned", 0.22, 0.09),
            indicator("context_churn>=1", "outcome=abandoned", 0.02, -0.03),
        ],
        "intent_trends": [
            intent("bug_fix", 0.34, 0.41), intent("new_feature", 0.27, 0.33),
            intent("refund_request", 0.12, 0.22, change=-0.03), intent("other", 0.27, 0.25, change=None),
        ],
        "friction_levels": [
            level("error_event", 0.34, "cooldown"),
            level("context_churn", 0.31, "crossed", trigger="rise", version="2.4.0"),
            level("correction", 0.27, "over"), level("repeated_rephrasing", 0.2, "recovering"),
            level("backtracking", 0.09, "ok"), level("escalation_tone", 0.035, "not_enough_data"),
        ],
        "taxonomy_proposals": [
            proposal(12, "silent partial answer", 34),
            proposal(13, "stale preview", 12, ready=False, waiting_for="seven_days", days_seen=4, stability=0.71),
            proposal(14, "rare thing", 2, organizations=1),
        ],
        "clusters": [
            *(theme(n, 90 - 10 * n) for n in range(4)),
            *(cluster(n, n % 4, users) for n, users in enumerate(CLUSTER_USERS)),
        ],
        "ticket_states": [
            ticket("SIG-1A2B3C4D", "repeated_rephrasing", "verified", 20, pull_request_id="41",
                   merged_on=days_before(9), released_in="2.5.0", released_on=days_before(4), verdict="improved"),
            ticket("SIG-5E6F7A8B", "abandoned_tool_flow", "failed", 18, pull_request_id="43",
                   merged_on=days_before(8), released_in="2.5.0", released_on=days_before(4), verdict="unchanged"),
            ticket("SIG-9C0D1E2F", "error_event", "merged", 8, pull_request_id="52", merged_on=days_before(2),
                   reference="https://tracker.example/SIG-9C0D1E2F"),
            ticket("SIG-3A4B5C6D", "context_churn", "open", 1),
        ],
        "fix_outcomes": [
            fix("SIG-1A2B3C4D", "repeated_rephrasing", "improved", 0.27, 0.2, 0.05),
            fix("SIG-5E6F7A8B", "abandoned_tool_flow", "unchanged", 0.14, 0.145, 0.015),
        ],
        "loop_metrics": [
            row(tables.LoopMetric, metric="share_of_fixes_that_work", value=0.5, unit="share", n=2),
            row(tables.LoopMetric, metric="days_to_verified_fix", value=16.0, unit="days", n=1),
            row(tables.LoopMetric, metric="days_to_reopen", value=None, unit="days", n=0),
        ],
    }  # fmt: skip


COVERAGE: Mapping[str, Mapping[str, int]] = {
    "raw_sessions": {"asked": 412, "answered": 409, "refused": 0, "rejected": 3, "failed": 0,
                     "notes.without_user": 12},
    "analyses": {"asked": 130, "answered": 121, "refused": 2, "rejected": 1, "failed": 0, "skipped.over_budget": 6,
                 "notes.cost_usd_cents": 184},
}  # fmt: skip
