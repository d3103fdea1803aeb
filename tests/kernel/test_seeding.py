"""Processes that ran before the sensor: one event each, in the ring of the execs, on every rung."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import channel
from agent.channel import Message, Sender
from content.definitions import Rung
from probes.program import BPF_RUNGS
from tests.kernel.collection import MANY, Collection, Event, collecting, decode
from tests.needs import require_bpf, require_btf, skip_unavoidable
from tests.patience import patient

EXEC, ALREADY_RUNNING = 1, 2
RUNGS = (Rung.BPF_BTF, Rung.BPF_TRACEPOINT, Rung.PSUTIL)
STRANGE = "two  words\nand \x1b[31ma line"
PARENT = "import os, signal, sys\nsys.stdin.read(1)\n"

STORM = """
import os
while True:
    if os.fork() == 0:
        os.execv('/bin/true', ['true', 'of the storm'])
    os.wait()
"""

CROWD = """
import os, signal, sys
pids = []
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    pids.append(pid)
print('there', flush=True)
sys.stdin.read()
for pid in pids:
    os.kill(pid, signal.SIGKILL)
"""


@contextmanager
def offering(rung: Rung, *more: str) -> Iterator[Collection]:
    """A collection of processes whose collector waits for its order."""
    if rung in BPF_RUNGS:
        require_bpf()
        more = ("--types", "1", *more)
    if rung is Rung.BPF_BTF:
        require_btf()
    with collecting("--rung", rung, "--seed", *more) as collection:
        assert told(collection, "seeding")["template_type"] == 1
        yield collection


def told(collection: Collection, kind: str) -> Message:
    """The next message of a kind."""
    while True:
        message = channel.receive(collection.channel, Sender.COLLECTOR)
        assert message is not None, "the collector ended"
        if message.kind == kind:
            return message


def order(collection: Collection, position: int = 0) -> None:
    """Content is in force from that position of the ring on."""
    channel.send(collection.channel, "seed", position=position)


def looked(collection: Collection) -> Message:
    """What came of it in the end."""
    while not (message := told(collection, "seeded"))["done"]:
        pass
    return message


def everything(collection: Collection) -> list[Event]:
    """All that the ring holds, oldest first, read and given back."""
    ring = collection.rings["process"]
    events: list[Event] = []
    while len(records := ring.read(ring.consumer_position, MANY)):
        events += [decode(ring.template_type, record) for record in records]
        ring.commit(ring.consumer_position + len(records) * ring.stride)
    return events


def of(events: Sequence[Event], pid: int) -> list[Event]:
    """Those of one process."""
    return [event for event in events if event["pid"] == pid]


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a hostile path and hostile arguments."""
    program = tmp_path / "a\nb \x1b[31m"
    program.symlink_to(sys.executable)
    command = [str(program), "-I", "-c", PARENT, STRANGE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path) as process:
        yield process
        process.communicate(b"\n")


