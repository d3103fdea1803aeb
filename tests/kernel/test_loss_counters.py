"""Uncounted loss is the one thing that never happens."""

import subprocess

from content.loss_causes import LossCause, counts_as_lost
from probes.counters import CounterSlot
from tests.kernel.bpf_objects import counted_runs, facts
from tests.kernel.collection import Collection, collecting, records_of
from tests.needs import require_btf
from tests.patience import patient

SMALLEST = "16384"
EXECS = 40


def runs_of_exec_program(collection: Collection) -> int:
    """How often the program behind sched_process_exec ran, as the kernel counts it."""
    links = [facts(descriptor) for descriptor in collection.attachments]
    (exec_link,) = [link for link in links if link.get("tp_name") == "sched_process_exec"]
    programs = [link for link in links if link.get("prog_id") == exec_link["prog_id"]]
    (program,) = [one for one in programs if "run_cnt" in one]
    return int(program["run_cnt"])


def test_what_finds_no_room_is_counted_exactly() -> None:
    """If it failed, events would vanish without a trace when nobody reads."""
    require_btf()
    full = CounterSlot(LossCause.RING_FULL, 1)
    arguments = ("--rung", "bpf_btf", "--types", "1", "--ring-bytes", SMALLEST)
    with counted_runs(), collecting(*arguments) as collection:
        ring = collection.rings["process"]
        for _ in range(EXECS):
            subprocess.run(["/bin/true"], check=True)
        runs = runs_of_exec_program(collection)
        kept = len(records_of(ring))
        lost = collection.lost()
        assert kept == ring.size // ring.stride
        assert lost[full] >= EXECS - kept
        assert runs == kept + lost[full]


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
