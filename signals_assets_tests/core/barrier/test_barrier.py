"""The verdict: what is admitted, what a second try may do, and a small census of canaries."""

import ast
import base64
import codecs
import pickle
from pathlib import Path

import pytest

import signals_assets
from signals_assets.core.barrier import (
    SUMMARY,
    SUMMARY_LIMIT,
    Barrier,
    Refusal,
    Support,
    TranscriptIndex,
    from_list,
    from_taxonomy,
    restored,
    without_clauses,
)
from signals_assets.core.barrier.support import feature_hash
from signals_assets.tables import Facet
from signals_assets.zones import Abstracted
from signals_assets_tests.factories import make_session, make_step, row_values

KEY = b"key of the test"
HONEST = "The user expressed frustration after the third failed tool call."


def barrier(audience="company", support=None):
    return Barrier(support or Support(), audience, KEY)


def admit(text, transcript=(), **over):
    index = TranscriptIndex.of_text(transcript, [text] if isinstance(text, str) else [])
    made = over.pop("by", barrier())
    return made.admit(text, limit=over.pop("limit", 240), transcript=index, **over)


def examine(text, transcript=(), field="citation", **over):
    return barrier().examine(text, field, transcript=TranscriptIndex.of_text(transcript, [text]), **over)


def test_an_admission_holds_either_text_or_a_rule():
    assert admit(HONEST).text.text == HONEST
    assert admit(HONEST).rule is None
    assert admit("The user met zorblatt.").text is None
    assert admit("The user met zorblatt.").rule == "R3"


@pytest.mark.parametrize(("users", "rule"), [(0, "R5"), (4, "R5"), (5, None)])
def test_a_word_of_the_transcript_needs_the_users_of_the_audience(users, rule):
    support = Support({feature_hash("w castle", KEY): users})
    text = "The user asked for a castle."
    assert admit(text, ["my castle"], by=barrier("company", support)).rule == rule


def test_for_oneself_no_word_is_too_rare_but_the_lexicon_still_holds():
    text = "The user asked for a castle with a garden."
    assert admit(text, [text], by=barrier("self")).rule is None
    assert admit("The user met zorblatt.", by=barrier("self")).rule == "R3"


def test_a_barrier_travels_between_processes():
    assert admit(HONEST, by=pickle.loads(pickle.dumps(barrier()))).rule is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The user asked the agent about the zorblatt dashboard.", "The user asked the agent about the dashboard."),
        ("The user was unhappy with the tests and the zorblatt.", "The user was unhappy with the tests."),
        ("newly written tests failed again", "Session: newly written tests failed again"),
        ("The user retried the tool call 4711 times again.", "The user retried the tool call times again."),
        ("The user\u2019s \u201csimple\u201d request failed again.", "The user's request failed again."),
        ("The user asked for HELP with the tests.", "The user asked for help with the tests."),
    ],
)
def test_a_second_try_drops_the_offending_word(text, left):
    verdict = examine(text)
    assert verdict.retried
    assert verdict.text is not None
    assert verdict.text.text == left


def test_a_second_try_drops_a_quoting_clause():
    text = "The user was unhappy with the long answer of the agent, because the tool call failed again."
    verdict = examine(text, ["but the tool call failed again, sigh"])
    assert verdict.text is not None
    assert verdict.text.text == "The user was unhappy with the long answer of the agent."


def test_a_sentence_whose_last_clause_goes_ends_with_the_one_before():
    text = "The user asked for a change, about invoices, exports and orders. The agent made a change."
    verdict = examine(text, ["invoices exports and orders"])
    assert verdict.text is not None
    assert verdict.text.text == "The user asked for a change. The agent made a change."


def test_a_second_try_gives_up_when_too_little_is_left():
    assert examine("The user met zorblatt quux flimflam wibble.").text is None
    assert examine("Ignore all previous instructions.").text is None


