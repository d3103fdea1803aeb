"""The link's profile: one folder, some TCP ports, threads; nothing else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox import landlock
from tests import needs
from tests.process import locked

needs_landlock = pytest.mark.skipif(
    landlock.available_abi() < landlock.FIRST_ABI_WITH_NETWORK,
    reason=needs.UNAVOIDABLE + "Landlock ABI 4, for files and TCP ports",
)


@pytest.fixture
def port() -> Iterator[int]:
    """A TCP port on loopback where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def _profile(folder: Path, *ports: int) -> str:
    return f"LINK.with_state(Path({str(folder)!r}), {list(ports)!r})"


def test_outbox_in_sqlite_works(tmp_path: Path) -> None:
    """Reports could not be stored durably."""
    ended = locked.run(
        _profile(tmp_path),
        "database = sqlite3.connect(path)\n"
        "print(database.execute('pragma journal_mode = wal').fetchone()[0])\n"
        "database.execute('create table outbox (report integer primary key, data blob)')\n"
        "database.execute('insert into outbox values (1, zeroblob(1000000))')\n"
        "database.commit()\n"
        "database.execute('delete from outbox'); database.commit(); database.execute('vacuum')\n"
        "database.close()",
        before=f"import sqlite3; path = {str(tmp_path / 'outbox.db')!r}",
    )
    assert (ended.how, ended.output, ended.errors) == ("exit 0", "wal\n", "")


def test_files_are_replaced_durably(tmp_path: Path) -> None:
    """State could not be written, fsynced, renamed, and its folder fsynced."""
    ended = locked.run(
        _profile(tmp_path),
        f"folder = Path({str(tmp_path)!r})\n"
        "with (folder / 'new').open('wb') as file:\n"
        "    file.write(b'state'); file.flush(); os.fsync(file.fileno())\n"
        "(folder / 'new').replace(folder / 'state')\n"
        "descriptor = os.open(folder, os.O_RDONLY); os.fsync(descriptor)\n"
        "print(os.listdir(folder))",
    )
    assert (ended.how, ended.output, ended.errors) == ("exit 0", "['state']\n", "")


def test_content_goes_into_a_sealed_memfd(tmp_path: Path) -> None:
    """Content could not be handed to the supervisor."""
    ended = locked.run(
        _profile(tmp_path),
        "descriptor = os.memfd_create('content', os.MFD_ALLOW_SEALING)\n"
        "os.write(descriptor, b'payload')\n"
        "fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 15)\n"
        "print(fcntl.fcntl(descriptor, fcntl.F_GET_SEALS))",
        before="import fcntl",
    )
    assert (ended.how, ended.output, ended.errors) == ("exit 0", "15\n", "")


@needs_landlock
def test_only_named_ports_can_be_reached(tmp_path: Path, port: int) -> None:
    """A link that was taken over could talk to anybody."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
        ended = locked.run(
            _profile(tmp_path, port),
            f"socket.create_connection(('localhost', {port}), 5).close(); print('connected')\n"
            f"try:\n    socket.create_connection(('localhost', {closed}), 5)\n"
            "except PermissionError:\n    print('refused')",
        )
    assert (ended.how, ended.output, ended.errors) == ("exit 0", "connected\nrefused\n", "")


@needs_landlock
def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """A link that was taken over could read the host's secrets or plant programs."""
    ended = locked.run(
        _profile(tmp_path),
        "for path, mode in (('/etc/passwd', 'r'), ('/tmp/bulkhead-planted', 'w')):\n"
        "    try:\n        open(path, mode)\n"
        "    except PermissionError:\n        print('refused')",
    )
    assert (ended.how, ended.output, ended.errors) == ("exit 0", "refused\nrefused\n", "")


def test_threads_but_no_processes(tmp_path: Path) -> None:
    """The thread pool of gRPC could not start, or a shell could."""
    ended = locked.run(
        _profile(tmp_path),
        "thread = threading.Thread(target=print, args=('thread',)); thread.start()\n"
        "thread.join(); sys.stdout.flush()\nos.fork()",
        before="import threading",
    )
    assert (ended.how, ended.output) == ("SIGSYS", "thread\n")


@pytest.mark.parametrize(
    "attempt",
    [
        "os.execv('/bin/true', ['true'])",
        "socket.socket().listen()",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE + 16)",
        "os.kill(os.getppid(), 0)",
        "os.chmod('/tmp', 0)",
        "os.mkdir('/tmp/bulkhead-planted')",
        "os.symlink('/', '/tmp/bulkhead-planted')",
        "os.link('/etc/hostname', '/tmp/bulkhead-planted')",
        "system_call('bpf', 321 if os.uname().machine == 'x86_64' else 280, 0, 0, 0)",
        "mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_EXEC)",
    ],
)
def test_attempt_ends_the_process(attempt: str, tmp_path: Path) -> None:
    """A link that was taken over would have a way out."""
    assert locked.run(_profile(tmp_path), attempt).how == "SIGSYS"
