"""What every code host must do, as tests that a test module runs against its own door.

Subclass `CodeHostContract` beside two fixtures: `host`, and `people`, which does what people do in the repository:
`branches()`, `content(branch, path)`, `head(branch)`, `message(branch)`, `change(branch, files, title, body)` (a change
that is under way), `merge(branch)`. The default branch holds `FILES`.
"""

import pytest

from signals_assets.resources.code_host import CodeHostError, Draft

FILES = {"prompt.md": "Be helpful.\n", "src/ü.py": "pass\n"}
BRANCH = "signals/sig-0a1b2c3d"
DIFF = """\
--- a/prompt.md
+++ b/prompt.md
@@ -1 +1,2 @@
 Be helpful.
+Read each file once.
"""
NEW_FILE = "--- /dev/null\n+++ b/docs/tools.md\n@@ -0,0 +1 @@\n+Search once.\n"
GONE = (
    "diff --git a/src/ü.py b/src/ü.py\ndeleted file mode 100644\n--- a/src/ü.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-pass\n"
)


def draft(branch=BRANCH, diff=DIFF, title="Read each file once", body="For SIG-0A1B2C3D."):
    return Draft(branch, title, body, diff)


class CodeHostContract:
    def test_files_and_contents_are_those_of_the_default_branch(self, host, people):
        people.change("elsewhere", {"prompt.md": "Changed.\n", "new.py": "new\n"}, "Elsewhere", "")
        assert host.available
        assert host.files() == ["prompt.md", "src/ü.py"]
        assert host.read("prompt.md") == "Be helpful.\n"
        assert host.read("src/ü.py") == "pass\n"
        for absent in ("new.py", "../agent/prompt.md", "src", ""):
            assert host.read(absent) is None

    def test_a_draft_is_a_branch_beside_the_default_branch_and_touches_nothing_else(self, host, people):
        before = people.head("main")
        host.open_draft(draft())
        assert people.branches() == ["main", BRANCH]
        assert people.content(BRANCH, "prompt.md") == "Be helpful.\nRead each file once.\n"
        assert people.content(BRANCH, "src/ü.py") == "pass\n"
        assert people.head("main") == before
        assert people.message(BRANCH) == "Read each file once\n\nFor SIG-0A1B2C3D."

    @pytest.mark.parametrize(
        ("diff", "path", "content"), [(NEW_FILE, "docs/tools.md", "Search once.\n"), (GONE, "src/ü.py", None)]
    )
    def test_a_draft_may_add_and_remove_files(self, host, people, diff, path, content):
        host.open_draft(draft(diff=diff))
        assert people.content(BRANCH, path) == content
        assert people.content(BRANCH, "prompt.md") == "Be helpful.\n"

    def test_the_same_branch_again_returns_the_first_whatever_it_says_now(self, host, people):
        first = host.open_draft(draft())
        head = people.head(BRANCH)
        assert host.open_draft(draft(diff="no diff at all", title="Other", body="Other")) == first
        assert people.head(BRANCH) == head

    @pytest.mark.parametrize(
        "branch", ["main", "signals/../main", "signals/-f", "--force", "signals/a b", "signals/", ""]
    )
    def test_a_branch_of_anybody_else_is_refused(self, host, people, branch):
        with pytest.raises(CodeHostError, match="signals/"):
            host.open_draft(draft(branch))
        assert people.branches() == ["main"]

    @pytest.mark.parametrize(
        "diff",
        [
            "",
            "not a diff",
            DIFF.replace("Be helpful.", "Be careful."),
            DIFF.replace("a/prompt.md", "a/../../outside.md").replace("b/prompt.md", "b/../../outside.md"),
            DIFF.replace("prompt.md", "absent.md"),
            "--- /dev/null\n+++ b/.git/hooks/post-commit\n@@ -0,0 +1 @@\n+echo\n",
        ],
    )
    def test_a_diff_that_does_not_apply_leaves_no_branch(self, host, people, diff):
        with pytest.raises(CodeHostError, match="draft it again"):
            host.open_draft(draft(diff=diff))
        assert people.branches() == ["main"]

    def test_in_flight_is_what_anybody_changes_and_neither_merged_nor_closed(self, host, people):
        assert host.pull_requests_in_flight() == []
        people.change("people/umlauts", {"src/ü.py": "search = 1\n"}, "Search finds umlauts", "For ABC-12.\n\nSecond.")
        host.open_draft(draft())
        by_branch = {one.branch: one for one in host.pull_requests_in_flight()}
        assert by_branch.keys() == {"people/umlauts", BRANCH}
        theirs, ours = by_branch["people/umlauts"], by_branch[BRANCH]
        assert (theirs.title, theirs.body) == ("Search finds umlauts", "For ABC-12.\n\nSecond.")
        assert (theirs.files, theirs.draft) == (("src/ü.py",), False)
        assert (ours.title, ours.files, ours.draft) == ("Read each file once", ("prompt.md",), True)
        assert "SIG-0A1B2C3D" in ours.body
        assert theirs.id != ours.id
        people.merge("people/umlauts")
        assert [one.branch for one in host.pull_requests_in_flight()] == [BRANCH]

    def test_check_names_the_default_branch(self, host):
        assert "default branch main" in host.check()