@pytest.mark.parametrize("rung", RUNGS)
def test_who_ran_already(rung: Rung, strange: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """If it failed, malware that starts before the sensor would be safe from it for good."""
    with offering(rung) as collection:
        order(collection)
        end = looked(collection)
        events = everything(collection)
        promised = collection.promised("process")
        lost = collection.lost()
    assert (end["reason"], end["left"]) == ("", 0)
    (event,) = of(events, strange.pid)
    assert event["observed"] == ALREADY_RUNNING
    assert event["image"] == os.fsencode(Path(sys.executable).resolve())
    assert bytes(event["command_line"]).split(b"\0")[-1] == STRANGE.encode()
    assert event["parent_pid"] == os.getpid()
    assert event["parent_image"] == event["image"]
    if "current_directory" in promised:
        assert event["current_directory"] == os.fsencode(tmp_path)
    header = {"time_ns", "rung", "truncated", "processor"}
    optional = {"login_user_id", "session_id"}
    assert promised - event.keys() <= optional | {"cgroup_id"}
    assert event.keys() - header <= promised
    found = [one for one in events if one.get("observed") == ALREADY_RUNNING]
    assert len(found) == end["written"] == len({one["pid"] for one in found})
    assert end["without_program"] > 0
    assert not [one for one in found if "image" not in one and not one["command_line"]]
    assert not {slot.cause for slot in lost} - {"FIELD_TRUNCATED"}
    cut = sum(int(one["truncated"]).bit_count() for one in events)
    assert sum(lost.values()) == cut


@pytest.mark.parametrize("rung", BPF_RUNGS)
def test_an_exec_that_was_seen_is_enough(rung: Rung) -> None:
    """If it failed, a program that starts while the sensor starts would be detected twice."""
    with subprocess.Popen(["/bin/sh", "-c", "read -r _; exec /bin/cat"], stdin=-1) as elder:
        assert elder.stdin is not None
        with offering(rung) as collection:
            elder.stdin.write(b"\n")
            elder.stdin.flush()
            before: list[Event] = []
            while not (before := before + collection.take("process", [elder.pid])):
                assert elder.poll() is None
            collection_end = order_and_look(collection, 0)
            (exec_event,) = before
            again = of(everything(collection), elder.pid)
        elder.stdin.close()
    assert exec_event["observed"] == EXEC
    assert bytes(exec_event["image"]) == b"/bin/cat"
    assert again == []
    assert collection_end["executed"] >= 1


def order_and_look(collection: Collection, position: int) -> Message:
    """Both."""
    order(collection, position)
    return looked(collection)


def test_an_exec_that_nobody_judged_is_not_enough() -> None:
    """If it failed, what starts between attachment and first content would never be judged."""
    with (
        offering(Rung.BPF_BTF) as collection,
        subprocess.Popen(["/bin/sleep", "1000"]) as process,
    ):
        while not collection.take("process", [process.pid]):
            assert process.poll() is None
        order_and_look(collection, collection.rings["process"].consumer_position)
        (event,) = of(everything(collection), process.pid)
        process.kill()
    assert event["observed"] == ALREADY_RUNNING


def test_nobody_is_doubled_or_made_up_in_a_storm(tmp_path: Path) -> None:
    """If it failed, a busy start would detect programs twice, or mix two into one."""
    script = tmp_path / "storm"
    script.write_text(STORM)
    with subprocess.Popen([sys.executable, "-I", "-S", str(script)]) as storm:
        try:
            with offering(Rung.BPF_BTF) as collection:
                order_and_look(collection, 0)
                events = everything(collection)
                lost = collection.lost()
        finally:
            storm.kill()
    found = [one for one in events if one["observed"] == ALREADY_RUNNING]
    assert max(Counter((one["pid"], one["start_time"]) for one in found).values()) == 1
    assert len(of(found, storm.pid)) == 1
    children = [one for one in found if one["parent_pid"] == storm.pid]
    image, script_line = os.fsencode(Path(sys.executable).resolve()), os.fsencode(script)
    for one in children:
        forked = one["image"] == image and script_line in bytes(one["command_line"])
        executed = one["command_line"] == b"true\0of the storm" and one["image"] != image
        assert forked or executed, one
    assert not {slot.cause for slot in lost} - {"FIELD_TRUNCATED"}


def test_another_pid_namespace() -> None:
    """If it failed, a container's process would be reported under a pid of another one."""
    command = ["unshare", "--pid", "--mount-proc", "--fork", "/bin/sleep", "1000"]
    with subprocess.Popen(command) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        while not (inner := children.read_text().split()):
            if outer.poll() is not None:
                skip_unavoidable("no pid namespaces here")
        with offering(Rung.BPF_BTF) as collection:
            order_and_look(collection, 0)
            (event,) = of(everything(collection), int(inner[0]))
        os.kill(int(inner[0]), signal.SIGKILL)
    assert event["command_line"] == b"/bin/sleep\x001000"
    assert event["parent_pid"] == outer.pid


CROWD_SIZE = 1000
SMALL_RINGS = {Rung.BPF_BTF: 1024 * 1024, Rung.PSUTIL: 4 * 1024 * 1024}
"""Bytes; the rung psutil writes every tenth of a second only."""


@pytest.mark.parametrize("rung", SMALL_RINGS)
def test_a_thousand_processes_through_a_small_ring(rung: Rung) -> None:
    """If it failed, a busy host's processes would overflow the ring, or crowd execs out."""
    command = [sys.executable, "-I", "-c", CROWD, str(CROWD_SIZE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == b"there\n"
        with offering(rung, "--ring-bytes", str(SMALL_RINGS[rung])) as collection:
            order(collection)
            events: list[Event] = []
            done = False
            while not done:
                message = told(collection, "seeded")
                done = bool(message["done"])
                ring = collection.rings["process"]
                assert ring.producer_position - ring.consumer_position <= SMALL_RINGS[rung] // 2
                events += everything(collection)
            lost = collection.lost()
        crowd.communicate()
    children = [one for one in events if one["parent_pid"] == crowd.pid]
    assert len(children) == len({one["pid"] for one in children}) == CROWD_SIZE
    assert {one["observed"] for one in children} == {ALREADY_RUNNING}
    assert message["left"] == 0
    assert not {slot.cause for slot in lost} - {"FIELD_TRUNCATED"}


def test_a_collector_without_an_order_leaves_with_its_supervisor() -> None:
    """If it failed, a process with rights on BPF would stay behind."""
    with offering(Rung.BPF_BTF) as collection:
        collection.channel.shutdown(socket.SHUT_RDWR)
        assert collection.process.wait(patient(10)) == 0
