"""Inquests in real processes: the right instance is named, or none, whatever the process does."""

import io
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from agent.channel import ProtocolViolationError
from agent.deaths import Finding
from agent.supervisor.child import Child, start
from agent.supervisor.evaluator_process import LoadedFile
from agent.supervisor.inquests import Case, Inquests
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.roles import Role, RoleEntry
from agent.supervisor.sealed import sealed
from content.channel_file import content_hash, load
from content.definitions import load_definitions
from content.instance_digest import instance_digests
from content.record import encode
from content.template_type import Rung
from lab.poisoned.content import BULK_POISON, CANARY, ROW_POISON, channel_file
from tests.patience import patient
from tests.process.played_inquest import NAMES
from tests.unit.agent.descriptors import open_descriptors

PLAYED = "tests.process.played_inquest"
POISONED = "lab.poisoned.evaluator"
SHIPPED = "agent.evaluator"
TYPES = load_definitions()
PROCESS = next(one for one in TYPES.values() if one.name == "process")
HARMLESS = 40


@dataclass(slots=True)
class Bench:
    """What inquests need from the outside: processes and one payload; and what they have found."""

    module: str
    payload: bytes = b"a Channel File"
    arguments: tuple[str, ...] = ()
    started: list[Child] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    patience_seconds: float = float("inf")

    def start_evaluator(self) -> Child:
        """As the supervisor's launcher does."""
        child = start(Role.EVALUATOR, RoleEntry(self.module, ""), self.arguments)
        self.started.append(child)
        return child

    def payload_descriptor(self, content_hash: str) -> int:
        """As the supervisor's launcher does."""
        assert content_hash == "f" * 64
        return sealed(self.payload)

    def clock(self) -> float:
        """Seconds; after a while the test lets more of them pass than an inquest may take."""
        now = time.monotonic()
        return now + (LIMITS.inquest_seconds + 1.0) * (now - self.began > self.patience_seconds)

    def hold(self, record: bytes = b"an event", quarantined: frozenset[str] = frozenset()) -> str:
        """One inquest from beginning to end; the instance that was named, or an empty text."""
        found: list[Finding] = []
        inquests = Inquests(
            self, Log(stream=io.StringIO()), lambda _, one: found.append(one), self.clock
        )
        case = Case(LoadedFile("f" * 64, PROCESS.number, quarantined), record, 2, {})
        assert inquests.open(case)
        deadline = time.monotonic() + patient(30.0)
        while not found:
            assert time.monotonic() < deadline
            inquests.reconcile()
            if inquests.child is not None:
                _turn(inquests, inquests.child)
        (finding,) = found
        assert (finding.file, finding.deaths) == ("f" * 64, 2)
        assert inquests.under_way == 0
        self.findings.append(finding)
        return finding.instance


