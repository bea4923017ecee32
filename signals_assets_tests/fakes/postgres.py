"""A real PostgreSQL server for tests: started on a free port of this machine, thrown away at the end.

Put here: finding a server's programs, its life, databases in it, what breaks connections. Not here: what is tested on
it (see `resources/test_ledger_postgres.py`).

The programs are those of the `pgserver` wheel (part of the dev extra), else the newest of a Debian package or of PATH;
where there are none, a test fails and says so: it is never skipped. PostgreSQL refuses to run as root, so root starts
it as nobody.
"""

import ctypes
import importlib.util
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

USER = "signals"
PASSWORD = "not-to-be-printed"
UNPRIVILEGED = "nobody"
PATIENCE = 30.0
"""Seconds that a server may take to start or stop on a busy machine."""

CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # what is thrown away need not survive a power cut
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "80",
}


class PostgresServer:
    """A server of its own, in a folder of its own; ends with the `with` block, or with the thread that started it."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="signals-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": UNPRIVILEGED, "group": _group(), "extra_groups": []}
        try:
            self._programs = self._reachable(programs())
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new empty database."""
        with self._lock:
            self._databases += 1
            name = f"test_{self._databases}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement beside everybody else, by default in the server's own database; its rows, where it has."""
        import psycopg2

        with closing(psycopg2.connect(url or self.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    def hang_up(self, where: str = "true") -> int:
        """End the connections of all other backends that fit, as an administrator would; how many there were."""
        return len(
            self.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND ({where})"
            )
        )

    def start(self) -> None:
        """Start it, on the port it had."""
        for _ in range(3):
            self.port = self.port or _free_port()
            options = [f"-c{name}={value}" for name, value in (CONFIGURATION | {"port": str(self.port)}).items()]
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self.folder / "data", *options],
                    stdout=log, stderr=log, cwd=self.folder, start_new_session=True, preexec_fn=_end_with_parent,
                    **self._as,
                )  # fmt: skip
            if self._answers():
                return
            self.stop(signal.SIGQUIT)
            self.port = 0  # somebody was faster
        raise AssertionError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends connections first, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def restart(self, down: float = 0.0) -> None:
        """Stop it, and start it again after so many seconds."""
        self.stop()
        time.sleep(down)
        self.start()

    def table_file(self, url: str, table: str) -> Path:
        """The file that holds a table's rows, written out."""
        self.run("CHECKPOINT")
        return self.folder / "data" / str(self.run(f"SELECT pg_relation_filepath('{table}')", url)[0][0])

    def _answers(self) -> bool:
        import psycopg2

        deadline = time.monotonic() + PATIENCE
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.run("SELECT 1")
            except psycopg2.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False

    def _prepare(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        if self._as:
            for path in (self.folder, secret):
                shutil.chown(path, UNPRIVILEGED)
        asked = ["--no-sync", f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8"]
        subprocess.run(
            [self._programs / "initdb", "--pgdata", self.folder / "data", "--locale=C", *asked],
            check=True, capture_output=True, cwd=self.folder, **self._as,
        )  # fmt: skip

    def _reachable(self, found: Path) -> Path:
        """The programs, copied where the unprivileged user may not enter their folder (an environment below /root)."""
        try:
            subprocess.run([found / "postgres", "--version"], check=True, capture_output=True, cwd="/", **self._as)
        except (PermissionError, subprocess.CalledProcessError):
            shutil.chown(self.folder, UNPRIVILEGED)
            packages = found.parents[2]  # the wheel's folder finds its libraries in the one beside it
            for name in ("pgserver", "pgserver.libs"):
                shutil.copytree(packages / name, self.folder / name, symlinks=True)
            return self.folder / found.relative_to(packages)
        return found


class Wire:
    """A wire between a client and the server, which can be cut around a commit.

    `cut = "before"`: the next COMMIT never arrives.  "after": it is done, and its answer never arrives.  "for good":
    the same, and nobody is connected any more.
    """

    def __init__(self, port: int) -> None:
        """`port`: the server's."""
        self.cut = ""
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def url(self, url: str) -> str:
        """The same database over this wire."""
        return url.replace(f":{self._server}/", f":{self._listener.getsockname()[1]}/")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._server)) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for end in ready:
                    said = end.recv(1 << 16)
                    if not said or (end is client and b"COMMIT\0" in said and self._cuts(said, server)):
                        return
                    (server if end is client else client).sendall(said)

    def _cuts(self, said: bytes, server: socket.socket) -> bool:
        how, self.cut = self.cut, ""
        if how in ("after", "for good"):
            server.sendall(said)
            assert server.recv(1 << 16)
        if how == "for good":
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would let one more in
        return bool(how)


def programs() -> Path:
    """The folder of `initdb` and `postgres`. Raises AssertionError where there is none."""
    places: list[Path] = []
    wheel = importlib.util.find_spec("pgserver")
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    debian = Path("/usr/lib/postgresql")
    places += sorted(debian.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        places.append(Path(on_path).resolve().parent)
    for place in places:
        if all((place / name).exists() for name in ("initdb", "postgres")):
            return place
    raise AssertionError(
        "no PostgreSQL server to test on: install the dev extra, whose pgserver wheel brings one (Python 3.11 and "
        "3.12), or the package postgresql of your system"
    )


def _group() -> int:
    import pwd

    return pwd.getpwnam(UNPRIVILEGED).pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """Linux: SIGQUIT when the thread that starts the server ends, however it ends."""
    prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(1, signal.SIGQUIT)