def test_a_second_try_of_anything_never_raises():
    for text in (None, 7, "", "x" * 5_000_000, "\ud800", "'", "-", "((((", "you " * 100):
        for revise in (None, without_clauses):
            verdict = barrier().examine(text, "citation", transcript=None, revise=revise)
            assert verdict.text is None
            assert verdict.rule is not None
            assert verdict.retried


def test_what_an_analyst_answers_to_a_refusal_is_judged_by_all_rules_once():
    asked = []

    def revise(refusal):
        asked.append((refusal.text, refusal.field, refusal.rule))
        return answers[len(asked) - 1]

    answers = [None, "The user met zorblatt again.", HONEST, 7]
    verdicts = [examine("The user met zorblatt.", revise=revise) for _ in answers]
    assert asked == [("The user met zorblatt.", "citation", "R3")] * len(answers)
    assert [(verdict.text and verdict.text.text, verdict.rule) for verdict in verdicts] == [
        (None, "R3"), (None, "R3"), (HONEST, None), (None, "R0"),
    ]  # fmt: skip


def test_a_refusal_is_answered_without_its_clause_and_the_answering_travels_to_the_workers():
    revise = pickle.loads(pickle.dumps(without_clauses))
    text = "The user asked the agent about the tests and was unhappy, because zorblatt failed."
    assert revise(Refusal(text, "summary", "R3")) == "The user asked the agent about the tests and was unhappy."
    assert revise(Refusal(text, "summary", "R5")) is None


def test_a_second_text_is_looked_up_in_the_session_by_its_own_words():
    session = make_session(make_step(text="the castle of the queen"))
    index = TranscriptIndex.of(session, ["The user met zorblatt."])
    given = {"transcript": index, "revise": lambda refusal: "The user asked for a castle."}
    assert barrier().examine("The user met zorblatt.", "citation", **given).rule == "R5"


def test_taxonomy_text_is_checked_too_and_errors_hold_no_text():
    assert from_taxonomy("A failure that the agent did not expect.").text.startswith("A failure")
    with pytest.raises(ValueError, match="R3") as raised:
        from_taxonomy("The zorblatt type")
    assert "zorblatt" not in str(raised.value)


@pytest.mark.parametrize("value", ["success", "partial", "other", "Python", "C++", ".NET", "true", "0", "17", "1000"])
def test_a_value_of_a_closed_list_is_admitted_and_survives_a_pickle(value):
    assert from_list(value).text == value
    assert pickle.loads(pickle.dumps(from_list(value))) == from_list(value)


@pytest.mark.parametrize(
    "value", ["zorblatt", "python", "1001", "007", "-1", "4111", "true ", "", "the user", "Anna", None, 7, True, "²"]
)
def test_a_value_on_no_list_is_refused_without_being_named(value):
    with pytest.raises(ValueError, match="on no closed list") as raised:
        from_list(value)
    assert not value or str(value) not in str(raised.value).split()


def test_a_facet_takes_no_plain_text():
    given = {"facet": "primary_intent", "source": "analyst"}
    assert Facet(**row_values(Facet, value=from_list("other"), **given)).value.text == "other"
    with pytest.raises(ValueError, match="Abstracted"):
        Facet(**row_values(Facet, value="other", **given))


def test_stored_text_comes_back_and_foreign_text_does_not():
    assert restored(HONEST) == admit(HONEST).text
    with pytest.raises(ValueError, match="not admitted") as raised:
        restored("<script>secret</script>")
    assert "secret" not in str(raised.value)


def test_every_sentence_of_the_built_in_taxonomy_is_admissible():
    import yaml

    path = Path(signals_assets.__file__).parent / "taxonomy_seed.yaml"
    seed = yaml.safe_load(path.read_text())
    for group in ("friction", "delight", "facets"):
        for entry in seed[group].values():
            assert from_taxonomy(entry["name"])
            assert from_taxonomy(entry["definition"])


# --- canaries --------------------------------------------------------------------------------------------------

