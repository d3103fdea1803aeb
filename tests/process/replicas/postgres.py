"""A PostgreSQL server of the tests' own: in a scratch folder, on a free port of the loopback.

PostgreSQL refuses to run as root: where tests do, it runs as `nobody`. It is started and ended by
process id, and keeps everything in its folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.needs import require_postgresql
from tests.process.waiting import until

OWNER = "nobody"


def as_owner() -> list[str]:
    """What a command begins with to run as somebody whom PostgreSQL accepts."""
    return ["setpriv", f"--reuid={OWNER}", "--clear-groups"] if os.geteuid() == 0 else []


@dataclass
class Postgres:
    """A cluster; `start` and `stop` may be called again and again."""

    folder: Path
    port: int
    host: str = "127.0.0.1"
    _process: subprocess.Popen[bytes] | None = None
    _made: int = field(default=0)

    def uri(self, name: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://bulkhead@{self.host}:{self.port}/{name}"

    def new_database(self) -> str:
        """An empty database; its address."""
        self._made += 1
        name = f"cloud_{self._made}"
        with psycopg.connect(self.uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.uri(name)

    def ask_for_password(self, user: str, password: str) -> None:
        """A further user, who may do all and has to say this."""
        rules = self.folder / "data" / "pg_hba.conf"
        asked = f"host all {user} 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(asked + rules.read_text(encoding="ascii"), encoding="ascii")
        with psycopg.connect(self.uri(), autocommit=True) as connection:
            order = f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'"
            connection.execute(order.encode())
            connection.execute("SELECT pg_reload_conf()")

    def start(self) -> None:
        """Serve until `stop`; it answers when this returns."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *as_owner(),
                    str(require_postgresql() / "postgres"),
                    "-D",
                    str(self.folder / "data"),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        until(self.answers, 30)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: SIGINT ends connections, SIGQUIT is a crash that it recovers from."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()

    def lives(self) -> bool:
        """Whether its process has not ended."""
        return self._process is not None and self._process.poll() is None

    def answers(self) -> bool:
        """Whether it takes connections."""
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
        try:
            psycopg.connect(self.uri(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def new_postgres(*, listen: str = "127.0.0.1", place: Path | None = None) -> Iterator[Postgres]:
    """A cluster that serves; `place`: the folder for it, made if none is given."""
    tools = require_postgresql()
    with _scratch_folder(place) as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, OWNER)
        subprocess.run(
            [
                *as_owner(), str(tools / "initdb"), "-D", str(folder / "data"), "-U", "bulkhead",
                "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            check=True, stdout=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        server = Postgres(folder, _free_port(), listen)
        settings = {
            "listen_addresses": f"'{listen}'",
            "port": server.port,
            "unix_socket_directories": "''",
            "max_connections": 60,
            "shared_buffers": "'16MB'",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        with (folder / "data" / "postgresql.conf").open("a", encoding="ascii") as file:
            file.write(lines)
        with (folder / "data" / "pg_hba.conf").open("a", encoding="ascii") as file:
            file.write("host all all samenet trust\n")
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def _scratch_folder(place: Path | None) -> Iterator[Path]:
    """Removed by a process of its own, which waits for our end, whatever that is.

    A cluster has a thousand files, and who is interrupted may be killed before they are removed.
    """
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-postgres-", dir=place))
    removal = ["sh", "-c", 'cat >/dev/null; rm -rf -- "$1"', "sh", str(folder)]
    with subprocess.Popen(removal, stdin=subprocess.PIPE, start_new_session=True):
        yield folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
