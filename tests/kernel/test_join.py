"""Collecting only what is needed: types join a running collection, and leave it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from content.definitions import Rung, load_definitions
from content.loss_causes import LossCause
from probes.counters import ANY_TEMPLATE_TYPE, CounterSlot
from probes.program import BPF_RUNGS, SOURCES
from probes.shared_maps import shared
from probes.tracepoints import LINEAGE
from tests.kernel.collection import Collection, collecting, joining
from tests.kernel.elder import Elder
from tests.kernel.type_workloads import TIMES, expected, run, seen
from tests.kernel.workload import run_python
from tests.needs import require_bpf, require_btf
from tests.patience import patient

NUMBERS = {one.name: one.number for one in load_definitions().values()}
LOST = (LossCause.RING_FULL, LossCause.PENDING_FULL, LossCause.LINEAGE_FULL)
PYTHON = [os.fsencode(path) for path in (sys.executable, os.path.realpath(sys.executable))]
"""As it was executed, or as /proc shows it."""
EXECS = 40
SUPPLIED = [(rung, name) for rung in BPF_RUNGS for name in SOURCES[rung]]


@contextmanager
def beginning(rung: Rung, *names: str) -> Iterator[Collection]:
    """A collection that begins with these Template Types."""
    require_bpf()
    if rung is Rung.BPF_BTF:
        require_btf()
    with collecting("--rung", rung, "--types", numbers(*names)) as collection:
        yield collection


def lost_events(collection: Collection, *names: str) -> dict[CounterSlot, int]:
    """What was not reported at all of these types; others on this host fill the rings, too."""
    ours = {ANY_TEMPLATE_TYPE, *(NUMBERS[name] for name in names)}
    return {
        slot: count
        for slot, count in collection.lost().items()
        if slot.cause in LOST and slot.template_type in ours
    }


def numbers(*names: str) -> str:
    """As --types wants them."""
    return ",".join(str(NUMBERS[name]) for name in names)


@pytest.fixture(scope="module", params=BPF_RUNGS)
def nothing(request: pytest.FixtureRequest) -> Iterator[Collection]:
    """A collection of lineage alone."""
    with beginning(request.param) as collection:
        yield collection


def test_nothing_but_lineage(nothing: Collection) -> None:
    """If it failed, the host would pay for what no content needs, or a join find no lineage."""
    assert nothing.message["rings"] == []
    assert nothing.message["shared"] == list(shared(nothing.rung))
    assert nothing.message["counters"]
    programs = len({point.function for point in LINEAGE[nothing.rung]})
    assert nothing.message["serves"] == [[]] * (len(LINEAGE[nothing.rung]) + programs)
    assert len(nothing.attachments) == len(nothing.message["serves"])


@pytest.mark.parametrize(("nothing", "name"), SUPPLIED, indirect=["nothing"])
def test_each_type_joins(nothing: Collection, name: str, tmp_path: Path) -> None:
    """If it failed, content for that type would find no events, or wrong ones."""
    with Elder(tmp_path) as elder, joining(nothing, numbers(name)) as joined:
        assert joined.process.wait(patient(10)) == 0
        message = joined.message
        assert [ring["template_type"] for ring in message["rings"]] == [NUMBERS[name]]
        assert message["counters"] == message["shared"] == []
        assert message["serves"] == [[NUMBERS[name]]] * len(joined.attachments)
        pid = run(name)
        events = seen(joined, name, pid)
        assert len(events) == expected(name, name)
        own = b"\0".join(map(os.fsencode, elder.arguments))
        elder.run("/bin/true of-elder; : > /dev/null")
        of_elder = joined.take(name, [elder.pid], [elder.pid])
    assert not lost_events(nothing, name)
    for event in events:
        assert event["rung"] == (1 if nothing.rung is Rung.BPF_BTF else 2)
        assert event["parent_image"] in PYTHON
    if name == "process":
        (event,) = of_elder
        assert event["parent_command_line"] == own
        assert event["command_line"] == b"/bin/true\0of-elder"
        assert event["image"] == b"/bin/true"
    if name == "file":
        assert own in {event["command_line"] for event in of_elder}


@pytest.mark.parametrize("rung", BPF_RUNGS)
def test_a_join_disturbs_nobody(rung: Rung) -> None:
    """If it failed, events would be lost or doubled while another type's probes are attached."""
    with beginning(rung, "process", "ipc") as running:
        with (
            executing() as pids,
            joining(running, numbers("file")) as first,
            joining(running, numbers("network")) as second,
        ):
            first.skip()  # what others did meanwhile
            pid = run("process", "file", "network", "ipc")
            assert len(seen(first, "file", pid)) == TIMES
            assert len(seen(second, "network", pid)) == TIMES
        events = running.take("process", parents=[os.getpid()])
        during = [event for event in events if event["command_line"] == b"true\0during a join"]
        assert len(pids) >= EXECS
        assert [event["pid"] for event in during] == pids
        assert len(seen(running, "ipc", pid)) == TIMES
        assert not lost_events(running, "process", "ipc")


