"""The census: what is planted is found on every surface, judges do what they are for, the benchmark can fail."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signals_assets.benchmarks import privacy
from signals_assets.core.abstractions import answer_texts
from signals_assets.core.canaries import WORDS, canaries
from signals_assets.core.sessions import from_json, to_json
from signals_assets.core.taxonomy import seed
from signals_assets.simulation import World
from signals_assets.tables import AnalysisRequestRow, FrictionEvent, FrictionRate
from signals_assets_tests.factories import make_session

CONFIGURATION = (Path(__file__).parents[2] / "dagster.yaml").read_text()
PLAN = privacy.Plan("leaking", 40, 4, 1, 0, CONFIGURATION)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[privacy._Home]:
    """Everything of a census but the run."""
    folder = tmp_path_factory.mktemp("census")
    made = privacy._Home(folder, PLAN)
    (folder / "tmp").mkdir()
    for name in ("stdout.txt", "stderr.txt"):
        (folder / name).touch()
    yield made
    made.close()


def stored(home: privacy._Home, model: Any, **columns: str) -> None:
    """A row of any content, written around every check as a broken door would."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = home.doors["warehouse"]._table_folder(model)
    pq.write_table(pa.table({name: [value] for name, value in columns.items()}), folder / f"{home.days[0]}.parquet")


def event(home: privacy._Home, value: str) -> None:
    import dagster as dg

    home.instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata={"x": value}))


def tagged_run(home: privacy._Home, value: str) -> None:
    import dagster as dg

    @dg.job(tags={"note": value})
    def nothing() -> None: ...

    nothing.execute_in_process(instance=home.instance)


def cursor(home: privacy._Home, value: str) -> None:
    home.instance.daemon_cursor_storage.set_cursor_values({"signals/late_sessions": value})


def file(*parts: str) -> Any:
    def write(home: privacy._Home, value: str) -> None:
        path = home.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"it is {value}")

    return write


def named(home: privacy._Home, value: str) -> None:
    home.settings.home.joinpath(value.replace("/", "_")).mkdir(parents=True)


SPILLS: dict[str, tuple[str, Any]] = {
    "a row under a pseudonym": ("abstracted zone", lambda h, v: stored(h, FrictionEvent, session_id="s", citation=v)),
    "a published row": ("published zone", lambda h, v: stored(h, FrictionRate, type=v)),
    "a request's row": ("restricted, without text", lambda h, v: stored(h, AnalysisRequestRow, reason=v)),
    "a ticket": ("tickets", file("home", "tickets", "SIG-1.md")),
    "a report": ("reports", file("home", "reports", "2026-01-05.html")),
    "the ledger": ("ledger", lambda h, v: h.doors["ledger"].append("note", "key", {"text": v})),
    "metadata of an asset": ("event log", event),
    "tags of a run": ("runs, ticks, cursors", tagged_run),
    "the cursor of a sensor": ("runs, ticks, cursors", cursor),
    "printed": ("stdout and stderr", file("stdout.txt")),
    "a temporary file": ("temporary files", file("tmp", "x", "y.bin")),
    "the name of a folder": ("file names", named),
    "a draft": ("pull requests", lambda h, v: drafted(h, v)),
}


def drafted(home: privacy._Home, value: str) -> None:
    file("repository", "prompts", "system.md")(home, value)
    name = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", "-C", str(home.folder / "repository"), *name, "commit", "-qam", "draft"], check=True)


@pytest.fixture(scope="module")
def spilled(home: privacy._Home) -> dict[str, set[str]]:
    """Surfaces on which the canary of each spill was found; an untouched home holds nothing."""
    assert not any(home.counted()["leaks"].values())
    keys = [canary for canary in canaries(500, 0) if canary.kind == "key_sk"][: len(SPILLS)]
    for canary, (_, plant) in zip(keys, SPILLS.values(), strict=True):
        plant(home, canary.value)
    search, found = privacy.Search(keys), {spill: set() for spill in SPILLS}
    for surface, _, records in home.surfaces():
        for hit in search.find(records):
            found[list(SPILLS)[keys.index(hit.canary)]].add(surface)
    return found


@pytest.mark.parametrize("spill", SPILLS)
def test_a_value_that_is_spilled_is_found_on_its_surface_and_nowhere_else(spilled: dict[str, set[str]], spill: str):
    assert spilled[spill] == {SPILLS[spill][0]}


