"""The switch for prevention, and what the supervisor makes of an evaluator's list of paths."""

import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.channel import ProtocolViolationError
from agent.supervisor.kernel_table import KernelTable
from agent.supervisor.log import Log
from agent.supervisor.prevention import Policy, Prevention
from agent.supervisor.protected import Protected
from agent.supervisor.store import Store
from agent.supervisor.verdicts import Outcome
from content.prevention_table import (
    MAP_NAME,
    MAX_ENTRIES,
    ON,
    SLOT,
    SLOTS,
    STOPPED_OFFSET,
    TABLE_BYTES,
    Compared,
    Entry,
    pack_entries,
    slot_offset,
)
from tests.unit.agent.court import Court, open_court
from tests.unit.agent.ring_memory import collection as played_collection
from tests.unit.agent.ring_memory import write_process

if TYPE_CHECKING:
    from agent.supervisor.evaluator_process import Evaluator
    from agent.supervisor.rings import Collection

X = Entry(Compared.IMAGE, b"/opt/x")
Y = Entry(Compared.EXECUTABLE_PATH, b"/opt/y")
PAGE = 4096


def table_memory() -> int:
    """Memory in the place of the kernel's table."""
    descriptor = os.memfd_create("table")
    os.ftruncate(descriptor, -(-TABLE_BYTES // PAGE) * PAGE)
    return descriptor


class World:
    """Prevention with a state folder, a collection whose table is plain memory, and a worker."""

    def __init__(self, folder: Path, court: Court) -> None:
        self.said = io.StringIO()
        self.store = Store(folder / "prevention")
        self.prevention = Prevention(self.store, Log(stream=self.said), os.getpid())
        self.collection: Collection = played_collection(1, 2)
        self.memory = table_memory()
        self.collection.shared = {MAP_NAME: self.memory}
        self.court = court
        self.worker: Evaluator = court.worker()

    def step(self, *entries: Entry) -> tuple[bytes, ...]:
        """The worker names these; what the kernel prevents then."""
        self.worker.prevented = entries
        self.prevention.reconcile(self.collection, self.worker, self.worker.files)
        return self.in_kernel()

    def in_kernel(self) -> tuple[bytes, ...]:
        """The paths that count, read from the memory as the kernel would."""
        memory = os.pread(self.memory, TABLE_BYTES, 0)
        (state,) = struct.unpack_from("=Q", memory)
        if not state & ON:
            return ()
        bank = state >> 1 & 1
        slots = SLOT.iter_unpack(memory[slot_offset(bank, 0) : slot_offset(bank, SLOTS)])
        return tuple(sorted(path[:length] for tag, length, _, _, path in slots if tag))

    def kernel_stops(self, path: bytes) -> None:
        """Count as the kernel does when it has stopped a program."""
        memory = os.pread(self.memory, TABLE_BYTES, 0)
        first = slot_offset(memory[0] >> 1 & 1, 0)
        at = memory.index(path + bytes(8), first) - SLOT.size + 256 + STOPPED_OFFSET
        (count,) = struct.unpack_from("=Q", memory, at)
        os.pwrite(self.memory, struct.pack("=Q", count + 1), at)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Everything that prevention acts on."""
    court = open_court(tmp_path / "court")
    made = World(tmp_path, court)
    yield made
    made.prevention.close()
    made.collection.close()
    made.store.close()
    court.close()


def test_the_kernel_prevents_what_the_worker_names(world: World) -> None:
    """Content in force would not be in the kernel's table, or content of yesterday would stay."""
    assert world.step(X, Y) == (b"/opt/x", b"/opt/y")
    assert world.step(Y) == (b"/opt/y",)
    assert world.step() == ()


def test_a_dead_worker_leaves_its_paths_while_its_content_is_in_force(world: World) -> None:
    """An evaluator's death would open a gap, or content that was given up would go on stopping."""
    world.step(X)
    world.prevention.reconcile(world.collection, None, world.worker.files)
    assert world.in_kernel() == (b"/opt/x",)
    world.prevention.reconcile(world.collection, None, frozenset())
    assert world.in_kernel() == ()


@pytest.mark.parametrize(
    "path", [b"/bin/sh", b"/usr/bin/../bin/bash", b"/sbin/init", os.fsencode(sys.executable)]
)
def test_protected_paths_stay_out(world: World, path: bytes) -> None:
    """An evaluator that was taken over could stop every shell, or the sensor itself."""
    assert world.step(X, Entry(Compared.IMAGE, path)) == (b"/opt/x",)
    assert list(world.prevention.document()["refused"].values()) == ["PROTECTED_PATH"]


def test_what_a_vital_name_leads_to_is_protected() -> None:
    """/bin/sh is a link, and the kernel compares what it leads to."""
    assert Protected().is_protected(os.fsencode(os.path.realpath("/bin/sh")))
    assert not Protected().is_protected(b"/opt/x")


def test_the_switch_empties_the_table_at_once(world: World) -> None:
    """Who switches prevention off would still see programs die."""
    world.step(X)
    world.prevention.switch(Policy.OFF, "a test")
    assert world.in_kernel() == ()
    assert world.step(X, Y) == ()
    world.prevention.switch(Policy.ON, "a test")
    assert world.step(X, Y) == (b"/opt/x", b"/opt/y")


def test_the_switch_outlives_a_restart(world: World) -> None:
    """A reboot would switch prevention on behind its owner's back."""

    def policy_after_restart(wanted: Policy | None = None) -> Policy:
        again = Prevention(world.store, Log(stream=io.StringIO()), 1)
        again.open(wanted)
        return again.policy

    assert policy_after_restart() is Policy.ON
    world.prevention.switch(Policy.OFF, "a test")
    assert policy_after_restart() is Policy.OFF
    assert policy_after_restart(Policy.ON) is Policy.ON
    assert policy_after_restart() is Policy.ON


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"prevention": "maybe"}', b"\xff" * 5000])
def test_a_switch_that_cannot_be_read_is_off(world: World, damaged: bytes) -> None:
    """A damaged file would let programs be stopped although somebody has switched that off."""
    (world.store.folder / "prevention.json").write_bytes(damaged)
    world.prevention.open(None)
    assert world.prevention.policy is Policy.OFF
    assert "prevention.json" in world.said.getvalue()


def test_every_program_is_counted_once(world: World) -> None:
    """The status would tell of programs that nobody stopped, or forget some."""
    world.step(X, Y)
    world.kernel_stops(b"/opt/x")
    world.step(Y)
    world.step(Y, X)
    for _ in range(2):
        world.kernel_stops(b"/opt/y")
    world.step(Y)
    assert world.prevention.stopped == 3
    world.prevention.reconcile(None, None, frozenset())
    assert world.prevention.stopped == 3
    shown = world.prevention.document()["kernel_stopped"]
    assert shown == {"image /opt/x": 1, "executable_path /opt/y": 2}


def test_more_than_the_table_holds_is_named() -> None:
    """Entries beyond the last slot would be lost without a word."""
    memory = table_memory()
    table = KernelTable(memory, 1)
    many = [Entry(Compared.IMAGE, b"/opt/%04d" % number) for number in range(MAX_ENTRIES + 3)]
    assert len(table.publish(many)) == 3
    assert len(table.entries) == MAX_ENTRIES
    table.close()
    os.close(memory)


@pytest.mark.parametrize(
    "payload",
    [
        pack_entries([X] * MAX_ENTRIES) + pack_entries([Y]),
        b"\x01\xff/too/short",
        b"\x01\x06opt/xy",
        b"\x07\x06/opt/x",
        b'[1, "/opt/x"]',
    ],
)
def test_an_evaluator_with_an_odd_list_is_ended(tmp_path: Path, payload: bytes) -> None:
    """Too many, too long, relative or no paths at all would reach the kernel's table."""
    court = open_court(tmp_path)
    court.world.accepted(b"one", 1)
    court.turn()
    (one,) = court.theatre.pool.members
    with pytest.raises(ProtocolViolationError, match="ready"):
        court.says(one, "ready", payload, files=[], sandbox={})
    assert one.prevented == ()
    court.close()


def test_no_verdict_is_acted_on_while_prevention_is_off(tmp_path: Path) -> None:
    """An evaluator that has not heard yet, or does not obey, would stop a program."""
    court = open_court(tmp_path)
    one = court.worker()
    court.theatre.pool.prevents = False
    with subprocess.Popen(["sleep", "60"]) as process:
        verdict = {"pid": process.pid, "start_time": 1, "sequence": 3, "instance": "x"}
        write_process(one.rings[1].descriptor, 3, process.pid, 1)
        court.frame(one, verdicts=[verdict])
        assert court.judging.verdicts == {Outcome.POLICY_OFF: 1}
        assert process.poll() is None
        process.kill()
    court.theatre.turn()
    assert ("prevention", {"prevention": 0}) in one.child.sent  # type: ignore[attr-defined]
    court.close()


def test_the_switch_answers_how_prevention_is(world: World) -> None:
    """An operator could not tell whether the order was followed."""
    off = world.prevention.ordered({"policy": "off"})
    assert off["policy"] == "off"
    assert world.prevention.ordered({})["policy"] == "off"
    assert world.prevention.ordered({"policy": "on"})["policy"] == "on"


@pytest.mark.parametrize("policy", ["ON", "", None, 1, ["off"], {"off": 1}])
def test_what_is_no_policy_changes_nothing(world: World, policy: Any) -> None:
    """A mistyped order would switch prevention off, or end the supervisor."""
    assert world.prevention.ordered({"policy": policy})["error"] == "UNKNOWN_POLICY"
    assert world.prevention.policy is Policy.ON
