"""The process connector rung, as a real collector process on the kernel's own notifications."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import channel
from content.definitions import RUNG_NUMBERS, Rung
from content.loss_causes import LossCause
from probes.counters import ANY_TEMPLATE_TYPE, CounterSlot
from probes.errors import ProbeError
from probes.process_connector import ProcessConnector
from probes.processes import read_process
from tests.kernel.collection import Collection, collecting, refused
from tests.needs import require_audit, require_root, skip_unavoidable
from tests.process.test_psutil_rung import (
    AS_NOBODY,
    LOGGED_IN,
    MAPPED_LOOPBACK,
    NETWORK,
    PROCESS,
    events_of,
    heartbeat,
)
from tests.process.waiting import until

EXECS = 23
SHORT = f"""
import os
for number in range({EXECS}):
    os.posix_spawn('/bin/true', ['true', str(number)], {{}})
    os.wait()
"""


@pytest.fixture(autouse=True)
def _needs() -> None:
    require_root()
    try:
        ProcessConnector().close()
    except ProbeError as error:
        skip_unavoidable(f"no process connector here: {error.detail}")


@contextmanager
def listening(*arguments: str) -> Iterator[Collection]:
    """A collector that has begun to listen, and is told to stop in the end."""
    with collecting("--rung", "process_connector", *arguments) as collection:
        heartbeat(collection)
        yield collection
        channel.send(collection.channel, "stop")
        assert collection.process.wait(10) == 0


def test_every_short_exec_is_one_event() -> None:
    """If it failed, programs that end at once would be missed, as they are by polling."""
    with listening() as collection:
        parent = subprocess.Popen([sys.executable, "-I", "-S", "-c", SHORT])
        assert parent.wait(30) == 0
        events = []

        def all_there() -> bool:
            events.extend(collection.take("process", parents=[parent.pid]))
            return len(events) >= EXECS

        until(all_there)
        heartbeat(collection)
        events += collection.take("process", parents=[parent.pid])
        lost = collection.lost().get(CounterSlot(LossCause.NOTIFICATION_LOST, ANY_TEMPLATE_TYPE), 0)
        unread = collection.lost().get(CounterSlot(LossCause.READ_FAULT, PROCESS), 0)
    assert len(events) == EXECS
    assert len({event["pid"] for event in events}) == EXECS
    assert lost == 0
    # Whoever was read in time was read rightly, and whoever was not is counted.
    read = [event for event in events if "command_line" in event]
    assert {bytes(event["command_line"]) for event in read} <= {
        b"true\0%d" % number for number in range(EXECS)
    }
    assert unread >= EXECS - len(read)


def test_a_process_that_stays_has_every_field() -> None:
    """If it failed, the rung would promise a field that it never fills in."""
    require_audit()
    with listening() as collection, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with subprocess.Popen(["/bin/sh", "-c", LOGGED_IN]) as process:
            _, event = events_of(collection, "process", process.pid, 2)
            there = read_process(process.pid)
            process.kill()
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            ends = events_of(collection, "network", os.getpid(), 3)
        header = {"time_ns", "rung", "truncated", "processor"}
        assert event.keys() - header == collection.promised("process")
        assert set().union(*(end.keys() for end in ends)) - header == collection.promised("network")
        assert [ring["template_type"] for ring in collection.message["rings"]] == [PROCESS, NETWORK]
    assert there is not None
    assert event["rung"] == RUNG_NUMBERS[Rung.PROCESS_CONNECTOR]
    assert event["command_line"] == b"/bin/sleep\x0062"
    assert event["image"] == there.image
    assert (event["start_time"], event["thread_id"]) == (there.start_time, process.pid)
    assert event["parent_pid"] == os.getpid()
    assert MAPPED_LOOPBACK in {end.get("remote_address") for end in ends}


def test_executing_the_same_again_is_an_event() -> None:
    """If it failed, the rung would be as blind as polling for a program that starts itself."""
    command = ["/bin/sh", "-c", 'read -r _; exec /bin/sh -c "$1" sh "$1"', "sh", "read -r _"]
    with (
        listening() as collection,
        subprocess.Popen(command, stdin=subprocess.PIPE) as process,
    ):
        events_of(collection, "process", process.pid, 1)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        (second,) = events_of(collection, "process", process.pid, 1)
        process.kill()
    assert bytes(second["command_line"]).startswith(b"/bin/sh\0-c\0read -r _")


def test_what_overruns_the_socket_is_counted() -> None:
    """If it failed, a storm while the collector can't run would leave no trace."""
    with listening() as collection:
        os.kill(collection.process.pid, signal.SIGSTOP)
        try:
            _storm()
        finally:
            os.kill(collection.process.pid, signal.SIGCONT)
        slot = CounterSlot(LossCause.NOTIFICATION_LOST, ANY_TEMPLATE_TYPE)
        until(lambda: collection.lost().get(slot, 0) > 0)
        # After the storm it sees as before.
        with subprocess.Popen(["/bin/sleep", "62"]) as process:
            assert events_of(collection, "process", process.pid, 1)
            process.kill()


def test_it_is_locked_down_and_says_so() -> None:
    """If it failed, the right to change the network would stay with a process that reads /proc."""
    with listening() as collection:
        facts = heartbeat(collection)["facts"]
        status = Path(f"/proc/{collection.process.pid}/status")
        lines = status.read_text(encoding="ascii").splitlines()
    permitted = next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm"))
    assert permitted & 1 << 12 == 0  # CAP_NET_ADMIN
    assert facts["sandbox"]["profile"] == "collector-connector"
    assert facts["sandbox"]["seccomp"].startswith("wait for the supervisor")


def test_a_namespace_of_its_own_is_refused_in_words() -> None:
    """If it failed, a container would get a rung that hears nothing, and say nothing."""
    program = (
        "from probes.process_connector import ProcessConnector\n"
        "from probes.errors import ProbeError\n"
        "try:\n    ProcessConnector()\n"
        "except ProbeError as error:\n    print(error.reason)\n"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)
    assert ended.stdout.strip() in ("CONNECTOR_MISSING", "NOT_PERMITTED"), ended.stderr


def test_without_the_right_it_says_so_or_listens() -> None:
    """If it failed, an ordinary user's start would be a traceback."""
    kernel = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if kernel < (6, 6):
        assert refused("--rung", "process_connector", **AS_NOBODY)["reason"] == "NOT_PERMITTED"
    else:
        with collecting("--rung", "process_connector", **AS_NOBODY) as collection:
            assert heartbeat(collection)["facts"]["processes"] > 0
            collection.channel.close()


def _storm() -> None:
    """Threads that start and end: two notifications each, and far more than the socket holds."""
    for _ in range(12_000):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
