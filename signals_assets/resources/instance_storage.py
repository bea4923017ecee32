"""Where Dagster keeps its own rows, as the dagster.yaml of its instance says: for who must search all that is stored.

Put here: reading that file. Not here: Dagster (it reads the file itself), what is searched for (see `erasure.py`).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

_PORT: Final = 5432


class StorageError(RuntimeError):
    """Dagster's storage cannot be read: names the file or variable; no value."""


def databases(instance: Path) -> list[str]:
    """URLs of the PostgreSQL databases that an instance stores in, sorted; none where it stores in files."""
    file = instance / "dagster.yaml"
    if not file.is_file():
        return []
    import yaml

    try:
        said = yaml.safe_load(file.read_text())
    except yaml.YAMLError:
        raise StorageError(f"{file} is not YAML: what Dagster stored cannot be searched") from None
    return sorted(set(_urls(said)))


def _urls(said: Any) -> Iterator[str]:
    """One for each `postgres_url` or `postgres_db`, at whatever depth: storages may be configured one by one."""
    if isinstance(said, list):
        for one in said:
            yield from _urls(one)
    if not isinstance(said, dict):
        return
    for name, value in said.items():
        if name == "postgres_url":
            yield _given(value)
        elif name == "postgres_db":
            yield _url({part: _given(given) for part, given in value.items() if part not in ("params", "scheme")})
        else:
            yield from _urls(value)


def _url(parts: dict[str, str]) -> str:
    user, password = quote(parts["username"], safe=""), quote(parts.get("password", ""), safe="")
    return f"postgresql://{user}:{password}@{parts['hostname']}:{parts.get('port', _PORT)}/{parts['db_name']}"


def _given(value: Any) -> str:
    """A value of dagster.yaml: itself, or what the variable says that it names."""
    if not isinstance(value, dict):
        return str(value)
    name = value["env"]
    if name not in os.environ:
        raise StorageError(f"Dagster's storage cannot be searched: its dagster.yaml names {name}, which is not set")
    return os.environ[name]
