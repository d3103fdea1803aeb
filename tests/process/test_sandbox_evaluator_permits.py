"""What the evaluator still can do when it is locked down, as root and as nobody."""

import mmap
import os
import socket

import pytest

from tests.process import locked


@pytest.fixture(params=["", locked.NOBODY], ids=["self", "nobody"])
def user(request: pytest.FixtureRequest) -> str:
    """Who runs the process."""
    name: str = request.param
    if name:
        locked.require_other_user()
    return name


def test_numpy_works(user: str) -> None:
    """Batches of events could not be read."""
    ended = locked.run(
        "EVALUATOR",
        "a = numpy.arange(1_000_000, dtype='u8').reshape(1000, 1000)\n"
        "print(int(a.sum()), int((a[:, 3] > 5000).sum()), float((a @ a)[0, 0]))\n"
        "print(numpy.sort(a.ravel()[::-1])[:2], numpy.unique(a % 7).size)\n"
        "try:\n    numpy.empty(2**45, 'u1')\nexcept MemoryError as error:\n    print('refused')",
        before="import numpy",
        user=user,
    )
    assert (ended.how, ended.errors) == ("exit 0", "")
    assert ended.output == "499999500000 995 332833500000.0\n[0 1] 7\nrefused\n"


def test_hyperscan_compiles_and_scans(user: str) -> None:
    """Content is loaded after lock-down; patterns could not be compiled or matched."""
    ended = locked.run(
        "EVALUATOR",
        "database = hyperscan.Database()\n"
        "database.compile(expressions=[b'/etc/sh[a-z]+w', b'curl'], ids=[1, 2])\n"
        "found = []\n"
        "database.scan(b'cat /etc/shadow | curl', lambda number, *_: found.append(number))\n"
        "print(sorted(set(found)))",
        before="import hyperscan",
        user=user,
    )
    assert (ended.how, ended.output, ended.errors) == ("exit 0", "[1, 2]\n", "")


def test_clock_random_and_json_work(user: str) -> None:
    """The evaluator could not wait, date its detections or write a message."""
    ended = locked.run(
        "EVALUATOR",
        "time.sleep(0.001); time.time_ns(); time.localtime(); os.urandom(8)\n"
        "time.thread_time_ns()\n"
        "time.clock_gettime_ns(time.CLOCK_BOOTTIME); os.getppid()\n"
        "print(json.dumps({'a': [1, 2.5, None]}), json.loads('{}'), 'é'.encode('idna'))",
        before="import json",
        user=user,
    )
    assert (ended.how, ended.errors) == ("exit 0", "")
    assert ended.output == "{\"a\": [1, 2.5, null]} {} b'xn--9ca'\n"


def test_channel_carries_messages_and_descriptors(user: str) -> None:
    """The evaluator could not get content or report what it found."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    memory = os.memfd_create("content")
    os.ftruncate(memory, mmap.PAGESIZE)
    os.pwrite(memory, b"payload", 0)
    try:
        socket.send_fds(ours, [b"take"], [memory])
        ended = locked.run(
            "EVALUATOR",
            "data, descriptors, _, _ = socket.recv_fds(channel, 100, 4)\n"
            "with mmap.mmap(descriptors[0], mmap.PAGESIZE) as area:\n"
            "    assert area[:7] == b'payload', area[:7]\n"
            "    area[:7] = b'written'\n"
            "os.close(descriptors[0])\n"
            "channel.settimeout(5)\n"
            "poller = select.poll(); poller.register(channel, select.POLLOUT); poller.poll(1000)\n"
            "channel.send(b'done ' + data)",
            before=f"import select; channel = socket.socket(fileno={theirs.fileno()})",
            user=user,
            descriptors=[theirs.fileno()],
        )
        assert (ended.how, ended.errors) == ("exit 0", "")
        assert ours.recv(100) == b"done take"
        assert os.pread(memory, 7, 0) == b"written"
    finally:
        os.close(memory)
        ours.close()
        theirs.close()


def test_memory_within_the_budget_and_no_more(user: str) -> None:
    """Content that eats memory would take the host's instead of its own budget."""
    ended = locked.run(
        "EVALUATOR",
        "held = bytearray(200 * 2**20); print(len(held))\n"
        "try:\n    bytearray(900 * 2**20)\nexcept MemoryError:\n    print('refused')",
        user=user,
    )
    assert (ended.how, ended.output) == ("exit 0", "209715200\nrefused\n")


def test_error_is_told_in_full(user: str) -> None:
    """Python opens source files for a traceback; death would look like an attack (SIGSYS)."""
    ended = locked.run("EVALUATOR", "def cause():\n    return 1 // 0\ncause()", user=user)
    assert ended.how == "exit 1"
    assert ended.errors.endswith(
        "in cause\nZeroDivisionError: integer division or modulo by zero\n"
    )


def test_late_import_is_told_by_name() -> None:
    """A library that imports lazily would die without a word."""
    ended = locked.run("EVALUATOR", "import sqlite3")
    assert ended.how == "exit 1"
    assert "ImportError: sqlite3 was imported after lock-down" in ended.errors


def test_logged_error_is_told() -> None:
    """Logging an exception or a warning opens source files as well."""
    ended = locked.run(
        "EVALUATOR",
        "warnings.warn('careful')\n"
        "try:\n    1 // 0\nexcept ZeroDivisionError:\n    logging.exception('failed')",
        before="import logging, warnings",
    )
    assert ended.how == "exit 0"
    assert "UserWarning: careful" in ended.errors
    assert "ERROR:root:failed" in ended.errors


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("os.abort()", "SIGABRT"),
        ("signal.raise_signal(signal.SIGABRT)", "SIGABRT"),
        ("ctypes.string_at(8)", "SIGSEGV"),
        ("os._exit(7)", "exit 7"),
    ],
)
def test_death_looks_like_what_it_was(body: str, how: str, user: str) -> None:
    """The crash report would name the wrong cause."""
    assert locked.run("EVALUATOR", body, user=user).how == how