@contextmanager
def executing() -> Iterator[list[int]]:
    """While it lasts, one program after the other is executed; their pids, in the end complete."""
    stop = threading.Event()
    pids: list[int] = []

    def execute() -> None:
        while not stop.is_set() or len(pids) < EXECS:
            pids.append(os.posix_spawn("/bin/true", ["true", "during a join"], {}))
            os.waitpid(pids[-1], 0)

    worker = threading.Thread(target=execute)
    worker.start()
    try:
        yield pids
    finally:
        stop.set()
        worker.join()


@pytest.mark.parametrize("rung", BPF_RUNGS)
def test_a_type_leaves_alone(rung: Rung) -> None:
    """If it failed, what nobody wants would go on to be collected, or what is wanted would stop."""
    names = list(SOURCES[rung])
    with beginning(rung, *names) as running:
        for left in range(len(names), -1, -1):
            running.skip()
            pid = run(*names)
            found = {name: len(seen(running, name, pid)) for name in names}
            done = {name: expected(name, *names) for name in names[:left]}
            assert found == dict.fromkeys(names, 0) | done
            if left:
                assert running.detach(*(NUMBERS[name] for name in names[left - 1 :]))
        assert running.message["serves"]
        assert not any(running.message["serves"])
        assert not lost_events(running, *(set(names) - {"file"}))


def test_one_that_joined_leaves_and_comes_again(nothing: Collection) -> None:
    """If it failed, content that is taken back and released again would find no events."""
    with joining(nothing, numbers("process", "file")) as joined:
        pid = run("process", "file")
        assert len(seen(joined, "process", pid)) == TIMES
        joined.detach(NUMBERS["process"])
        pid = run("process", "file")
        assert not seen(joined, "process", pid)
        assert len(seen(joined, "file", pid)) == TIMES
        with joining(nothing, numbers("process")) as again:
            pid = run("process", "file")
            assert len(seen(again, "process", pid)) == TIMES
            assert len(seen(joined, "file", pid)) == TIMES
    assert not lost_events(nothing, "process")


def test_a_join_outlives_the_first_collectors_attachments() -> None:
    """If it failed, a type could not go on without those with which collection began."""
    with beginning(Rung.BPF_BTF, "file") as running, joining(running, numbers("ipc")) as joined:
        running.detach(NUMBERS["file"])
        pid = run("ipc", "file")
        assert len(seen(joined, "ipc", pid)) == TIMES
        assert not seen(running, "file", pid)


EXECUTE_MEMORY = """
memory = os.memfd_create('program')
os.write(memory, open('/bin/true', 'rb').read())
child = os.fork()
if not child:
    os.execve(memory, ['true', 'from memory'], {})
os.waitpid(child, 0)
"""


def test_an_exec_is_reported_with_the_new_program() -> None:
    """If it failed, what joined would run before lineage and name the program that is gone."""
    with beginning(Rung.BPF_BTF) as running, joining(running, numbers("memory")) as joined:
        parent = run_python(EXECUTE_MEMORY)
        events = joined.take("memory", parents=[parent])
    (event,) = [event for event in events if event["file_name"] == b"memfd:program"]
    assert event["command_line"] == b"true\0from memory"


def test_nothing_is_left_of_a_join(nothing: Collection) -> None:
    """If it failed, every join would leave a mount or a temporary folder on the host."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    with joining(nothing, numbers("file")) as joined:
        pid = joined.process.pid
        assert joined.process.wait(patient(10)) == 0
        assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == mounts
    children = subprocess.run(
        ["pgrep", "--parent", str(pid)], capture_output=True, check=False, text=True
    )
    assert children.stdout == ""
