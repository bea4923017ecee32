import pytest

from signals_assets.core.detectors.cues import utterance
from signals_assets.core.detectors.platform_confusion import ABOUT_AGENT


@pytest.mark.parametrize(
    "words",
    [
        "what can you do besides writing code?",
        "which model are you?",
        "which model is this?",
        "do you have access to our tracker?",
        "are you able to search the web?",
        "can you see my screen?",
        "why can't you open the picture?",
        "how do you remember my name?",
        "how many tokens did that use?",
        "how can I stop you from running the tests?",
        "I thought you had access to the wiki",
        "what is your context window?",
        "is there a way to export this conversation?",
        "where do I turn on plan mode in this chat?",
        "how do I change the model in codex?",
        "I don't see the undo button in the sidebar",
        "help",
    ],
)
def test_questions_about_the_agent_its_costs_and_its_surface_are_about_it(words):
    assert utterance(words).confusion >= ABOUT_AGENT


@pytest.mark.parametrize(
    "words",
    [
        "store the session token in a cookie and end the session after ten minutes",
        "how many tokens does the lexer give for a blank line?",
        "count the tokens per line",
        "rename the claude module to provider",
        "how does the agent class pick its model?",
        "which model should the invoice form use?",
        "which model version do the invoices belong to?",
        "which model is used for the forecast?",
        "what is the memory limit of the worker?",
        "what are the features of the export?",
        "show the chat history of a customer on the support page",
        "where can I find the parser?",
        "add a settings page with a help menu",
        "can you add a flag for that?",
        "what can you see in the log?",
    ],
)
def test_questions_about_the_task_in_the_same_words_are_not(words):
    assert utterance(words).confusion < ABOUT_AGENT
