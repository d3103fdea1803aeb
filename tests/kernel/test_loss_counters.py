"""Uncounted loss is the one thing that never happens."""

import subprocess
import sys
from pathlib import Path

from content.loss_causes import LossCause, counts_as_lost
from probes.counters import CounterSlot
from tests.kernel.bpf_objects import counted_runs, facts
from tests.kernel.collection import Collection, collecting, records_of
from tests.needs import require_btf
from tests.patience import patient
from tests.process.waiting import until

FILE = 2
SMALLEST = "16384"
EXECS = 40
BOMB = 300
OPENS = 100_000
LONG_ARGUMENT = "a" * 20_000

OPEN = """
import os, sys
for _ in range(int(sys.argv[2])):
    os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))
"""

FORK_AND_EXEC = """
import os, sys
children = []
for _ in range(int(sys.argv[1])):
    children.append(os.fork())
    if not children[-1]:
        os.execv("/bin/true", ["true"])
for child in children:
    os.waitpid(child, 0)
"""


def runs_of_exec_program(collection: Collection) -> int:
    """How often lineage's program ran, which calls the one that reports execs."""
    links = [facts(descriptor) for descriptor in collection.attachments]
    (exec_link,) = [one for one in links if one.get("tp_name") == "sched_process_exec"]
    programs = [link for link in links if link.get("prog_id") == exec_link["prog_id"]]
    (program,) = [one for one in programs if "run_cnt" in one]
    return int(program["run_cnt"])


def test_what_finds_no_room_is_counted_exactly() -> None:
    """If it failed, events would vanish without a trace when nobody reads."""
    require_btf()
    full = CounterSlot(LossCause.RING_FULL, 1)
    arguments = ("--rung", "bpf_btf", "--types", "1", "--ring-bytes", SMALLEST)
    with collecting(*arguments) as collection, counted_runs():
        ring = collection.rings["process"]
        before = len(records_of(ring))
        for _ in range(EXECS):
            subprocess.run(["/bin/true"], check=True)
        runs = runs_of_exec_program(collection)
        kept = len(records_of(ring))
        lost = collection.lost()
        assert kept == ring.size // ring.stride
        assert lost[full] >= EXECS - kept
        assert runs == kept - before + lost[full]


def test_a_storm_of_forks_and_execs_is_counted_exactly() -> None:
    """If it failed, a fork bomb could hide among events that nobody counts."""
    require_btf()
    full, flood = CounterSlot(LossCause.RING_FULL, 1), CounterSlot(LossCause.FLOOD, 1)
    arguments = ("--rung", "bpf_btf", "--types", "1", "--ring-bytes", str(16 * int(SMALLEST)))
    with collecting(*arguments) as collection, counted_runs():
        before = len(records_of(collection.rings["process"]))
        run_python(FORK_AND_EXEC, str(BOMB))
        runs = runs_of_exec_program(collection)
        kept, lost = len(records_of(collection.rings["process"])), collection.lost()
    assert runs == kept - before + lost[full] + lost.get(flood, 0)
    assert runs > BOMB > kept
    # Each process of the storm has one event: nobody took more than a share.
    assert lost.get(flood, 0) <= BOMB * 0.1


def test_a_storm_of_opens_is_counted(tmp_path: Path) -> None:
    """If it failed, whoever opens files fast enough could do among them what nobody sees."""
    require_btf()
    flood = CounterSlot(LossCause.FLOOD, FILE)
    arguments = ("--rung", "bpf_btf", "--types", str(FILE), "--ring-bytes", str(1 << 20))
    with collecting(*arguments) as collection:
        run_python(OPEN, str(tmp_path / "file"), str(OPENS))
        ring = collection.rings["file"]
        kept, lost = len(records_of(ring)), collection.lost()[flood]
        assert kept < ring.size // ring.stride
    # Others on this machine open files, too, but not thousands in so short a time.
    assert OPENS <= kept + lost <= OPENS * 1.1


def test_truncated_fields_are_counted_exactly() -> None:
    """If it failed, only who looks at each event would know that values are cut."""
    require_btf()
    slot = CounterSlot(LossCause.FIELD_TRUNCATED, 1)
    with collecting("--rung", "bpf_btf", "--types", "1") as collection:
        ring = collection.rings["process"]
        for _ in range(EXECS):
            subprocess.run(["/bin/true", LONG_ARGUMENT], check=True)

        def cut() -> int:
            return sum(int(one).bit_count() for one in records_of(ring)["truncated"])

        # Events of others come between one look and the other.
        until(lambda: cut() == collection.lost().get(slot, 0))
        assert cut() >= EXECS


def run_python(program: str, *arguments: str) -> None:
    """Run a program to its end."""
    command = [sys.executable, "-I", "-S", "-c", program, *arguments]
    subprocess.run(command, check=True, timeout=patient(50))


def test_room_that_was_given_back_is_used_again() -> None:
    """If it failed, a ring that was once full would stay so."""
    require_btf()
    arguments = ("--rung", "bpf_btf", "--types", "1", "--ring-bytes", SMALLEST)
    with collecting(*arguments) as collection:
        seen = 0
        for index in range(EXECS):
            process = subprocess.Popen(["/bin/true", str(index)])
            process.wait(patient(10))
            seen += len(collection.take("process", [process.pid]))
        counted = collection.lost()
        lost = sum(count for slot, count in counted.items() if counts_as_lost(slot.cause))
        assert EXECS - lost <= seen <= EXECS
        assert collection.rings["process"].consumer_position > collection.rings["process"].size
