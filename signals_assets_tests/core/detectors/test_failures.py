import pytest

from signals_assets.core.detectors.failures import HEAD, TAIL, failure, programs


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
