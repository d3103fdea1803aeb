"""A role's process: what it is given, how its end is known, and that it can do no harm."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.channel import Message, ProtocolViolationError, Violation
from agent.supervisor.child import Child, End, start
from agent.supervisor.limits import LIMITS
from agent.supervisor.listener import name_of
from agent.supervisor.roles import Role, RoleEntry
from tests.needs import require_root
from tests.process.waiting import until
from tests.unit.agent.descriptors import none_lost, open_descriptors

SECONDS = 10.0
X86_64 = 0xC000003E
MODULE = "tests.process.played_role"

Starter = Callable[..., Child]


@pytest.fixture
def play() -> Iterator[Starter]:
    """Start a played role; all of them are ended afterwards, and nothing is left open."""
    children: list[Child] = []
    before = open_descriptors()

    def started(what: str, user: str = "", role: Role = Role.EVALUATOR) -> Child:
        children.append(start(role, RoleEntry(MODULE, user), [what]))
        return children[-1]

    yield started
    for child in children:
        child.kill()
        child.reap()
        child.close()
    assert open_descriptors() == before


def heard(child: Child) -> Message:
    """The next message of a role."""
    assert select.select([child.channel], [], [], SECONDS)[0]
    return next(child.messages())


def end(child: Child) -> End:
    """How a role ends, as the supervisor notices it: through its pidfd."""
    assert select.select([child.pidfd], [], [], SECONDS)[0]
    return child.reap()


def test_end_is_told_as_it_was(play: Starter) -> None:
    """The wrong cause would be blamed for a death."""
    assert end(play("crash")) == End(signal.SIGSEGV, 0)
    assert end(play("give_up")) == End(0, 7)
    assert end(play("stuff")) == End(0, 0)


def test_kill_is_known_to_be_ours(play: Starter) -> None:
    """Our own kill would count as somebody else's, and the other way round."""
    ours, theirs = play("wait"), play("wait")
    heard(ours)
    heard(theirs)
    ours.kill()
    os.kill(theirs.pid, signal.SIGKILL)
    assert end(ours) == end(theirs) == End(signal.SIGKILL, 0)
    assert (ours.killed_by_us, theirs.killed_by_us) == (True, False)
    ours.kill()
    assert ours.reap() == End(signal.SIGKILL, 0)


def test_waiting_for_a_processor_is_no_silence(play: Starter) -> None:
    """A role that is starved would be taken for one that hangs, and its work for the reason."""
    both = [play("spin") for _ in range(2)]
    for child in both:
        heard(child)
    until(lambda: all(child.waited_seconds() > 0.1 for child in both))
    idle = play("wait")
    heard(idle)
    before = idle.waited_seconds()
    os.kill(idle.pid, signal.SIGSTOP)
    until(lambda: all(child.waited_seconds() > 0.3 for child in both))
    assert idle.waited_seconds() - before < 0.1


def test_whoever_was_stopped_by_others_is_known(play: Starter) -> None:
    """What an evaluator was just at would be blamed for a signal that somebody sent."""
    hanging, stopped = play("spin"), play("wait")
    for child in (hanging, stopped):
        heard(child)
    os.kill(stopped.pid, signal.SIGSTOP)
    until(lambda: b") T" in Path(f"/proc/{stopped.pid}/stat").read_bytes())
    for child in (hanging, stopped):
        child.kill()
        assert end(child) == End(signal.SIGKILL, 0)
        child.kill()
    assert (hanging.stopped_by_others, stopped.stopped_by_others) == (False, True)


def test_all_that_it_said_can_be_read_after_its_end(play: Starter) -> None:
    """The last frames of an evaluator would be lost, and their events evaluated twice."""
    child, count = play("stuff"), 0
    while count < 1000:
        assert select.select([child.channel], [], [], SECONDS)[0]
        turn = sum(1 for _ in child.messages())
        assert turn <= LIMITS.messages_per_turn  # Others get their turn, too.
        count += turn
    end(child)
    assert list(child.messages()) == []
    assert child.closed
    assert not child.pending()


def locked(child: Child) -> None:
    """It has sent what tells of calls that it may not make."""
    assert select.select([child.channel], [], [], SECONDS)[0]
    assert list(child.messages()) == []


def test_a_forbidden_call_waits_until_it_is_ended(play: Starter) -> None:
    """An attacker would be refused and could go on, or nobody would know what was tried."""
    child = play("forbidden")
    locked(child)
    assert child.listener is not None
    assert select.select([child.listener], [], [], SECONDS)[0]
    assert child.look() == "openat"
    assert child.look() == ""  # Asking again waits for nobody.
    assert not select.select([child.pidfd], [], [], 0)[0]
    child.kill()
    assert end(child) == End(signal.SIGKILL, 0)
    assert child.look() == ""
    assert (child.attempts, child.forbidden) == ({"openat": 1}, True)


@pytest.mark.parametrize("name", ["false_listener", "no_listener", "two_listeners"])
def test_what_is_no_listener_is_not_read(play: Starter, name: str) -> None:
    """A role could have the supervisor wait for ever, or fill its table of descriptors."""
    child = play(name)
    before = open_descriptors()
    with pytest.raises(ProtocolViolationError) as caught:
        locked(child)
    assert caught.value.violation is Violation.STRAY_DESCRIPTORS
    assert child.listener is None
    assert open_descriptors() == before
    child.kill()
    end(child)


@pytest.mark.parametrize(
    ("number", "name"), [(257, "openat"), (321, "bpf"), (99_999, "call 99999"), (-5, "call -5")]
)
def test_calls_have_names(number: int, name: str) -> None:
    """A report would name another call than the one that was tried."""
    assert name_of(number, X86_64) == name


