"""The README is true: every command in it runs, every table, door, link and edge in it exists.

`signals` and `dagster` run as written, in processes of their own, in a home that `make demo` filled (one week with
few sessions a day instead of four with many). What a Makefile target runs is asked of make itself.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.request import Request, urlopen

import pytest

from signals_assets.settings import Settings
from signals_assets.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SMALL = ["--weeks", "1", "--sessions-per-day", "8"]
SECONDS = 240
"""Nothing in the README may take longer here; a hanging command fails instead of waiting for ever."""
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]


@dataclass
class Shell:
    """A person's shell: a home folder, a Signals home, and what the README's commands need to find there."""

    folder: Path

    @property
    def person(self) -> Path:
        return self.folder / "person"

    def environment(self, home: str) -> dict[str, str]:
        passed = {
            name: value for name, value in os.environ.items() if not name.startswith(("SIGNALS_", "MAKE", "MFLAGS"))
        }
        return passed | {
            "HOME": str(self.person), "SIGNALS_HOME": str(self.folder / home), "SIGNALS_TOML": os.devnull,
            "DAGSTER_HOME": str(self.folder / home / "dagster"), "SIGNALS_EMBEDDER": "none",
            "SIGNALS_COMPUTE": "serial", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def argv(self, command: str) -> tuple[list[str], Path | None]:
        """What the shell would run, and the file it would write to."""
        words = [self.here(word) for word in shlex.split(command)]
        out = self.folder / words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if out else words
        modules = {"signals": "signals_assets", "dagster": "dagster"}
        return [sys.executable, "-m", modules[Path(words[0]).name], *words[1:]], out

    def here(self, word: str) -> str:
        """The word with ~ and /tmp inside this test's own folder."""
        for start, instead in (("~/", self.person), ("/tmp/", self.folder / "tmp")):
            if word.startswith(start):
                return str(instead / word.removeprefix(start))
        return word

    def run(self, command: str, *more: str, home: str = "home") -> str:
        """Run a command to its end; returns what it printed, or wrote to its file."""
        argv, out = self.argv(command)
        done = subprocess.run(
            [*argv, *more], env=self.environment(home), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "Traceback" not in said
        assert "BetaWarning" not in said
        if out:
            out.write_text(done.stdout)
        return said

    def made(self, command: str) -> list[str]:
        """The commands that make would run for a target, without running them. ~ stays: not every shell expands it."""
        done = subprocess.run(
            shlex.split(command.replace("make ", "make --dry-run --always-make ")),
            env=self.environment("home"), cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [line for line in done.stdout.splitlines() if line.strip()]


def claude_code_transcript(folder: Path) -> None:
    """A made-up transcript of four records, as Claude Code writes them."""
    common = {
        "sessionId": f"made-up-{folder.name}",
        "version": "1.0.1",
        "cwd": "/work",
        "userType": "external",
        "isSidechain": False,
    }
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "2 passed"}
    said: list[tuple[str, Any]] = [
        ("user", "please run the tests"),
        ("assistant", [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "pytest"}}]),
        ("user", [result]),
        ("assistant", [{"type": "text", "text": "All tests pass."}]),
    ]
    lines = []
    for number, (role, content) in enumerate(said):
        lines.append(common | {
            "type": role, "uuid": f"r{number}", "parentUuid": f"r{number - 1}" if number else None,
            "timestamp": f"2026-01-05T12:00:0{number}.000Z",
            "message": {"role": role, "content": content} | ({"model": "made-up"} if role == "assistant" else {}),
        })  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made-up.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A person who has run `make demo` and keeps transcripts."""
    shell = Shell(tmp_path_factory.mktemp("readme"))
    (shell.folder / "tmp").mkdir()
    claude_code_transcript(shell.person / ".claude" / "projects" / "one")
    for name in ("ann", "bob"):
        claude_code_transcript(shell.person / "team-sessions" / name)
    said = shell.run(shell.made("make demo")[-1], *SMALL)
    assert "Report: " in said
    return shell


def demo_ran(shell: Shell, command: str) -> str:
    return (shell.folder / "home" / "reports" / "latest.html").read_text()


def own_demo(shell: Shell, command: str) -> str:
    """The same through make's own words, in a home of its own."""
    said = shell.run(shell.made(command)[-1], home="own")
    assert "1 sessions on 1 days from 2026-01-05" in said
    return said


def team_demo(shell: Shell, command: str) -> str:
    said = shell.run(command, home="team")
    assert re.search(r"known users +2\b", said)
    return said


def starts_ui(shell: Shell, command: str) -> str:
    """What starts is tested with a real web server elsewhere; here, that make asks for it in a way that exists."""
    words = shlex.split(shell.made(command)[-1])
    assert words[1:] == ["ui", "--port", "3000"]
    said = shell.run("signals ui --help")
    assert "--port" in said
    return said


def everything_ci_runs(shell: Shell, command: str) -> str:
    """This test is part of it: running it again would never end."""
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")
    said = "\n".join(shell.made(command))
    for part in ("ruff format --check .", "ruff check .", "mypy", "-m pytest", "--cov"):
        assert part in said
    return said


