"""A flood from one process can't blind the sensor to others, and is counted under its name."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from content.flooders import TICK_NANOSECONDS, Flooder
from content.loss_causes import LossCause
from probes.counters import CounterSlot
from tests.kernel.bpf_objects import counted_runs, facts
from tests.kernel.collection import Collection, collecting, records_of
from tests.kernel.test_loss_counters import runs_of_exec_program
from tests.kernel.workload import PRELUDE, run_python
from tests.needs import require_bpf, require_btf
from tests.patience import patient

PROCESS, FILE = 1, 2
FLOOD, FULL = CounterSlot(LossCause.FLOOD, FILE), CounterSlot(LossCause.RING_FULL, FILE)
SMALL = str(1 << 24)
"""Bytes of a ring of 7,463 opens: room for what others on this machine may do meanwhile."""

OPENS = 20_000
OTHERS = 40

OPEN = """
def open_often(count, name="flooded"):
    for _ in range(count):
        os.close(os.open(path(name), os.O_WRONLY | os.O_CREAT))
"""

FLOODER = (
    OPEN
    + """
for line in sys.stdin:
    open_often(int(line))
    print("done", flush=True)
"""
)

UNTIL_TOLD = (
    OPEN
    + """
counts = []
told = threading.Event()
def flood():
    count = 0
    while not told.is_set():
        open_often(1)
        count += 1
    counts.append(count)
threads = [threading.Thread(target=flood) for _ in range(4)]
for one in threads: one.start()
sys.stdin.read()
told.set()
for one in threads: one.join()
print(sum(counts), flush=True)
"""
)

SAME_PID = (
    OPEN
    + """
