import pytest

from signals_assets.core.requests import ATTEMPTS, PAID_ATTEMPTS, SETTLED, Outcome, of_failure, of_reading, output_room


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("answered", None, Outcome("answered")),
        ("refused", "refusal", Outcome("refused", "refusal")),
        ("filtered", "content_filter", Outcome("refused", "content_filter")),
        ("incomplete", "max_output_tokens", Outcome("planned", "incomplete_max_output_tokens")),
        ("invalid", "no_json", Outcome("planned", "no_json")),
    ],
)
def test_a_first_response_is_taken_refused_or_asked_for_once_more(state, reason, expected):
    assert of_reading(state, reason, attempts=1) == expected


def test_an_answer_that_cannot_be_used_is_paid_a_bounded_number_of_times():
    assert of_reading("invalid", "no_json", PAID_ATTEMPTS) == Outcome("invalid", "no_json")
    assert of_reading("incomplete", "max_output_tokens", PAID_ATTEMPTS).state == "invalid"


@pytest.mark.parametrize(
    ("status", "code", "first", "last"),
    [
        (None, None, "planned", "failed"),  # no line at all
        (0, "no_answer", "planned", "failed"),
        (200, "no_body", "planned", "failed"),
        (429, "rate_limit_exceeded", "planned", "failed"),
        (500, "server_error", "planned", "failed"),
        (None, "batch_expired", "planned", "expired"),
        (None, "batch_cancelled", "planned", "expired"),
        (400, "context_length_exceeded", "failed", "failed"),
        (404, "model_not_found", "failed", "failed"),
    ],
)
def test_a_line_without_a_response_is_asked_again_where_that_can_help(status, code, first, last):
    assert of_failure(status, code, 1).state == first
    found = of_failure(status, code, ATTEMPTS)
    assert found.state == last
    assert found.state in SETTLED
    assert found.reason == (code or "no_result")


def test_an_answer_that_ran_out_of_room_gets_twice_as_much_up_to_the_models_limit():
    assert output_room(1000, 9000, None) == 1000
    assert output_room(1000, 9000, "incomplete_max_output_tokens") == 2000
    assert output_room(6000, 9000, "incomplete_max_output_tokens") == 9000
    assert output_room(10_000, 9000, "no_json") == 9000
