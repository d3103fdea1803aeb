"""Template Type process_access: who reaches into which process, and how that ended."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.processes import read_process
from tests.kernel.collection import Collection, Event
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python
from tests.needs import skip_unavoidable

pytestmark = ONLY_WITH_BTF

SELF, CHILD, DESCENDANT, PARENT, OTHER = range(1, 6)
ONE_TARGET = {"target_pid", "target_parent_pid", "target_user_id", "target_start_time", "relation"}
LAST_PID = "/proc/sys/kernel/ns_last_pid"

CALLS = """
PTRACE, READ, WRITE, GETFD, OPEN, SEND, TKILL, TGKILL, QUEUE, TGQUEUE = {
    "x86_64": (101, 310, 311, 438, 434, 424, 200, 234, 129, 297),
    "aarch64": (117, 270, 271, 438, 434, 424, 130, 131, 138, 240),
}[os.uname().machine]
import signal, subprocess, time
def long(*values):
    return [ctypes.c_long(value) for value in values]
def ptrace(request, pid, address=0, data=0):
    return call(PTRACE, *long(request, pid, address, data))
class Vector(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
def transfer(number, pid, address, length=8):
    local = ctypes.create_string_buffer(length)
    here, there = Vector(ctypes.addressof(local), length), Vector(address, length)
    return call(number, *long(pid), ctypes.byref(here), *long(1), ctypes.byref(there), *long(1, 0))
"""


@pytest.fixture
def target(collection: Collection) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started, and is a child of the tests, not of the workload."""
    process = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
    while not collection.take("process", [process.pid]):
        pass
    yield process
    process.kill()
    process.communicate()


def do(collection: Collection, program: str, argument: object = "") -> list[Event]:
    """Events of a program, which finds the argument in `target`."""
    text = f"target = int(folder or 0)\n{CALLS}{program}"
    return collection.take("process_access", [run_python(text, str(argument))])


def named(collection: Collection, event: Event, field: str) -> str:
    """Value of an enum by name."""
    fields = collection.rings["process_access"].template_type.fields
    (found,) = (one for one in fields if one.name == field)
    return {number: name for name, number in found.values.items()}[int(event[field])]


def test_signals_of_every_call(collection: Collection, target: subprocess.Popen[bytes]) -> None:
    """If it failed, a call that sends signals would be missed, or its target be wrong."""
    events = do(
        collection,
        "os.kill(target, 18)\n"
        "assert call(TKILL, *long(target, 18)) == 0\n"
        "assert call(TGKILL, *long(target, target, 18)) == 0\n"
        "information = (ctypes.c_int * 32)(18, 0, -1)\n"
        "assert call(QUEUE, *long(target, 18), information) == 0\n"
        "assert call(TGQUEUE, *long(target, target, 18), information) == 0\n"
        "handle = call(OPEN, *long(target, 0))\n"
        "assert call(SEND, *long(handle, 18, 0, 0)) == 0\n",
        target.pid,
    )
    there = read_process(target.pid)
    assert there is not None
    assert len(events) == 6
    for event in events:
        assert named(collection, event, "operation") == "signal"
        assert (event["signal"], event["result"]) == (18, 0)
        assert (event["target_pid"], event["relation"]) == (target.pid, OTHER)
        assert event["target_image"] == b"/bin/sh"
        assert event["target_parent_pid"] == os.getpid()
        assert event["target_user_id"] == os.getuid()
        assert event["target_start_time"] == there.start_time
    assert [event.get("requested_pid") for event in events] == [target.pid] * 5 + [None]


def test_counts_are_exact(collection: Collection, target: subprocess.Popen[bytes]) -> None:
    """If it failed, accesses would be missed or doubled."""
    events = do(
        collection,
        "for _ in range(17):\n    os.kill(target, 18)\n"
        "for _ in range(9):\n    transfer(READ, target, 4096)\n"
        "for _ in range(5):\n    transfer(WRITE, target, 4096)\n"
        "for _ in range(3):\n    ptrace(16, target), os.waitpid(target, 0), ptrace(17, target)\n",
        target.pid,
    )
    names = [named(collection, event, "operation") for event in events]
    assert [names.count(name) for name in ("signal", "read_memory", "write_memory", "trace")] == [
        17,
        9,
        5,
        3,
    ]
    assert len(names) == 34


def test_what_stays_within_the_process_is_no_event(collection: Collection) -> None:
    """If it failed, every threaded program would flood the ring with signals to itself."""
    events = do(
        collection,
        "signal.signal(10, signal.SIG_IGN)\n"
        "own = os.getpid()\n"
        "os.kill(own, 10), signal.raise_signal(10)\n"
        "call(TGKILL, *long(own, own, 10)), call(TKILL, *long(own, 10))\n"
        "value = ctypes.c_long(7)\n"
        "assert transfer(READ, own, ctypes.addressof(value)) == 8\n"
        "call(SEND, *long(call(OPEN, *long(own, 0)), 10, 0, 0))\n"
        "call(SEND, *long(-10000, 10, 0, 0))\n"
        "os.kill(os.getppid(), 0), os.kill(1, 0)\n",
    )
    assert events == []


def test_relations(collection: Collection) -> None:
    """If it failed, content could not tell a shell's own jobs from strangers."""
    child_and_parent = (
        "signal.signal(10, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.kill(os.getppid(), 10)\n"
        "    grandchild = os.fork()\n"
        "    if grandchild:\n"
        "        os.waitpid(grandchild, 0)\n"
        "    else:\n"
        "        time.sleep(0.5)\n"
        "    os._exit(0)\n"
        "while not (below := open(f'/proc/{child}/task/{child}/children').read().split()):\n"
        "    time.sleep(0.01)\n"
        "os.kill(child, 18), os.kill(int(below[0]), 18)\n"
        "os.kill(1, 18)\n"
        "os.waitpid(child, 0)\n"
    )
    pid = run_python(CALLS + child_and_parent)
    events = collection.take("process_access", [pid], parents=[pid])
    own = [event for event in events if event["pid"] == pid]
    (upwards,) = (event for event in events if event["pid"] != pid)
    assert (upwards["relation"], upwards["target_pid"]) == (PARENT, pid)
    assert [event["relation"] for event in own] == [CHILD, DESCENDANT, OTHER]
    assert own[0]["target_parent_pid"] == pid
    assert own[0]["target_image"] == os.fsencode(sys.executable)


def test_a_target_that_the_signal_ends(collection: Collection) -> None:
    """If it failed, whom a killer killed would be unknown whenever the victim was quick to go."""
    events = do(
        collection,
        "victims = [subprocess.Popen(['/bin/sh', '-c', 'read line'], stdin=subprocess.PIPE)\n"
        "           for _ in range(8)]\n"
        "for victim in victims:\n    os.kill(victim.pid, 9), victim.wait()\n",
    )
    assert len(events) == 8
    for event in events:
        assert event["target_image"] == b"/bin/sh"
        assert (event["signal"], event["relation"]) == (signal.SIGKILL, CHILD)


def test_groups_have_no_single_target(collection: Collection) -> None:
    """If it failed, a signal to many would be missed, or look like one to somebody."""
    events = do(
        collection,
        "signal.signal(10, signal.SIG_IGN)\nos.setsid()\n"
        "os.kill(0, 10), os.kill(-os.getpid(), 10), os.killpg(os.getpid(), 10)\n",
    )
    pid = events[0]["pid"]
    assert [event["requested_pid"] for event in events] == [0, -int(pid), -int(pid)]
    for event in events:
        assert not ONE_TARGET & event.keys()
        assert event["result"] == 0


def test_ptrace(collection: Collection, target: subprocess.Popen[bytes]) -> None:
    """If it failed, a debugger's or injector's request would be missed or misnamed."""
    events = do(
        collection,
        "assert ptrace(16, target) == 0\n"
        "os.waitpid(target, 0)\n"
        "word = ptrace(1, target, 0, 0)\n"  # to peek is no event
        "for request in (4, 5, 6):\n    ptrace(request, target, 1, 0)\n"
        "ptrace(0x4205, target, 1, 0)\n"
        "ptrace(17, target)\n"  # nor is to detach
        "assert ptrace(0x4206, target) == 0\n",
        target.pid,
    )
    assert {named(collection, event, "operation") for event in events} == {"trace"}
    assert [named(collection, event, "request") for event in events] == [
        "attach",
        "poke_text",
        "poke_data",
        "poke_user",
        "set_registers",
        "seize",
    ]
    assert {event["target_pid"] for event in events} == {target.pid}
    assert [event["result"] for event in events][::5] == [0, 0]
    assert int(events[1]["result"]) < 0


def test_traceme_is_about_the_caller(collection: Collection) -> None:
    """If it failed, a program that asks to be traced would be missed or name a stranger."""
    (event,) = do(collection, "assert ptrace(0, 0) == 0\n")
    assert named(collection, event, "request") == "traceme"
    assert (event["target_pid"], event["relation"]) == (event["pid"], SELF)
    assert event["target_image"] == event["image"]


def test_memory_and_descriptors(collection: Collection, target: subprocess.Popen[bytes]) -> None:
    """If it failed, reading or writing another process's memory would be invisible."""
    events = do(
        collection,
        "address = int(open(f'/proc/{target}/maps').read().split('-')[0], 16)\n"
        "assert transfer(READ, target, address) == 8\n"
        "transfer(WRITE, target, 4096)\n"
        "handle = call(OPEN, *long(target, 0))\n"
        "assert call(GETFD, *long(handle, 2, 0)) > 0\n",
        target.pid,
    )
    read, write, copy = events
    names = [named(collection, event, "operation") for event in events]
    assert names == ["read_memory", "write_memory", "copy_descriptor"]
    assert (read["result"], write["result"]) == (8, -errno.EFAULT)
    assert copy["target_descriptor"] == 2
    assert {event["target_pid"] for event in events} == {target.pid}


def test_no_such_target(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an attempt on nobody would be invisible or name a stranger."""
    events = do(
        collection,
        "child = os.fork() or os._exit(0)\nos.waitpid(child, 0)\n"
        "library.kill(child, 9)\n"
        "transfer(READ, child, 4096)\n"
        f"plain = os.open({str(tmp_path / 'plain')!r}, os.O_CREAT | os.O_RDWR)\n"
        "assert call(SEND, *long(plain, 9, 0, 0)) == -9\n",
    )
    gone, unread, no_pidfd = events
    assert (gone["result"], unread["result"]) == (-errno.ESRCH, -errno.ESRCH)
    assert no_pidfd["result"] == -errno.EBADF
    for event in events:
        assert not ONE_TARGET & event.keys()


def test_numbers_of_another_pid_namespace(collection: Collection) -> None:
    """If it failed, what a container's process does would name a process of the host."""
    program = (
        "assert library.unshare(0x20000000) == 0\n"
        "first = os.fork()\n"
        "if first == 0:\n"
        "    assert os.getpid() == 1\n"
        "    victim = os.fork()\n"
        "    if victim == 0:\n"
        "        time.sleep(30)\n"
        "    assert victim == 2\n"
        "    os.kill(victim, 18)\n"
        "    call(TGKILL, *long(victim, victim, 18))\n"
        "    os.kill(victim, 9)\n"
        "    os.waitpid(victim, 0)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(first, 0)[1] == 0\n"
    )
    pid = run_python(CALLS + program)
    events = collection.take("process_access", parents=[pid])
    assert [event["requested_pid"] for event in events] == [2, 2, 2]
    (target,) = {event["target_pid"] for event in events}
    assert int(target) > int(events[0]["pid"]) > 2
    assert {event["relation"] for event in events} == {CHILD}
    assert {event["target_parent_pid"] for event in events} == {events[0]["pid"]}


@pytest.mark.parametrize("number", [63, 64, 65, 4095, 4096, 32_000])
def test_numbers_of_every_size(collection: Collection, number: int) -> None:
    """If it failed, a target would be unknown because of its number."""
    if not Path(LAST_PID).exists():
        skip_unavoidable("the kernel was built without CHECKPOINT_RESTORE")
    program = (
        "assert library.unshare(0x20000000) == 0\n"
        "first = os.fork()\n"
        "if first == 0:\n"
        f"    open('{LAST_PID}', 'w').write('{number - 1}')\n"
        "    victim = os.fork()\n"
        "    if victim == 0:\n"
        "        time.sleep(30)\n"
        "    os.kill(victim, 9)\n"
        "    os._exit(os.waitpid(victim, 0)[0] & 0xff)\n"
        f"assert os.WEXITSTATUS(os.waitpid(first, 0)[1]) == {number & 0xFF}\n"
    )
    (event,) = collection.take("process_access", parents=[run_python(CALLS + program)])
    assert event["requested_pid"] == number
    assert event["target_parent_pid"] == event["pid"]
    assert event["target_image"] == os.fsencode(sys.executable)


def test_every_field_is_supplied(collection: Collection, target: subprocess.Popen[bytes]) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    events = do(
        collection,
        "os.kill(target, 18)\nptrace(4, target)\n"
        "call(GETFD, *long(call(OPEN, *long(target, 0)), 2, 0))\n",
        target.pid,
    )
    definition = collection.rings["process_access"].template_type
    supplied = set().union(*(event.keys() for event in events))
    assert {field.name for field in definition.fields} <= supplied
