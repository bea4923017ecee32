"""Tests. What a developer has set for their own Signals must not reach them: variables, a demo's settings, a home."""

import os
import tempfile

KEPT = ("SIGNALS_DATA", "SIGNALS_SPECS", "SIGNALS_UPDATE_SNAPSHOTS", "SIGNALS_LIVE_")
"""How the names begin that are meant for the tests."""

for _name in [name for name in os.environ if name.startswith("SIGNALS_") and not name.startswith(KEPT)]:
    del os.environ[_name]
os.environ.pop("DAGSTER_HOME", None)
os.environ["SIGNALS_HOME"] = os.path.join(tempfile.gettempdir(), "signals-tests-have-no-home")  # noqa: PTH118
os.environ["SIGNALS_TOML"] = os.devnull
