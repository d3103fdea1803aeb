"""Each wall of the sandbox by itself, as the kernel tells it, so that none hides another's gap."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.linux import Capability, capabilities, capability_mask
from agent.privileges import COLLECTOR_PSUTIL
from agent.sandbox import landlock, seccomp_filter
from agent.sandbox.profiles import LIMITS
from tests import needs
from tests.process import locked

LANDLOCK_ALONE = """
import errno, os, signal, socket, sys
from pathlib import Path
from agent.linux import prctl
from agent.sandbox import landlock, seccomp_filter
folder, name = Path(sys.argv[1]), sys.argv[2]
prctl(38, 1)
landlock.restrict(writable=[folder], connect_ports=[9])
def attempt(name, action):
    try:
        action()
        print(name, 'done')
    except OSError as error:
        print(name, errno.errorcode[error.errno])
attempt('foreign file', lambda: Path('/etc/hostname').read_bytes())
attempt('foreign folder', lambda: os.listdir('/'))
attempt('foreign write', lambda: Path('/dev/null').write_bytes(b''))
attempt('own file', lambda: (folder / 'a').write_bytes(b'x'))
attempt('own truncate', lambda: os.truncate(folder / 'a', 0))
attempt('own folder', lambda: os.listdir(folder))
attempt('subfolder', lambda: (folder / 'b').mkdir())
attempt('fifo', lambda: os.mkfifo(folder / 'c'))
attempt('exec', lambda: os.execv('/bin/true', ['true']))
attempt('port 9', lambda: socket.socket().connect(('127.0.0.1', 9)))
attempt('port 10', lambda: socket.socket().connect(('127.0.0.1', 10)))
attempt('bind', lambda: socket.socket().bind(('127.0.0.1', 0)))
attempt('abstract socket', lambda: socket.socket(socket.AF_UNIX).connect(chr(0) + name))
attempt('signal', lambda: os.kill(os.getppid(), 0))
"""

LANDLOCK_ANSWERS = """\
foreign file EACCES
foreign folder EACCES
foreign write EACCES
own file done
own truncate done
own folder done
subfolder EACCES
fifo EACCES
exec EACCES
port 9 ECONNREFUSED
port 10 EACCES
bind EACCES
abstract socket EPERM
signal EPERM
"""


@pytest.mark.skipif(
    landlock.available_abi() < landlock.FIRST_ABI_WITH_SCOPES,
    reason=needs.UNAVOIDABLE + "Landlock ABI 6, for signals, abstract sockets and TCP",
)
def test_landlock_alone_holds(tmp_path: Path) -> None:
    """Landlock would be decoration behind the seccomp filter."""
    name = f"bulkhead-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        ended = subprocess.run(
            [sys.executable, "-I", "-c", LANDLOCK_ALONE, tmp_path, name],
            capture_output=True,
            check=False,
            timeout=locked.SECONDS,
        )
    assert (ended.stdout.decode(), ended.stderr.decode()) == (LANDLOCK_ANSWERS, "")


def test_missing_landlock_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without Landlock would look as safe as one that has it."""
    monkeypatch.setattr(landlock, "available_abi", lambda: 0)
    assert landlock.restrict().startswith("missing: ")


@contextmanager
def _locked_process(profile: str, user: str = "") -> Iterator[Path]:
    """A process that is locked down and waits; yields its folder under /proc."""
    process = subprocess.Popen(
        locked.command(profile, "print('ready', flush=True)\nsys.stdin.buffer.read(1)"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=locked.environment(),
        user=user or None,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Path("/proc", str(process.pid))
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def _status(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_evaluator_has_no_capability_and_a_filter() -> None:
    """A bug in numpy or hyperscan would have root's powers behind it."""
    with _locked_process("EVALUATOR") as folder:
        status = _status(folder)
    sets = {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    if os.geteuid() == 0:
        sets.add(status["CapBnd"])
    assert sets == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have capabilities to keep")
def test_polling_collector_keeps_two_capabilities() -> None:
    """It would see nothing of other users' processes, or hold more than it needs."""
    with _locked_process("COLLECTOR_PSUTIL") as folder:
        status = _status(folder)
    wanted = capability_mask(COLLECTOR_PSUTIL) & capabilities().permitted
    assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")] == [wanted] * 3
    assert wanted & 1 << Capability.SYS_PTRACE


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a locked process is not dumpable")
def test_limits_are_the_kernels() -> None:
    """A budget that the kernel doesn't know of is no budget."""
    with _locked_process("EVALUATOR") as folder:
        text = (folder / "limits").read_text()
    limits = dict(re.findall(r"^(Max [a-z ]+?)  +\S+ +(\S+)", text, re.MULTILINE))
    assert limits["Max data size"] == str(LIMITS.evaluator_data_bytes)
    assert limits["Max address space"] == str(LIMITS.evaluator_address_space_bytes)
    assert limits["Max processes"] == limits["Max core file size"] == "0"
    assert limits["Max open files"] == str(LIMITS.evaluator_descriptors)


def test_nobody_of_the_same_user_can_look_inside() -> None:
    """Another program of the user could read the memory of a role that runs without root."""
    locked.require_other_user()
    with _locked_process("EVALUATOR", user=locked.NOBODY) as folder:
        ended = subprocess.run(
            ["cat", folder / "environ"],
            capture_output=True,
            check=False,
            timeout=locked.SECONDS,
            user=locked.NOBODY,
        )
    assert b"Permission denied" in ended.stderr


def test_missing_seccomp_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without python3-seccomp would look as safe as one that has it."""
    monkeypatch.setattr(seccomp_filter, "seccomp", None)
    assert seccomp_filter.load(()).startswith("missing: ")


def test_everything_that_holds_is_said() -> None:
    """`bulkhead agent status` could not tell a locked role from an open one."""
    ended = locked.run("EVALUATOR", "print(json.dumps(holds))", before="import json")
    holds = json.loads(ended.output)
    assert holds["seccomp"].startswith("kill, ")
    assert holds["landlock"].startswith(("abi ", "missing: "))
    assert (holds["profile"], holds["capabilities"]) == ("evaluator", "none")
    assert holds.keys() == {
        "profile",
        "limits",
        "no_new_privs",
        "landlock",
        "capabilities",
        "bounding_set",
        "dumpable",
        "seccomp",
    }