def _turn(inquests: Inquests, child: Child) -> None:
    """The supervisor's turn: messages first, then the end."""
    watched = [child.channel.fileno(), child.pidfd, child.listener]
    select.select([one for one in watched if one is not None], [], [], 0.05)
    if child.look():
        child.kill()
    try:
        for message in child.messages():
            inquests.message(message)
    except ProtocolViolationError:
        child.kill()
    if select.select([child.pidfd], [], [], 0)[0] and not child.pending():
        child.reap()
        inquests.ended()
        child.close()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """An inquest would leave descriptors open, one after another."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def played(what: str) -> Bench:
    """An inquest among played evaluators."""
    return Bench(PLAYED, arguments=(what,))


def event(word: str) -> bytes:
    """The bytes of an execution of a program of that name."""
    inputs: dict[int, bytes | int] = {1: f"/srv/{word}-1".encode()}
    return encode(PROCESS, inputs, rung=Rung.BPF_BTF).tobytes()


@pytest.mark.parametrize("poison", [ROW_POISON, BULK_POISON])
def test_poison_is_found_among_many(poison: str) -> None:
    """Poison that no record names would cost the whole file."""
    payload = channel_file(TYPES, 1, [poison], harmless=HARMLESS)
    bench = Bench(POISONED, payload)
    assert bench.hold(event(poison)) == poison
    file = load(payload)
    number = next(at for at, one in enumerate(file.instances) if one.id == poison)
    assert bench.findings[0].digest == instance_digests(payload, file)[number].hex()
    assert len(bench.started) == 2  # 42 instances in parts of 32.
    assert content_hash(payload)


def test_poison_that_is_quarantined_already_is_left_out() -> None:
    """The second poison instance of a file would be taken for the first one again."""
    payload = channel_file(TYPES, 1, [ROW_POISON, BULK_POISON])
    digests = instance_digests(payload, load(payload))
    ids = [one.id for one in load(payload).instances]
    quarantined = frozenset({digests[ids.index(BULK_POISON)].hex()})
    bench = Bench(POISONED, payload)
    assert bench.hold(event(BULK_POISON), quarantined) == ""
    assert bench.hold(event(ROW_POISON), quarantined) == ROW_POISON


@pytest.mark.parametrize(
    ("module", "word"), [(SHIPPED, BULK_POISON), (POISONED, CANARY)], ids=["shipped", "harmless"]
)
def test_what_can_not_be_reproduced_names_nobody(module: str, word: str) -> None:
    """An innocent instance would be quarantined."""
    bench = Bench(module, channel_file(TYPES, 1, [BULK_POISON]))
    assert bench.hold(event(word)) == ""
    assert bench.findings[0].digest == ""
    assert len(bench.started) == 1


@pytest.mark.parametrize(
    ("record", "payload"), [(b"short", None), (b"", None), (None, b"no Channel File")]
)
def test_rubbish_to_judge_names_nobody(record: bytes | None, payload: bytes | None) -> None:
    """A record that was cut off, or content that is gone, would end in the wrong instance."""
    given = payload or channel_file(TYPES, 1, [ROW_POISON])
    bench = Bench(POISONED, given)
    assert bench.hold(event(ROW_POISON) if record is None else record) == ""


def test_the_named_instance_is_found(request: pytest.FixtureRequest) -> None:
    """The tests below would show nothing."""
    bench = played("honest")
    assert bench.hold() == "second", request.node.name
    assert bench.findings[0].digest == NAMES[1][1].hex()
    assert len(bench.started) == 2


def test_it_has_a_private_copy_that_nobody_can_change() -> None:
    """A throw-away evaluator could change what the next one is judged by."""
    assert played("private").hold() == "first"


@pytest.mark.parametrize(
    "what",
    [
        "outside",
        "same",
        "another_part",
        "nameless",
        "rubbish",
        "shrinks",
        "speaks",
        "survives_first",
        "killed",
    ],
)
def test_what_is_not_conclusive_names_nobody(what: str) -> None:
    """A forged record, a foreign kill or an evaluator that lies would accuse an instance."""
    bench = played(what)
    assert bench.hold() == ""
    assert bench.findings[0].digest == ""
    assert len(bench.started) <= 2


def test_an_inquest_has_an_end() -> None:
    """An evaluator that names a slightly smaller part each time would be started for ever."""
    bench = played("endless")
    assert bench.hold() == ""
    assert len(bench.started) == LIMITS.inquest_deaths


def test_an_instance_that_hangs_is_found() -> None:
    """Content that comes to no end would go on in force, because it does not crash."""
    bench = played("hangs")
    bench.patience_seconds = patient(2.0)
    assert bench.hold() == "second"


def test_an_instance_of_which_a_forbidden_call_comes_is_found() -> None:
    """What the sandbox has ended would be no death, and its instance go on in force."""
    assert played("forbidden").hold() == "first"


def test_no_process_to_be_had_names_nobody() -> None:
    """A host without memory would end the supervisor, or hold an inquest for ever."""

    class Poor(Bench):
        def start_evaluator(self) -> Child:
            raise BlockingIOError(11, os.strerror(11))

    assert Poor(PLAYED).hold() == ""
