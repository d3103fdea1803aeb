"""Template Type ipc: UNIX sockets and FIFOs, with exactly the 20 inputs of its Definition."""

import errno
import os
from pathlib import Path

from tests.kernel.collection import Collection, Event
from tests.kernel.workload import run_python

ARITY = 20


def do(collection: Collection, folder: Path, program: str) -> list[Event]:
    """Events of a program."""
    return collection.take("ipc", [run_python(program, folder, cwd=folder)])


def operation(collection: Collection, event: Event) -> str:
    """Operation by name."""
    fields = collection.rings["ipc"].template_type.fields
    return {number: name for name, number in fields[0].values.items()}[int(event["operation"])]


SERVE = (
    "server = socket.socket(socket.AF_UNIX)\n"
    "server.bind({0})\n"
    "server.listen(20)\n"
    "client = socket.socket(socket.AF_UNIX)\n"
    "client.connect({0})\n"
)


def test_pathname_socket(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a UNIX socket with a path would be missed or have the wrong one."""
    bound, connected = do(collection, tmp_path, SERVE.format("path('socket')"))
    assert operation(collection, bound) == "bind"
    assert operation(collection, connected) == "connect"
    for event in (bound, connected):
        assert event["path"] == os.fsencode(tmp_path / "socket")
        assert event["abstract"] == 0
        assert event["result"] == 0
        assert int(event["descriptor"]) > 2
        assert "mode" not in event


def test_abstract_socket(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an abstract name would be cut at a NUL or lose its kind."""
    bound, connected = do(collection, tmp_path, SERVE.format("b'\\0bulk\\0head\\xff-test'"))
    for event in (bound, connected):
        assert event["path"] == b"bulk\0head\xff-test"
        assert event["abstract"] == 1


def test_counts_are_exact(collection: Collection, tmp_path: Path) -> None:
    """If it failed, events would be missed or doubled."""
    events = do(
        collection,
        tmp_path,
        SERVE.format("path('socket')")
        + "clients = [socket.socket(socket.AF_UNIX) for _ in range(6)]\n"
        "for one in clients:\n    one.connect(path('socket'))\n"
        "for index in range(5):\n    os.mkfifo(path(f'fifo-{index}'))\n"
        "for index in range(3):\n    os.mknod(path(f'plain-{index}'), 0o600)\n",
    )
    operations = [operation(collection, event) for event in events]
    assert operations.count("bind") == 1
    assert operations.count("connect") == 7
    assert operations.count("fifo_create") == 5
    assert len(operations) == 13


def test_fifo(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a FIFO would be missed or have the wrong mode."""
    one, other, failed = do(
        collection,
        tmp_path,
        "os.mkfifo(path('one'), 0o622)\n"
        "os.mknod('other', 0o4600 | stat.S_IFIFO)\n"
        "try:\n    os.mkfifo(path('one'))\nexcept FileExistsError:\n    pass\n",
    )
    assert (one["path"], one["mode"]) == (os.fsencode(tmp_path / "one"), 0o622)
    assert (other["path"], other["mode"]) == (b"other", 0o4600)
    assert failed["result"] == -errno.EEXIST
    assert "descriptor" not in one


def test_twenty_inputs(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the sensor would supply another number of inputs than it promises."""
    definition = collection.rings["ipc"].template_type
    program = SERVE.format("path('socket')") + "os.mkfifo(path('fifo'))\n"
    supplied = set().union(*do(collection, tmp_path, program))
    assert definition.arity == ARITY
    assert collection.promised("ipc") <= supplied


def test_name_of_full_length(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a path that fills the address without a NUL would lose its end."""
    program = (
        "server = socket.socket(socket.AF_UNIX)\n"
        "address = b'\\1\\0' + b'x' * 108\n"
        "assert library.bind(server.fileno(), address, 110) == 0\n"
    )
    (event,) = do(collection, tmp_path, program)
    assert event["path"] == b"x" * 108


def test_bind_without_a_name(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a name that the kernel makes up would be taken from stale memory."""
    program = (
        "server = socket.socket(socket.AF_UNIX)\n"
        "assert library.bind(server.fileno(), b'\\1\\0', 2) == 0\n"
    )
    (event,) = do(collection, tmp_path, program)
    assert "path" not in event
    assert "abstract" not in event


def test_failed_connect(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an attempt that was refused would be invisible or look like a success."""
    program = "socket.socket(socket.AF_UNIX).connect_ex('none')\n"
    (event,) = do(collection, tmp_path, program)
    assert (event["path"], event["result"]) == (b"none", -errno.ENOENT)
