from datetime import date

from signals_assets.core.causes import CauseFacts
from signals_assets.core.diagnosis import diagnose
from signals_assets.core.taxonomy import seed
from signals_assets.core.wording import Wording

DAY = date(2026, 3, 9)
WORDING = Wording(seed(), frozenset({"bug fix", "billing", "connection refused"}))


def cause(type_="context_churn", component="file_read"):
    return CauseFacts("cause_1", type_, component, 20, 40, 4, 60, DAY)


def release(type_="context_churn", **columns):
    return {
        "kind": "friction",
        "type": type_,
        "verdict": "regressed",
        "evidence": "confirmed",
        "version": "1.4.0",
        "release_kind": "version",
        "released_on": DAY,
        "rate_before": 0.08,
        "rate_after": 0.31,
        "z": 5.0,
    } | columns


def error(type_="error_event", **columns):
    return {
        "type": type_,
        "verdict": "coincides",
        "template_id": "error_0011223344556677",
        "template": "connection refused",
        "service": "billing",
        "ratio": 3.1,
        "low": 2.0,
        "high": 4.8,
    } | columns


def rate(slice_kind="all", slice_="all", low=0.08, high=0.12, type_="correction", **columns):
    return {
        "kind": "friction",
        "type": type_,
        "slice_kind": slice_kind,
        "slice": slice_,
        "source": "detector",
        "window_days": 7,
        "rate": (low + high) / 2,
        "low": low,
        "high": high,
    } | columns


def event(number, type_, component):
    return {
        "event_id": f"{type_}{component}{number}",
        "day": DAY,
        "type": type_,
        "component": component,
        "session_id": f"s_{number}",
        "user_id": f"u_{number}",
    }


def test_without_evidence_the_lever_cannot_be_said():
    found = diagnose(cause(), wording=WORDING)
    assert (found.lever, found.evidence) == ("cannot say", ())


def test_a_confirmed_release_names_the_lever_of_the_type():
    found = diagnose(cause(), wording=WORDING, release_correlations=[release()])
    assert (found.lever, found.release) == ("harness or prompt", "1.4.0")
    assert found.evidence == ("The rate went from 8 % to 31 % with version 1.4.0, released on 2026-03-09 (confirmed).",)


def test_a_released_prompt_is_the_lever_whatever_the_type():
    rows = [release("correction", release_kind="prompt", version="7")]
    assert diagnose(cause("correction"), wording=WORDING, release_correlations=rows).lever == "harness or prompt"


def test_a_suspected_release_is_mentioned_and_names_no_lever():
    found = diagnose(cause(), wording=WORDING, release_correlations=[release(evidence="suspected")])
    assert (found.lever, found.release) == ("cannot say", None)
    assert "(suspected)" in found.evidence[0]


def test_another_types_release_is_no_evidence():
    assert diagnose(cause("correction"), wording=WORDING, release_correlations=[release()]).lever == "cannot say"


def test_a_coinciding_backend_error_is_the_lever_of_tool_errors_even_beside_a_release():
    rows = {"release_correlations": [release("error_event")], "error_correlations": [error()]}
    found = diagnose(cause("error_event"), wording=WORDING, **rows)
    assert (found.lever, found.error) == ("backend", "connection refused")


def test_an_error_that_is_not_shown_to_coincide_is_no_evidence():
    rows = [error(verdict="not_shown"), error(low=0.9)]
    assert diagnose(cause("error_event"), wording=WORDING, error_correlations=rows).lever == "cannot say"


def test_an_error_text_that_nobody_listed_stays_opaque():
    rows = [error(template="user jane@example.com failed", service="janes-service")]
    found = diagnose(cause("error_event"), wording=WORDING, error_correlations=rows)
    assert "jane" not in repr(found)


def test_concentration_in_an_intent_needs_intervals_that_do_not_overlap():
    overlapping = [rate(), rate("intent", "bug fix", 0.11, 0.3)]
    apart = [rate(), rate("intent", "bug fix", 0.2, 0.3)]
    assert diagnose(cause("correction"), wording=WORDING, friction_rates=overlapping).lever == "cannot say"
    found = diagnose(cause("correction"), wording=WORDING, friction_rates=apart)
    assert found.lever == "misread intent"
    assert found.evidence == (
        "It concentrates in intent bug fix: 2.5 times (95 % interval 1.7 to 3.8) the overall rate.",
    )


def test_concentration_in_a_component_is_measured_against_other_friction():
    here = [event(i, "abandoned_tool_flow", "shell") for i in range(30)]
    other = [event(i, "correction", "shell") for i in range(10)]
    other += [event(i, "correction", "search") for i in range(10, 60)]
    found = diagnose(cause("abandoned_tool_flow", "shell"), wording=WORDING, causes_window=here + other)
    assert found.lever == "wrong tool"
    even = [event(i, "correction", "shell") for i in range(60)]
    assert diagnose(cause("abandoned_tool_flow", "shell"), wording=WORDING, causes_window=here + even).evidence == ()


def test_what_it_leads_to_is_said_only_where_it_is_shown():
    row = {
        "indicator": "context_churn>=1",
        "outcome": "outcome=abandoned",
        "difference": 0.12,
        "low": 0.05,
        "high": 0.19,
    }
    shown = diagnose(cause(), wording=WORDING, leading_indicators=[row | {"q": 0.01}])
    assert shown.evidence == (
        "Sessions with it are given up 12 points more often than others of their length (95 % interval 5 to 19).",
    )
    assert diagnose(cause(), wording=WORDING, leading_indicators=[row | {"q": 0.2}]).evidence == ()
