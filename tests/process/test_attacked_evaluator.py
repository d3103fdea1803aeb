"""An evaluator that an attacker controls: whatever it tries is refused, counted and named.

One supervisor for all attacks, with the real sandbox. Each attack costs the evaluator that makes
it; the next one works before a new attack begins, and the supervisor stays the same process.
"""

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.process.attacked_sensor import Attacked, attacked
from tests.process.played_attacker import ATTACKS
from tests.process.waiting import open_files

EXPECTED: Mapping[str, str] = {
    "open a file": "openat",
    "open to write": "openat",
    "look at a file": "newfstatat",
    "list a folder": "openat",
    "delete a file": "unlink",
    "memory file": "memfd_create",
    "grow the record": "ftruncate",
    "write to the ring": "pwrite64",
    "internet": "socket",
    "unix socket": "socket",
    "connect the channel": "connect",
    "exec": "execve",
    "fork": "clone",
    "ptrace the supervisor": "ptrace",
    "read the supervisor": "process_vm_readv",
    "pidfd of the supervisor": "pidfd_open",
    "kill the supervisor": "kill",
    "kill its thread": "tgkill",
    "kill a stranger": "kill",
    "kill everybody": "kill",
    "raise a limit": "prlimit64",
    "become dumpable": "prctl",
    "another filter": "seccomp",
    "another user": "setuid",
    "a namespace": "unshare",
    "executable memory": "mmap",
    "uncounted memory": "mmap",
    "io_uring": "io_uring_setup",
    "load a module": "finit_module",
    "a key": "keyctl",
    "type on the terminal": "ioctl",
    "answer for the supervisor": "ioctl",
    "foreign architecture": "FOREIGN_ARCHITECTURE",
    "update the ring": "bpf",
    "delete from the ring": "bpf",
    "freeze the ring": "bpf",
    "copy the ring": "dup2",
    "send the ring away": "STRAY_DESCRIPTORS",
    "give back unread": "FORGED_POSITION",
    "shut the ring": "FORGED_POSITION",
    "fill memory": "MEMORY_LIMIT",
    "flood the log": "OUTPUT_FLOOD",
    "rubbish": "MALFORMED_MESSAGE",
    "no JSON": "MALFORMED_MESSAGE",
    "a header without end": "MALFORMED_MESSAGE",
    "deep nesting": "MALFORMED_MESSAGE",
    "oversized": "OVERSIZED_MESSAGE",
    "too many descriptors": "OVERSIZED_MESSAGE",
    "the link's message": "NOT_ITS_MESSAGE",
    "the supervisor's message": "NOT_ITS_MESSAGE",
    "the collector's message": "NOT_ITS_MESSAGE",
    "ready again": "OUT_OF_TURN",
    "leave unasked": "OUT_OF_TURN",
    "locked again": "OUT_OF_TURN",
    "events that never were": "FORGED_POSITION",
    "between two events": "FORGED_POSITION",
    "more than there were": "FORGED_COUNT",
    "progress that never was": "FORGED_POSITION",
    "detections in nothing": "FORGED_COUNT",
    "a wrong checksum": "FORGED_CHECKSUM",
    "another's ring": "NOT_ITS_RING",
    "fewer than no events": "FORGED_COUNT",
    "another's file": "NOT_ITS_FILE",
    "a verdict on a stranger": "FORGED_VERDICT",
    "a verdict on the supervisor": "FORGED_VERDICT",
    "a verdict on what comes": "FORGED_VERDICT",
}
"""Each attack, and the name under which the report of the death has it."""

BY_ITSELF = {"MEMORY_LIMIT", "OUTPUT_FLOOD", "FOREIGN_ARCHITECTURE"}
"""After these nobody has to end it: the kernel's limits hold, or the kernel ends it."""


@pytest.fixture(scope="module")
def sensor() -> Iterator[Attacked]:
    """One for all tests of this module."""
    with attacked() as started:
        yield started


def test_every_attack_has_its_name() -> None:
    """An attack of the list would be tried by nobody."""
    assert EXPECTED.keys() == ATTACKS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_attack_is_refused_counted_and_named(sensor: Attacked, name: str) -> None:
    """Whoever takes an evaluator over could reach the host, or try it unheard."""
    before = sensor.status()["attempts"].get(EXPECTED[name], 0)
    attacker, report = sensor.attack(name)
    assert report["attempts"] == {EXPECTED[name]: 1}
    # Nobody was hurt, the sensor goes on, and somebody else works.
    assert sensor.process.poll() is sensor.victim.poll() is None
    assert sensor.worker() != attacker
    assert sensor.status()["attempts"][EXPECTED[name]] == before + 1
    lines = [line for line in sensor.log().splitlines() if f"pid={attacker} " in line]
    died = next(line for line in lines if "evaluator died" in line)
    assert f"attempts={EXPECTED[name]} 1" in died
    if EXPECTED[name].islower():
        assert report["cause"] == "FORBIDDEN_CALL"
    elif EXPECTED[name] not in BY_ITSELF:
        assert report["cause"] == "PROTOCOL_VIOLATION"


def test_events_wait_for_an_honest_evaluator(sensor: Attacked) -> None:
    """An attack on the ring would cost events, and nobody would count them."""
    sensor.attack("give back unread")
    sensor.attack("shut the ring")
    sensor.worker()
    found = sensor.status()
    assert found["collection"]["rings"]["1"]["accounted"] == 0
    assert found["events"]["backlog"] == 5
    assert not any(one["cause"] == "NOT_EVALUATED" for one in found["losses"])


def test_an_evaluator_has_what_it_was_given_and_no_more(sensor: Attacked) -> None:
    """A descriptor of the supervisor's that was left open would be the attacker's."""
    found = [re.sub(r"\d+", "N", one) for one in open_files(sensor.worker())]
    expected = {
        "/dev/null",
        "pipe:[N]",
        "socket:[N]",
        "/memfd:bulkhead-attribution (deleted)",
        "/memfd:bulkhead-process (deleted)",
    }
    ours = {one for one in found if not one.startswith("/tmp/")}  # noqa: S108 — its orders
    assert ours <= expected, found
    assert found.count("socket:[N]") == 1