def test_every_session_gets_canaries_in_texts_calls_comments_and_ids(tmp_path: Path):
    World(0, 12, privacy.date(2026, 1, 5), tmp_path, users=10, organizations=2).step(1)
    sought = canaries(240, 0)
    planted = privacy.plant(tmp_path, [], sought, 0)
    lines = [line for path in (tmp_path / "sessions").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    sessions = [from_json(line) for line in lines]
    everything = b"\n".join(lines).decode()
    assert all(canary.value in everything for canary in sought if '"' not in canary.value)
    assert set(planted.by_session) == {session.session_id for session in sessions}
    steps = [step for session in sessions for step in session.steps]
    for field in ("text", "user_comment", "tool_name", "tool_call_id", "name", "arguments"):
        assert any(canary.value in str(getattr(step, field)) for step in steps for canary in sought), field
    records = b"".join(path.read_bytes() for path in (tmp_path / "records").rglob("*.jsonl")).decode()
    assert any(canary.value in records for canary in sought if canary.number in planted.elsewhere)


def request(here: list[Any]) -> Any:
    session = make_session()
    privacy._inject(session, here, privacy.random.Random(0))
    for canary in here:
        privacy._in_user(session, canary, privacy.random.Random(0))
    return privacy.AnalysisRequest.about("q_1", "s_1", session, "prompt", seed())


@pytest.mark.parametrize("judge", sorted(privacy.REPLIES))
def test_a_judge_that_leaks_does_leak(judge: str):
    here = [canary for canary in canaries(12, 0) if canary.kind not in WORDS]
    answer = privacy.REPLIES[judge](request(here), here)
    texts = answer_texts(answer)
    found = {hit.canary.number for hit in privacy.Search(here).find(texts)}
    assert len(found) >= (1 if judge == "obedient" else len(here) - 2)


def test_the_malformed_judge_answers_strangers_twice_and_not_at_all():
    here = canaries(12, 0)
    asked = request(here)
    answers = [list(privacy._malformed(number, asked, here)) for number in range(12)]
    assert {len(given) for given in answers} == {0, 1, 2}
    assert any(answer.request_id != asked.request_id for given in answers for answer in given)
    assert {answer.state for given in answers for answer in given} > {"answered"}


def test_a_fault_strikes_each_asset_once_with_a_canary_in_its_words():
    faults = privacy._Faults(iter(["one", "two", "three", "four"]))
    namespace: dict[str, Any] = {"__name__": "signals_assets.assets.example", "faults": faults}
    exec("class Door:\n    def look(self): return 1\n", namespace)
    door = privacy._Faulty(namespace["Door"](), faults)
    namespace["door"] = door
    exec("def body():\n    return door.look()\n", namespace)
    with pytest.raises(ValueError, match="two"):
        namespace["body"]()
    assert namespace["body"]() == 1
    assert faults.raised == {"signals_assets.assets.example.body"}
    assert door.look() == 1  # a call from nowhere in the graph is left alone


def test_output_of_the_process_is_caught_with_its_temporary_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with privacy._captured(tmp_path):
        os.write(2, b"warned\n")
        Path(privacy.tempfile.mkstemp()[1]).write_text("kept")
    assert (tmp_path / "stderr.txt").read_text() == "warned\n"
    assert [path.read_text() for path in (tmp_path / "tmp").iterdir()] == ["kept"]
    assert "warned" not in capfd.readouterr().err


def found(**changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"census": "leaking", "canaries": 100, "leaks": {privacy.ABSTRACTED: {}, "tickets": {}}}
    return {**empty, "failed": [], "raised": [], "chance_hits": 0, "found_of_kind": {"card": 0.5}, **changes}


@pytest.mark.parametrize(
    ("plan", "one", "says"),
    [
        (replace(PLAN, count=100, barrier=False), found(), "proves nothing"),
        (
            replace(PLAN, count=100, barrier=False),
            found(leaks={privacy.ABSTRACTED: {"plain": 50}}, found_of_kind={"card": 0.5, "date_of_birth": 0.1}),
            "too few found of date_of_birth",
        ),
        (PLAN, found(failed=["analyses"]), "analyses"),
        (replace(PLAN, faults=True), found(failed=["a"], raised=[]), "1 failures"),
        (PLAN, found(chance_hits=1), "nobody planted"),
    ],
)
def test_a_census_that_proves_nothing_says_why(plan: privacy.Plan, one: dict[str, Any], says: str):
    (reason,) = privacy.unproven([one], [plan])
    assert says in reason


def test_one_leak_on_a_published_surface_breaks_its_gate_and_word_codes_in_the_abstracted_zone_do_not():
    honest = {"rules": {"share": 0.051}}
    leaky = found(leaks={privacy.ABSTRACTED: {"word_coded": 50}, "tickets": {"word_coded": 1}})
    rows = privacy.gates({"censuses": [leaky], "barrier": {"honest": honest}})
    assert {row["gate"].split(",")[0] for row in rows if not row["holds"]} == {"tickets", "honest texts refused: rules"}


def test_the_rules_are_taken_out_for_the_census_only():
    package = Path(privacy.__file__).parents[1]
    naming = [path.name for path in package.rglob("*.py") if "_abstract_without_rules" in path.read_text()]
    assert naming == ["privacy.py"]


def test_the_wall_refuses_every_plain_and_encoded_canary_of_a_small_world():
    measured = privacy.wall(privacy.WallPlan(count=50, sessions=20, seed=0))
    assert measured["admitted"]["form"].get("plain", 0) == 0
    assert measured["texts"]["plain"] >= 100
    assert measured["honest"]["rules"]["share"] <= privacy.MOST_FALSE_REJECTS


def test_own_sessions_are_moved_to_the_first_day_under_ids_of_their_own(tmp_path: Path):
    session = make_session(session_id="mine", user_id="me")
    (tmp_path / "own.jsonl").write_bytes(to_json(session) + b"\n")
    (own,) = privacy._own_sessions([tmp_path / "own.jsonl"], privacy.date(2026, 2, 1))
    assert own.day == privacy.date(2026, 2, 1)
    assert own.session_id == "own-0"


def test_without_a_barrier_the_same_census_finds_what_was_planted_and_with_it_nothing_published():
    small = replace(PLAN, count=120, sessions=12)
    with_barrier, without = privacy.census(small), privacy.census(replace(small, barrier=False))
    leaked = without["leaks"][privacy.ABSTRACTED]
    assert leaked["plain"] + leaked["encoded"] > 120
    assert min(without["found_of_kind"].values()) >= 0.5
    assert with_barrier["controls"] >= 110
    assert with_barrier["failed"] == []
    for surface, forms in with_barrier["leaks"].items():
        if surface != privacy.ABSTRACTED:
            assert forms == {}, surface
    assert set(with_barrier["leaks"][privacy.ABSTRACTED]) <= {"word_coded", "shared_word"}
