"""Which door is which: every name of the settings opens what it says or is refused with what to do."""

from typing import Literal, get_args, get_origin

import pytest

from signals_assets.resources import DoorError, batches_for, doors_or_reasons, resources_for
from signals_assets.resources.compute import ProcessCompute, SerialCompute
from signals_assets.resources.embedder import NoEmbedder, SentenceTransformerEmbedder
from signals_assets.settings import Settings

DOORS = [
    "pseudonym_key", "session_source", "records", "warehouse", "ledger", "compute", "analyst",
    "second_reader", "embedder", "tracker", "code_host", "notifier",
]  # fmt: skip
OPENS = {
    "session_source": {"files", "bigquery"}, "warehouse": {"parquet", "bigquery"},
    "analyst": {"rules", "openai", "openai-compatible"},
    "compute": {"processes", "serial", "dask"}, "embedder": {"sentence-transformers", "openai", "none"},
    "tracker": {"files", "linear"}, "code_host": {"git", "github"}, "notifier": {"files", "slack"},
}  # fmt: skip
CHOICES = [
    (name, choice)
    for name, info in Settings.model_fields.items()
    if name in DOORS and get_origin(info.annotation) is Literal
    for choice in get_args(info.annotation)
]


@pytest.fixture(autouse=True)
def _entries(monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_none")
    monkeypatch.setenv("SIGNALS_GITHUB__REPOSITORY", "team/agent")
    monkeypatch.setenv("SIGNALS_BIGQUERY__PROJECT", "test-project")
    monkeypatch.setenv("SIGNALS_BIGQUERY_SESSIONS__TABLE", "test-project.product.conversations")
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)


def test_the_settings_have_a_choice_for_each_of_these_doors():
    assert {name for name, _ in CHOICES} == set(OPENS)


def test_there_is_every_door_and_opening_them_writes_nothing(tmp_path):
    settings = Settings(home=tmp_path / "home")
    doors = resources_for(settings)
    assert list(doors) == ["settings", *DOORS]
    assert doors["settings"] is settings
    assert not settings.home.exists()


@pytest.mark.parametrize(("name", "choice"), [pair for pair in CHOICES if pair[1] in OPENS[pair[0]]])
def test_a_named_door_that_is_part_of_this_version_opens(name, choice, tmp_path):
    model = {"base_url": "http://localhost:9/v1", "api_key": "sk-none"}
    linear = {"team": "ENG", "api_key": "lin_api_none"}
    dask = {"dask_scheduler": "tcp://127.0.0.1:9"}
    settings = Settings(
        home=tmp_path, language_model=model, linear=linear, embedding_server=model, **dask, **{name: choice}
    )
    assert resources_for(settings)[name] is not None


