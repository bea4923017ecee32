import pytest

from signals_assets.core.detectors.tone import FAMILIES, FEELINGS, SHOUTED, heat, loudness

OWN = [
    ("curse", "oh shit, the totals are gone"),
    ("mild curse", "why is this damn layout back"),
    ("exasperation", "ugh, not the footer as well"),
    ("exasperation", "for heaven's sake, the invoice is blank"),
    ("vocative", "dude, the invoice is blank"),
    ("told_before", "i already told you that the branch is in lyon"),
    ("told_before", "how many times must the header be moved"),
    ("told_before", "i asked for this over and over"),
    ("accusation", "you always delete the footer"),
    ("accusation", "you didn't even read the file"),
    ("accusation", "you completely ignored the plan"),
    ("why_you", "why did you rename the invoices"),
    ("rhetorical", "are you serious"),
    ("rhetorical", "which part of the plan was unclear"),
    ("rhetorical", "how hard is it to move a header"),
    ("why_still", "you keep moving the footer"),
    ("stop", "stop moving the footer"),
    ("demand", "can you please just listen"),
    ("cost", "this is a waste of my time"),
    ("cost", "it burned all of my credits"),
    ("verdict", "this invoice is a joke"),
    ("verdict", "that answer is useless"),
    ("distrust", "i can't trust your summaries"),
    ("distrust", "the summary lies"),
    ("leaving", "i want to speak to a person"),
    ("leaving", "i will do it myself"),
    ("leaving", "i'm done."),
    ("patience", "i am fed up with the header"),
    ("again", "the same error again in the invoice"),
    ("properly", "format the invoice properly"),
]


@pytest.mark.parametrize(("family", "words"), OWN)
def test_a_family_finds_its_own_kind_of_sentence_and_no_other_does(family, words):
    assert [name for name, _, pattern in FAMILIES if pattern.search(words)] == [family]


def test_every_family_has_such_a_sentence():
    assert {name for name, _, _ in FAMILIES} == {family for family, _ in OWN}


@pytest.mark.parametrize(
    "words",
    [
        "the invoice header is empty when the branch is closed",
        "please add a test for the empty export",
        "what does the parser do with a blank line?",
        "the customer told us that the parcel came late",
        "a wrong account number is refused by the bank, so check it first",
        "the class shipment ignores late parcels, and its assets page needs a title",
        "move the old invoices to the trash and draw a trash can on the button",
        "run the garbage collector after the import",
        "remove the useless imports from the parser",
        "the problem lies in the date column",
        "delete the files that are lying around",
        "write a disaster recovery plan for the warehouse",
        "extract the rate into a constant",
        "i'm done, please commit",
        "either name is fine, your call",
        "assign the ticket to someone else",
        "the worker should talk to a queue",
        "how often should it run, and how long will it take?",
        "can you not use semicolons here",
        "how hard would it be to add a footer?",
        "run the tests you just added and commit what you just changed",
        "did you know that the export has two formats?",
        "let the start page tell a joke",
        "the loop goes over and over until the list is empty",
        "yes, please do it",
    ],
)
def test_calm_sentences_have_no_heat(words):
    assert heat(words) == 0


def test_heat_counts_each_family_once():
    weight = {name: weight for name, weight, _ in FAMILIES}
    assert heat("useless, terrible, pathetic") == weight["verdict"]
    assert heat("ugh, useless") == weight["exasperation"] + weight["verdict"]


@pytest.mark.parametrize("words", ["i am frustrated", "this is so annoying", "i am getting really anxious"])
def test_a_feeling_of_the_writer_here_and_now_is_one(words):
    assert FEELINGS.search(words)


@pytest.mark.parametrize(
    "words",
    [
        "our customers are annoyed by the banner",
        "my manager is angry because the parcel is late",
        "i am frustrated about the delay of the train",
        "he was frustrated",
        "users get upset with the old form",
    ],
)
def test_feelings_about_third_parties_and_of_the_past_are_none(words):
    assert FEELINGS.search(words) is None


@pytest.mark.parametrize(
    ("words", "loud"),
    [
        ("the page loads in two seconds", 0),
        ("set MAX_SIZE and API_KEY, and read CSV and JSON", 0),
        ("it is NOT there", 0.25),
        ("it is NOT there and YOU have it", 0.5),
        ("it is NOT here, NOR there, AND YOU have it", 0.5),
        ("WRONG file", 0.6),
        ("please LEAVE THE FOOTER THERE now", 0.8),
        ("no!!", 0.4),
        ("what?!", 0.7),
        ("the header is blank???", 0.7),
        ("why????", 1.0),
        ("WHY????", 1.5),
    ],
)
def test_loudness_is_capitals_on_plain_words_and_repeated_marks(words, loud):
    assert loudness(words) == loud


def test_names_of_things_that_are_written_in_capitals_are_not_shouted():
    assert {"API", "CSV", "US", "ID", "OK", "IT"}.isdisjoint(SHOUTED)
    assert {"NOT", "YOU", "STOP", "AGAIN"} <= SHOUTED
