"""The psutil rung, as a real collector process: what it reports, for whom, and how it ends."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent import channel
from agent.channel import Message, Sender
from content.definitions import RUNG_NUMBERS, Rung
from content.loss_causes import LossCause
from probes.counters import CounterSlot
from probes.limits import LIMITS
from probes.processes import Process, read_process
from tests.kernel.collection import Collection, Event, collecting, records_of
from tests.needs import require_audit, require_root
from tests.process.waiting import until

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY: dict[str, Any] = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
PROCESS, NETWORK = 1, 3
LOGGED_IN = "echo 1000 > /proc/self/loginuid; exec /bin/sleep 62"
RING_BYTES = 16384
SECONDS_STOPPED = 1.0
MAPPED_LOOPBACK = bytes(10) + b"\xff\xff\x7f\0\0\1"


@contextmanager
def polling(*arguments: str, **options: Any) -> Iterator[Collection]:
    """A psutil collector that has begun to poll, and is told to stop in the end."""
    with collecting("--rung", "psutil", *arguments, **options) as collection:
        heartbeat(collection)
        yield collection
        channel.send(collection.channel, "stop")
        assert collection.process.wait(10) == 0


def heartbeat(collection: Collection) -> Message:
    """The next heartbeat."""
    message = channel.receive(collection.channel, Sender.COLLECTOR)
    assert message is not None
    for descriptor in message.descriptors:
        os.close(descriptor)
    if message.kind in ("late", "locked"):  # late: on a busy machine
        return heartbeat(collection)
    assert message.kind == "heartbeat"
    return message


def own() -> Process:
    """This test process as /proc shows it."""
    process = read_process(os.getpid())
    assert process is not None
    return process


def events_of(collection: Collection, type_name: str, pid: int, count: int) -> list[Event]:
    """Events of a process, as soon as there are so many."""
    events: list[Event] = []

    def enough() -> bool:
        events.extend(collection.take(type_name, [pid]))
        return len(events) >= count

    until(enough)
    return events


def test_new_process() -> None:
    """If it failed, the rung without the kernel would be blind, or report wrong facts."""
    parent = own()
    command = ["/bin/sh", "-c", "read -r _", "", "a b"]
    with polling() as collection, subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        there = read_process(process.pid)
        (event,) = events_of(collection, "process", process.pid, 1)
        process.kill()
    assert there is not None
    assert event["rung"] == RUNG_NUMBERS[Rung.PSUTIL]
    assert event["command_line"] == b"/bin/sh\0-c\0read -r _\0\0a b"
    assert event["argument_count"] == 5
    assert event["image"] == there.image
    assert event["start_time"] == there.start_time
    assert (event["user_id"], event["group_id"]) == (os.getuid(), os.getgid())
    assert event["parent_pid"] == os.getpid()
    assert event["parent_image"] == parent.image
    assert event["parent_command_line"] == parent.command_line[:512]
    assert event["parent_start_time"] == parent.start_time
    assert event["current_directory"] == os.fsencode(Path.cwd())
    assert "thread_id" not in event
    assert "cgroup_id" not in event


def test_a_process_that_becomes_another_program() -> None:
    """If it failed, exec without fork would be invisible in this rung."""
    program = "read -r _; exec /bin/sleep 61"
    with (
        polling() as collection,
        subprocess.Popen(["/bin/sh", "-c", program], stdin=subprocess.PIPE) as process,
    ):
        (first,) = events_of(collection, "process", process.pid, 1)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        (second,) = events_of(collection, "process", process.pid, 1)
        process.kill()
    assert bytes(first["command_line"]).endswith(b"exec /bin/sleep 61")
    assert second["command_line"] == b"/bin/sleep\x0061"
    assert first["start_time"] == second["start_time"]


def test_a_fork_is_no_event() -> None:
    """If it failed, a process that only forks would look like a program that was executed."""
    program = "import os, sys\nos.fork()\nsys.stdin.read()\n"
    command = [sys.executable, "-I", "-S", "-c", program]
    with polling() as collection, subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        events_of(collection, "process", process.pid, 1)
        for _ in range(3):
            heartbeat(collection)
        assert collection.take("process", parents=[process.pid]) == []
        process.communicate()


def test_sockets() -> None:
    """If it failed, the rung would report connections wrongly or not at all."""
    with polling() as collection, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (bound,) = events_of(collection, "network", os.getpid(), 1)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            ends = events_of(collection, "network", os.getpid(), 2)
            client_port = client.getsockname()[1]
            accepted.close()
    assert (bound["local_address"], bound["local_port"]) == (MAPPED_LOOPBACK, port)
    assert "remote_port" not in bound
    connect = next(event for event in ends if event["operation"] == 1)
    accept = next(event for event in ends if event["operation"] == 3)
    assert (connect["remote_address"], connect["remote_port"]) == (MAPPED_LOOPBACK, port)
    assert (accept["remote_address"], accept["remote_port"]) == (MAPPED_LOOPBACK, client_port)
    assert accept["local_port"] == port
    assert "result" not in bound


def test_every_promised_field_is_supplied() -> None:
    """If it failed, the rung would promise a field that it never fills in."""
    require_audit()
    with polling() as collection, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),
            server.accept()[0],
            subprocess.Popen(["/bin/sh", "-c", LOGGED_IN]) as process,
        ):
            found = {
                "process": events_of(collection, "process", process.pid, 1),
                "network": events_of(collection, "network", os.getpid(), 3),
            }
            process.kill()
        for name, events in found.items():
            definition = collection.rings[name].template_type
            numbers = definition.supplied_fields(Rung.PSUTIL)
            supplied = set().union(*(event.keys() for event in events))
            promised = {field.name for field in definition.fields if field.number in numbers}
            assert promised <= supplied


def test_types_that_it_can_not_see_have_no_ring() -> None:
    """If it failed, a ring would exist into which nothing is ever written."""
    with polling() as collection:
        assert [ring["template_type"] for ring in collection.message["rings"]] == [PROCESS, NETWORK]
        assert {ring["kind"] for ring in collection.message["rings"]} == {"memfd"}


def test_full_ring_is_counted() -> None:
    """If it failed, events would vanish without a trace when nobody reads."""
    full = CounterSlot(LossCause.RING_FULL, PROCESS)
    with polling("--ring-bytes", str(RING_BYTES)) as collection:
        held = RING_BYTES // collection.rings["process"].stride
        sleepers = [subprocess.Popen(["/bin/sleep", str(63 + n)]) for n in range(8)]
        try:
            until(lambda: collection.lost().get(full, 0) >= len(sleepers) - held)
            assert len(records_of(collection.rings["process"])) == held
        finally:
            for sleeper in sleepers:
                sleeper.kill()
                sleeper.wait()


def test_truncated_fields_are_counted() -> None:
    """If it failed, only who looks at each event would know that values are cut."""
    slot = CounterSlot(LossCause.FIELD_TRUNCATED, PROCESS)
    with polling() as collection:
        before = collection.lost().get(slot, 0)
        command = ["/bin/sleep", "66", *["0" * 1000] * 5]
        with subprocess.Popen(command) as process:
            (event,) = events_of(collection, "process", process.pid, 1)
            process.kill()
        cut = int(event["truncated"]).bit_count()
        assert collection.lost()[slot] >= before + cut
    assert cut >= 1


def test_a_look_that_comes_late_is_told() -> None:
    """If it failed, what ran while the collector was stopped would be missed without a word."""
    with polling() as collection:
        stopped = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        collection.process.send_signal(signal.SIGSTOP)
        time.sleep(SECONDS_STOPPED)
        collection.process.send_signal(signal.SIGCONT)
        messages = iter(lambda: channel.receive(collection.channel, Sender.COLLECTOR), None)
        late = next(
            one
            for one in messages
            if one.kind == "late" and one["to_ns"] - one["from_ns"] >= SECONDS_STOPPED * 1e9
        )
        read_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    looks = SECONDS_STOPPED / LIMITS.psutil_interval
    assert looks - 1 <= late["missed"] <= (read_ns - stopped) / 1e9 / LIMITS.psutil_interval + 1
    assert late["from_ns"] <= stopped + LIMITS.psutil_interval * 1e9
    assert stopped + SECONDS_STOPPED * 1e9 <= late["to_ns"] <= read_ns


def test_an_ordinary_user_sees_own_processes() -> None:
    """If it failed, the rung would be of no use without root."""
    require_root()
    with polling(**AS_NOBODY) as collection:
        with subprocess.Popen(["/bin/sleep", "64"], **AS_NOBODY) as mine:
            (event,) = events_of(collection, "process", mine.pid, 1)
            mine.kill()
        with subprocess.Popen(["/bin/sleep", "65"]) as roots:
            (other,) = events_of(collection, "process", roots.pid, 1)
            roots.kill()
    assert bytes(event["image"]).endswith(b"/sleep")
    assert event["user_id"] == NOBODY.pw_uid
    assert other["command_line"] == b"/bin/sleep\x0065"
    assert "image" not in other
    assert other["user_id"] == 0


def test_heartbeat_says_how_it_is_locked_down() -> None:
    """If it failed, nobody would know whether the collector is alive and in its cage."""
    with polling() as collection:
        facts = heartbeat(collection)["facts"]
    assert facts["processes"] > 0
    assert facts["sandbox"]["seccomp"].startswith("wait for the supervisor")


@pytest.mark.parametrize("how", ["stop", "close"])
def test_it_ends_with_the_supervisor(how: str) -> None:
    """If it failed, a collector would be left behind."""
    with collecting("--rung", "psutil") as collection:
        if how == "stop":
            channel.send(collection.channel, "stop")
        else:
            collection.channel.close()
        assert collection.process.wait(10) == 0


def test_interrupt_is_the_supervisors() -> None:
    """If it failed, Ctrl-C would end the collector before the supervisor has decided."""
    with polling() as collection:
        collection.process.send_signal(signal.SIGINT)
        heartbeat(collection)
        heartbeat(collection)