def test_sending_to_the_dead_is_no_error(play: Starter) -> None:
    """A role that dies at the wrong moment would take the supervisor with it."""
    child = play("give_up")
    end(child)
    assert not child.send("stop")


def test_sending_to_one_that_does_not_read_never_waits(play: Starter) -> None:
    """A hung role would hang the supervisor."""
    child = play("linger")
    sent = 0
    while sent < 10**6 and child.send("detections", report=1, payload=bytes(1000)):
        sent += 1
    assert 0 < sent < 10**6


def test_flood_of_output_is_capped_and_counted(play: Starter) -> None:
    """A role could fill the log, or wait for ever because nobody reads what it prints."""
    child, shown, now = play("flood"), 0, 5.0
    while not child.silent:
        assert select.select([child.stderr], [], [], SECONDS)[0]
        shown += len(child.output(now))
    assert shown == LIMITS.log_bytes_per_second
    assert child.log_dropped == 10**6 - shown
    assert end(child) == End(0, 0)


def test_output_has_room_again_after_a_second(play: Starter) -> None:
    """A role that once said too much would never be heard again."""
    child, shown, now = play("flood"), 0, 5.0
    while not child.silent:
        assert select.select([child.stderr], [], [], SECONDS)[0]
        shown += len(child.output(now))
        now += 1.0
    assert shown == 10**6
    assert child.log_dropped == 0


def test_hostile_output_is_text_and_its_end_is_noticed(play: Starter) -> None:
    """What a role prints would raise, or its closed output be read in a loop for ever."""
    child = play("hostile")
    heard(child)
    assert child.output(5.0).encode("utf-8", "surrogateescape") == b"\xff\xfe\x1b[31m last words\n"
    assert child.output(5.0) == ""
    assert child.silent


def test_rubbish_and_unwanted_descriptors_break_the_protocol(play: Starter) -> None:
    """A broken role would not be ended, or use the supervisor's descriptors up."""
    for what in ("rubbish", "descriptors"):
        child = play(what)
        assert select.select([child.channel], [], [], SECONDS)[0]
        with none_lost(), pytest.raises(ProtocolViolationError):
            next(child.messages())


def test_one_that_has_closed_and_lives_on_is_noticed(play: Starter) -> None:
    """A role could keep its place for ever with a datagram that reads like its end."""
    child = play("linger")
    assert select.select([child.channel], [], [], SECONDS)[0]
    assert list(child.messages()) == []
    now = time.monotonic()
    assert child.closed
    assert not child.lingering(now)
    assert child.lingering(now + LIMITS.stop_seconds + 0.1)


def test_role_under_another_user_has_nothing_but_its_channel(play: Starter) -> None:
    """A role would start with rights, files or secrets of the supervisor."""
    require_root()
    os.environ["FOREIGN"] = "of the supervisor"
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        said = heard(play("facts", user="nobody"))["facts"]
    finally:
        os.close(leaked)
        del os.environ["FOREIGN"]
    assert said["Uid"].split() == said["Gid"].split() == ["65534"] * 4
    assert said["Groups"] == ""
    assert {said[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert (said["NoNewPrivs"], said["Umask"]) == ("1", "0077")
    assert said["open"].split()[:3] == ["0", "1", "2"]
    assert len(said["open"].split()) <= 4  # And the folder that it reads this from.
    assert said["environment"] == "LANG OPENBLAS_NUM_THREADS PATH"
    assert (said["folder"], said["isolated"]) == ("/", "1")


PARENT = """
import json, sys, time
from agent.supervisor.child import start
from agent.supervisor.roles import Role, RoleEntry
child = start(Role.EVALUATOR, RoleEntry("tests.process.played_role", sys.argv[1]), ["rubbish"])
print(json.dumps(child.pid), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("user", ["", "nobody"])
def test_role_dies_with_the_supervisor(user: str) -> None:
    """A supervisor that is killed would leave roles behind that nobody watches."""
    if user:
        require_root()
    command = [sys.executable, "-I", "-c", PARENT, user]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        try:
            pidfd = os.pidfd_open(json.loads(parent.stdout.readline()))
        finally:
            parent.kill()
    try:
        assert select.select([pidfd], [], [], SECONDS)[0]
    finally:
        os.close(pidfd)


def failing(*_arguments: Any, **_options: Any) -> Any:
    """A system without another process to give."""
    raise BlockingIOError("no more processes")


def test_failed_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failed start would cost descriptors or a process, until nothing is left."""
    before = _children()
    with none_lost():
        monkeypatch.setattr("agent.supervisor.child.command", lambda *_: ["/no/such/program"])
        with pytest.raises(OSError, match="No such file"):
            start(Role.LINK, RoleEntry("m", ""))
        monkeypatch.undo()
        monkeypatch.setattr("subprocess.Popen", failing)
        with pytest.raises(BlockingIOError):
            start(Role.LINK, RoleEntry("m", ""))
        monkeypatch.undo()
        monkeypatch.setattr("agent.supervisor.child.become", failing)
        with pytest.raises(PermissionError, match="can't become"):
            start(Role.LINK, RoleEntry("m", ""))
        monkeypatch.undo()
        monkeypatch.setattr("os.pidfd_open", failing)
        with pytest.raises(BlockingIOError):
            start(Role.LINK, RoleEntry(MODULE, ""), ["rubbish"])
    until(lambda: _children() <= before)


def _children() -> set[str]:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(children.read_text(encoding="ascii").split())
