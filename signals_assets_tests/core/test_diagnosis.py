from datetime import date

import pytest

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


MAP = {"checkout": ["pay", "billing"], "editor": ["Edit"]}


def test_an_error_of_another_component_s_service_is_mentioned_and_is_no_lever():
    given = {"error_correlations": [error()], "components": MAP, "wording": WORDING}
    own, other = diagnose(cause("error_event", "checkout"), **given), diagnose(cause("error_event", "editor"), **given)
    assert (own.lever, own.error) == ("backend", "connection refused")
    assert (other.lever, other.error) == ("cannot say", None)
    [said] = other.evidence
    assert said.startswith(own.evidence[0])
    assert said.endswith(", not to this one.")
    assert "checkout" not in said, "nobody listed the name"


def test_an_error_of_the_own_component_comes_before_a_surer_one_of_another():
    rows = [error(), error(service="edit-api", template_id="error_1", low=1.2, high=2.0, ratio=1.5)]
    mapped = {"checkout": ["billing"], "editor": ["edit-api"]}
    found = diagnose(cause("error_event", "editor"), wording=WORDING, error_correlations=rows, components=mapped)
    assert found.lever == "backend"
    assert "1.5 times" in found.evidence[0]


@pytest.mark.parametrize(("component", "service"), [("unknown", "billing"), ("editor", "unheard-of")])
def test_where_a_component_is_not_known_an_error_counts_for_all(component, service):
    rows = [error(service=service)]
    found = diagnose(cause("error_event", component), wording=WORDING, error_correlations=rows, components=MAP)
    assert found.lever == "backend"


def test_the_component_s_share_of_the_friction_is_told_with_interval_and_coverage():
    window = [event(i, "error_event", "shell") for i in range(120)]
    window += [event(i, "error_event", "search") for i in range(120, 140)]
    window += [event(i, "error_event", "unknown") for i in range(140, 200)]
    window += [event(i, "correction", "shell") for i in range(400)]
    share, coverage = diagnose(cause("error_event", "shell"), wording=WORDING, causes_window=window).share
    # Wilson on 200 users (53.1 to 66.5 %, 63.3 to 75.9 %, 24.1 to 36.7 %), outwards on a grid of 2.5 points.
    assert share == "Component shell has 60 % (95 % interval 52 % to 68 %) of the sessions with this friction."
    assert coverage == "A component is known for 70 % (95 % interval 62 % to 78 %) of them."
    [unknown] = diagnose(cause("error_event", "unknown"), wording=WORDING, causes_window=window).share
    assert unknown.startswith("No component is known for 30 % (95 % interval 22 % to 38 %) of the sessions")


@pytest.mark.parametrize("others", [0, 1, 4])
def test_a_share_with_few_people_outside_it_is_not_told_and_nobody_looks_like_few(others):
    window = [event(i, "error_event", "shell") for i in range(40)]
    window += [event(i, "error_event", "search") for i in range(40, 40 + others)]
    share, coverage = diagnose(cause("error_event", "shell"), wording=WORDING, causes_window=window).share
    assert share == "Component shell has all or nearly all of the sessions with this friction."
    assert coverage == "A component is known for all or nearly all of them."


def test_the_public_is_told_no_share():
    window = [event(i, "error_event", ("shell", "search")[i % 2]) for i in range(100)]
    public = Wording(seed(), audience="public")
    assert diagnose(cause("error_event", "shell"), wording=public, causes_window=window).share == ()


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


def test_pull_requests_of_the_blamed_release_that_touch_the_component_are_named_without_unlisted_paths():
    shipped = {"version": "1.4.0", "kind": "version", "pull_request_ids": ["PR-7", "PR-8"]}
    changes = [
        {"pull_request_id": "PR-7", "files": ["src/editor/secret name.py", "src/editor/b.py"], "released_in": None},
        {"pull_request_id": "PR-8", "files": ["README.md"], "released_in": None},
        {"pull_request_id": "PR-9", "files": ["src/editor/a.py"], "released_in": "1.3.0"},
    ]
    found = diagnose(
        cause("context_churn", "editor"),
        wording=Wording(seed(), frozenset({"editor", "src/editor/b.py"})),
        release_correlations=[release()],
        releases=[shipped],
        pull_requests=changes,
        components={"editor": ["src/editor/*"]},
    )
    assert found.evidence[1:] == ("Pull request PR-7 of it changes 2 files of this component (src/editor/b.py).",)