import time
class Arguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                "flags pidfd child parent exit stack size tls tids tid_count cgroup".split()]
def start(pid):
    wanted = ctypes.c_int32(pid)
    arguments = Arguments(exit=17, tids=ctypes.addressof(wanted), tid_count=1)
    return call(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
first = os.fork()
if not first:
    open_often(20_000)
    os._exit(0)
os.waitpid(first, 0)
time.sleep(0.05)
second = start(first)
if not second:
    open_often(5, "again")
    os._exit(0)
assert second == first, second
os.waitpid(second, 0)
print(first, flush=True)
"""
)

AGAIN_AND_AGAIN = '[ "$1" -eq 0 ] || exec /bin/sh -c "$0" "$0" $(($1 - 1))'


@contextmanager
def running(program: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A program behind PRELUDE that is told what to do through its standard input."""
    command = [sys.executable, "-I", "-B", "-S", "-c", PRELUDE + program, str(folder)]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(patient(30)) == 0


def open_often(process: subprocess.Popen[str], count: int) -> None:
    """Let FLOODER open so often, and wait until it has."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def kept(collection: Collection, pid: int, type_name: str = "file") -> int:
    """Records of a process that are in a ring."""
    return int(np.count_nonzero(records_of(collection.rings[type_name])["pid"] == pid))


def refused(collection: Collection, pid: int) -> int:
    """Its events that were refused."""
    return sum(count for one, count in collection.refused().items() if one.pid == pid)


def check_accounts(collection: Collection, pid: int, attempted: int) -> None:
    """Every event of a process is in the ring or refused under its name, and none is counted twice.

    What has no name is nothing, unless others on this machine have filled the ring as well, or work
    on maps of their own while the kernel should run these programs (it counts that, too).
    """
    accounted = kept(collection, pid) + refused(collection, pid)
    named = sum(collection.refused().values())
    lost = collection.lost()
    nameless = lost[FLOOD] - named + lost.get(FULL, 0)
    assert nameless >= 0
    told = [facts(descriptor) for descriptor in collection.attachments]
    nameless += sum(int(one.get("recursion_misses", 0)) for one in told)
    assert accounted <= attempted <= accounted + nameless


def small_ring(rung: str) -> tuple[str, ...]:
    """A ring of files that is soon full."""
    return ("--rung", rung, "--types", str(FILE), "--ring-bytes", SMALL)


@pytest.mark.parametrize("rung", ["bpf_btf", "bpf_tracepoint"])
def test_a_flood_leaves_room_to_others(rung: str, tmp_path: Path) -> None:
    """If it failed, one process could hide what all others do, or its own losses go uncounted."""
    require_btf() if rung == "bpf_btf" else require_bpf()
    with collecting(*small_ring(rung)) as collection, running(FLOODER, tmp_path) as flooder:
        open_often(flooder, OPENS)
        others = [run_python(OPEN + "open_often(2, 'other')", tmp_path) for _ in range(OTHERS // 2)]
        open_often(flooder, OPENS)
        others += [run_python(OPEN + "open_often(2, 'late')", tmp_path) for _ in range(OTHERS // 2)]
        assert [kept(collection, pid) for pid in others] == [2] * OTHERS
        check_accounts(collection, flooder.pid, 2 * OPENS)
        ring = collection.rings["file"]
        assert kept(collection, flooder.pid) * ring.stride > ring.size // 3


def test_the_flooder_is_named_as_proc_knows_it(tmp_path: Path) -> None:
    """If it failed, an operator would look for the flood at a process that has nothing to do."""
    require_btf()
    with collecting(*small_ring("bpf_btf")) as collection, running(FLOODER, tmp_path) as flooder:
        open_often(flooder, OPENS)
        fields = Path(f"/proc/{flooder.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        started = int(fields.split()[19]) * TICK_NANOSECONDS
        assert collection.refused()[Flooder(FILE, flooder.pid, started)] > OPENS // 2


def test_many_threads_have_one_share(tmp_path: Path) -> None:
    """If it failed, a flood could multiply its share by threads, or count wrongly on processors."""
    require_btf()
    with collecting(*small_ring("bpf_btf")) as collection:
        with running(UNTIL_TOLD, tmp_path) as flooder:
            others = [run_python(OPEN + "open_often(2, 'other')", tmp_path) for _ in range(OTHERS)]
            assert flooder.stdin is not None
            flooder.stdin.close()
            assert flooder.stdout is not None
            attempted = int(flooder.stdout.readline())
        assert [kept(collection, pid) for pid in others] == [2] * OTHERS
        check_accounts(collection, flooder.pid, attempted)
        assert refused(collection, flooder.pid) > 0


def test_a_former_flooder_is_served_again(tmp_path: Path) -> None:
    """If it failed, a process that was busy once would not be seen any more."""
    require_btf()
    with collecting(*small_ring("bpf_btf")) as collection, running(FLOODER, tmp_path) as flooder:
        ring = collection.rings["file"]
        for _ in range(3):
            open_often(flooder, OPENS)
            before = refused(collection, flooder.pid)
            assert before > 0
            collection.skip()
            capacity = ring.size // ring.stride
            open_often(flooder, capacity // 3)
            assert kept(collection, flooder.pid) == capacity // 3
            assert refused(collection, flooder.pid) == before


def test_a_share_comes_back_with_each_turn_of_a_ring_that_stays_full(tmp_path: Path) -> None:
    """If it failed, whoever was busy while a slow reader caught up would be refused for long."""
    require_btf()
    with collecting(*small_ring("bpf_btf")) as collection:
        ring = collection.rings["file"]
        with running(FLOODER, tmp_path) as busy, running(FLOODER, tmp_path) as flooder:
            open_often(flooder, OPENS)
            open_often(busy, OPENS)
            end = ring.producer_position
            assert refused(collection, busy.pid) > 0
            # The reader gets through what was there, and meanwhile others have filled the ring.
            while ring.consumer_position < end:
                ring.commit(min(end, ring.consumer_position + 400 * ring.stride))
                for _ in range(4):
                    run_python(OPEN + "open_often(100, 'other')", tmp_path)
            before = kept(collection, busy.pid)
            assert (ring.producer_position - ring.consumer_position) > ring.size * 0.76
            open_often(busy, 1)
            assert kept(collection, busy.pid) == before + 1


def test_a_pid_that_is_used_again_has_a_share_of_its_own(tmp_path: Path) -> None:
    """If it failed, a process would pay for another one that had its pid."""
    require_btf()
    with collecting(*small_ring("bpf_btf")) as collection:
        command = [sys.executable, "-I", "-B", "-S", "-c", PRELUDE + SAME_PID, str(tmp_path)]
        shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=patient(30))
        pid = int(shown.stdout)
        found = records_of(collection.rings["file"])
        again = [bytes(one["path"][: one["path_length"]]) for one in found if one["pid"] == pid]
        assert again[-5:] == [bytes(tmp_path / "again")] * 5
        check_accounts(collection, pid, OPENS + 5)
        assert len([one for one in collection.refused() if one.pid == pid]) == 1


def test_a_process_that_executes_again_and_again_is_a_flood() -> None:
    """If it failed, a process could fill the ring of programs by executing itself."""
    require_btf()
    execs = 3_000
    flood, full = CounterSlot(LossCause.FLOOD, PROCESS), CounterSlot(LossCause.RING_FULL, PROCESS)
    arguments = ("--rung", "bpf_btf", "--types", "1", "--ring-bytes", str(1 << 23))
    command = ["/bin/sh", "-c", AGAIN_AND_AGAIN, AGAIN_AND_AGAIN, str(execs)]
    with collecting(*arguments) as collection, counted_runs():
        before = len(records_of(collection.rings["process"]))
        with subprocess.Popen(command) as process:
            assert process.wait(patient(60)) == 0
        others = [run_python("") for _ in range(5)]
        runs = runs_of_exec_program(collection)
        lost, in_ring = collection.lost(), len(records_of(collection.rings["process"]))
        assert runs == in_ring - before + lost[flood] + lost.get(full, 0)
        assert [kept(collection, pid, "process") for pid in others] == [1] * 5
        named = sum(count for one, count in collection.refused().items() if one.pid == process.pid)
        mine = kept(collection, process.pid, "process") + named
        assert mine <= execs + 1 <= mine + lost.get(full, 0)
