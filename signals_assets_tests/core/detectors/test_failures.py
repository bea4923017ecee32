import pytest

from signals_assets.core.detectors.failures import HEAD, TAIL, failure, programs, service_failed, stopped, telling


@pytest.mark.parametrize(
    ("status", "text", "family", "command"),
    [
        ("error", "<tool_use_error>File does not exist.</tool_use_error>", "file_read", ""),
        ("timeout", "", "shell", "sleep 900"),
        ("error", "Exit code 1\nFAIL: one test", "shell", "make test"),
        ("ok", "--- FAIL: TestTotals (0.01s)\nFAIL", "shell", "go test ./... 2>&1 | tail -20"),
        ("ok", "Traceback (most recent call last):\n  ...\nKeyError: 'a'", "shell", "python run.py | head"),
        ("ok", "zsh: command not found: pyhton", "shell", "pyhton run.py | cat"),
        ("ok", "Process exited with code 2\nOutput:\nno rule", "shell", "make all"),
        ("ok", "apply_patch verification failed: no such lines", "file_edit", ""),
        ("ok", "Failed to set the mode: 'fast' is not a valid option", "unknown", ""),
        ("ok", '{"error": "no such order"}', "unknown", ""),
        ("ok", "MCP error -32603: the page did not answer", "mcp", ""),
        ("ok", "Web search results\n\nWeb search error: unavailable", "web", ""),
        ("ok", "<retrieval_status>timeout</retrieval_status>", "subagent", ""),
        ("ok", "Tokens: 3k sent.\nUnable to write file a.py after 5 attempts", "", ""),
        ("ok", "The LLM did not conform to the edit format.", "", ""),
        ("ok", "litellm.BadRequestError: too long", "", ""),
        ("ok", "✖ No project is set, run init first", "shell", "tool data"),
        ("ok", "> dev 3002\nInvalid folder, no such directory: /3002", "shell", "npm run dev"),
        ("ok", "'pytset' is not recognized as an internal or external command", "shell", "pytset"),
    ],
)
def test_a_failure_is_seen_whatever_the_status_says(status, text, family, command):
    assert failure(status, text, family, command)


@pytest.mark.parametrize(
    ("status", "text", "family", "command"),
    [
        ("ok", "all 12 passed", "shell", "pytest"),
        ("ok", "raise ValueError('error: FAIL')\n--- FAIL is printed here", "shell", "cat src/report.py"),
        ("ok", "ERROR: old line of a log", "shell", "grep -n ERROR app.log | head"),
        ("error", "Exit code 1", "shell", "grep -rn missing_name src"),
        ("error", "No matches found", "search", ""),
        ("error", "Success: the record was written", "unknown", ""),
        ("rejected", "The user doesn't want to proceed with this tool use", "shell", "rm -r build"),
        ("ok", "Process exited with code 0\nOutput:\n0 failed", "shell", "pytest"),
        ("ok", '{"errors": [], "found": 3}', "unknown", ""),
        ("ok", "aborted by user after 2s", "shell", "make"),
        ("ok", "def fatal(): ...\nerror: in a comment", "file_read", ""),
    ],
)
def test_what_is_no_failure_is_left_alone(status, text, family, command):
    assert failure(status, text, family, command) == ""


def test_failures_are_classed_by_what_went_wrong():
    assert failure("error", "String to replace not found in file.", "file_edit", "") == "no_match"
    assert failure("error", "File has not been read yet.", "file_edit", "") == "precondition"
    assert failure("timeout", "", "web", "") == "timeout"


def test_only_head_and_tail_of_a_result_are_read():
    hidden = "x" * HEAD + "\n--- FAIL: TestA\n" + "y" * (TAIL + 10)
    assert failure("ok", hidden, "shell", "go test") == ""


def test_a_command_line_is_taken_apart_into_programs():
    assert programs("cd src && FOO=1 go test ./... | tail -5") == [("go", "test"), ("tail", "-5")]


def test_a_line_that_tells_of_a_failure_is_equal_for_equal_causes_and_skips_the_exit_code():
    one = telling("Exit code 1\n> build\nsrc/a.py:12: error: the name total is undefined")
    two = telling("Exit code 2\n> build\nsrc/a.py:97: error: the name total is undefined")
    assert one == two
    assert "undefined" in one
    assert telling("") == ""


@pytest.mark.parametrize(
    "text", ["API Error: 529", "Chat failed to get ready.", "[object Object]", "Prompt is too long"]
)
def test_a_message_in_place_of_an_answer_is_a_failure_of_the_service(text):
    assert service_failed(text)
    assert not service_failed(f"The log says: {text}")
    assert service_failed(f"Tokens: 3k sent.\n{text}", first_line=False)


def test_a_stop_is_told_by_the_status_or_near_the_top_of_a_short_text():
    assert stopped("rejected", "", "shell")
    assert stopped("ok", "exec command rejected by user", "shell")
    assert not stopped("ok", "cancelled by user", "file_read")
    assert not stopped("ok", "x" * 300 + "cancelled by user", "shell")