@pytest.mark.parametrize(
    ("linear", "variables", "missing"),
    [
        ({}, {}, "SIGNALS_LINEAR__TEAM"),
        ({"team": "ENG"}, {}, r"LINEAR_API_KEY .*SIGNALS_TRACKER=files"),
        ({"team": "ENG", "endpoint": "ftp://x"}, {"LINEAR_API_KEY": "k"}, r"linear\.endpoint must begin with https"),
    ],
)
def test_linear_without_team_access_or_address_is_refused_with_what_to_set(
    linear, variables, missing, tmp_path, monkeypatch
):
    for name in ("LINEAR_API_KEY", "LINEAR_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DoorError, match=missing):
        resources_for(Settings(home=tmp_path, tracker="linear", linear=linear))


@pytest.mark.parametrize(("variable", "sent"), [("LINEAR_API_KEY", "secret"), ("LINEAR_ACCESS_TOKEN", "Bearer secret")])
def test_linear_is_entered_with_a_key_or_a_bearer_token_that_no_text_shows(variable, sent, tmp_path, monkeypatch):
    for name in ("LINEAR_API_KEY", "LINEAR_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "secret")
    tracker = resources_for(Settings(home=tmp_path, tracker="linear", linear={"team": "ENG"}))["tracker"]
    assert tracker._client.authorization == sent
    assert "secret" not in repr(tracker._client)


@pytest.mark.parametrize(
    ("choice", "missing"),
    [("openai", "set OPENAI_API_KEY or SIGNALS_"), ("openai-compatible", "SIGNALS_LANGUAGE_MODEL__BASE_URL=http")],
)
def test_a_language_model_without_its_key_or_address_is_refused_with_what_to_set(
    choice, missing, tmp_path, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(DoorError, match=f"analyst = '{choice}' needs .*{missing}"):
        resources_for(Settings(home=tmp_path, analyst=choice))


@pytest.mark.parametrize(
    ("variable", "value", "missing"),
    [
        ("GITHUB_TOKEN", "", "needs a token: set GITHUB_TOKEN"),
        ("SIGNALS_GITHUB__REPOSITORY", "agent", "must be owner/name"),
        ("SIGNALS_GITHUB__BASE_URL", "ftp://host", "must begin with https://"),
    ],
)
def test_github_without_token_repository_or_address_is_refused_with_what_to_set(
    variable, value, missing, tmp_path, monkeypatch
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(DoorError, match=f"code_host = 'github'.*{missing}"):
        resources_for(Settings(home=tmp_path, code_host="github"))
    with pytest.raises(DoorError, match=f"records_from = 'github'.*{missing}"):
        resources_for(Settings(home=tmp_path, records_from={"releases": "github"}))


@pytest.mark.parametrize(
    ("slack", "missing"),
    [
        ({"dry_run": False}, "needs a bot's token: set SLACK_BOT_TOKEN"),
        ({"dry_run": False, "token": "xoxb-none", "channel": "#general"}, "channel's id"),
        ({"token": "xoxb-none", "base_url": "ftp://host"}, "must begin with https://"),
    ],
)
def test_slack_without_token_channel_or_address_is_refused_with_what_to_set(slack, missing, tmp_path):
    with pytest.raises(DoorError, match=f"notifier = 'slack'.*{missing}"):
        resources_for(Settings(home=tmp_path, notifier="slack", slack=slack))


def test_doors_that_leave_the_machine_are_dry_unless_told_otherwise(tmp_path):
    settings = Settings(home=tmp_path, notifier="slack", code_host="github")
    assert (settings.slack.dry_run, settings.github.dry_run) == (True, True)
    doors = resources_for(settings)
    assert doors["notifier"].check().startswith("slack: no token, dry run")
    assert doors["code_host"].available


def test_single_kinds_of_records_come_from_github(tmp_path):
    settings = Settings(home=tmp_path, records_from={"pull_requests": "github"})
    records = resources_for(settings)["records"]
    assert type(records).__name__ == "RecordsByKind"
    assert records.days("releases") == []  # of the folder: nobody was asked


def test_openai_is_asked_in_batches_and_for_a_few_sessions_directly_in_the_flexible_tier(tmp_path):
    settings = Settings(home=tmp_path, analyst="openai", language_model={"api_key": "sk-none"})
    batch, direct = batches_for(settings), batches_for(settings, directly=True)
    assert (batch.name, batch.tier, batch.endpoint) == ("openai", "batch", "/v1/responses")
    assert (direct.name, direct.tier, direct.endpoint) == ("openai", "flex", "/v1/responses")


def test_a_door_that_cannot_be_opened_stands_with_its_reason_among_the_others(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path, embedder="openai")
    with pytest.raises(DoorError, match="embedder = 'openai' needs a key: set OPENAI_API_KEY or SIGNALS_") as refused:
        resources_for(settings)
    doors = doors_or_reasons(settings)
    assert str(doors["embedder"]) == str(refused.value)
    assert [found for found, door in doors.items() if isinstance(door, DoorError)] == ["embedder"]


def test_embeddings_come_from_openai_or_a_server_of_ones_own_with_a_model_of_their_own(tmp_path, monkeypatch):
    def named(**server):
        return resources_for(Settings(home=tmp_path, embedder="openai", embedding_server=server))["embedder"].name

    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    assert named() == "text-embedding-3-small"
    assert named(dimensions=256) == "text-embedding-3-small/256"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy/v1")
    assert named() == "text-embedding-3-small@proxy"
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("SIGNALS_EMBEDDING_MODEL", "house")
    assert named(base_url="http://house:8000/v1/") == "house@house:8000"
    with pytest.raises(DoorError, match=r"embedder = 'openai': embedding_server\.base_url must begin with https"):
        named(base_url="house:8000")


def test_the_settings_choose_the_implementation(tmp_path):
    def chosen(**values):
        return resources_for(Settings(home=tmp_path, **values))

    assert isinstance(chosen(compute="serial")["compute"], SerialCompute)
    assert isinstance(chosen(compute="processes")["compute"], ProcessCompute)
    assert isinstance(chosen(embedder="none")["embedder"], NoEmbedder)
    assert isinstance(chosen(embedder="sentence-transformers")["embedder"], SentenceTransformerEmbedder)


def test_an_override_replaces_its_door_and_is_handed_to_doors_that_need_it(tmp_path):
    compute, tracker = SerialCompute(), object()
    settings = Settings(home=tmp_path, tracker="linear")  # not opened where it is replaced
    doors = resources_for(settings, compute=compute, tracker=tracker)
    assert doors["compute"] is compute
    assert doors["tracker"] is tracker
    assert list(doors) == ["settings", *DOORS]


def test_an_unknown_override_names_itself_and_what_there_is(tmp_path):
    with pytest.raises(DoorError, match=r"no such door: tracer; there are pseudonym_key, .*tracker"):
        resources_for(Settings(home=tmp_path), tracer=object())
