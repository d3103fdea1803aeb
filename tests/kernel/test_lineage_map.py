"""Entries of the lineage map: there while a process is, and not much longer."""

import os
import subprocess
import sys
from pathlib import Path

from content.definitions import Rung
from tests.kernel.bpf_objects import has_entry
from tests.kernel.collection import Collection
from tests.kernel.elder import Elder
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.test_lineage import CLONE
from tests.kernel.workload import run_python
from tests.patience import patient
from tests.process.waiting import until

PROCESSES = 50


def lineage(collection: Collection) -> int:
    """Descriptor of the lineage map."""
    names: list[str] = collection.message["shared"]
    return collection.shared[1 + names.index("lineage")]


def test_entries_end_with_their_processes(collection: Collection) -> None:
    """If it failed, the map would fill up, and after 16,384 processes nobody would have a name."""
    running = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(PROCESSES)]
    entries = lineage(collection)
    try:
        assert all(has_entry(entries, process.pid) for process in running)
    finally:
        for process in running:
            process.kill()
            process.wait(patient(10))
    until(lambda: not any(has_entry(entries, process.pid) for process in running))


def test_an_elders_entry_ends_with_it(collection: Collection, tmp_path: Path) -> None:
    """If it failed, what was added from /proc would stay for good."""
    with Elder(tmp_path) as elder:
        pid = elder.pid
        assert has_entry(lineage(collection), pid)
    until(lambda: not has_entry(lineage(collection), pid))


def test_the_end_of_a_thread_is_not_the_end(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a process would lose its name whenever one of its threads ends."""
    program = (
        "for _ in range(20):\n"
        "    thread = threading.Thread(target=int)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "os.close(os.open(path('late'), os.O_CREAT | os.O_WRONLY))\n"
    )
    pid = run_python(program, tmp_path)
    (event,) = [e for e in collection.take("file", [pid]) if bytes(e["path"]).endswith(b"/late")]
    assert event["image"] == os.fsencode(sys.executable)


TIES = """
import time
taken = []
for attempt in range(2000):
    first = os.fork()
    if not first:
        os._exit(0)
    os.waitpid(first, 0)
    second = fork_as(first)
    if second == 0:
        time.sleep(0.3)
        os.close(os.open(path('of-second'), os.O_CREAT | os.O_WRONLY))
        os._exit(0)
    if second is not None:
        taken.append(second)
    if len(taken) == 20:
        break
for pid in taken:
    assert os.waitpid(pid, 0)[1] == 0
write_down('pids', ' '.join(map(str, taken)))
"""


def test_a_late_free_spares_the_next_process_of_the_pid(
    collection: Collection, tmp_path: Path
) -> None:
    """If it failed, the end of a process would take the name of its successor, started at once."""
    run_python(CLONE + TIES, tmp_path)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    events = [
        event
        for event in collection.take("file", pids)
        if bytes(event["path"]).endswith(b"of-second")
    ]
    assert len(events) == len(pids) == 20
    assert all("image" in event for event in events)


@ONLY_WITH_BTF
def test_a_zombie_keeps_its_entry(collection: Collection) -> None:
    """If it failed, whatever reports an end would depend on the order of programs."""
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert collection.rung is Rung.BPF_BTF
    assert has_entry(lineage(collection), process.pid)
    process.wait(patient(10))
    until(lambda: not has_entry(lineage(collection), process.pid))
