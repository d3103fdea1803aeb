"""Template Type exit: one event per process, with the status that its parent's wait() gets."""

import os
import signal
from pathlib import Path

from tests.kernel.collection import Collection, Event
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python

pytestmark = ONLY_WITH_BTF

CHILDREN = 23
ROUNDS = 40
EXIT, SIGNAL = 1, 2

SPAWN = """
import resource, signal, time
def child(act):
    pid = os.fork()
    if pid:
        return pid
    act()
    os._exit(99)
def wait(pids):
    with open(path('statuses'), 'a') as file:
        for pid in pids:
            print(pid, os.waitpid(pid, 0)[1], file=file)
def threads(count, target):
    for index in range(count):
        threading.Thread(target=target, daemon=True).start()
"""


def do(collection: Collection, folder: Path, program: str) -> dict[int, Event]:
    """Events of a program's children by pid; each must be there once, as wait() saw it."""
    parent = run_python(SPAWN + program, folder, cwd=folder)
    events = collection.take("exit", parents=[parent])
    lines = (folder / "statuses").read_text(encoding="ascii").splitlines()
    expected = {int(pid): int(status) for pid, status in (line.split() for line in lines)}
    found = [(int(event["pid"]), wait_status(event)) for event in events]
    assert sorted(found) == sorted(expected.items())
    return {int(event["pid"]): event for event in events}


def wait_status(event: Event) -> int:
    """The fields put together as wait() does; fields of the other case must be absent."""
    if event["operation"] == EXIT:
        assert not event.keys() & {"signal", "core_dumped"}
        return int(event["exit_code"]) << 8
    assert event["operation"] == SIGNAL
    assert "exit_code" not in event
    return int(event["signal"]) | int(event["core_dumped"]) << 7


def test_every_exit_is_counted_once_with_its_code(collection: Collection, tmp_path: Path) -> None:
    """If it failed, processes would end unseen, twice, or with another's code."""
    events = do(
        collection,
        tmp_path,
        f"wait([child(lambda: os._exit(index * 11)) for index in range({CHILDREN})])\n",
    )
    assert sorted(int(event["exit_code"]) for event in events.values()) == [
        index * 11 for index in range(CHILDREN)
    ]


def test_every_signal(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a crash or a kill would look like an ordinary end."""
    signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGHUP]
    catchable = [one for one in signals if one is not signal.SIGKILL]
    events = do(
        collection,
        tmp_path,
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        # Whoever runs the tests may have them ignored, as nohup does.
        f"[signal.signal(one, signal.SIG_DFL) for one in {[int(one) for one in catchable]}]\n"
        f"wait([child(lambda: (os.kill(os.getpid(), number), time.sleep(9)))"
        f" for number in {[int(one) for one in signals]}])\n",
    )
    unlike = [event for event in events.values() if "signal" not in event]
    assert unlike == []
    assert sorted(int(event["signal"]) for event in events.values()) == sorted(signals)


def test_core_dump(collection: Collection, tmp_path: Path) -> None:
    """If it failed, nobody would know that a process's memory was written to a file."""
    do(
        collection,
        tmp_path,
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
        "def act():\n    threads(5, lambda: time.sleep(9))\n    os.abort()\n"
        "wait([child(act) for _ in range(4)])\n",
    )


def test_threads_that_end_together(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a process with threads would end several times, or never."""
    events = do(
        collection,
        tmp_path,
        "def act():\n    threads(8, lambda: time.sleep(9))\n    os._exit(5)\n"
        f"for _ in range({ROUNDS}):\n    wait([child(act)])\n",
    )
    assert len(events) == ROUNDS


def test_threads_killed_together(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a kill of a process with threads would be counted by thread."""
    do(
        collection,
        tmp_path,
        "def act():\n    threads(8, lambda: time.sleep(9))\n    os.kill(os.getpid(), 9)\n"
        f"for _ in range({ROUNDS}):\n    wait([child(act)])\n",
    )


def test_leader_ends_before_its_threads(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a process would be reported as ended while a thread still works."""
    exit_of_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
    (event,) = do(
        collection,
        tmp_path,
        "def late():\n    time.sleep(0.3)\n    os._exit(7)\n"
        f"def act():\n    threads(1, late)\n    call({exit_of_thread}, 3)\n"
        "wait([child(act)])\n",
    ).values()
    assert event["exit_code"] == 7
    assert event["thread_id"] != event["pid"]
    assert int(event["lifetime"]) >= 300_000_000


def test_threads_are_no_processes(collection: Collection, tmp_path: Path) -> None:
    """If it failed, every thread that ends would be taken for a process."""
    pid = run_python(
        SPAWN + "ones = [threading.Thread(target=int) for _ in range(9)]\n"
        "[one.start() for one in ones]\n[one.join() for one in ones]\n",
        tmp_path,
    )
    assert len(collection.take("exit", [pid])) == 1


def test_image_is_of_the_last_program(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an end would be put down to another program, or an exec be taken for one."""
    program = (
        "def act():\n    os.execv('/bin/sh', ['sh', '-c', 'exit 4'])\n"
        "def from_thread():\n    threads(1, act)\n    time.sleep(9)\n"
        "wait([child(act), child(from_thread), child(lambda: os._exit(4))])\n"
    )
    first, second, forked = sorted(
        do(collection, tmp_path, program).values(), key=lambda event: int(event["pid"])
    )
    for event in (first, second):
        assert (event["image"], event["command_line"]) == (b"/bin/sh", b"sh\0-c\0exit 4")
        assert event["exit_code"] == 4
    assert bytes(forked["image"]) == bytes(forked["parent_image"]) != b"/bin/sh"


def test_lifetime(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a short-lived program could not be told from a long-lived one."""
    program = "wait([child(lambda: (time.sleep(0.2), os._exit(0)))])\n"
    (event,) = do(collection, tmp_path, program).values()
    lifetime = int(event["lifetime"])
    assert 200_000_000 <= lifetime < 20_000_000_000
    tick = int(event["time_ns"]) - int(event["start_time"]) - lifetime
    assert 0 <= tick < 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_every_field_is_supplied(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    program = "wait([child(lambda: os._exit(1)), child(lambda: os.kill(os.getpid(), 9))])\n"
    supplied = set().union(*do(collection, tmp_path, program).values())
    definition = collection.rings["exit"].template_type
    assert {field.name for field in definition.fields} <= supplied