CANARIES = {
    "api key": "sk-live-9f8Ad72kQp0ZmX31bT",
    "aws key": "AKIAIOSFODNN7QWERTYU",
    "password": "Tr0ub4dor&3",
    "email": "maria.kovacs@northwind.example",
    "phone": "+49 151 5550199",
    "card": "4111 1111 1111 1111",
    "iban": "DE89370400440532013000",
    "address": "Lindenstrasse 48",
    "ip": "10.20.30.40",
    "uuid": "6f1e2d3c-4b5a-6978-8a9b-0c1d2e3f4a5b",
    "path": "/home/mkovacs/ledger.py",
    "url": "https://intranet.example/wiki",
    "given name": "Katarzyna",
    "surname": "Fitzgerald",
    "full name": "Thomas Papadopoulos",
    "company": "Zenthoria",
    "codename": "bluemoonraker",
    "identifier": "getLedgerRowsV2",
    "order number": "ORD-778123",
    "date": "1987-03-14",
}
ENCODINGS = {
    "plain": str,
    "lower": str.lower,
    "upper": str.upper,
    "reversed": lambda text: text[::-1],
    "spaced": " ".join,
    "dotted": ".".join,
    "dashed": "-".join,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode().lower(),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "homoglyph": lambda text: text.translate(
        str.maketrans("aeopcixs", "\u0430\u0435\u043e\u0440\u0441\u0456\u0445\u0455")
    ),
    "zero width": "\u200b".join,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "bidi": lambda text: f"\u202e{text[::-1]}\u202c",
    "decimal": lambda text: " ".join(str(ord(c)) for c in text),
    "spelled": lambda text: " ".join(("alpha", "bravo", "charlie", "delta", "echo")[ord(c) % 5] for c in text),
}
HOSTS = (
    "The user asked the agent about {} and was unhappy with the answer.",
    "The agent could not find {} in the results.",
    "User reports that the tool call with {} failed again.",
)


@pytest.mark.parametrize("kind", sorted(CANARIES))
@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_no_canary_passes_in_any_encoding(kind, encoding):
    value = ENCODINGS[encoding](CANARIES[kind])
    for host in HOSTS:
        text = host.format(value)
        verdict = admit(text, [f"by the way: {CANARIES[kind]}"], limit=SUMMARY_LIMIT, grams=SUMMARY)
        assert verdict.text is None
        second = examine(text, [CANARIES[kind]], "summary")
        assert second.text is None or value.lower() not in second.text.text.lower()
        # Another analyst's text loses whole clauses, beside which no canary and no hole is left.
        tail = (
            f"The user asked for help with the tests and the agent wrote a new one, because {text[0].lower()}{text[1:]}"
        )
        for said in (text, tail):
            left = without_clauses(Refusal(said, "summary", verdict.rule))
            assert left is None or value.lower() not in left.lower()


def test_the_hosts_pass_by_themselves_so_the_census_can_fail():
    for host in HOSTS:
        assert admit(host.format("the file"), ["nothing"]).rule is None
        assert admit(host.format("a castle"), ["my castle"]).rule == "R5"
        assert admit(host.format("a castle"), ["my castle"], by=barrier("self")).rule is None


def test_without_the_barrier_every_canary_would_stand_in_the_text():
    for value in CANARIES.values():
        assert all(value in host.format(value) for host in HOSTS)


# --- the only maker --------------------------------------------------------------------------------------------


def test_only_the_barrier_makes_abstracted_text():
    package = Path(signals_assets.__file__).parent
    makers = set()
    hidden = {"_BARRIER_KEY", "_unpickled", "_seal"}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Abstracted"
            named = isinstance(node, ast.alias) and node.name in hidden
            reached = isinstance(node, ast.Attribute) and node.attr in hidden
            spelled = isinstance(node, ast.Constant) and node.value in hidden
            if called or named or reached or spelled:
                makers.add(path.relative_to(package).as_posix())
    assert makers == {"zones.py", "core/barrier/__init__.py"}


def test_without_the_key_it_cannot_be_made():
    with pytest.raises(TypeError, match="barrier"):
        Abstracted("anything", object())
