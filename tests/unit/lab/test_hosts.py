"""What runs on a host of the laboratory: reading, counting, judging; without a host."""

import json
from pathlib import Path

import pytest

from lab.cells.parts import Delivery, Placement
from lab.hosts import order, processes, sensor, service_manager
from lab.hosts.bpf import verifier_words
from lab.hosts.canaries import CANARY, Canaries
from lab.hosts.order import Order, OrderError
from lab.hosts.placement import Detected
from lab.hosts.processes import Process
from lab.hosts.service_manager import Verdict
from lab.hosts.tailing import Tail

REFUSAL = """0: (bf) r6 = r1
71: (07) r2 += 16
72: (71) r1 = *(u8 *)(r4 +0)
R4 unbounded memory access, make sure to bounds check any such access
processed 61 insns (limit 1000000) max_states_per_insn 0
"""


def test_an_order_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """A host would carry out another cell."""
    wanted = Order(Placement.BPF, Delivery.PRESENT, "pipe", "ab", 10.0, options={"slots": "32"})
    wanted.write(tmp_path)
    assert order.read(tmp_path) == wanted


@pytest.mark.parametrize("text", ["", "[]", '{"placement": "moon"}', "\0" * 64])
def test_an_order_that_can_not_be_read_is_named(tmp_path: Path, text: str) -> None:
    """A host with a damaged disk would end with a traceback."""
    (tmp_path / order.FILE).write_text(text, encoding="ascii")
    with pytest.raises(OrderError, match=r"ORDER_UNREADABLE: .*order\.json"):
        order.read(tmp_path)


def test_a_fault_is_carried_out_once(tmp_path: Path) -> None:
    """Each boot after a panic would push the file again."""
    assert not order.acted(tmp_path)
    order.act(tmp_path)
    assert order.acted(tmp_path)


def test_the_start_limit_is_systemds() -> None:
    """An agent that dies at once would be restarted for ever, which no service manager does."""
    quick = [0.2 * number for number in range(5)]
    assert service_manager.verdict(quick[:4], 0.9, -11) is Verdict.RESTART
    assert service_manager.verdict(quick, 1.0, -11) is Verdict.START_LIMIT_HIT
    assert service_manager.verdict(quick, 60.0, -11) is Verdict.RESTART
    assert service_manager.verdict([0.0], 1.0, 0) is Verdict.ENDED


def test_names_of_processes_may_have_brackets() -> None:
    """A process named to deceive would hide which one died."""
    rest = "S 1 7 7 0 -1 4194560 " + "0 " * 12 + "987 0"
    assert processes.parsed(f"7 (a) (b) {rest}") == Process("a) (b", 1, 987, 4194560)


def test_processes_of_the_placement_are_its_own_business(tmp_path: Path) -> None:
    """A stand-by that was needed, or a collector that was done, would pass for a casualty."""
    parents = {1: 0, 5: 1, 6: 1, 7: 6, 8: 7}
    for pid, parent in parents.items():
        (tmp_path / str(pid)).mkdir()
        rest = f"S {parent} 7 7 0 -1 4194560 " + "0 " * 12 + f"{pid}00 0"
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (p) {rest}")
    assert set(processes.alive(6, tmp_path)) == {"1-100", "5-500"}


def test_who_died_is_told_from_who_has_the_same_number() -> None:
    """A new process with an old number would pass for the one that died."""
    before = {"7-100": "agent", "8-100": "cron"}
    assert processes.died(before, {"7-200": "agent", "8-100": "cron"}) == ["agent (7)"]


def test_only_canaries_are_right(tmp_path: Path) -> None:
    """A detection of an ordinary pipe would count as an answer that is right."""
    canaries = Canaries(tmp_path)
    found = [
        Detected(CANARY, f"{tmp_path}/bulkhead-canary-3"),
        Detected(CANARY, f"{tmp_path}/bulkhead-canary-3"),
        Detected(CANARY, "/run/another/bulkhead-canary-4"),
        Detected("pipe-of-a-framework", "/run/x/ordinary.fifo"),
    ]
    assert canaries.look(found) == [3]
    assert canaries.wrong == ["pipe-of-a-framework on /run/x/ordinary.fifo"]


def test_lines_are_read_once_they_are_whole(tmp_path: Path) -> None:
    """Half a detection would be read as one, or an earlier boot's again."""
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = Tail(path)
    with path.open("a") as file:
        file.write("one\ntw")
    assert list(tail.lines()) == ["one"]
    with path.open("a") as file:
        file.write("o\n")
    assert list(tail.lines()) == ["two"]


def test_deaths_and_rejections_are_read_from_the_log(tmp_path: Path) -> None:
    """A death in the sandbox would not be noticed, or another file's refusal taken for ours."""
    subject = sensor.Sensor(tmp_path, Order(Placement.SENSOR, Delivery.PUSHED, "p", "ab"))
    died = {"happening": "evaluator died", "pid": 9, "signal": 11, "cause": "SIGNAL", "time": 1.0}
    other = {"happening": "content rejected", "hash": "cd", "problems": [{"reason": "X"}]}
    ours = {**other, "hash": "ab", "problems": [{"reason": "ARITY_MISMATCH"}] * 2}
    lines = [json.dumps(died), "not JSON", json.dumps(other), json.dumps(ours)]
    (tmp_path / sensor.LOG).write_text("\n".join(lines) + "\n")
    (death,) = subject.deaths()
    assert (death.name, death.pid, death.how) == ("evaluator", 9, "SIGNAL SIGSEGV")
    assert subject.settled() == "refused: ARITY_MISMATCH"


def test_books_tell_what_is_unaccounted_for() -> None:
    """An event that was never evaluated nor counted would be missed."""
    rings = {"1": {"accounted": 40}, "4": {"accounted": 10}}
    events = {"lost": 2, "evaluated": 48}
    losses = [{"cause": "SUSPECT_EVENT", "count": 1}, {"cause": "RING_FULL", "count": 1}]
    status = {"collection": {"rings": rings}, "events": events, "losses": losses}
    assert sensor.books(status) == (2, 1)
    assert sensor.books({}) == (None, None)


def test_the_verifiers_reason_is_kept() -> None:
    """The report could not say with which words the kernel refuses."""
    wanted = "R4 unbounded memory access, make sure to bounds check any such access"
    assert verifier_words(REFUSAL) == wanted