def receives(shell: Shell, command: str) -> str:
    """Started, sent one span over a socket, stopped as a service manager would."""
    argv, _ = shell.argv(command)
    span = {
        "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "chat made-up", "startTimeUnixNano": "1",
        "endTimeUnixNano": "2", "attributes": [],
    }  # fmt: skip
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [span]}]}]}
    with subprocess.Popen(
        [*argv, "--port", "0"], env=shell.environment("home"), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            url = re.search(r"http://\S+/v1/traces", said)
            assert url, said
            request = Request(url[0], json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urlopen(request, timeout=10) as response:
                assert response.status == 200
        finally:
            server.send_signal(signal.SIGTERM)
        said += server.stdout.read()
        assert server.wait(10) == 0
    assert "Stopped." in said
    [written] = (shell.person / "otel-sessions").iterdir()
    assert json.loads(written.read_text()) == body
    return said


def on_real_sessions(shell: Shell, command: str) -> str:
    """The figures of the table are those that the command gives."""
    if not (ROOT / "../shared/data").is_dir():
        pytest.skip("the labelled sessions exist only beside a checkout")
    said = shell.run(command, "--json", str(shell.folder / "figures.json"))
    blocks = json.loads((shell.folder / "figures.json").read_text())["labels"]
    rows = {row[0].strip("`"): row[1:] for row in rows_of("| F1 |")}
    for column, block in enumerate(blocks):
        rules = block["rules"]
        for name in block["types"]:
            if name not in rows:
                continue
            found = rules["types"][name]
            mark = " *" if found["provisional"] else ""
            assert rows[name][column] == f"{found['sessions']['f1']:.2f}, {found['moments']['f1']:.2f}{mark}", name
        assert rows["any moderate or severe event"][column] == f"{rules['any_moderate_or_severe']['f1']:.2f}"
        outcome = rules["outcome"]
        assert rows["outcome, accuracy (always success)"][column] == (
            f"{outcome['accuracy']:.2f} ({outcome['majority_accuracy']:.2f})"
        )
    return said


def on_the_same_tasks(shell: Shell, command: str) -> str:
    """The lines of the table are those that the command gives."""
    if not (ROOT / "../shared/data").is_dir():
        pytest.skip("the sessions with true rewards exist only beside a checkout")
    said = shell.run(command, "--json", str(shell.folder / "compared.json"))
    assert "paired by task: 60 tasks" in said
    told = {}
    for row in json.loads((shell.folder / "compared.json").read_text())["verdicts"]:
        name = row["what"] if row["what"] == row["name"] else f"{row['what']} {row['name']}"
        effect = f"{round(row['effect'], 3)}, {row['low']:+.3f} to {row['high']:+.3f}"
        figures = [str(round(row[side], 3)) for side in ("before", "after")]
        told[name] = [*figures, effect, "" if row["q"] is None else f"{row['q']:.3f}", row["verdict"]]
    for name, *cells in rows_of("| what | before |"):
        assert told[name] == cells, name
    return said


def asks_directly(shell: Shell, command: str) -> str:
    """The local server in the place of OpenAI, and somebody who agrees."""
    from signals_assets_tests.fakes.openai_server import OpenAIServer

    with OpenAIServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-of-the-tests")
        said = shell.run(command, "--yes", "--base-url", server.url)
        assert server.state.requests
    assert "the users' own words" in said
    assert "What asking took" in said
    return said


def literally(shell: Shell, command: str) -> str:
    return shell.run(command)


HOW: dict[str, Callable[[Shell, str], str]] = {
    "make demo SESSIONS=": own_demo,
    "make demo": demo_ran,
    "make ui": starts_ui,
    "make test": everything_ci_runs,
    "signals demo --sessions ~/team-sessions": team_demo,
    "signals receive": receives,
    "signals doctor": literally,
    "signals estimate": literally,
    "signals analyze ~/.claude/projects --out /tmp/asked": asks_directly,
    "signals analyze": literally,
    "signals run": literally,
    "signals sql": literally,
    "signals report": literally,
    "signals tickets": literally,
    "signals taxonomy": literally,
    "signals benchmark detectors --sessions ../shared": on_real_sessions,
    "signals benchmark": literally,
    "signals compare": on_the_same_tasks,
    "signals erase": literally,
    "signals keys": literally,
    "signals retention": literally,
    "signals watch": literally,
    "signals simulate": literally,
    "dagster definitions validate": literally,
}
"""How a command is run here, by how it begins; the first that fits counts. What none fits is not covered."""


def test_there_are_commands_and_no_rule_without_one():
    assert len(COMMANDS) > 15
    used = {next((prefix for prefix in HOW if command.startswith(prefix)), None) for command in COMMANDS}
    assert used == set(HOW)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="the README needs make")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs_and_says_something(command, shell):
    prefix = next((prefix for prefix in HOW if command.startswith(prefix)), None)
    assert prefix, f"say in HOW how a test runs: {command}"
    assert HOW[prefix](shell, command).strip()


def test_only_console_blocks_hold_commands():
    assert len(COMMANDS) == len([line for line in README.splitlines() if line.startswith("$ ")])


# --- what the README names --------------------------------------------------------------------------------------


def rows_of(header: str) -> list[list[str]]:
    """Cells of the table whose header line begins so."""
    lines = README.split(f"\n{header}", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_flow_table_names_exactly_the_tables_with_their_stages_and_zones():
    from signals_assets.automation import ACTING
    from signals_assets.tables import STAGES

    zones: dict[str, str] = {}
    stages: dict[str, str] = {}
    for stage, tables, zone in rows_of("| stage |"):
        for name, own in re.findall(r"`(\w+)`(?: \((\w+)\))?", tables):
            assert name not in zones, f"{name} stands in two stages"
            zones[name], stages[name] = own or zone, stage.split(maxsplit=1)[1]
    assert set(zones) == {*TABLES, *ACTING}
    assert {name: zones[name] for name in TABLES} == {name: model.zone for name, model in TABLES.items()}
    assert {name: stages[name] for name in TABLES} == {name: model.stage for name, model in TABLES.items()}
    assert {stages[name] for name in ACTING} == {"tickets"}
    assert [row[0] for row in rows_of("| stage |")] == [f"{n} {stage}" for n, stage in enumerate(STAGES, start=1)]


def test_the_doors_table_names_exactly_the_doors_their_settings_and_what_opens_today(tmp_path, monkeypatch):
    from signals_assets.resources import DoorError, resources_for

    for name, value in {
        "GITHUB_TOKEN": "ghp_none", "SIGNALS_GITHUB__REPOSITORY": "team/agent",
        "LINEAR_API_KEY": "lin_api_none", "SIGNALS_LINEAR__TEAM": "ENG",
        "SIGNALS_DASK_SCHEDULER": "tcp://127.0.0.1:1", "SIGNALS_BIGQUERY__PROJECT": "project",
        "SIGNALS_BIGQUERY_SESSIONS__TABLE": "project.dataset.sessions",
        "OPENAI_API_KEY": "sk-none", "SIGNALS_LANGUAGE_MODEL__BASE_URL": "http://localhost:9/v1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    rows = rows_of("| door |")
    doors = resources_for(Settings(home=tmp_path))
    assert {row[0].replace(" ", "_") for row in rows} == set(doors) - {"settings", "pseudonym_key"}
    for _, setting, today, _ in rows:
        name = setting.strip("`")
        annotation = Settings.model_fields[name].annotation
        if get_origin(annotation) is not Literal:
            continue
        named = set(re.findall(r"`([^`]+)`", today))
        for choice in get_args(annotation):
            settings = Settings(home=tmp_path, **{name: choice})
            if choice in named:
                resources_for(settings)
            else:
                with pytest.raises(DoorError, match=name):
                    resources_for(settings)
        assert named <= set(get_args(annotation))


def test_every_relative_link_leads_to_a_file():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def edges() -> list[tuple[str, str]]:
    """Solid edges of the picture: chains of names, `&` for several at once."""
    picture = README.split("```mermaid\n", 1)[1].split("```", 1)[0]
    found = []
    for line in picture.splitlines()[1:]:
        if "-." in line:
            continue
        chain = [[name.strip() for name in part.split("&")] for part in line.split("-->")]
        for above, below in pairwise(chain):
            found += [(one, other) for one in above for other in below]
    return found


def test_every_edge_of_the_picture_is_a_way_through_the_real_graph():
    import dagster as dg

    from signals_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert len(edges()) > 25
    assert {name for edge in edges() for name in edge} <= keys

    def ancestors(name: str) -> set[str]:
        return {key.to_user_string() for key in graph.get_ancestor_asset_keys(dg.AssetKey(name))}

    assert [f"{above} --> {below}" for above, below in edges() if above not in ancestors(below)] == []


def test_every_setting_and_option_that_the_prose_names_exists():
    from signals_assets import cli

    for name in re.findall(r"`signals (\w+)", README):
        assert name in cli.COMMANDS
    for name in ("retention_days", "code_repository", "ledger_url", "second_reader"):
        assert f"`{name}`" in README
        assert name in Settings.model_fields


def test_the_census_of_the_readme_is_of_today_s_kinds_encodings_and_analysts_and_within_its_gates():
    from signals_assets.benchmarks.privacy import ABSTRACTED, GATES, JUDGES, MUST_FIND, plans
    from signals_assets.core.canaries import ENCODINGS, KINDS

    assert f"{len(KINDS)} kinds" in README
    assert f"{len(ENCODINGS)} encodings" in README
    rows = {row[0]: row[1:] for row in rows_of("| analyst | everything")}
    censuses, _ = plans(quick=False, seed=0, configuration="")
    assert list(rows) == [plan.name for plan in censuses]
    assert set(JUDGES) < set(rows)
    most = [GATES[ABSTRACTED][form] for form in ("plain", "encoded", "fragment")]
    for plan in censuses:
        published, abstracted, *_ = rows[plan.name]
        found = [int(figure) for figure in abstracted.split(", ")]
        assert published == "0"
        if plan.barrier:
            assert all(figure <= gate for figure, gate in zip(found, most, strict=True)), plan.name
        else:
            assert sum(found) >= 10_000 * MUST_FIND
