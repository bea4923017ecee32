"""The files of `deploy/`: they load where something can load them, agree with each other, and hold no secret."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from signals_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SECRET_WORDS = re.compile(r"PASSWORD|TOKEN|SECRET|_KEY|LEDGER_URL|postgresqlPassword$", re.IGNORECASE)


def load(name: str, folder: Path = DEPLOY) -> Any:
    return yaml.safe_load((folder / name).read_text())


@pytest.fixture(scope="module")
def compose() -> Any:
    return load("compose.yaml")


@pytest.fixture(scope="module")
def values() -> Any:
    return load("values.yaml")


def instructions() -> list[tuple[str, str]]:
    """The container file's instructions in order, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def leaves(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar with its path."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from leaves(value, (*path, str(name)))
    elif isinstance(found, list):
        for number, value in enumerate(found):
            yield from leaves(value, (*path, str(number)))
    else:
        yield path, found


# --- the image ---------------------------------------------------------------------------------------------------


def test_the_image_is_built_in_stages_from_a_pinned_base_and_runs_as_nobody_special() -> None:
    stages = [given for name, given in instructions() if name == "FROM"]
    assert [stage.partition(" AS ")[2] for stage in stages] == ["build", ""]
    [(_, base)] = [(name, given) for name, given in instructions() if name == "ARG" and given.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.\d+-slim-[a-z]+", base)
    last = max(number for number, (name, _) in enumerate(instructions()) if name == "FROM")
    final = instructions()[last:]
    [user] = [given for name, given in final if name == "USER"]
    assert int(user.split(":")[0]) >= 10_000
    after = [name for name, _ in final[[name for name, _ in final].index("USER") :]]
    assert not {"RUN", "COPY", "ADD"} & set(after)
    assert {"HEALTHCHECK", "CMD", "EXPOSE"} <= set(after)
    assert not [given for name, given in instructions() if name == "ADD"]


def test_the_image_holds_what_it_names_and_no_secret() -> None:
    copied = [given for name, given in instructions() if name == "COPY" and "--from" not in given]
    sources = [word for given in copied for word in shlex.split(given)[:-1] if not word.startswith("--")]
    assert len(sources) >= 8
    assert [source for source in sources if not (ROOT / source).exists()] == []
    kept = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert set(kept) == set(sources)
    assert "*" in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    defined = [given for name, given in instructions() if name in ("ARG", "ENV")]
    assert not [given for given in defined if SECRET_WORDS.search(given)]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [asked] = [given.partition("=")[2] for given in defined if given.startswith("EXTRAS=")]
    assert set(asked.split(",")) <= set(extras)
    assert {"ui", "postgres"} <= set(asked.split(","))


def test_packages_are_installed_without_leftovers_and_within_the_constraints() -> None:
    for name, given in instructions():
        if name == "RUN" and "apt-get install" in given:
            assert {"--no-install-recommends", "--yes"} <= set(shlex.split(given))
            assert "rm -rf /var/lib/apt/lists/*" in given
        if name == "RUN" and "pip install" in given:
            assert "-c constraints.txt" in given
        assert "sudo" not in given
        assert "curl" not in given


def test_the_folders_of_the_image_are_their_owners_alone() -> None:
    [made] = [given for name, given in instructions() if name == "RUN" and "install --directory" in given]
    assert "--mode=0700 /var/lib/signals /var/lib/dagster" in made
    environment = " ".join(given for name, given in instructions() if name == "ENV")
    assert "SIGNALS_HOME=/var/lib/signals" in environment
    assert "DAGSTER_HOME=/var/lib/dagster" in environment


# --- compose -----------------------------------------------------------------------------------------------------

# Compose specification, service: those of its keys that are used here.
SERVICE_KEYS = {
    "build", "cap_drop", "command", "container_name", "depends_on", "environment", "healthcheck", "image", "init",
    "networks", "ports", "restart", "security_opt", "stop_grace_period", "volumes",
}  # fmt: skip


def test_every_service_is_pinned_restarted_and_asked_for_its_health(compose: Any) -> None:
    assert set(compose) == {"name", "services", "volumes", "networks", "x-image", "x-storage"}
    assert set(compose["services"]) == {"postgres", "code", "daemon", "webserver"}
    for service in compose["services"].values():
        assert set(service) <= SERVICE_KEYS
        assert re.search(r":[\w.-]+$", service["image"])
        assert not service["image"].endswith(":latest")
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert set(service["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}
        assert set(service["networks"]) <= set(compose["networks"])
        for waited, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][waited]
        named = {mount.split(":")[0] for mount in service.get("volumes", []) if mount[0].isalpha()}
        assert named <= set(compose["volumes"])


def test_there_is_one_daemon_and_the_ui_is_published_on_this_machine_alone(compose: Any) -> None:
    daemons = [s for s in compose["services"].values() if "dagster-daemon" in s.get("command", [])]
    assert len(daemons) == 1
    assert daemons[0]["container_name"] == "signals-daemon"
    assert {name for name, s in compose["services"].items() if "ports" in s} == {"webserver"}
    assert compose["services"]["webserver"]["ports"] == ["127.0.0.1:3000:3000"]


def test_only_the_code_server_sees_sessions_the_home_and_the_doors_secrets(compose: Any) -> None:
    services = compose["services"]
    assert {name for name, s in services.items() if any("home:" in v for v in s.get("volumes", []))} == {"code"}
    assert next(v for v in services["code"]["volumes"] if "/sessions" in v).endswith(":/sessions:ro")
    for name in ("daemon", "webserver"):
        assert not [key for key in services[name]["environment"] if key.startswith("SIGNALS_")]
        assert {key for key in services[name]["environment"] if SECRET_WORDS.search(key)} == {
            "DAGSTER_POSTGRES_PASSWORD"
        }


def test_secrets_come_from_the_environment_and_are_asked_for(compose: Any) -> None:
    secret = [(path, value) for path, value in leaves(compose["services"]) if SECRET_WORDS.search(path[-1])]
    assert len(secret) >= 6
    assert [path for path, value in secret if "${" not in str(value)] == []
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    offered = set(re.findall(r"^(?:# )?([A-Z_]+)=$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert asked == offered
    assert "deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_services_find_each_other(compose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    services = compose["services"]
    for name in ("code", "daemon", "webserver"):
        given = services[name]["environment"]
        assert given["DAGSTER_POSTGRES_HOST"] == "postgres"
        assert given["DAGSTER_POSTGRES_DB"] == services["postgres"]["environment"]["POSTGRES_DB"] == "dagster"
        assert given["CODE_SERVER_HOST"] == "code"
        assert "storage" in services[name]["networks"]
    assert "CREATE DATABASE signals;" in (DEPLOY / "postgres-init.sql").read_text()
    for key, value in services["code"]["environment"].items():
        if key.startswith("SIGNALS_"):
            monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.sessions == [Path("/sessions")]
    assert settings.ledger_url is not None
    assert settings.ledger_url.get_secret_value().endswith("@postgres:5432/signals")


# --- Helm --------------------------------------------------------------------------------------------------------

# The chart's own keys, from its schema's sources (helm/dagster/schema of dagster-io/dagster).
CHART_KEYS = {
    "global": {"dagsterHome", "postgresqlSecretName"},
    "postgresql": {
        "enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "postgresqlScheme", "service",
    },
    "dagsterWebserver": {
        "replicaCount", "image", "podSecurityContext", "securityContext", "service", "readinessProbe",
    },
    "dagsterDaemon": {
        "enabled", "image", "podSecurityContext", "securityContext", "livenessProbe", "runCoordinator", "runRetries",
        "runMonitoring",
    },
    "runLauncher": {"type", "config"},
    "computeLogManager": {"type"},
    "telemetry": {"enabled"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "deployments"},
    "additionalInstanceConfig": {"nux", "concurrency", "run_retries", "freshness"},
}  # fmt: skip
DEPLOYMENT_KEYS = {
    "name", "image", "dagsterApiGrpcArgs", "port", "podSecurityContext", "securityContext", "env", "volumes",
    "volumeMounts", "resources", "readinessProbe",
}  # fmt: skip


def test_the_values_use_keys_that_the_chart_knows(values: Any) -> None:
    assert set(values) == {*CHART_KEYS, "generatePostgresqlPasswordSecret"}
    for section, keys in CHART_KEYS.items():
        assert set(values[section]) == keys, section
    [code] = values["dagster-user-deployments"]["deployments"]
    assert set(code) == DEPLOYMENT_KEYS
    assert values["runLauncher"]["type"] == "CustomRunLauncher"
    assert set(values["runLauncher"]["config"]["customRunLauncher"]) == {"module", "class", "config"}


def test_one_image_runs_everywhere_as_the_user_of_the_container_file(values: Any) -> None:
    [code] = values["dagster-user-deployments"]["deployments"]
    parts = [values["dagsterWebserver"], values["dagsterDaemon"], code]
    assert len({str(part["image"]) for part in parts}) == 1
    assert parts[0]["image"]["tag"] not in ("latest", "")
    [user] = [given for name, given in instructions() if name == "USER"]
    for part in parts:
        assert f"{part['podSecurityContext']['runAsUser']}:{part['podSecurityContext']['runAsGroup']}" == user
        assert part["podSecurityContext"]["runAsNonRoot"]
        assert part["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    web = values["dagsterWebserver"]
    assert web["service"]["port"] == web["readinessProbe"]["httpGet"]["port"] >= 1024


def test_the_values_hold_no_secret(values: Any) -> None:
    assert values["generatePostgresqlPasswordSecret"] is False
    assert not [path for path, _ in leaves(values) if path[-1].lower().endswith("password")]
    [code] = values["dagster-user-deployments"]["deployments"]
    for variable in code["env"]:
        if SECRET_WORDS.search(variable["name"]):
            assert set(variable) == {"name", "valueFrom"}
            assert set(variable["valueFrom"]["secretKeyRef"]) == {"name", "key"}
    fields = Settings.model_fields
    assert {v["name"].removeprefix("SIGNALS_").lower() for v in code["env"]} <= set(fields)


def test_the_helm_version_is_dagsters() -> None:
    [pinned] = re.findall(r"^dagster==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    for name in ("values.yaml", "README.md"):
        assert set(re.findall(r"--version ([\d.]+)", (DEPLOY / name).read_text())) == {pinned}


# --- Dagster -----------------------------------------------------------------------------------------------------


def test_every_instance_says_the_same_but_for_its_storage(values: Any) -> None:
    plain, deployed = load("dagster.yaml", ROOT), load("dagster.yaml")
    assert deployed.pop("storage")["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert deployed == plain
    assert values["additionalInstanceConfig"] == {
        name: plain[name] for name in ("nux", "concurrency", "run_retries", "freshness")
    }
    assert values["telemetry"] == plain["telemetry"]
    assert values["computeLogManager"]["type"] == plain["compute_logs"]["class"]
    assert values["dagsterDaemon"]["runCoordinator"]["type"] == plain["run_coordinator"]["class"]
    monitoring = values["dagsterDaemon"]["runMonitoring"]
    assert monitoring["enabled"] == plain["run_monitoring"]["enabled"]
    assert monitoring["freeSlotsAfterRunEndSeconds"] == plain["run_monitoring"]["free_slots_after_run_end_seconds"]


def test_the_workspace_leads_to_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    monkeypatch.setenv("CODE_SERVER_HOST", "code")
    [origin] = WorkspaceFileTarget(paths=[str(DEPLOY / "workspace.yaml")]).create_origins()
    assert (origin.host, origin.port, origin.location_name) == ("code", 4000, "signals")
    served = dict(instructions())["CMD"]
    assert '"4000"' in served
    assert '"signals_assets.definitions"' in served


def test_every_file_that_the_guide_names_is_there() -> None:
    guide = (DEPLOY / "README.md").read_text()
    table = re.findall(r"^\| (`.+?) \|", guide, re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`([\w.-]+)`", row)}
    files = {path.name for path in DEPLOY.iterdir() if path.name not in ("README.md", ".env")}
    assert files == named & files
    assert {name for name in named if name.startswith(("compose", "values", "Dockerfile"))} <= files
